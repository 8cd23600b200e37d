"""A state as SQLite has it, without a word of ours between."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any


def answered(state: Path, question: str) -> list[Any]:
    """The rows that answer an SQL question; nothing is written."""
    with contextlib.closing(sqlite3.connect(f"file:{state}?mode=ro", uri=True)) as db:
        return db.execute(question).fetchall()
