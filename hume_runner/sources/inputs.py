"""The files that a manifest reads: itself, its lists, its keys, and its sources but for those only a pattern finds.

None of them but the sources is a medium, and a key that is sent is no secret any more: no pattern finds them, and a key
that is named as a source refuses the manifest.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Literal

from hume_runner.frozen import frozen
from hume_runner.manifest.model import Manifest, Place
from hume_runner.manifest.shown import quoted
from hume_runner.sources.globbing import is_glob
from hume_runner.sources.problems import ProblemLog
from hume_runner.stores.address import is_remote

SECRETS = ("service.api_key", "notify.callback_secret")


@frozen
class Input:
    """A file that is read, and where the manifest names it; the manifest itself has no such place. `name`: of a secret,
    as the manifest calls it."""

    path: Path
    kind: Literal["manifest", "list", "source", "secret"]
    place: Place | None = None
    name: str = ""


def inputs(manifest: Manifest) -> Iterator[Input]:
    """All of them."""
    folder, places, secret = manifest.path.parent, manifest.source_of, manifest.notify.callback_secret
    yield Input(path=manifest.path, kind="manifest")
    for entry in manifest.sources:
        if entry.listing is not None:
            yield Input(path=entry.listing, kind="list", place=entry.place)
        elif entry.kind == "file" and entry.value and not is_remote(entry.value) and not is_glob(entry.value):
            yield Input(path=folder / entry.value, kind="source", place=entry.place)
    for event in manifest.events:
        if event.listing is not None:
            yield Input(path=event.listing, kind="list", place=event.place)
    for name, key in zip(SECRETS, (manifest.service.api_key, secret), strict=True):
        if key is not None and key.file is not None:
            yield Input(path=key.file, kind="secret", place=places.get(f"{name}.file"), name=f"{name}.file")


class ReadFiles:
    """Inputs that are no sources, known again by whatever name or link leads to them. Looked for when first asked."""

    def __init__(self, found: Iterable[Input]) -> None:
        self._found = found

    def one(self, status: os.stat_result) -> Input | None:
        """The input that a file with this status is."""
        return self._known.get(_identity(status))

    def is_secret(self, path: Path, place: Place, log: ProblemLog, *, called: str | None = None) -> bool:
        """Whether a file that is named as a source, or as a list of them, is a secret; says so in the log if it is, by
        the name that it is `called`."""
        status = _status(path)
        read = None if status is None else self.one(status)
        if read is None or read.kind != "secret":
            return False
        named = "" if read.place is None or not read.place.line else f", {read.place.told}"
        log.malformed(
            place,
            f"{quoted(called or str(path))} is a secret ({read.name}{named}), and a run would send it",
            "remove it from the sources; if it is a medium, keep the secret in a file of its own",
        )
        return True

    @cached_property
    def _known(self) -> Mapping[tuple[int, int], Input]:
        known: dict[tuple[int, int], Input] = {}
        for one in self._found:
            status = None if one.kind == "source" else _status(one.path)
            # A file that is a key and something else as well is a key.
            if status is not None and (one.kind == "secret" or _identity(status) not in known):
                known[_identity(status)] = one
        return known


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (OSError, ValueError):
        return None  # whoever reads it tells


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
