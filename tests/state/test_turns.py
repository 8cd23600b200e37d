"""What the loop asks at every turn: right, and found without looking at every planned job."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hume_runner.state.disk import Disk
from hume_runner.state.lifecycle import JobStatus
from hume_runner.state.migrations import MIGRATIONS, migrate
from hume_runner.state.reader import StateReader
from hume_runner.state.store import Store
from tests.tiers import examples, sampled

BY_LOOKING = (
    "SELECT p.job FROM jobs p JOIN jobs q ON q.job = p.after "
    "WHERE p.status = 'planned' AND q.status = 'done' ORDER BY p.job"
)
ADD = "INSERT INTO jobs (key, status, sources, bytes, after) VALUES ('k', ?, 1, 1, ?)"

PER_TURN: dict[str, Callable[[Store], object]] = {
    "planned": lambda store: store.planned(32, beyond=5),
    "any_planned": lambda store: store.any_planned(),
    "freed": lambda store: store.freed(),
    "work_left": lambda store: store.work_left(),
    "ambiguous": lambda store: list(store.jobs(JobStatus.AMBIGUOUS)),
    "members of one": lambda store: store.load_job(1),
    # Asked for each medium that is sent, and for each folder of answers.
    "answer_to": lambda store: store.answer_to(bytes(32), "0" * 64, besides="request.json"),
    "holds_answer": lambda store: store.holds_answer("b" * 32),
    "kept_answer": lambda store: store.kept_answer("file-1"),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A state with many planned jobs: one chain of them, and as many that wait for nothing."""
    path = tmp_path / "state.sqlite3"
    Store.create_or_open(path, disk=Disk(), name="many", lineage="l").close()
    db = sqlite3.connect(path)
    db.executemany(ADD, [("planned", n if n % 2 else None) for n in range(2_000)])
    db.commit()
    db.close()
    path.with_name("state.sqlite3.seal").unlink(missing_ok=True)
    return path


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with StateReader.peek(path) as store:
        yield store


@sampled(5)
@pytest.mark.parametrize("name", PER_TURN)
def test_no_turn_looks_at_every_job_or_item(store: Store, name: str) -> None:
    asked: list[str] = []
    store._db.set_trace_callback(asked.append)
    PER_TURN[name](store)
    store._db.set_trace_callback(None)
    assert asked
    for query in asked:
        plan = [row[3] for row in store._db.execute(f"EXPLAIN QUERY PLAN {query}")]
        tables = ("jobs", "items", "measurements", "members", "duplicates", "p", "q", "b", "m", "i", "j", "a")
        assert not [step for step in plan if step.startswith(tuple(f"SCAN {table}" for table in tables))], plan
        assert not (name == "answer_to" and "jobs_status" in " ".join(plan)), plan  # all that are done


@pytest.mark.sweep
@pytest.mark.parametrize("name", ["planned", "any_planned", "freed"])
def test_a_turn_costs_the_same_with_ten_times_the_jobs(path: Path, name: str) -> None:
    """Counted in steps of SQLite's machine: no clock, so no load of the machine is in it."""

    def steps() -> int:
        with StateReader.peek(path) as store:
            count = 0

            def one() -> None:
                nonlocal count
                count += 1

            # Beyond the last job that waits for nothing, where only chained ones are left.
            store._db.set_progress_handler(one, 1)
            PER_TURN[name](store) if name != "planned" else store.planned(32, beyond=1_990)
            return count

    few = steps()
    db = sqlite3.connect(path)
    db.executemany(ADD, [("planned", n) for n in range(2_000, 20_000)])
    db.commit()
    db.close()
    assert steps() <= 2 * few + 50


@pytest.mark.sweep
@settings(max_examples=examples(60), deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.sampled_from(list(JobStatus)), st.integers(0, 8)),
            st.tuples(st.just("move"), st.sampled_from(list(JobStatus)), st.integers(1, 8)),
            st.tuples(st.just("remove"), st.just(JobStatus.PLANNED), st.integers(1, 8)),
            st.tuples(st.just("part"), st.just(JobStatus.PLANNED), st.integers(1, 8)),
        ),
        max_size=25,
    )
)
def test_what_is_freed_is_what_the_jobs_say_whatever_happens_to_them(
    changes: list[tuple[str, JobStatus, int]],
) -> None:
    db = sqlite3.connect(":memory:", isolation_level=None)
    migrate(db)
    for what, status, number in changes:
        match what:
            case "add":
                db.execute(ADD, (status, number or None))
            case "move":
                db.execute("UPDATE jobs SET status = ? WHERE job = ?", (status, number))
            case "part":
                db.execute("UPDATE jobs SET after = NULL WHERE job = ?", (number,))
            case _:
                db.execute("DELETE FROM jobs WHERE job = ?", (number,))
        assert db.execute("SELECT job FROM freed ORDER BY job").fetchall() == db.execute(BY_LOOKING).fetchall()
    db.close()


def test_a_state_of_an_earlier_version_knows_what_is_freed(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "old.sqlite3", isolation_level=None)
    for step in MIGRATIONS[:5]:
        step(db)
    db.execute("PRAGMA user_version = 5")
    for status, after in (("done", None), ("planned", 1), ("planned", 2), ("planned", None)):
        db.execute(ADD, (status, after))
    migrate(db)
    assert db.execute("SELECT job FROM freed").fetchall() == [(2,)]
    db.close()
