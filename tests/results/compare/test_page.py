"""What a hostile name can do to a page or to Markdown: nothing."""

from __future__ import annotations

import math
from array import array
from pathlib import Path

import pytest

from hume_runner.results.agreement import Values, agreement
from hume_runner.results.compare.base import ColumnsTogether, Comparison, Side, TablesTogether, Unmatched
from hume_runner.results.compare.write import write_comparison
from tests.results.browser import chromium, opened

HOSTILE = '"><img src=x onerror=alert(1)></script><script>alert(2)</script>{{7*7}}|`&lt;b\n# x\u2028\ud800'


def comparison(
    points: tuple[tuple[float, float], ...] = ((0.0, 1.0), (1.0, 0.0), (0.5, 0.5), (0.2, 0.9)),
) -> Comparison:
    a, b = zip(*points, strict=True)
    values = Values(a=array("d", a), b=array("d", b), item=array("q", range(len(a))))
    side = Side(
        shown=HOSTILE, name=HOSTILE, api="batch-v0", simulated=False, items=3, repeats=0, measured_by=(HOSTILE,)
    )
    return Comparison(
        a=side,
        b=side,
        simulated=False,
        differences=(HOSTILE,),
        matched=4,
        compared=4,
        reasons={"other_content": 1},
        unmatched=(Unmatched(side="a", id=HOSTILE, kind="file", source=HOSTILE, reason="other_content", told=HOSTILE),),
        tables=(
            TablesTogether(
                a="t", b="u", items=4, rows_a=4, rows_b=4, pairs=4, unpaired_a=0, unpaired_b=0, by={"time": 4}
            ),
        ),
        columns=(
            ColumnsTogether(
                table_a="t",
                column_a=HOSTILE,
                table_b="u",
                column_b="y",
                agreement=agreement(lambda: [values]),
                only_a=1,
                only_b=0,
                beyond=2,
                points=points,
            ),
        ),
        tables_a=("t",),
        tables_b=("u",),
        unread=(HOSTILE,),
    )


@pytest.mark.sweep
def test_hostile_names_stay_words(tmp_path: Path) -> None:
    path = write_comparison(comparison(), tmp_path / "c.html")

    text = path.read_text(encoding="utf-8")
    assert "<img" not in text
    assert "<script" not in text
    assert "{{7*7}}" in text
    assert "pairs left out of the numbers, since a value is beyond ±1e+60: 2 of " in text
    assert "imulated" not in text.replace("simulated-print", "").replace(".simulated", "")
    with chromium() as browser, opened(browser, path) as seen:
        assert (seen.console, seen.requests) == ([], [path.as_uri()])
        assert seen.page.locator(".plots svg").count() == 1


def test_hostile_names_break_no_table_of_markdown(tmp_path: Path) -> None:
    text = write_comparison(comparison(), tmp_path / "c.md").read_text(encoding="utf-8")

    assert "<img" not in text
    assert "\n# x" not in text
    (row,) = [line for line in text.splitlines() if line.startswith("| ") and "onerror" in line and "0.425" in line]
    assert row.replace("\\|", "").count("|") == 8
    assert "SIMULATED" not in text


def test_points_of_any_size_are_drawn_inside_the_frame(tmp_path: Path) -> None:
    far = ((-1e308, 1e308), (1e308, -1e308), (0.0, 5e-324), (1.0, 1.0))

    text = write_comparison(comparison(far), tmp_path / "c.html").read_text(encoding="utf-8")

    (dots,) = [part.split('"')[0] for part in text.split('class="dots" d="')[1:]]
    ends = [float(number) for dot in dots.split("M")[1:] for number in dot.removesuffix("h0").split(" ")]
    assert len(ends) == 8
    assert all(math.isfinite(end) and 6 <= end <= 126 for end in ends)
