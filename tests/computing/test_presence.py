"""Whether a cluster is there, decided without one."""

from __future__ import annotations

import pytest

from hume_runner.computing.presence import Answering, Ruling, Seen, ruling
from tests.fakes import FakeClock

_WAIT_S = 60.0


@pytest.mark.parametrize(
    ("seen", "rules"),
    [
        (Seen(scheduler="answers", fit=True), "works"),
        # Whatever was lacking is there again.
        (Seen(scheduler="answers", fit=True, lacking_s=1_000, asked_s=1_000), "works"),
        # No scheduler: silent, or without a connection.
        (Seen(scheduler="silent", away_s=0, fit=True), "waits"),
        (Seen(scheduler="silent", away_s=60, fit=True), "waits"),
        (Seen(scheduler="silent", away_s=60.1, fit=True), "silent"),
        (Seen(scheduler="gone", away_s=60), "waits"),
        (Seen(scheduler="gone", away_s=60.1), "gone"),
        # For how long nobody was fit is no matter then, nor is whom nobody can ask.
        (Seen(scheduler="silent", away_s=5, lacking_s=100), "waits"),
        (Seen(scheduler="gone", away_s=5, lacking_s=100, asked_s=100), "waits"),
        (Seen(scheduler="silent", away_s=61, asked_s=1), "silent"),
        # A scheduler, and nobody who works.
        (Seen(scheduler="answers", lacking_s=60), "waits"),
        (Seen(scheduler="answers", lacking_s=60.1), "nobody"),
        # Somebody came at the last moment, and is asked; who is asked and never answers is nobody.
        (Seen(scheduler="answers", lacking_s=100, asked_s=60), "waits"),
        (Seen(scheduler="answers", lacking_s=100, asked_s=60.1), "nobody"),
        (Seen(scheduler="answers", lacking_s=30, asked_s=100), "waits"),
    ],
)
def test_what_follows_from_what_is_seen(seen: Seen, rules: Ruling) -> None:
    assert ruling(seen, _WAIT_S) == rules


def test_time_goes_on_with_each_answer() -> None:
    clock = FakeClock(1_000.0)
    answering = Answering(clock, most_s=5)
    for _ in range(10):
        clock.now += 0.5
        answering.heard()
    assert (answering.total_s, answering.away_s) == (5.0, 0.0)


def test_slow_answers_count_in_full() -> None:
    clock = FakeClock(1_000.0)
    answering = Answering(clock, most_s=5)
    for _ in range(4):
        clock.now += 5
        answering.heard()
    assert answering.total_s == 20.0


def test_a_silence_does_not_count_while_it_lasts_nor_when_it_ends() -> None:
    clock = FakeClock(1_000.0)
    answering = Answering(clock, most_s=5)
    clock.now += 3_600
    assert (answering.total_s, answering.away_s) == (0.0, 3_600.0)
    answering.heard()
    assert (answering.total_s, answering.away_s) == (5.0, 0.0)
    clock.now += 1
    answering.heard()
    assert answering.total_s == 6.0
