"""Sums of rows, against Python's own statistics over all numbers at once."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.results.aggregates import Moments, SourceSums
from hume_runner.results.summable import SMALLEST_SQUARES
from hume_runner.services.table_shapes import BlockBuilder, Column, Family, Layout, OpenFamily

NAMES = ("joy", "fear")
FIXED = Layout(
    name="fixed",
    row="a row",
    columns=(Column(name="begin_s", type="number", meaning="b"), Column(name="end_s", type="number", meaning="e")),
    families=(Family(prefix="emotion", names=NAMES),),
    time=("begin_s", "end_s"),
)
OPEN = Layout(
    name="open", row="a row", columns=(), open_families=(OpenFamily(name="scores", prefix="expression", meaning="m"),)
)
Row = dict[str, float]
rows = st.lists(
    st.dictionaries(st.sampled_from(NAMES), st.floats(0, 1, allow_subnormal=False), max_size=2), min_size=1, max_size=90
)


def fixed(blocks: Sequence[Sequence[Row]], *, spread: bool = True) -> SourceSums:
    sums = SourceSums(layout=FIXED, above=0.5, spread=spread)
    for block in blocks:
        builder = BlockBuilder(layout=FIXED)
        for number, row in enumerate(block):
            builder.columns["begin_s"].append(float(number))
            builder.columns["end_s"].append(None)
            builder.grids["emotion"].add_some({NAMES.index(name): score for name, score in row.items()})
            builder.extra.append(None)
        sums.add(builder.take())
    return sums


def opened(blocks: Sequence[Sequence[Row]]) -> SourceSums:
    sums = SourceSums(layout=OPEN, above=0.5)
    for block in blocks:
        builder = BlockBuilder(layout=OPEN)
        for row in block:
            builder.ragged["scores"].add(list(row), list(row.values()))
            builder.extra.append(None)
        sums.add(builder.take())
    return sums


@pytest.mark.parametrize(("make", "prefix"), [(fixed, "emotion"), (opened, "expression")])
@given(blocks=st.lists(rows, min_size=1, max_size=4))
def test_sums_are_those_of_all_numbers_at_once(make: object, prefix: str, blocks: list[list[Row]]) -> None:
    sums = make(blocks)  # type: ignore[operator]

    every = [row for block in blocks for row in block]
    assert sums.rows == len(every)
    assert sums.scored == sum(bool(row) for row in every)
    for name in NAMES:
        numbers = [row[name] for row in every if name in row]
        found = sums.scores.get((prefix, name))
        if not numbers:
            assert found is None
            continue
        assert (found.n, found.highest) == (len(numbers), max(numbers))
        assert found.above == sum(number >= 0.5 for number in numbers)
        assert found.mean == pytest.approx(statistics.fmean(numbers), abs=1e-12)
        assert_spread(found, numbers)


def both(blocks: Sequence[Sequence[float]]) -> list[Moments]:
    """The numbers as scores that each row has, and as some of many."""
    rows = [[{"joy": number} for number in block] for block in blocks]
    return [fixed(rows).scores["emotion", "joy"], opened(rows).scores["expression", "joy"]]


@pytest.mark.parametrize(
    ("numbers", "mean"),
    [
        ([0.1] * 10, 0.1),
        ([0.2] * 3, 0.2),
        ([0.7] * 1_500, 0.7),
        ([0.1] * 300, 0.1),
        ([1e16, 1.0, -1e16], 1 / 3),
        ([1e60, 1e60, -1e60, -1e60, 0.5], 0.1),
        ([5e-324] * 3, 5e-324),
        ([-0.1] * 7, -0.1),
    ],
)
@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_a_mean_is_right_to_its_last_digit_and_lies_among_the_numbers(
    numbers: list[float], mean: float, blocks: int
) -> None:
    """Also where one number after the other, each in a block of its own, gives the largest first."""
    assert mean == float(sum(map(Fraction, numbers)) / len(numbers))
    step = -(-len(numbers) // blocks)
    for found in both([numbers[at : at + step] for at in range(0, len(numbers), step)]):
        assert found.mean == mean
        assert min(numbers) <= found.mean <= max(numbers) == found.highest


NUMBERS = st.lists(
    st.lists(st.floats(-1e60, 1e60) | st.sampled_from([0.1, 0.2, 1e16, -1e16]), min_size=1, max_size=300),
    min_size=1,
    max_size=3,
)


@given(NUMBERS, st.sampled_from([1, 10]))
def test_means_and_spreads_are_those_of_statistics_numpy_and_pandas(blocks: list[list[float]], times: int) -> None:
    """Each with what rounding allows it: numpy's and pandas' sums are none that are right to the last digit."""
    blocks = [block * times for block in blocks]
    every = [number for block in blocks for number in block]
    largest = max(map(abs, every))
    for found in both(blocks):
        assert min(every) <= found.mean <= max(every)
        assert found.mean == pytest.approx(statistics.fmean(every), rel=1e-15, abs=1e-15 * largest)
        assert found.mean == pytest.approx(float(np.mean(every)), rel=1e-12, abs=1e-12 * largest)
        assert found.mean == pytest.approx(float(pd.Series(every).mean()), rel=1e-12, abs=1e-12 * largest)
        assert_spread(found, every)


def assert_spread(found: Moments, numbers: list[float]) -> None:
    """As numpy's; there is none of one number, nor of numbers whose squares lose digits."""
    if found.sd is None:
        assert len(numbers) == 1 or max(numbers) - min(numbers) < 1e-135
        return
    largest = max(map(abs, numbers))
    assert found.sd == pytest.approx(float(np.std(numbers, ddof=1)), rel=1e-7, abs=1e-7 * largest)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=300), st.sampled_from([1, 10]))
