from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.engine.pacing import (
    Pacer,
    PollRule,
    limit_after_complaint,
    limit_after_success,
    next_poll_at,
)
from hume_runner.http.backoff import backoff
from tests.fakes import FakeClock

RULE = PollRule(least=0.25, most=30.0, share=0.05)
TIMES = st.floats(0, 100_000, allow_nan=False)


def pacer(clock: FakeClock, *, rate: float = 10.0, burst: float = 5.0) -> Pacer:
    return Pacer(rate, burst=burst, clock=clock, sleep=clock.sleep)


def sent(clock: FakeClock, pacer: Pacer, number: int) -> list[float]:
    """When each of so many requests may go, in seconds from now."""
    start = clock.now
    times = []
    for _ in range(number):
        pacer.acquire()
        times.append(clock.now - start)
    return times


@given(st.floats(0.5, 50), st.integers(1, 20), st.integers(1, 60))
def test_no_more_than_the_burst_and_the_rate_allow(rate: float, burst: int, number: int) -> None:
    clock = FakeClock(0.0)
    times = sent(clock, pacer(clock, rate=rate, burst=burst), number)
    for count, at in enumerate(times, start=1):
        assert count <= burst + rate * at + 1e-6
    assert times[-1] <= max(0.0, number - burst) / rate + 1e-6


def test_everybody_waits_out_a_pause_and_then_goes_at_half_the_pace() -> None:
    clock = FakeClock(0.0)
    paced = pacer(clock)
    paced.slow_down(8.0)
    times = sent(clock, paced, 3)
    assert times == pytest.approx([8.2, 8.4, 8.6])
    assert paced.rate == 5.0


def test_many_complaints_during_one_pause_halve_the_pace_once() -> None:
    clock = FakeClock(0.0)
    paced = pacer(clock)
    for _ in range(4):
        paced.slow_down(2.0)
    assert paced.rate == 5.0
    clock.sleep(3.0)
    paced.slow_down(2.0)
    assert paced.rate == 2.5


def test_the_pace_never_falls_to_nothing_and_comes_back_with_success() -> None:
    clock = FakeClock(0.0)
    paced = pacer(clock)
    for _ in range(20):
        paced.slow_down(1.0)
        clock.sleep(2.0)
    assert paced.rate == 0.1
    for _ in range(20):
        paced.speed_up()
    assert paced.rate == 10.0


def test_a_shorter_pause_does_not_cut_a_longer_one() -> None:
    clock = FakeClock(0.0)
    paced = pacer(clock)
    paced.slow_down(10.0)
    paced.slow_down(1.0)
    assert sent(clock, paced, 1)[0] >= 10.0


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


def test_another_pace_reaches_those_who_wait_already() -> None:
    clock = FakeClock(0.0)
    paced = pacer(clock, rate=1e-300, burst=1.0)  # no clock waits that long
    assert sent(clock, paced, 1) == [0.0]

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if clock.now >= 3.0:
            paced.change(10.0, burst=10.0)

    paced._sleep = sleep
    assert 3.0 <= sent(clock, paced, 1)[0] <= 3.5


def test_at_the_end_who_waits_to_submit_is_turned_away_and_who_asks_waits_for_a_while() -> None:
    clock = FakeClock(0.0)
    paced = pacer(clock, rate=0.001, burst=1.0)
    assert paced.acquire(submits=True)

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        paced.end_soon()

    paced._sleep = sleep
    assert not paced.acquire(submits=True)
    assert clock.now < 1.0
    assert not paced.acquire()
    assert clock.now < 1.0
    paced.change(0.2, burst=1.0)
    assert paced.acquire()
    assert clock.now == pytest.approx(5.0, abs=0.5)


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
