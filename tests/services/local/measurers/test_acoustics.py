"""The rows of `acoustics`: windows, scales, odd sound, cost."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tracemalloc
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from hume_runner.services.local.measurers.acoustics import ACOUSTICS
from hume_runner.services.local.measurers.base import Sound
from tests.services.local.measurers.heard import Samples, noise, recording, silence, sine, synthetic

COLUMNS = {column.name for column in ACOUSTICS.layouts[0].columns}


def _rows(samples: Samples, **options: float) -> list[Mapping[str, Any]]:
    session = ACOUSTICS.open(options, {})
    rows = list(session.measure(Sound(samples=samples)))
    assert all(row.layout == "acoustics" and set(row.values) == COLUMNS for row in rows)
    # Nothing that is no number: JSON has none.
    json.dumps([dict(row.values) for row in rows], allow_nan=False)
    return [row.values for row in rows]


def test_a_tone_has_its_level_its_pitch_and_no_pause() -> None:
    first, *_ = _rows(sine(250, 5))

    assert first["loudness_dbfs"] == pytest.approx(-3.01, abs=0.01)
    assert first["peak_dbfs"] == pytest.approx(0.0, abs=0.01)
    assert first["voiced_share"] == 1
    assert first["pitch_median_hz"] == pytest.approx(250, abs=0.1)
    assert first["pitch_median_st"] == pytest.approx(12 * math.log2(2.5), abs=0.01)
    assert first["pitch_sd_hz"] == pytest.approx(0, abs=0.1)
    assert (first["pause_share"], first["pauses"], first["longest_pause_s"]) == (0, 0, None)


def test_a_glide_has_its_lowest_and_highest_pitch_and_their_spread_in_semitones() -> None:
    time_s = np.arange(16_000 * 2) / 16_000
    glide = np.sin(2 * np.pi * (100 * time_s + 25 * time_s**2)).astype(np.float32)  # 100 to 200 Hz in two seconds

    (row,) = _rows(glide, window=2.0)

    assert row["pitch_min_hz"] == pytest.approx(101, abs=1.5)
    assert row["pitch_max_hz"] == pytest.approx(199, abs=1.5)
    assert row["pitch_median_hz"] == pytest.approx(150, abs=1)
    assert row["pitch_sd_hz"] == pytest.approx(98 / math.sqrt(12), abs=0.6)
    assert row["pitch_max_st"] - row["pitch_min_st"] == pytest.approx(12 * math.log2(199 / 101), abs=0.3)


def test_silence_has_no_level_and_no_pitch_and_is_a_pause() -> None:
    rows = _rows(silence(4))

    assert len(rows) == 4
    for row in rows:
        absent = {name for name, value in row.items() if value is None}
        assert absent == {name for name in COLUMNS if name.endswith(("_hz", "_st", "_dbfs", "_lufs"))}
        assert (row["voiced_share"], row["pause_share"], row["longest_pause_s"]) == (0, 1, 4)


def test_noise_has_a_level_and_hardly_any_pitch() -> None:
    rows = _rows(noise(5, 0.1))

    assert [row["loudness_dbfs"] for row in rows] == pytest.approx([-20] * 5, abs=0.2)
    assert np.mean([row["voiced_share"] for row in rows]) < 0.05


def test_an_offset_is_no_loudness() -> None:
    tone = sine(250, 2, 0.1)

    for plain, moved in zip(_rows(tone), _rows(tone + np.float32(0.5)), strict=True):
        assert moved["loudness_dbfs"] == pytest.approx(plain["loudness_dbfs"], abs=0.01)
        assert moved["pitch_median_hz"] == pytest.approx(plain["pitch_median_hz"], abs=0.1)
    assert _rows(np.full(16_000, 0.5, dtype=np.float32))[0]["loudness_dbfs"] is None


def test_clipped_sound_is_told() -> None:
    clean, clipped = sine(250, 1, 0.9), np.clip(sine(250, 1, 3.0), -1, 1).astype(np.float32)

    assert _rows(clean)[0]["clipped_share"] == 0
    assert _rows(clipped)[0]["clipped_share"] == pytest.approx(1 - 2 * math.asin(1 / 3) / math.pi, abs=0.01)
    assert _rows(clipped)[0]["pitch_median_hz"] == pytest.approx(250, abs=0.2)


@pytest.mark.parametrize("seconds", [1 / 16_000, 0.01, 0.05, 0.2, 0.39, 0.4, 1.0, 2.9999, 3.0])
def test_short_sound_has_what_its_length_allows(seconds: float) -> None:
    row = _rows(sine(250, seconds, 0.5), window=5)[0]

    assert (row["momentary_lufs"] is not None) == (seconds >= 0.4)
    assert (row["integrated_lufs"] is not None) == (seconds >= 0.4)
    assert (row["short_term_lufs"] is not None) == (seconds >= 3)
    assert (row["voiced_share"] is not None) == (seconds >= 0.05)
    assert (row["pause_share"] is not None) == (seconds >= 0.3)


def test_no_sound_has_no_rows() -> None:
    assert _rows(silence(0)) == []


def test_what_is_no_number_counts_as_silence() -> None:
    samples = sine(250, 2, 0.5)
    samples[8000:8100] = np.nan
    samples[9000] = np.inf

    assert _rows(samples)[1]["pitch_median_hz"] == pytest.approx(250, abs=0.1)


def test_levels_of_a_recording_are_those_of_its_samples() -> None:
    samples = recording("beckett.wav")

    rows = _rows(samples)

    assert len(rows) == 10
    for number, row in enumerate(rows):
        part = samples[number * 16_000 : (number + 1) * 16_000].astype(float)
        assert row["loudness_dbfs"] == pytest.approx(10 * math.log10(part.var()), abs=0.001)
        assert row["peak_dbfs"] == pytest.approx(20 * math.log10(np.abs(part).max()), abs=0.001)


def test_pauses_of_a_reading_are_where_the_reader_pauses() -> None:
    """Six short sentences, quietly read in a room that is not silent: some pauses are too loud for one."""
    rows = _rows(recording("beckett.wav"))

    assert 4 <= sum(row["pauses"] for row in rows) <= 7
    assert 0.5 < max(row["longest_pause_s"] for row in rows if row["longest_pause_s"]) < 1.6


def test_a_high_voice_is_higher_than_a_low_one() -> None:
    text = "Thank you for listening to this recording."
    low, high = (_rows(synthetic(text, voice), window=10)[0] for voice in ("en-us+m3", "en-us+f3"))

    assert high["pitch_median_st"] - low["pitch_median_st"] > 3


def test_windows_may_overlap_and_each_tells_of_its_own() -> None:
    samples = np.concatenate((sine(200, 1, 0.5), sine(300, 1, 0.5)))

    rows = _rows(samples, window=1, step=0.5)

    assert [(row["begin_s"], row["end_s"]) for row in rows] == [(0, 1), (0.5, 1.5), (1, 2)]
    assert rows[0]["pitch_median_hz"] == pytest.approx(200, abs=1)
    assert rows[2]["pitch_median_hz"] == pytest.approx(300, abs=1)


@pytest.mark.sweep
def test_the_same_sound_has_the_same_rows() -> None:
    assert _rows(recording("beckett.wav")) == _rows(recording("beckett.wav"))


@pytest.mark.sweep
def test_many_minutes_take_no_more_memory_than_they_must() -> None:
    minute = np.tile(recording("two_cities.wav"), 2)[: 60 * 16_000]
    minutes = np.tile(minute, 3)
    session = ACOUSTICS.open({}, {})

    count = sum(1 for _ in session.measure(Sound(samples=minute)))
    tracemalloc.start()
    list(session.measure(Sound(samples=minute)))
    _, one = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    list(session.measure(Sound(samples=minutes)))
    _, three = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert count == 60
    assert three <= 60e6
    assert three - one <= 3 * (minutes.nbytes - minute.nbytes)


def test_a_range_of_pitch_with_nothing_in_it_is_refused() -> None:
    with pytest.raises(ValueError, match="pitch_floor 500 is not below pitch_ceiling 300"):
        ACOUSTICS.open({"pitch_floor": 500, "pitch_ceiling": 300}, {})


def test_its_options_are_told_and_nothing_else_is_taken() -> None:
    rules = Draft202012Validator(ACOUSTICS.schema)
    Draft202012Validator.check_schema(ACOUSTICS.schema)

    assert rules.is_valid({"window": 2, "step": 0.5, "pitch_floor": 60, "pitch_ceiling": 500})
    assert not rules.is_valid({"windows": 2})
    assert not rules.is_valid({"window": 0})
    assert all(member["description"] for member in ACOUSTICS.schema["properties"].values())


@pytest.mark.sweep
def test_asking_who_measures_imports_nothing_heavy() -> None:
    asked = (
        "import sys\n"
        "from hume_runner.services.local.measurers.acoustics import ACOUSTICS\n"
        "from hume_runner.services.local.measurers.speech import SPEECH\n"
        "for one in (ACOUSTICS, SPEECH): one.card({}).measured_by, one.schema, one.layouts\n"
        "print(*{'numpy', 'onnxruntime', 'faster_whisper', 'av'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)

    assert told.stdout.split() == []