def test_a_mean_of_scores_is_that_of_statistics_to_the_last_digit_where_that_lies_among_them(
    scores: list[float], times: int
) -> None:
    scores = scores * times
    for found in both([scores]):
        assert found.mean == min(max(statistics.fmean(scores), min(scores)), max(scores))


@given(st.lists(st.floats(-1e60, 1e60), min_size=1, max_size=60))
def test_numbers_taken_one_by_one_have_the_mean_of_all_at_once(numbers: list[float]) -> None:
    found = Moments()
    for number in numbers:
        found.take(number)

    assert min(numbers) <= found.mean <= max(numbers)
    assert found.mean == pytest.approx(statistics.fmean(numbers), rel=1e-15, abs=1e-28 * max(map(abs, numbers)))
    assert_spread(found, numbers)


def exact_sd(numbers: Sequence[float]) -> float | None:
    """None where the squares may have lost digits."""
    whole = list(map(Fraction, numbers))
    mean = sum(whole) / len(whole)
    squares = sum(((number - mean) ** 2 for number in whole), Fraction(0))
    if len(numbers) < 2 or 0 < squares < SMALLEST_SQUARES:
        return None
    return math.sqrt(squares / (len(numbers) - 1))


def taken(blocks: Sequence[Sequence[float]]) -> Moments:
    """One number after the other."""
    found = Moments()
    for block in blocks:
        for number in block:
            found.take(number)
    return found


def among_many(blocks: Sequence[Sequence[float]]) -> Moments:
    """As one of so many scores that they are not gone through one by one."""
    others = {f"other {number}": 0.5 for number in range(300)}
    return opened([[{"joy": number} | others for number in block] for block in blocks]).scores["expression", "joy"]


