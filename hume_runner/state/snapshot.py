"""A state where nobody may write: read from a private copy, so that nothing has to be written beside it.

SQLite needs a file of its own (`-shm`) beside a database with a write-ahead log, also to read it. Where that cannot be
made it can take the database for immutable, which is only right while nobody writes it; and that this process may not
write says nothing about others: the folder may be mounted for writing elsewhere, or belong to a colleague whose run is
on. No lock can be asked that would not hold up a run. So files are taken for immutable for a moment only, to be copied,
and the copy counts if size, times and inode of both files are the same before and after.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from pathlib import Path
from urllib.parse import quote

from hume_runner.aside import open_new
from hume_runner.errors import StateError
from hume_runner.regular_files import open_regular
from hume_runner.scratch import Scratch

_TRIES = 20

# Which files there are, and how they look.
_Stamp = tuple[tuple[int, int, int, int] | None, ...]


def needs_copy(path: Path) -> bool:
    """Whether the state cannot be opened where it is, since its folder takes no files from us."""
    return not os.access(path.parent, os.W_OK)


def copied(path: Path) -> sqlite3.Connection:
    """A connection to a copy in a temporary file without a name, of which nothing can stay behind.

    Raises: StateError where somebody writes the state all the time; sqlite3.Error, OSError.
    """
    for _ in range(_TRIES):
        before = _stamp(path)
        try:
            copy = _copy(path, with_log=bool(before[1] and before[1][1]))
        except sqlite3.DatabaseError:
            if _stamp(path) == before:
                raise  # damaged, not half written
        else:
            if _stamp(path) == before:
                return copy
            copy.close()
    raise StateError(f"{path}: the state is being written while it is read here", hint="try again")


def _copy(path: Path, *, with_log: bool) -> sqlite3.Connection:
    if not with_log:
        return _without_name(f"file:{quote(str(path))}?mode=ro&immutable=1")
    with Scratch() as folder:
        for name in (path.name, f"{path.name}-wal"):
            with open_regular(path.with_name(name)) as source, open_new(folder / name, private=True) as target:
                shutil.copyfileobj(source, target, 1 << 20)
        return _without_name(f"file:{quote(str(folder / path.name))}")


def _without_name(uri: str) -> sqlite3.Connection:
    copy = sqlite3.connect("", isolation_level=None)
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as source:
            source.backup(copy)
    except BaseException:
        copy.close()
        raise
    return copy


def _stamp(path: Path) -> _Stamp:
    return tuple(_look(path.with_name(name)) for name in (path.name, f"{path.name}-wal"))


def _look(path: Path) -> tuple[int, int, int, int] | None:
    try:
        seen = path.stat()
    except FileNotFoundError:
        return None
    return seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns
