"""A scratch file of what a service is told to carry and nothing here is exactly: to be compared with what waits.

A key may have been used for a million other sources, so they are kept outside of memory, by numbers alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from types import TracebackType

from hume_runner.aside import open_new
from hume_runner.scratch import Scratch

_FAST = "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-16000;"
_SCHEMA = """
CREATE TABLE jobs (job INTEGER PRIMARY KEY, remote_id TEXT NOT NULL UNIQUE);
CREATE TABLE likes (number INTEGER NOT NULL, job INTEGER NOT NULL, place INTEGER NOT NULL,
  PRIMARY KEY (number, job, place)) WITHOUT ROWID;
-- What may be the beginning of something longer; `size`: its characters as they were told.
CREATE TABLE heads (number INTEGER NOT NULL, job INTEGER NOT NULL, place INTEGER NOT NULL, kind TEXT NOT NULL,
  size INTEGER NOT NULL, length INTEGER NOT NULL, PRIMARY KEY (number, job, place)) WITHOUT ROWID;
CREATE TABLE longest (kind TEXT PRIMARY KEY, size INTEGER NOT NULL) WITHOUT ROWID;
"""


class Told:
    """For `with`. Sources are told by (remote id, place in the job). Raises: OSError, sqlite3.Error."""

    def __init__(self) -> None:
        self._directory = Scratch()
        path = self._directory.path / "told.sqlite3"
        open_new(path, private=True).close()
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.executescript(_FAST + _SCHEMA)
        self._db.execute("BEGIN")
        self.empty = True

    def __enter__(self) -> Told:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()
        self._directory.close()

    def measure(self, kind: str, size: int) -> None:
        """A source of this kind is told with so many characters."""
        self._db.execute(
            "INSERT INTO longest VALUES (?, ?) ON CONFLICT (kind) DO UPDATE SET size = max(size, excluded.size)",
            (kind, size),
        )

    def add(
        self,
        remote_id: str,
        place: int,
        kind: str,
        likes: Collection[int],
        size: int,
        length: int,
        heads: Iterable[int],
    ) -> None:
        """A source by the numbers of what it may be, and of what may begin like it."""
        self.empty = False
        self._db.execute("INSERT OR IGNORE INTO jobs (remote_id) VALUES (?)", (remote_id,))
        (job,) = self._db.execute("SELECT job FROM jobs WHERE remote_id = ?", (remote_id,)).fetchone()
        self._db.executemany("INSERT OR IGNORE INTO likes VALUES (?, ?, ?)", [(one, job, place) for one in likes])
        self._db.executemany(
            "INSERT OR IGNORE INTO heads VALUES (?, ?, ?, ?, ?, ?)",
            [(one, job, place, kind, size, length) for one in heads],
        )

    def longest(self, kind: str) -> int:
        """The characters of the longest source of this kind that was told."""
        row = self._db.execute("SELECT size FROM longest WHERE kind = ?", (kind,)).fetchone()
        return int(row[0]) if row else 0

    def lengths(self, kind: str) -> list[tuple[int, int]]:
        """(characters as told, the same without blanks) of what may be beginnings."""
        return self._db.execute("SELECT DISTINCT size, length FROM heads WHERE kind = ?", (kind,)).fetchall()

    def like(self, numbers: Iterable[int], limit: int) -> list[tuple[str, int]]:
        """The sources with one of these numbers, so many at most of each."""
        return self._found("likes", numbers, limit)

    def beginning(self, numbers: Iterable[int], limit: int) -> list[tuple[str, int]]:
        """The sources that may be beginnings with one of these numbers, so many at most of each."""
        return self._found("heads", numbers, limit)

    def _found(self, table: str, numbers: Iterable[int], limit: int) -> list[tuple[str, int]]:
        found: dict[tuple[str, int], None] = {}
        for number in numbers:
            rows = self._db.execute(
                f"SELECT j.remote_id, l.place FROM {table} l JOIN jobs j ON j.job = l.job "  # noqa: S608
                "WHERE l.number = ? LIMIT ?",
                (number, limit),
            )
            found.update(dict.fromkeys(rows))
        return list(found)
