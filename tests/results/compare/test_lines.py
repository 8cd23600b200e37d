"""A comparison on a terminal."""

from __future__ import annotations

from dataclasses import replace

from hume_runner.results.compare.base import Unmatched
from hume_runner.results.compare.lines import lines
from tests.results.compare.test_page import comparison


def test_of_many_columns_those_are_shown_that_agree_least() -> None:
    found = comparison()
    (column,) = found.columns
    others = tuple(replace(column, column_a=f"c{number:02}") for number in range(20))
    many = replace(found, columns=others)
    shown = list(lines(many, everything=False))
    assert sum(line.startswith("  c") and line[3:5].isdigit() for line in shown) == 15
    assert "  the 15 of 20 that agree least; -v or --out FILE tells all" in shown
    assert not any("agree least" in line for line in lines(many, everything=True))


def test_of_many_items_that_are_not_compared_the_first_are_named() -> None:
    left = tuple(
        Unmatched(side="a", id=f"i{number}", kind="text", source=f"i{number}", reason="not_measured_in_b", told="no")
        for number in range(12)
    )
    many = replace(comparison(), unmatched=left, reasons={"not_measured_in_b": 12})
    shown = list(lines(many, everything=False))
    assert "     A  i9: no" in shown
    assert "     A  i10: no" not in shown
    assert "     and 2 more; -v or --out FILE tells which" in shown
    assert "     A  i11: no" in lines(many, everything=True)
