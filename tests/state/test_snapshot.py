from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from hume_runner.errors import StateError
from hume_runner.state.snapshot import copied


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "state.sqlite3"
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("CREATE TABLE pairs (a INTEGER, b INTEGER, filling BLOB)")
    db.execute(
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION SELECT n + 1 FROM n WHERE n < 2000) "
        "INSERT INTO pairs SELECT 0, 0, zeroblob(500) FROM n"
    )
    db.close()
    return path


def test_a_state_that_somebody_writes_meanwhile_is_read_as_it_was_at_one_moment_or_not_at_all(path: Path) -> None:
    """Every row is changed in one transaction and checkpointed at once, so that both files change all the time."""
    over = threading.Event()

    def write() -> None:
        db = sqlite3.connect(path, isolation_level=None)
        number = 0
        while not over.wait(0.005 if number % 3 else 0.05):
            number += 1
            db.execute("UPDATE pairs SET a = ?, b = ?", (number, number))
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()

    writer = threading.Thread(target=write)
    writer.start()
    read = 0
    try:
        for _ in range(20):
            try:
                copy = copied(path)
            except StateError:
                continue
            read += 1
            (kinds, least, most) = copy.execute(
                "SELECT count(DISTINCT a), min(a - b), max(a - b) FROM pairs"
            ).fetchone()
            assert (kinds, least, most) == (1, 0, 0)
            assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            copy.close()
    finally:
        over.set()
        writer.join()
    assert read


def test_a_copy_has_what_is_in_the_log_and_changes_nothing(path: Path) -> None:
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("PRAGMA wal_autocheckpoint = 0")
    writer.execute("INSERT INTO pairs VALUES (5, 6, NULL)")
    before = {one.name: one.read_bytes() for one in path.parent.iterdir() if not one.name.endswith("-shm")}
    copy = copied(path)
    assert copy.execute("SELECT b FROM pairs WHERE a = 5").fetchone() == (6,)
    copy.close()
    assert {one.name: one.read_bytes() for one in path.parent.iterdir() if not one.name.endswith("-shm")} == before
    writer.close()
