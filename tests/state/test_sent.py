"""A state knows how far it knows what was sent."""

from __future__ import annotations

import shutil
from pathlib import Path

from hume_runner.state.disk import Disk
from hume_runner.state.reader import StateReader
from hume_runner.state.sent import NOTHING, counted, has, last
from hume_runner.state.store import Store
from tests.fakes import World
from tests.state.test_store import submitting

ONE, TWO = "1" * 16, "2" * 16


def test_each_submission_counts_for_its_run_and_whoever_has_counted_as_far_has_seen_it() -> None:
    kept, told = None, [last(None)]
    for run in (ONE, ONE, TWO, ONE):
        kept = counted(kept, run)
        told.append(last(kept))
    assert told == [NOTHING, *(f"{run}{number:016x}" for run, number in ((ONE, 1), (ONE, 2), (TWO, 1), (ONE, 3)))]
    assert all(has(kept, one) for one in told)
    assert not has(kept, f"{ONE}{4:016x}")
    assert not has(kept, f"{TWO}{2:016x}")
    assert not has(None, told[1])


def test_runs_of_long_ago_are_not_remembered_and_a_state_says_so() -> None:
    kept = None
    for run in range(1, 100):
        kept = counted(kept, f"{run:016x}")
    assert kept is not None
    assert has(kept, f"{99:016x}{1:016x}")
    assert not has(kept, f"{1:016x}{1:016x}")
    assert len(kept) < 1000


def test_an_intent_is_counted_with_it_and_a_copy_of_before_has_not_seen_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.service.most = 1
    world.service.processing_s = 1000.0
    world.run(max_jobs_in_flight=1, interrupts=[1.0])  # which leaves the second and the third job planned
    copy, told = tmp_path / "copy.sqlite3", [NOTHING]
    for number in (2, 3):
        with Store.create_or_open(world.state, disk=Disk(), name="fake", lineage="unused") as store:
            told.append(store.last_sent())
            store.count_sent()
            assert store.last_sent() == told[-1]
            submitting(store, number)
            told.append(store.last_sent())
        if number == 2:
            shutil.copyfile(world.state, copy)
    assert told[2] == told[3]
    assert len(set(told)) == 4
    for state, seen in ((world.state, told), (copy, told[:4])):
        with StateReader.peek(state) as store:
            assert [one for one in told if store.has_sent(one)] == seen
