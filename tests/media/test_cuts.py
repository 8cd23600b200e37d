"""Where long recordings are cut: as a property over made-up levels, and on real samples."""

from __future__ import annotations

import wave
from array import array
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hume_runner.media.cuts import (
    FRAME_SAMPLES,
    MAX_BODY_BYTES,
    MULTIPART_BYTES,
    SEARCH_RADIUS,
    Levels,
    choose_cuts,
    parts_needed,
    quiet_runs,
    search_radius,
    split,
    wav_levels,
)
from hume_runner.media.wav import RATE_HZ, WavSlice
from tests.media_files import speech, write_wav
from tests.tiers import examples

FRAMES_PER_S = RATE_HZ // FRAME_SAMPLES


def levels_of(frames: Sequence[int]) -> Levels:
    return lambda first, count: frames[max(0, first) : first + count]


@st.composite
def talk(draw: st.DrawFn) -> list[int]:
    """Levels of a conversation: speech well above the room, pauses of 0 to 2 s that are never quite still."""
    room = draw(st.integers(0, 120))
    voice = draw(st.integers(max(600, room * 6), 9000))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    frames: list[int] = []
    for speech_s, pause_ms in draw(
        st.lists(
            st.tuples(st.floats(0.5, 60), st.sampled_from((0, 50, 120, 300, 310, 700, 2000))), min_size=4, max_size=40
        )
    ):
        frames += rng.uniform(voice * 0.4, voice, round(speech_s * FRAMES_PER_S)).astype(int).tolist()
        frames += rng.uniform(room * 0.7, room * 1.2, pause_ms // 10).astype(int).tolist()
    return frames


@pytest.mark.sweep
@settings(max_examples=examples(80), deadline=None)
@given(talk(), st.integers(2, 6))
def test_no_cut_falls_in_speech_while_a_pause_is_near(frames: list[int], parts: int) -> None:
    samples = len(frames) * FRAME_SAMPLES
    if samples // parts <= 2 * SEARCH_RADIUS:
        parts = max(1, samples // (2 * SEARCH_RADIUS + RATE_HZ))
    cuts = choose_cuts(levels_of(frames), samples, parts)
    truth = list(quiet_runs(frames, 200 if max(frames) < 600 * 3 else max(200, int(max(frames) * 0.3))))
    for number, cut in enumerate(cuts, 1):
        even = samples * number // parts
        # Pauses in which a place within the range is farther from speech than the middle of any shorter one is.
        near = [
            run
            for run in truth
            if run[1] - run[0] >= 30
            and run[0] * FRAME_SAMPLES < even + SEARCH_RADIUS - 8 * FRAME_SAMPLES
            and run[1] * FRAME_SAMPLES > even - SEARCH_RADIUS + 8 * FRAME_SAMPLES
        ]
        assert cut % 16 == 0
        assert abs(cut - even) <= SEARCH_RADIUS + 16
        if near:
            assert any(begin * FRAME_SAMPLES <= cut <= end * FRAME_SAMPLES for begin, end in truth)
            assert any(begin * FRAME_SAMPLES <= cut <= end * FRAME_SAMPLES for begin, end in near)


@pytest.mark.sweep
@settings(max_examples=examples(200), deadline=None)
@given(
    st.integers(1, 4 * 3600 * RATE_HZ),
    st.integers(20_000, MAX_BODY_BYTES),
    st.lists(st.integers(0, 9000), min_size=1, max_size=50),
)
def test_every_part_fits_and_nothing_is_left_out(samples: int, body: int, pattern: list[int]) -> None:
    """Whatever the sound, parts cover the recording without gap or overlap and fit body and time limit."""
    body = max(body, samples * 2 // 40)  # at most some 60 parts, so that the test stays quick

    def levels(first: int, count: int) -> list[int]:
        last = min(first + count, -(-samples // FRAME_SAMPLES))
        return [pattern[(index // 7) % len(pattern)] for index in range(first, last)]

    body = min(body, MAX_BODY_BYTES)
    parts = split(levels, samples, max_body_bytes=body)
    assert len(parts) == parts_needed(samples, body)
    assert [part.index for part in parts] == list(range(len(parts)))
    position = 0
    for part in parts:
        assert part.first_sample == position
        assert part.first_sample % 16 == 0
        assert part.samples > 0
        assert 44 + 2 * part.samples + MULTIPART_BYTES <= body
        assert part.samples <= 780 * RATE_HZ
        position += part.samples
    assert position == samples
    even = samples / len(parts)
    assert all(abs(part.samples - even) <= 2 * search_radius(body) + 32 for part in parts)


def test_a_recording_that_fits_is_not_cut() -> None:
    assert parts_needed(777 * RATE_HZ) == 1
    assert parts_needed(780 * RATE_HZ) == 2
    assert parts_needed(40 * 60 * RATE_HZ) == 4


def test_a_body_that_carries_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="carries no recording"):
        parts_needed(RATE_HZ, 5_000)


def test_the_longest_pause_wins_and_is_cut_in_its_middle() -> None:
    frames = [3000] * 20_000
    frames[9_000:9_040] = [20] * 40
    frames[10_500:10_600] = [20] * 100
    frames[10_800:10_850] = [20] * 50
    assert choose_cuts(levels_of(frames), 20_000 * FRAME_SAMPLES, 2) == (10_550 * FRAME_SAMPLES,)


def test_a_pause_beyond_thirty_seconds_does_not_pull_the_cut() -> None:
    frames = [3000] * 20_000
    frames[13_200:14_000] = [20] * 800
    frames[10_100:10_105] = [900] * 5
    (cut,) = choose_cuts(levels_of(frames), 20_000 * FRAME_SAMPLES, 2)
    assert abs(cut - 10_000 * FRAME_SAMPLES) <= SEARCH_RADIUS


def test_a_pause_of_digital_silence_and_one_of_room_noise_both_count() -> None:
    for room in (0, 80):
        frames = [4000] * 20_000
        frames[9_800:9_830] = [room] * 30
        (cut,) = choose_cuts(levels_of(frames), 20_000 * FRAME_SAMPLES, 2)
        assert 9_800 * FRAME_SAMPLES < cut < 9_830 * FRAME_SAMPLES


def test_real_speech_is_cut_in_a_pause_and_the_slices_are_the_recording(tmp_path: Path) -> None:
    passages = [("speech", 3.1), ("pause", 0.12), ("speech", 4.3), ("pause", 0.45)] * 9
    samples = speech(passages)
    path = write_wav(tmp_path / "talk.wav", samples)
    parts = split(wav_levels(path), len(samples), max_body_bytes=1_000_000)
    assert len(parts) >= 3
    spoken = np.zeros(len(samples), bool)
    position = 0
    for what, seconds in passages:
        count = round(seconds * RATE_HZ)
        spoken[position : position + count] = what == "speech"
        position += count
    joined = array("h")
    for part in parts:
        assert not part.first_sample or not spoken[part.first_sample - 800 : part.first_sample + 800].any()
        with WavSlice(path, part.first_sample, part.samples) as piece, wave.open(piece, "rb") as reader:
            assert reader.getnframes() == part.samples
            joined.frombytes(reader.readframes(part.samples))
    assert joined.tobytes() == samples.tobytes()


def test_levels_are_root_mean_squares_of_ten_milliseconds(tmp_path: Path) -> None:
    samples = np.random.default_rng(5).integers(-32768, 32767, 160 * 5000 + 40).astype(np.int16)
    path = write_wav(tmp_path / "noise.wav", samples)
    found = wav_levels(path)(1000, 10_000)
    assert len(found) == 4001
    frames = samples[160_000:].astype(float)
    expected = [np.sqrt((frames[i : i + 160] ** 2).mean()) for i in range(0, len(frames), 160)]
    assert np.abs(np.array(found) - expected).max() <= 1


@pytest.fixture(scope="module")
def counting_wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_wav(tmp_path_factory.mktemp("slice") / "a.wav", np.arange(3000, dtype=np.int16))


@settings(max_examples=examples(60), deadline=None)
@given(st.data())
def test_a_slice_reads_the_same_in_any_pieces(counting_wav: Path, data: st.DataObject) -> None:
    path = counting_wav
    first = data.draw(st.integers(0, 2990))
    count = data.draw(st.integers(1, 3000 - first))
    with WavSlice(path, first, count) as piece:
        whole = piece.read()
        assert len(piece) == len(whole) == 44 + 2 * count
        piece.seek(0)
        pieces = []
        while chunk := piece.read(data.draw(st.integers(1, 997))):
            pieces.append(chunk)
        assert b"".join(pieces) == whole
        at = data.draw(st.integers(0, len(whole)))
        piece.seek(at)
        assert piece.read(100) == whole[at : at + 100]


def test_a_slice_outside_the_recording_is_refused(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", np.zeros(100, np.int16))
    for first, count in ((0, 101), (-1, 10), (100, 1), (0, 0)):
        with pytest.raises(ValueError, match="are not in"):
            WavSlice(path, first, count)
