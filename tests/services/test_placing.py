"""Whatever holes a recording has, however it was cut or joined with others: rows tell the source's clock."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hume_runner.media.clock import TICKS_MS, TICKS_S, ClockMap, ClockWriter
from hume_runner.services.expression_v1.rows import reader
from hume_runner.services.placing import told_clock
from tests.services.expression_v1.test_rows import Carried, rows, written
from tests.tiers import examples

GAP_S = 1


@dataclass(frozen=True, slots=True)
class Recording:
    """What was prepared of a recording: its map, and its words, (when they sound in the source, in the samples)."""

    clock: ClockMap
    words: Sequence[tuple[float, float]]


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    """Passages of 0.3 to 3 s with a word of 0.2 s in each, after holes of up to a minute, as preparation maps them."""
    writer, words = ClockWriter(), []
    at = sent = draw(st.integers(0, 5000)) * TICKS_MS * draw(st.booleans())
    sent = 0
    for _ in range(draw(st.integers(1, 6))):
        samples = draw(st.integers(300, 3000)) * TICKS_MS + draw(st.integers(0, 15))
        sent += writer.silence_before(at)
        writer.reach(sent)
        writer.place(at)
        words.append((at / TICKS_S, sent / TICKS_S))
        sent += samples
        writer.reach(sent)
        at += samples + draw(st.sampled_from([0, 0, 10, 40, 400, 5000, 60_000])) * TICKS_MS
    return Recording(writer.map(), words)


def answer(words: Sequence[float]) -> dict[str, Any]:
    spans = [(round(at * 1000), round(at * 1000) + 200) for at in words]
    return {
        "request_id": "q", "run_id": "r", "received": {},
        "utterances": [{"utterance_id": n, "audio_start_ms": a, "audio_end_ms": b} for n, (a, b) in enumerate(spans)],
        "measurements": [
            {"measurement_id": n, "utterance_id": n, "audio_start_ms": a, "audio_end_ms": b, "trigger": "interval",
             "expressions": [], "voice_attributes": []}
            for n, (a, b) in enumerate(spans)
        ],
    }  # fmt: skip


def check(found: Sequence[dict[str, Any]], recording: Recording) -> None:
    assert len(found) == len(recording.words)
    for row, (when, _) in zip(found, recording.words, strict=True):
        for begin, end in (("begin_s", "end_s"), ("utterance_begin_s", "utterance_end_s")):
            assert abs(row[begin] - when) <= 0.030, (row[begin], when)
            assert row[end] >= row[begin]
            assert abs(row[end] - when - 0.2) <= 0.030


@settings(deadline=None, max_examples=examples(60))
@given(recordings(), st.data())
def test_rows_of_a_cut_recording_tell_the_sources_clock(recording: Recording, data: st.DataObject) -> None:
    total = recording.clock.samples
    # As real cuts do, these fall into no word.
    safe = [round(sent * TICKS_S) // 16 * 16 for _, sent in recording.words][1:]
    cuts = sorted(data.draw(st.sets(st.sampled_from(safe), max_size=3))) if safe else []
    edges = [0, *cuts, total]
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for number, (begin, beyond) in enumerate(pairwise(edges)):
            detail = {
                "part": number,
                "parts": len(edges) - 1,
                "first": begin,
                "samples": beyond - begin,
                "total": total,
            }
            detail |= {"total": total, **told_clock(recording.clock, begin, beyond - begin)}
            inside = [sent - begin / TICKS_S for _, sent in recording.words if begin <= round(sent * TICKS_S) < beyond]
            path = written(Path(folder), f"part-{number}", answer(inside))
            found += rows(path, [Carried(detail=detail)])
    check(found, recording)


@settings(deadline=None, max_examples=examples(60))
@given(st.lists(recordings(), min_size=1, max_size=4))
def test_rows_of_packed_recordings_tell_each_ones_own_clock(packed: list[Recording]) -> None:
    shares, words, first = [], [], 0
    for position, recording in enumerate(packed):
        samples = recording.clock.samples
        detail = {"clip": True, "first": first, "samples": samples, **told_clock(recording.clock)}
        shares.append(Carried(position=position, detail=detail))
        words += [first / TICKS_S + sent for _, sent in recording.words]
        first += samples + GAP_S * TICKS_S
    with tempfile.TemporaryDirectory() as folder:
        found = rows(written(Path(folder), "joined", answer(words)), shares, reader())
    for position, recording in enumerate(packed):
        check([row for row in found if row["at"] == str(position)], recording)


def test_a_recording_without_holes_says_what_it_always_said() -> None:
    assert told_clock(ClockMap().append(16_000, 8_000)) == {"start_ms": 500}
    assert told_clock(ClockMap().append(16_000, 0).append(16_000, 48_000), 8_000, 16_000) == {
        "start_ms": 0,
        "clock": [[0, 8_000], [8_000, 48_000]],
    }
