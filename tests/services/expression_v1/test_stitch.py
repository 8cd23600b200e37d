"""Stitching answers: compared with a service that hears the whole recording."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.media.cuts import Part
from hume_runner.services.expression_v1.stitch import Cut, PartAnswer, stitch

Span = tuple[int, int]


def heard(spans: list[Span], begin_ms: int, end_ms: int) -> dict[str, Any]:
    """What a service says of the piece [begin_ms, end_ms) of a recording in which these spans are speech."""
    utterances: list[dict[str, Any]] = []
    measurements: list[dict[str, Any]] = []
    for span in spans:
        start, end = max(span[0], begin_ms) - begin_ms, min(span[1], end_ms) - begin_ms
        if start >= end:
            continue
        number = len(utterances)
        utterances.append({"utterance_id": number, "audio_start_ms": start, "audio_end_ms": end, "new_member": "kept"})
        for at in (*range(start + 3000, end, 3000), end):
            measurements.append(
                {
                    "measurement_id": len(measurements),
                    "utterance_id": number,
                    "audio_start_ms": max(start, at - 10_000),
                    "audio_end_ms": at,
                    "trigger": "speech_ended" if at == end else "interval",
                    "expressions": [{"name": "joy", "probability": 0.5}],
                }
            )
    return {"utterances": utterances, "measurements": measurements}


def parts_of(edges_ms: list[int]) -> list[Part]:
    return [
        Part(index=index, first_sample=begin * 16, samples=(end - begin) * 16)
        for index, (begin, end) in enumerate(pairwise(edges_ms))
    ]


def answered(edges_ms: list[int], spans: list[Span]) -> list[PartAnswer]:
    return [
        PartAnswer(part=part, answer=heard(spans, begin, end))
        for part, begin, end in zip(parts_of(edges_ms), edges_ms, edges_ms[1:], strict=False)
    ]


@st.composite
def recordings(draw: st.DrawFn) -> tuple[list[Span], list[int]]:
    """Speech separated by at least 300 ms, and the edges of the parts."""
    spans: list[Span] = []
    at = 0
    for pause, length in draw(st.lists(st.tuples(st.integers(300, 5000), st.integers(200, 20_000)), max_size=25)):
        spans.append((at + pause, at + pause + length))
        at = spans[-1][1]
    end = at + draw(st.integers(1, 5000))
    return spans, sorted({0, end, *draw(st.lists(st.integers(1, max(1, end - 1)), max_size=6))})


@given(recordings(), st.randoms(use_true_random=False))
def test_stitched_equals_the_uncut_answer_wherever_no_cut_fell_in_speech(
    recording: tuple[list[Span], list[int]], shuffled: random.Random
) -> None:
    spans, edges = recording
    answers = answered(edges, spans)
    shuffled.shuffle(answers)  # parts are sent in parallel and come back in any order
    stitched = stitch(answers)
    whole = heard(spans, 0, edges[-1])
    cut_spans = {span for span in spans for edge in edges if span[0] < edge < span[1]}

    got = {(one["audio_start_ms"], one["audio_end_ms"]): one for one in stitched.utterances}
    for span in set(spans) - cut_spans:
        assert got[span]["new_member"] == "kept"
    windows = [(one["audio_start_ms"], one["audio_end_ms"], one["trigger"]) for one in stitched.measurements]
    for one in whole["measurements"]:
        owner = whole["utterances"][one["utterance_id"]]
        if (owner["audio_start_ms"], owner["audio_end_ms"]) not in cut_spans:
            assert (one["audio_start_ms"], one["audio_end_ms"], one["trigger"]) in windows
    if not cut_spans:
        assert [{**one, "cut_in_speech": False} for one in whole["utterances"]] == list(stitched.utterances)
        assert whole["measurements"] == list(stitched.measurements)


@given(recordings())
def test_ids_count_on_and_times_stay_in_order(recording: tuple[list[Span], list[int]]) -> None:
    spans, edges = recording
    stitched = stitch(answered(edges, spans))
    assert [one["utterance_id"] for one in stitched.utterances] == list(range(len(stitched.utterances)))
    assert [one["measurement_id"] for one in stitched.measurements] == list(range(len(stitched.measurements)))
    starts = [one["audio_start_ms"] for one in stitched.utterances]
    assert starts == sorted(starts)
    for one in stitched.measurements:
        owner = stitched.utterances[one["utterance_id"]]
        assert owner["audio_start_ms"] <= one["audio_start_ms"] <= one["audio_end_ms"] <= owner["audio_end_ms"]


@given(recordings())
def test_exactly_the_cuts_in_speech_are_flagged(recording: tuple[list[Span], list[int]]) -> None:
    spans, edges = recording
    stitched = stitch(answered(edges, spans))
    assert [cut.at_ms for cut in stitched.cuts] == edges[1:-1]
    flagged: set[int] = set()
    for cut in stitched.cuts:
        inside = any(start < cut.at_ms < end for start, end in spans)
        assert cut.in_speech == inside
        if inside:
            assert cut.utterance_before is not None
            assert cut.utterance_after == cut.utterance_before + 1
            flagged |= {cut.utterance_before, cut.utterance_after}
    assert flagged == {one["utterance_id"] for one in stitched.utterances if one["cut_in_speech"]}


def test_voice_activity_that_stops_a_little_early_still_counts_as_cut() -> None:
    first, second = parts_of([0, 10_000, 20_000])
    one = {"utterances": [{"utterance_id": 0, "audio_start_ms": 5000, "audio_end_ms": 9970}], "measurements": []}
    two = {"utterances": [{"utterance_id": 0, "audio_start_ms": 20, "audio_end_ms": 900}], "measurements": []}
    stitched = stitch([PartAnswer(part=first, answer=one), PartAnswer(part=second, answer=two)])
    assert stitched.cuts == (Cut(at_ms=10_000, in_speech=True, utterance_before=0, utterance_after=1),)


def test_a_missing_or_repeated_part_is_not_stitched_over() -> None:
    answers = answered([0, 1000, 2000, 3000], [])
    for wrong in (answers[:1] + answers[2:], [*answers, answers[1]], answers[1:]):
        with pytest.raises(ValueError, match="missing or there twice"):
            stitch(wrong)


def test_answers_are_not_changed_in_place() -> None:
    answers = answered([0, 5000, 9000], [(500, 8000)])
    stitch(answers)
    assert answers == answered([0, 5000, 9000], [(500, 8000)])
