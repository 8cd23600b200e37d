"""What the emulator remembers, in one SQLite file: here its key and other secrets, and each API's folder adds its own.

Used by the server's own thread alone. WAL without a sync at each commit: a killed process loses nothing, and that is
what a rehearsal kills. Time columns are Unix milliseconds.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

_SCHEMA = "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"


class Storage:
    """The file, and what all APIs keep in it. `db` commits each statement by itself, outside of `transaction`."""

    def __init__(self, folder: Path) -> None:
        self.db = sqlite3.connect(folder / "emulator.sqlite3", isolation_level=None, check_same_thread=False)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = NORMAL")
        self.db.executescript(_SCHEMA)

    def close(self) -> None:
        self.db.close()

    def remembered(self, name: str, value: str) -> str:
        """What is stored under the name; the first value given stays."""
        self.db.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (name, value))
        stored: str = self.db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()[0]
        return stored

    def transaction(self) -> Transaction:
        return Transaction(self.db)


class Transaction:
    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        self._db.execute("COMMIT" if kind is None else "ROLLBACK")