@pytest.mark.parametrize("n", [2, 3, 5, 300, pytest.param(2_500, marks=pytest.mark.sweep)])
@pytest.mark.parametrize(
    ("size", "step"), [(0.5, 1.2e-16), (0.25, 6e-17), (1e15, 0.125), (1e8, 1.5e-8), (-1.0, 3e-16), (1e-120, 2e-136)]
)
def test_a_spread_in_the_last_digits_is_that_spread(n: int, size: float, step: float) -> None:
    """A rounded mean is as far from the true one as such numbers from each other."""
    numbers = [size + place % 5 % 3 * step for place in range(n)]
    third = -(-n // 3)
    apart = [numbers[at : at + third] for at in range(0, n, third)]
    parted = [sorted(numbers)[: n // 2], sorted(numbers)[n // 2 :]]
    for blocks in ([numbers], apart, parted):
        for found in (*both(blocks), taken(blocks)):
            assert found.sd == pytest.approx(exact_sd(numbers), rel=1e-11)


BASES = (0.0, 0.1, 0.5, -1.0, 1e8, 1e15, 1e59, 1e-125, 1e-139, 1e-170)
NEAR = st.sampled_from(BASES).flatmap(
    lambda size: st.lists(
        st.lists(
            st.integers(0, 4).map(lambda step: size + step * math.ulp(size)) | st.just(size), min_size=1, max_size=12
        ),
        min_size=1,
        max_size=4,
    )
)


@pytest.mark.sweep
@given(NEAR | NUMBERS, st.sampled_from([1, 90]))
def test_spreads_are_those_of_fractions(blocks: list[list[float]], times: int) -> None:
    """Also of constants, of one and two numbers, of those whose squares vanish, and of blocks that Arrow sums."""
    if sum(map(len, blocks)) < 60:
        blocks = [block * times for block in blocks]
    numbers = [number for block in blocks for number in block]
    exact = exact_sd(numbers)
    for found in (*both(blocks), taken(blocks), *([among_many(blocks)] if len(numbers) < 20 else [])):
        if exact is None or found.sd is None:
            assert found.sd == exact or 0.99 < found.spread / SMALLEST_SQUARES < 1.01
        else:
            assert found.sd == pytest.approx(exact, rel=1e-11)
            assert (found.sd == 0) == (min(numbers) == max(numbers))


@pytest.mark.sweep
@given(NEAR)
def test_a_mean_does_not_depend_on_whether_a_spread_is_asked_for(blocks: list[list[float]]) -> None:
    for times in (1, 500):
        rows = [[{"joy": number} for number in block] * times for block in blocks]
        asked, not_asked = fixed(rows), fixed(rows, spread=False)
        assert asked.scores["emotion", "joy"].mean == not_asked.scores["emotion", "joy"].mean


@pytest.mark.parametrize("scale", [1e-170, 1e-161, 1e-158, 1e-150, 1e-130, 1e-60, 1.0, 1e59])
@pytest.mark.parametrize("rows", [1, 300])
def test_a_spread_is_right_or_there_is_none(scale: float, rows: int) -> None:
    """Squares of small numbers lose digits before they vanish: half of them would give a spread that looks right."""
    numbers = [(0.1 + place % 7) * scale for place in range(7 * rows)]
    sd = fixed([[{"joy": number} for number in numbers]]).scores["emotion", "joy"].sd
    if scale < 1e-145:
        assert sd is None
    else:
        assert sd == pytest.approx(statistics.stdev(numbers), rel=1e-12)


def test_numbers_that_are_all_the_same_have_no_spread() -> None:
    found = fixed([[{"joy": 0.1}] * 1_500, [{"joy": 0.1}] * 5]).scores["emotion", "joy"]

    assert found.mean == pytest.approx(0.1, abs=1e-15)
    assert found.sd == 0


def test_what_no_row_tells_of_stays_unknown() -> None:
    sums = fixed([[{}, {}]])

    assert (sums.scored, sums.strongest, sums.begin_s, sums.end_s) == (0, None, 0.0, None)


def test_names_that_would_be_one_column_are_kept_apart() -> None:
    sums = opened([[{"Joy!": 0.2, "joy": 0.4}]])

    assert [name for name, _, _ in sums.named()] == ["expression_joy", "expression_joy_2"]


@pytest.mark.parametrize(("make", "prefix"), [(fixed, "emotion"), (opened, "expression")])
@pytest.mark.parametrize("rows", [1, 2, 1_500])
def test_a_number_that_cannot_be_summed_takes_the_mean_of_its_score_alone(make: Any, prefix: str, rows: int) -> None:
    """However many rows there are, and whichever block has it: two of 1.7e308 have no sum."""
    plain, large = [{"joy": 0.5, "fear": 0.25}], [{"joy": 1.7e308, "fear": 0.25}] * rows
    for blocks in ([plain, large], [large, plain], [large, large], [plain, large, plain]):
        sums = make(blocks)
        n = sum(map(len, blocks))
        assert (prefix, "joy") not in sums.scores
        joy = sums.beyond[prefix, "joy"]
        assert (joy.n, joy.highest, joy.above) == (n, 1.7e308, n)
        assert sums.scores[prefix, "fear"].mean == pytest.approx(0.25)
        assert sums.strongest == ((prefix, "fear"), sums.scores[prefix, "fear"])
        assert [score for _, score, _ in sums.named()] == [(prefix, "fear"), (prefix, "joy")]
