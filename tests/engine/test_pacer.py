from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.engine.pacer import Pacer
from tests.fakes import FakeClock


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
