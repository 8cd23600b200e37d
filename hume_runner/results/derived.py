"""Which derived outputs are current: each group of files by a mark of its own, made only when its files are in place.

A group is what is written together: `results.jsonl`, the tables of one format, the report. Its mark says from which
state, by which code and with which settings it was made, and what each file looked like then. A kill before the mark
leaves the old mark, so the next run makes the group again; a file that is gone, cut or edited does not fit its mark.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from hume_runner import small_json
from hume_runner._version import __version__
from hume_runner.frozen import frozen
from hume_runner.hashes import sha256_of
from hume_runner.results.options import PLAIN, TableOptions
from hume_runner.services.table_shapes import is_word
from hume_runner.state.disk import stamp_of
from hume_runner.state.reader import StateReader
from hume_runner.state.rows import StoredAnswer
from hume_runner.state.store import Store

REPORT = "report.html"
TABLES = "tables"

# Raised when the same answers give other bytes than before.
_REVISION = 7


@frozen
class Mark:
    """What a group was made from, and its files: path below the output directory -> (size, SHA-256, stamp)."""

    serial: int
    maker: str
    files: Mapping[str, tuple[int, str, str]]
    options: TableOptions = PLAIN


def tables_group(form: str) -> str:
    return f"{TABLES}/{form}"


def maker(settings: Mapping[str, Any] | None = None, lost: Iterable[str] = ()) -> str:
    """The code, the settings and the answers that are not there (their paths), which decide what is written beside the
    state."""
    told = json.dumps([__version__, _REVISION, settings or {}, *sorted(lost)], sort_keys=True, default=str)
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def marks(store: StateReader) -> dict[str, Mark]:
    """The marks of all groups; one that cannot be read counts as none."""
    found = {}
    for group, text in store.derived().items():
        try:
            value = small_json.parsed(text)
            files = {str(path): (int(s), str(h), str(t)) for path, (s, h, t) in value["files"].items()}
            found[group] = Mark(serial=value["serial"], maker=value["maker"], files=files, options=_options(value))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return found


def is_current(mark: Mark | None, outputs: Path, *, serial: int, by: str, options: TableOptions = PLAIN) -> bool:
    """Whether the group's files are what they would be if they were made now."""
    if mark is None or (mark.serial, mark.maker, mark.options) != (serial, by, options) or not mark.files:
        return False
    return all(_same(outputs / path, *seen) for path, seen in mark.files.items())


def is_as_marked(mark: Mark, outputs: Path, path: str) -> bool:
    """Whether the file of a group is still what was written."""
    return _same(outputs / path, *mark.files[path])


def record(
    store: Store,
    outputs: Path,
    group: str,
    paths: Iterable[Path],
    *,
    serial: int,
    by: str,
    now: float,
    options: TableOptions = PLAIN,
) -> list[StoredAnswer]:
    """Mark a group whose files are under their final names. `serial`: of the state that they were made from.

    A table of the mark before that nobody gives any more is removed, if it is as it was written: nothing that is loaded
    now knows the tables of another package whose model the manifest had.
    """
    stored, files = [], {}
    for path in paths:
        stamp = stamp_of(path.stat())  # before it is read: what is written later has another stamp
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
        name = path.relative_to(outputs).as_posix()
        files[name] = (size, digest, stamp)
        stored.append(StoredAnswer(name=name, path=name, size=size, sha256=digest))
    mark = json.dumps(
        {"serial": serial, "maker": by, "long": options.long, "options": options.document(), "files": files}
    )
    known = marks(store).get(group)
    gone = {name: seen for name, seen in known.files.items() if name not in files} if known else {}
    for name, seen in gone.items():
        below = PurePosixPath(name)
        is_table = str(below.parent) == TABLES and is_word(below.stem)
        # A link is not what was written, whatever it leads to.
        if is_table and not (outputs / below).is_symlink() and _same(outputs / below, *seen):
            (outputs / below).unlink()
    store.record_derived(group, mark, stored, sorted(gone), now)
    return stored


def _options(value: Mapping[str, Any]) -> TableOptions:
    """Of a mark; an earlier version had one option alone."""
    return TableOptions.of(value.get("options") or {"long": value["long"]})


def _same(path: Path, size: int, sha256: str, stamp: str) -> bool:
    try:
        if stamp_of(path.stat()) == stamp:
            return True
        return path.stat().st_size == size and sha256_of(path) == sha256
    except OSError:
        return False
