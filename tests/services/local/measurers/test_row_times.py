"""Times of rows that cannot be, in every way that one thought of."""

from __future__ import annotations

from typing import Any

import pytest

from hume_runner.services.local.measurers.row_times import Extent, time_fault

SOUND = Extent(last_ms=2_000)
PASSAGE = Extent(first_ms=300_000, last_ms=600_000)


def span(begin: float | None, end: float | None, table: str = "xx") -> tuple[str, dict[str, Any]]:
    return table, {"begin_s": begin, "end_s": end}


def moment(at: float | None) -> tuple[str, dict[str, Any]]:
    return "xx", {"time_s": at}


@pytest.mark.parametrize(
    ("rows", "extent"),
    [
        ([span(0.0, 2.0)], SOUND),
        ([span(0, 1), span(1, 2)], SOUND),
        ([span(0.0, 1.0), span(0.0, 1.0), span(0.5, 0.6)], SOUND),  # windows overlap, and one may lie in another
        ([span(0.0, 2.01)], SOUND),
        ([span(-0.0004, 2.0)], SOUND),
        ([span(1.0, 0.9996)], SOUND),
        ([span(1.0, 1.2), span(0.9996, 1.2)], SOUND),
        ([span(1.5, 2.0, "words"), span(0.0, 2.0, "speech"), span(1.6, 2.0, "words")], SOUND),
        ([span(None, None), span(1.0, None), span(None, 1.5), ("xx", {})], SOUND),
        ([span(0.0, 1e9)], Extent()),
        ([moment(300.0), moment(600.0)], PASSAGE),
        ([moment(0.0), moment(None)], Extent(last_ms=0)),
        ([], SOUND),
    ],
)
def test_times_that_can_be_are_left_alone(rows: Any, extent: Extent) -> None:
    assert time_fault(rows, extent) is None


@pytest.mark.parametrize(
    ("rows", "extent", "said"),
    [
        ([span(-5.0, -1.0)], SOUND, "gave for begin_s of the table xx -5, which is before the beginning"),
        ([span(-0.001, 1.0)], SOUND, "before the beginning of what it measured, 0 s"),
        ([span(-5.0, 1.0)], Extent(), "before the beginning"),
        ([span(1.5, 0.2)], SOUND, "ends at 0.2 s, before it begins at 1.5 s"),
        ([span(1.5, 0.2)], Extent(), "ends at 0.2 s, before it begins at 1.5 s"),
        ([span(100.0, 200.0)], SOUND, "begin_s of the table xx 100, which is after the end of what it measured, 2 s"),
        ([span(1.0, 2.011)], SOUND, "end_s of the table xx 2.011, which is after the end"),
        ([span(None, 3.0)], SOUND, "end_s of the table xx 3, which is after the end"),
        ([span(1.0, 1.5), span(0.0, 0.5)], SOUND, "gave a row of the table xx at 0 s after one at 1 s"),
        ([moment(1.0), moment(0.998)], SOUND, "at 0.998 s after one at 1 s"),
        ([moment(12.0)], PASSAGE, "time_s of the table xx 12, which is before the beginning of what it measured, 300"),
        ([moment(600.1)], PASSAGE, "after the end of what it measured, 600 s"),
        ([moment(1.0)], Extent(last_ms=0), "after the end of what it measured, 0 s"),
    ],
)
def test_times_that_cannot_be_are_told(rows: Any, extent: Extent, said: str) -> None:
    assert said in str(time_fault(rows, extent))
