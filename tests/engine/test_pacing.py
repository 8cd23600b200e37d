from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.engine.pacing import (
    PollRule,
    limit_after_complaint,
    limit_after_success,
    next_poll_at,
)
from hume_runner.http.backoff import backoff

RULE = PollRule(least=0.25, most=30.0, share=0.05)
TIMES = st.floats(0, 100_000, allow_nan=False)


def test_the_number_in_flight_halves_with_a_complaint_and_grows_back_one_by_one() -> None:
    limit = limit_after_complaint(10.0)
    assert limit == 5
    for _ in range(9):
        limit = limit_after_complaint(limit)
    assert limit == 1
    limit = limit_after_success(limit, 10)
    assert limit == 2
    for _ in range(20):
        limit = limit_after_success(limit, 10)
    assert limit == 10


@pytest.mark.parametrize(
    ("tries", "asked", "wait"),
    [(1, None, 1.0), (2, None, 2.0), (4, None, 8.0), (40, None, 60.0), (1, 7.0, 7.0), (1, 900.0, 60.0), (3, -1.0, 0.0)],
)
def test_a_wait_doubles_unless_the_service_asked_for_one(tries: int, asked: float | None, wait: float) -> None:
    assert backoff(tries, most=60.0, asked=asked, random=lambda: 0.0) == wait


def test_jitter_takes_off_a_quarter_at_most() -> None:
    assert backoff(3, most=60.0, asked=None, random=lambda: 1.0) == 3.0


def test_with_nothing_to_wait_for_a_poll_is_due_at_once() -> None:
    assert next_poll_at(RULE, now=5.0, last=4.0, submitted=[], typical=None) == 5.0


@pytest.mark.parametrize(("age", "interval"), [(0.0, 0.25), (2.0, 0.25), (100.0, 5.0), (10_000.0, 30.0)])
def test_a_new_job_is_looked_at_often_and_an_old_one_seldom(age: float, interval: float) -> None:
    assert next_poll_at(RULE, now=age, last=age, submitted=[0.0], typical=None) == pytest.approx(age + interval)


def test_the_youngest_job_sets_the_pace() -> None:
    assert next_poll_at(RULE, now=1000.0, last=1000.0, submitted=[0.0, 999.0], typical=None) == 1000.25


def test_once_it_is_known_how_long_jobs_take_nothing_is_asked_before_the_first_can_be_done() -> None:
    asked = next_poll_at(RULE, now=100.0, last=100.0, submitted=[100.0], typical=0.9)
    assert asked == pytest.approx(100.9)
    # and not long after that moment either, if the usual interval were longer
    assert next_poll_at(RULE, now=200.0, last=200.0, submitted=[100.0], typical=101.0) == pytest.approx(201.0)


def test_a_job_that_takes_very_long_is_asked_about_all_the_same() -> None:
    assert next_poll_at(RULE, now=100.0, last=100.0, submitted=[100.0], typical=3600.0) == pytest.approx(101.0)


@given(TIMES, st.lists(TIMES, min_size=1, max_size=5), st.none() | st.floats(0, 10_000))
def test_a_poll_is_never_due_before_the_last_one_nor_for_ever_after(
    last: float, submitted: list[float], typical: float | None
) -> None:
    now = max([last, *submitted])
    due = next_poll_at(RULE, now=now, last=last, submitted=submitted, typical=typical)
    assert last <= due <= last + 4 * RULE.most
