"""Pitch of known tones, and against Praat's own implementation of the same method."""

from __future__ import annotations

import numpy as np
import pytest

from hume_runner.services.local.measurers.pitch import Tracker, semitones
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
from tests.tiers import sampled


@pytest.mark.parametrize("hz", [80, 100, 123.4, 220, 333, 440, 590])
def test_a_tone_has_its_pitch_in_every_frame(hz: float) -> None:
    _, found = Tracker().track(sine(hz, 1.0, 0.3))

    assert found == pytest.approx(np.full(len(found), hz), rel=1e-3)


@pytest.mark.parametrize("hz", [90, 150, 300])
def test_a_pulse_train_has_the_pitch_of_its_period_and_not_an_octave_beside_it(hz: float) -> None:
    time_s = np.arange(RATE_HZ) / RATE_HZ
    buzz = sum(np.sin(2 * np.pi * hz * k * time_s) / k for k in range(1, 12) if hz * k < 7000)

    _, found = Tracker().track((0.2 * buzz).astype(np.float32))

    assert np.nanmedian(found) == pytest.approx(hz, rel=1e-3)
    assert not np.isnan(found).any()


def test_a_missing_fundamental_is_heard() -> None:
    samples = sine(300, 1, 0.2) + sine(450, 1, 0.2) + sine(600, 1, 0.2)

    assert np.nanmedian(Tracker().track(samples)[1]) == pytest.approx(150, rel=2e-3)


def test_noise_has_next_to_no_pitch_and_silence_none() -> None:
    assert np.mean(~np.isnan(Tracker().track(noise(10))[1])) < 0.03
    assert np.isnan(Tracker().track(silence(2))[1]).all()


def test_an_offset_changes_nothing() -> None:
    samples = recording("beckett.wav")

    _, without = Tracker().track(samples)
    _, moved = Tracker().track(samples + np.float32(0.3))

    assert np.mean(np.isnan(without) == np.isnan(moved)) > 0.995
    both = ~np.isnan(without) & ~np.isnan(moved)
    assert moved[both] == pytest.approx(without[both], rel=1e-2)


def test_what_is_shorter_than_a_frame_has_no_moments() -> None:
    at, found = Tracker().track(sine(200, 0.01))

    assert (len(at), len(found)) == (0, 0)
    assert len(Tracker().track(np.empty(0, dtype=np.float32))[0]) == 0


@sampled(1)
@pytest.mark.parametrize("samples", ["two_cities", "beckett", "espeak male", "espeak female", "noisy"])
def test_speech_has_the_pitch_that_praat_finds(samples: str) -> None:
    """Voiced or not alike in 99 of 100 frames; where both have a pitch, half lie within 0.01 semitones, and 99 of 100
    within half of one. In loud noise they part: with Praat, what lies above the range is a candidate, too."""
    need_module("parselmouth")
    import parselmouth

    heard = _speech(samples)
    praat = parselmouth.Sound(heard.astype(float), RATE_HZ).to_pitch_ac(
        0.01, 75, 15, False, 0.03, 0.45, 0.01, 0.35, 0.14, 600
    )
    theirs = praat.selected_array["frequency"]

    at, ours = Tracker().track(heard)

    # Both lie in the middle of the sound, which may leave them half a step apart.
    count = min(len(ours), len(theirs))
    assert abs(len(ours) - len(theirs)) <= 1
    assert at[:count] == pytest.approx(praat.xs()[:count], abs=0.0051)
    ours, theirs = ours[:count], theirs[:count]
    voiced = ~np.isnan(ours)
    assert np.mean(voiced == (theirs > 0)) >= 0.99
    both = voiced & (theirs > 0)
    apart = np.abs(12 * np.log2(ours[both] / theirs[both]))
    assert np.median(apart) <= 0.01
    assert np.mean(apart <= 0.5) >= 0.99


def _speech(name: str) -> Samples:
    match name:
        case "espeak male":
            return synthetic("Please bring three apples and a bottle of milk.")
        case "espeak female":
            return synthetic("My brother works in a hospital.", "en-us+f3")
        case "noisy":
            return recording("beckett.wav") + noise(9.963375, 0.001)
        case _:
            return recording(f"{name}.wav")


@pytest.mark.sweep
def test_a_range_of_pitch_is_kept_to() -> None:
    _, found = Tracker(200, 400).track(recording("two_cities.wav"))

    assert np.nanmin(found) >= 200
    assert np.nanmax(found) <= 400


def test_semitones_count_from_100_hz() -> None:
    assert semitones(200.0) == pytest.approx(12)
    assert semitones(50.0) == pytest.approx(-12)
