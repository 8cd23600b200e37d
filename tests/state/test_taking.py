"""What a merge of many jobs costs: SQLite's own steps are counted, whatever the machine is busy with."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from hume_runner.state.disk import Disk
from hume_runner.state.merging import Copy, Merger
from hume_runner.state.reader import StateReader
from hume_runner.state.recognising import recognised
from hume_runner.state.seal import break_seal
from hume_runner.state.shard_facts import facts_of
from hume_runner.state.store import Store

FEW, TIMES = 150, 8


def fill(state: Path, jobs: int) -> None:
    """A shard with so many jobs of one text each, all of them answered."""
    with Store.create_or_open(state, disk=Disk(), name="study", lineage="part") as store:
        store.remember(shard="1/1", api="batch-v0")
    break_seal(state)
    with closing(sqlite3.connect(state)) as db, db:
        for number in range(1, jobs + 1):
            key = number.to_bytes(32, "big")
            db.execute(
                "INSERT INTO jobs (job, key, status, sources, bytes, endpoint, remote_id) "
                "VALUES (?, ?, 'done', 1, 1, 'e', ?)",
                (number, key.hex(), f"r{number}"),
            )
            db.execute(
                "INSERT INTO measurements (key, kind, content, settings, size, outcome, job) "
                "VALUES (?, 'text', ?, x'00', 1, 'done', ?)",
                (key, key, number),
            )
            db.execute("INSERT INTO members (job, position, key, outcome) VALUES (?, 0, ?, 'done')", (number, key))
            db.execute(
                "INSERT INTO items (ord, id, kind, key, value, place) VALUES (?, ?, 'text', ?, '', '')",
                (number, f"i{number}", key),
            )
            db.execute(
                "INSERT INTO answers (job, name, path, size, sha256, at) VALUES (?, 'a.json', ?, 1, 'x', 1.0)",
                (number, f"raw/r{number}/a.json"),
            )
        happened(db, "intend", 1.0)
        happened(db, "accept", 2.0)
        happened(db, "finish", 3.0)


def happened(db: sqlite3.Connection, event: str, at: float) -> None:
    db.execute("INSERT INTO attempts (job, at, event) SELECT job, ? + job * 1e-3, ? FROM jobs", (at, event))


def merge(whole: Store, shard: Path) -> int:
    """How many jobs were new or further than before."""
    with StateReader.peek(shard) as theirs:
        facts = facts_of(theirs, shard, whole)
        merger = Merger(whole)
        with Copy(whole, theirs):
            merger.count(facts, 0, recognised(whole, theirs))
        merger.number()
        with Copy(whole, theirs):
            taken = merger.take(facts, list(merger.new_answers(facts)), 9.0)
        merger.close()
    return taken.jobs


def billed(shard: sqlite3.Connection, whole: sqlite3.Connection) -> None:
    happened(shard, "billed", 4.0)


def revived(shard: sqlite3.Connection, whole: sqlite3.Connection) -> None:
    """They were merged as given up, and are answered since."""
    happened(shard, "revive", 4.0)
    whole.execute("UPDATE jobs SET status = 'failed'")
    whole.execute("UPDATE measurements SET outcome = 'failed'")
    whole.execute("UPDATE members SET outcome = 'failed'")
    whole.execute("DELETE FROM answers")


def lost(shard: sqlite3.Connection, whole: sqlite3.Connection) -> None:
    """The whole lost every answer."""
    whole.execute("DELETE FROM answers")
    whole.execute("UPDATE measurements SET outcome = 'pending', job = NULL")
    whole.execute("UPDATE members SET outcome = 'failed', reason = 'answer_lost'")


def steps(folder: Path, jobs: int, change: Callable[[sqlite3.Connection, sqlite3.Connection], None] | None) -> int:
    """Thousands of steps that a first merge takes, or the one after `change`."""
    folder.mkdir()
    shard, whole = folder / "shard.sqlite3", folder / "whole.sqlite3"
    fill(shard, jobs)
    count = 0

    def counted() -> int:
        nonlocal count
        count += 1
        return 0

    with Store.create_or_open(whole, disk=Disk(), name="study", lineage="whole") as store:
        if change is None:
            store._db.set_progress_handler(counted, 100)
        assert merge(store, shard) == jobs
        if change is not None:
            with closing(sqlite3.connect(shard)) as db, db:
                change(db, store._db)
            store._db.set_progress_handler(counted, 100)
            assert merge(store, shard) == jobs
        done = store._db.execute("SELECT count(*) FROM measurements WHERE outcome = 'done'").fetchone()
        answers = store._db.execute("SELECT count(*) FROM answers").fetchone()
    assert (done, answers) == ((jobs,), (jobs,))
    return count


@pytest.mark.parametrize("change", [None, billed, revived, lost], ids=["first", "billed", "revived", "lost"])
def test_a_merge_costs_as_much_as_it_has_jobs(
    change: Callable[[sqlite3.Connection, sqlite3.Connection], None] | None, tmp_path: Path
) -> None:
    few, many = (steps(tmp_path / str(jobs), jobs, change) for jobs in (FEW, FEW * TIMES))
    assert many < 1.6 * TIMES * few
