"""Every wait that grows: until a request is sent again, a lost one is looked for, a job is asked about."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace
from typing import Any

import pytest

from hume_runner.engine.reconcile import next_look_s
from hume_runner.errors import StoreUnavailable
from hume_runner.http.backoff import backoff, doubled
from hume_runner.hume import job as jobs
from hume_runner.hume.exceptions import JobTimeoutException
from hume_runner.hume.job import BatchJob
from hume_runner.state.remote.drive import Clock, _Tries

TRIES = [1, 1, 2, 4, 8, 16, 32, 60, 60]
PAUSES = [0.1, 0.2, 0.4, 0.8, 1.6, 3, 3]
LOOKS = [0.25, 0.5, 1, 2, 4, 8, 10, 10]
POLLS = [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30]


@pytest.mark.parametrize(
    ("times", "first", "most", "wait"),
    [(0, 1.0, 60.0, 1.0), (-1, 1.0, 60.0, 1.0), (5, 0.25, 60.0, 8.0), (9, 0.25, 10.0, 10.0), (0, 3.0, 2.0, 2.0)],
)
def test_a_wait_doubles_up_to_a_bound(times: int, first: float, most: float, wait: float) -> None:
    assert doubled(times, first=first, most=most) == wait


def test_no_number_of_times_is_too_large() -> None:
    assert doubled(10**9, first=1.0, most=math.inf) == 65_536.0


def test_a_request_is_sent_again_after_one_two_four_seconds() -> None:
    waits = [backoff(tries, most=60.0, asked=None, random=lambda: 0.0) for tries in range(len(TRIES))]
    assert waits == TRIES
    assert backoff(100, most=1e9, asked=None, random=lambda: 0.0) == 65_536.0


def test_a_lost_submission_is_looked_for_after_a_quarter_a_half_one_second() -> None:
    assert [next_look_s(looks, waited_s=0.0, wait_s=900.0) for looks in range(len(LOOKS))] == LOOKS


def test_a_store_that_is_out_of_order_is_tried_after_a_tenth_of_a_second_and_twice_as_long_each_time() -> None:
    waits: list[float] = []
    tries = _Tries(Clock(monotonic=lambda: 0.0, wait=waits.append), patience_s=60.0)
    for _ in PAUSES:
        tries.pause(StoreUnavailable("out of order"))
    assert waits == PAUSES
    tries.went_well()
    tries.pause(StoreUnavailable("out of order again"))
    assert waits[len(PAUSES) :] == PAUSES[:1]


def test_a_job_of_the_old_names_is_asked_about_after_a_quarter_a_half_one_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[float] = []
    clock = itertools.accumulate(itertools.chain([0.0], itertools.repeat(1e-9)))

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == len(POLLS):
            raise JobTimeoutException("enough")

    monkeypatch.setattr(jobs, "time", SimpleNamespace(monotonic=lambda: next(clock), sleep=sleep))
    pending = SimpleNamespace(state=SimpleNamespace(status=jobs.BatchJobStatus.QUEUED))

    class Waiting(BatchJob):
        def get_details(self) -> Any:
            return pending

    with pytest.raises(JobTimeoutException, match="enough"):
        Waiting.__new__(Waiting).await_complete(timeout=None)
    assert waits == POLLS
