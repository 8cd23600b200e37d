"""Keepers of a state that is told to somebody else, and of one that cannot be read at some moment."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hume_runner.state.keeping import Alone, Kept


class _Deaf:
    """A shipper behind which nobody listens."""

    def __init__(self, connection: type[sqlite3.Connection]) -> None:
        self.connection = connection

    def begin(self, db: sqlite3.Connection) -> None:
        pass

    number = done = drop = begin


class TellsEach:
    """Has each transaction told by itself, as of a state in an object store."""

    def __init__(self, connection: type[sqlite3.Connection] = sqlite3.Connection) -> None:
        self._shipper = _Deaf(connection)

    @contextmanager
    def own(self, state: Path) -> Iterator[Kept]:
        kept = Alone()
        kept.shipper = self._shipper
        yield kept


def unreadable(at: Callable[[str, Any], bool], error: Exception) -> TellsEach:
    """Where `at` is true of a statement and its values, it fails with this error."""

    class Fails(sqlite3.Connection):
        def execute(self, statement: str, values: Any = ()) -> sqlite3.Cursor:
            if at(statement, values):
                raise error
            return super().execute(statement, values)

    return TellsEach(Fails)
