"""Pauses where the sound has them, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from hume_runner.services.local.measurers.loudness import Weighting
from hume_runner.services.local.measurers.pauses import pauses
from tests.services.local.measurers.heard import Samples, noise, silence, sine


def _found(*parts: Samples) -> list[tuple[float, float]]:
    found = pauses(Weighting().powers(np.concatenate(parts)))
    return [(span.begin_s, span.end_s) for span in found]


def test_a_pause_lies_where_there_is_silence() -> None:
    assert _found(sine(200, 1, 0.3), silence(0.5), sine(200, 1, 0.3)) == [pytest.approx((1.0, 1.5), abs=0.03)]


def test_a_quiet_room_is_a_pause_and_a_short_gap_is_none() -> None:
    room = noise(4, 0.001)
    samples = room.copy()
    for begin, end in ((0, 1), (2, 2.5), (2.7, 4)):
        samples[round(begin * 16_000) : round(end * 16_000)] += sine(200, end - begin, 0.3)

    assert _found(samples) == [pytest.approx((1.0, 2.0), abs=0.03)]


def test_steady_sound_has_no_pause_and_silence_is_one() -> None:
    assert _found(noise(5)) == []
    assert _found(silence(2)) == [(0.0, 2.0)]


def test_a_click_decides_nothing() -> None:
    samples = sine(200, 5, 0.01)
    samples[100] = 1.0

    assert _found(samples) == []


def test_what_is_shorter_than_a_pause_has_none() -> None:
    assert _found(silence(0.2)) == []
