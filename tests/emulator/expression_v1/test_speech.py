"""Voice activity and measurement windows: the documented rules, and that cutting in a pause changes nothing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hume_runner.emulator.expression_v1.speech import Utterance, find_utterances, measurement_windows
from tests.emulator.expression_api import speech
from tests.tiers import examples

NEAR_MS = 10  # windows of voice activity are that long
MARGIN_MS = 60


def utterances(samples: bytes, block_bytes: int = 65_536) -> list[Utterance]:
    blocks = (samples[at : at + block_bytes] for at in range(0, len(samples), block_bytes))
    return find_utterances(blocks, len(samples) // 2)


def test_a_pause_of_300_ms_separates_utterances_and_a_shorter_one_within_words_does_not() -> None:
    found = utterances(speech(1000, 300, 800, 200, 700))
    assert len(found) == 2
    expected = [(0, 1000 + MARGIN_MS), (1300 - MARGIN_MS, 3000)]
    for (start, end), (start_near, end_near) in zip(found, expected, strict=True):
        assert abs(start - start_near) <= NEAR_MS
        assert abs(end - end_near) <= NEAR_MS


@pytest.mark.parametrize(
    "samples",
    [b"\0\0" * 16_000, speech(0, 2000, hiss=100), speech(0, 500, 30, 500), b"\0\0", speech(5)],
    ids=["silence", "hiss", "a click", "one sample", "5 ms"],
)
def test_what_is_no_speech_is_no_utterance(samples: bytes) -> None:
    assert utterances(samples) == []


def test_hiss_in_the_pauses_does_not_bridge_them() -> None:
    assert len(utterances(speech(600, 400, 600, 400, 600, hiss=200))) == 3


def test_speech_to_the_last_sample_ends_with_the_recording() -> None:
    samples = speech(1001)[:-6]  # three samples less than a whole millisecond
    assert utterances(samples) == [(0, 1001)]


passages = st.lists(st.tuples(st.integers(100, 900), st.integers(300, 700)), min_size=1, max_size=5)


@settings(max_examples=examples(40), deadline=None)
@given(passages, st.data())
def test_parts_cut_in_the_middle_of_pauses_have_the_utterances_of_the_whole(
    spans: list[tuple[int, int]], data: st.DataObject
) -> None:
    lengths = [length for span in spans for length in span]
    samples = speech(*lengths, seed=data.draw(st.integers(0, 99)))
    ends = np.cumsum(lengths).tolist()
    pauses = [(ends[at - 1] + ends[at]) // 2 for at in range(1, len(lengths) - 1, 2)]
    chosen = [0, *sorted(data.draw(st.sets(st.sampled_from(pauses)) if pauses else st.just(set()))), ends[-1]]
    stitched = [
        Utterance(found.start_ms + begin, found.end_ms + begin)
        for begin, end in itertools.pairwise(chosen)
        for found in utterances(samples[begin * 32 : end * 32])
    ]
    assert stitched == utterances(samples)


@given(st.integers(1, 5000))
def test_the_size_of_the_blocks_does_not_matter(block_bytes: int) -> None:
    samples = speech(40, 300, 100)
    assert utterances(samples, block_bytes) == utterances(samples)


def test_the_documented_example_has_nine_windows() -> None:
    windows = measurement_windows(Utterance(98, 26_000), 3000)
    assert [window.end_ms for window in windows] == [*range(3098, 24_099, 3000), 26_000]
    assert windows[-1] == (16_000, 26_000, "speech_ended")
    assert windows[0] == (98, 3098, "interval")
    assert windows[4] == (5098, 15_098, "interval")


@pytest.mark.parametrize(
    ("end_ms", "timer_ms", "expected"),
    [
        (50, 3000, [(0, 50, "speech_ended")]),
        (3000, 3000, [(0, 3000, "interval")]),
        (3999, 3000, [(0, 3000, "interval")]),
        (4000, 3000, [(0, 3000, "interval"), (0, 4000, "speech_ended")]),
        (20_500, 10_000, [(0, 10_000, "interval"), (10_000, 20_000, "interval")]),
    ],
)
def test_windows_at_the_edges_of_the_rule(end_ms: int, timer_ms: int, expected: list[tuple[int, int, str]]) -> None:
    assert measurement_windows(Utterance(0, end_ms), timer_ms) == expected


@given(st.integers(0, 10**6), st.integers(1, 10**5), st.integers(3000, 10_000))
def test_windows_lie_within_the_utterance_and_the_last_reaches_its_end(start: int, length: int, timer_ms: int) -> None:
    windows = measurement_windows(Utterance(start, start + length), timer_ms)
    assert windows
    for before, window in zip([None, *windows], windows, strict=False):
        assert start <= window.start_ms < window.end_ms <= start + length
        assert window.end_ms - window.start_ms <= 10_000
        assert before is None or before.end_ms < window.end_ms
    assert start + length - windows[-1].end_ms < 1000
