"""Every operation that makes something durable, in one place.

A test that replaces this object can kill the process before or after the k-th operation, or make it fail as a full
disk does, and so visit every moment at which a crash could lose something.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO

from hume_runner import aside


def stamp_of(seen: os.stat_result) -> str:
    """What changes with every write to a file, and is cheaper to look at than its content."""
    return f"{seen.st_size}-{seen.st_mtime_ns}-{seen.st_ctime_ns}-{seen.st_ino}"


class Disk:
    """The real disk. Directories are synced after a rename, so that the new name survives a power cut."""

    def commit(self, db: sqlite3.Connection, what: str) -> None:
        """Make the open transaction durable; `what` names it for a test that counts."""
        del what
        db.execute("COMMIT")

    def sync(self, file: IO[bytes]) -> None:
        """Flush a file's bytes to the medium."""
        file.flush()
        os.fsync(file.fileno())

    def replace(self, source: Path, target: Path) -> None:
        """Give a complete file its final name, atomically."""
        source.replace(target)
        aside.sync_directory(target.parent)

    def make_directory(self, path: Path) -> None:
        """The directory and its parents, each with its name safe in the one above it."""
        missing = [one for one in (path, *path.parents) if not one.exists()]
        path.mkdir(parents=True, exist_ok=True)
        for one in reversed(missing):
            aside.sync_directory(one.parent)

    def make_below(self, root: Path, relative: Path) -> Path:
        """A directory of our own below `root`, which a person may have made a link; nothing below it may be one.

        Raises: LinkInTheWay, NotRegular.
        """
        path = aside.folder_below(root, str(relative))
        self.make_directory(path)
        return path

    @contextlib.contextmanager
    def written(self, target: Path, *, private: bool = False) -> Iterator[BinaryIO]:
        """A file for bytes that becomes `target`, synced, when the block ends, and nothing when it raises. `private`:
        nobody else may read it."""
        with aside.written(target, private=private, sync=self.sync, replace=self.replace) as file:
            yield file

    def write_new(self, path: Path, content: bytes) -> None:
        """A whole small file: written aside, synced, renamed."""
        self.make_directory(path.parent)
        with self.written(path) as file:
            file.write(content)
