from __future__ import annotations

import math
from pathlib import Path

from hume_runner.state.disk import Disk
from hume_runner.state.lifecycle import JobStatus
from hume_runner.state.store import Store
from tests.fakes import START, World


def beginnings(store: Store, *numbers: int) -> list[bytes]:
    return sorted(member.item.key[:8] for number in numbers for member in store.load_job(number).members)


def test_what_is_planned_and_what_others_may_not_see_yet_are_told_by_the_beginnings_of_keys_in_order(
    store: Store,
) -> None:
    assert [*store.planned_keys(8)] == beginnings(store, 2, 3)
    assert [*store.unseen_keys(math.inf, 8)] == beginnings(store, 1)
    (planned,), (sent,) = beginnings(store, 2), beginnings(store, 1)
    assert (store.planned_as(planned), store.planned_as(sent)) == ([2], [])
    store.record_submitting(
        2, nonce="n", sha256="s", request={}, matches={0: "m"}, endpoint="e", clock_offset=None, now=START
    )
    assert [*store.unseen_keys(math.inf, 8)] == beginnings(store, 1, 2)


def test_what_was_measured_may_be_unseen_for_a_while_after_it_was_sent(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert world.run().exit_code == 0
    with Store.create_or_open(world.state, disk=Disk(), name="fake", lineage="unused") as store:
        every = beginnings(store, *(row.number for row in store.jobs(JobStatus.DONE)))
        assert every
        assert [*store.unseen_keys(0.0, 8)] == every
        assert [*store.unseen_keys(math.inf, 8)] == []
