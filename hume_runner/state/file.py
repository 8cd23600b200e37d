"""One open state file, and the facts about it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from typing import Any, Self, TypeVar

from hume_runner.state import sent
from hume_runner.state.connection import Opened, guarded
from hume_runner.state.rows import Counts

T = TypeVar("T")


class StateFile:
    """An open state file. Whoever has no more than this can change nothing in it."""

    def __init__(self, opened: Opened) -> None:
        self._db = opened.db
        self.path = opened.path
        self._agreed_planned: dict[int, bool] = {}
        self._counted: tuple[tuple[int, int], Counts] | None = None

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(sqlite3.Error):
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def meta(self, name: str) -> Any:
        with guarded(self.path):
            row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    @property
    def lineage(self) -> str:
        return str(self.meta("lineage") or "")

    @property
    def serial(self) -> int:
        return int(self.meta("serial") or 0)

    def last_sent(self) -> str:
        """How far this state knows what was sent."""
        return sent.last(self.meta(sent.FACT))

    def has_sent(self, told: str) -> bool:
        """Whether it knows as much as another told with its `last_sent`."""
        return sent.has(self.meta(sent.FACT), told)

    def _changes(self) -> tuple[int, int]:
        """Stays the same as long as neither we nor others write to the file."""
        with guarded(self.path):
            (others,) = self._db.execute("PRAGMA data_version").fetchone()
        return others, self._db.total_changes

    def copied_by(self, copy: Callable[[sqlite3.Connection], T]) -> T:
        """What `copy` makes of the open file, between two transactions."""
        with guarded(self.path):
            return copy(self._db)
