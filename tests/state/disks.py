"""Disks on which one transaction fails."""

from __future__ import annotations

import sqlite3
import time

from hume_runner.state.disk import Disk


def full() -> sqlite3.OperationalError:
    return sqlite3.OperationalError("database or disk is full")


class FailsAt(Disk):
    """With this error, instead of what is to be written there for the `nth` time; `after_s` later, so that others come
    to their end."""

    def __init__(self, what: str, error: BaseException, *, after_s: float = 0.0, nth: int = 1) -> None:
        super().__init__()
        self._what = what
        self._error = error
        self._after_s = after_s
        self._left = nth

    def commit(self, db: sqlite3.Connection, what: str) -> None:
        self._left -= what == self._what
        if what == self._what and self._left <= 0:
            time.sleep(self._after_s)
            raise self._error
        super().commit(db, what)
