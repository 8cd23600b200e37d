"""Loudness against the recommendation's own numbers and two other programs."""

from __future__ import annotations

import math
import re
import shutil
import subprocess

import numpy as np
import pytest
from numpy.typing import NDArray

from hume_runner.services.local.measurers.loudness import (
    HOP,
    Weighting,
    high_pass,
    integrated,
    lufs,
    running,
    shelf,
    windows,
)
from tests.needed import lacking
from tests.services.local.measurers.heard import (
    RATE_HZ,
    Samples,
    need_module,
    noise,
    recording,
    silence,
    sine,
    synthetic,
)


def test_the_filters_at_48_khz_are_those_that_the_recommendation_prints() -> None:
    first, second = shelf(48_000), high_pass(48_000)

    assert first.b == pytest.approx((1.53512485958697, -2.69169618940638, 1.19839281085285), abs=1e-12)
    assert first.a == pytest.approx((-1.69065929318241, 0.73248077421585), abs=1e-12)
    assert second.b == (1.0, -2.0, 1.0)
    assert second.a == pytest.approx((-1.99004745483398, 0.99007225036621), abs=1e-12)


def test_a_full_tone_of_997_hz_has_minus_3_01_lufs() -> None:
    """At 16 kHz the shelf begins a little lower than at 48 kHz, which has the tone 0.04 LU louder."""
    assert integrated(Weighting().powers(sine(997, 10))) == pytest.approx(-3.01, abs=0.05)


def test_filtering_in_blocks_equals_filtering_sample_by_sample() -> None:
    samples = noise(3.0)
    slow = np.array(high_pass(RATE_HZ).over(shelf(RATE_HZ).over(samples.astype(float).tolist())))

    powers = Weighting().powers(samples)

    assert powers == pytest.approx(np.mean(slow.reshape(-1, HOP) ** 2, axis=1), rel=1e-9)


def test_direct_current_has_no_loudness() -> None:
    powers = Weighting().powers(np.full(5 * RATE_HZ, 0.5, dtype=np.float32))

    assert lufs(float(powers[100:].mean())) is None


def test_silence_after_loud_sound_is_silence() -> None:
    powers = Weighting().powers(np.concatenate((sine(300, 60), silence(3))))

    assert lufs(float(running(powers, 40)[-1])) is None


def _heard() -> list[Samples]:
    quiet_and_loud = np.concatenate((noise(4, 0.001), noise(6, 0.2)))
    return [recording("two_cities.wav"), synthetic("The weather was beautiful on Sunday."), quiet_and_loud]


@pytest.mark.sweep
def test_integrated_loudness_is_that_of_pyloudnorm() -> None:
    need_module("pyloudnorm")
    import pyloudnorm

    meter = pyloudnorm.Meter(RATE_HZ, filter_class="DeMan")
    # It counts a last block that is not full.
    whole = [samples[: len(samples) // (RATE_HZ // 10) * (RATE_HZ // 10)] for samples in _heard()]

    ours = [integrated(Weighting().powers(samples)) for samples in whole]

    assert ours == pytest.approx([meter.integrated_loudness(samples.astype(float)) for samples in whole], abs=0.01)


def test_momentary_short_term_and_integrated_loudness_are_those_of_ffmpeg() -> None:
    if shutil.which("ffmpeg") is None:
        lacking("ffmpeg is not installed")
    compared = 0
    for samples in _heard():
        momentary, short_term, whole = _ebur128(samples)
        powers = Weighting().powers(samples)

        compared += _close(running(powers, 40)[::10], momentary[3:])
        compared += _close(running(powers, 300)[::10], short_term[29:])
        assert integrated(powers) == pytest.approx(whole, abs=0.1)  # it tells one decimal
    assert compared > 900


def _close(ours: NDArray[np.float64], theirs: list[float]) -> int:
    """How many are within 0.1 LU: all where there is sound, or the test fails."""
    both = [(lufs(float(power)), level) for power, level in zip(ours, theirs, strict=False) if level > -70]
    assert [level for level, _ in both] == pytest.approx([level for _, level in both], abs=0.1)
    return len(both)


def _ebur128(samples: Samples) -> tuple[list[float], list[float], float]:
    """(momentary, short-term) after each 100 ms, and integrated loudness."""
    told = "ffmpeg -hide_banner -f f32le -ar 16000 -ac 1 -i - -af ebur128=metadata=1,ametadata=print:file=- -f null -"
    done = subprocess.run(told.split(), input=samples.tobytes(), capture_output=True, check=True)
    text = done.stdout.decode()
    found = [[float(value) for value in re.findall(rf"r128\.{name}=(\S+)", text)] for name in ("M", "S", "I")]
    return found[0], found[1], found[2][-1]


def test_less_than_400_ms_have_no_integrated_loudness() -> None:
    assert integrated(Weighting().powers(sine(300, 0.39))) is None


def test_windows_cover_the_sound_and_the_last_may_be_shorter() -> None:
    assert list(windows(40_000, 1.0, 1.0)) == [(0, 16_000), (16_000, 32_000), (32_000, 40_000)]
    assert list(windows(24_000, 1.0, 0.5)) == [(0, 16_000), (8_000, 24_000)]
    assert list(windows(160, 1.0, 1.0)) == [(0, 160)]
    assert list(windows(0, 1.0, 1.0)) == []


def test_every_step_of_a_third_is_where_it_belongs() -> None:
    firsts = [first for first, _ in windows(RATE_HZ * 60, 0.5, 1 / 3)]

    assert len(firsts) > 170
    assert all(math.isclose(first, number * RATE_HZ / 3, abs_tol=0.5) for number, first in enumerate(firsts))
