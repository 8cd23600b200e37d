"""What jobs come to, as a plan and its bill tell it."""

from __future__ import annotations

from hume_runner.planning.model import PlannedJob, Summary
from hume_runner.planning.tally import Tally
from hume_runner.services.jobs import Draft


def test_without_a_bill_nothing_is_said_to_cost_nothing() -> None:
    tally = Tally()
    tally.add(Draft(members=(), size_bytes=5, requests=2))
    told = tally.told(Summary(new=1))
    assert (told.new, told.requests, told.billable_seconds, told.billable_seconds_unpacked) == (1, 2, None, None)
    assert tally.bytes == 5


def test_a_bill_is_told_as_it_is_packed_and_as_it_would_be_otherwise() -> None:
    tally = Tally()
    tally.add(Draft(members=(), size_bytes=1, billable_seconds=2.0, unpacked_seconds=6.0))
    tally.add(Draft(members=(), size_bytes=1, billable_seconds=0.1, unmeasured=3))  # packs nothing: costs the same
    told = tally.told(Summary())
    assert (told.billable_seconds, told.billable_seconds_unpacked, told.unmeasured) == (2.1, 6.1, 3)


def test_a_job_that_is_sent_as_it_is_is_one_request() -> None:
    tally = Tally()
    tally.add_sent(PlannedJob(key="k", sources=4, bytes=7, billable_seconds=None))
    told = tally.told(Summary())
    assert (told.jobs, told.requests, tally.bytes, told.billable_seconds) == (1, 1, 7, None)
