"""Agreement against SciPy, and its intervals against what they promise."""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.results.agreement import Agreement, Coefficient, Values, agreement, design_effect, ranks
from hume_runner.results.summable import SMALLEST_SQUARES
from tests.results.reference import scipy_stats
from tests.tiers import sampled

NONE = Coefficient()


@pytest.fixture(scope="module")
def stats() -> Any:
    """Loaded by the first test that needs it: it takes a second, and each worker collects every test."""
    return scipy_stats()


def chunks(
    a: Sequence[float], b: Sequence[float], item: Iterable[int] | None = None, *, size: int = 10**9
) -> Callable[[], list[Values]]:
    items = list(range(len(a)) if item is None else item)
    return lambda: [
        Values(a=array("d", a[at : at + size]), b=array("d", b[at : at + size]), item=array("q", items[at : at + size]))
        for at in range(0, len(a), size)
    ]


def clustered(
    seed: int, items: int, rows: int, *, within: float = 0.5, rho: float = 0.6
) -> tuple[list[float], list[float], list[int]]:
    """Rows that share half of their variance with the others of their item; each half is correlated by `rho`."""
    random = np.random.default_rng(seed)
    mix = np.linalg.cholesky([[1.0, rho], [rho, 1.0]]).T
    shared = random.normal(size=(items, 1, 2)) @ mix * math.sqrt(1 - within)
    values = (shared + random.normal(size=(items, rows, 2)) @ mix * math.sqrt(within)).reshape(-1, 2)
    return values[:, 0].tolist(), values[:, 1].tolist(), np.repeat(np.arange(items), rows).tolist()


# Few different numbers, so that ties are many.
numbers = st.one_of(st.integers(-3, 3).map(float), st.floats(-1e6, 1e6, allow_subnormal=False))


@pytest.mark.sweep
@given(st.lists(st.tuples(numbers, numbers), min_size=4, max_size=60), st.integers(1, 20))
def test_means_and_correlations_are_those_of_scipy(stats: Any, pairs: list[tuple[float, float]], size: int) -> None:
    a, b = [x for x, _ in pairs], [y for _, y in pairs]

    found = agreement(chunks(a, b, size=size))

    assert found.n == found.items == len(a)
    assert found.mean_a == pytest.approx(np.mean(a), rel=1e-9, abs=1e-9)
    assert found.mean_difference == pytest.approx(np.mean(b) - np.mean(a), rel=1e-6, abs=1e-6)
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert (found.pearson, found.spearman, found.basis) == (NONE, NONE, None)
        return
    spearman = stats.spearmanr(a, b).statistic
    assert found.spearman.value == pytest.approx(spearman, abs=1e-9)
    # What differs in its last digits alone has no correlation that two programs agree on.
    if min(np.std(a) / (abs(np.mean(a)) + 1), np.std(b) / (abs(np.mean(b)) + 1)) > 1e-6:
        assert found.pearson.value == pytest.approx(stats.pearsonr(a, b).statistic, abs=1e-6)


def exact_pearson(a: Sequence[float], b: Sequence[float]) -> float | None:
    """By fractions; None where the squares of one side may have lost digits."""
    one, other = list(map(Fraction, a)), list(map(Fraction, b))
    mean_a, mean_b = sum(one) / len(a), sum(other) / len(b)
    from_a, from_b = [x - mean_a for x in one], [y - mean_b for y in other]
    squares = sum(x * x for x in from_a), sum(y * y for y in from_b)
    if min(squares) < SMALLEST_SQUARES:
        return None
    product = sum(x * y for x, y in zip(from_a, from_b, strict=True))
    return math.copysign(math.sqrt(product * product / (squares[0] * squares[1])), product)


@pytest.mark.parametrize(
    ("size", "step"), [(0.5, 1.2e-16), (0.25, 6e-17), (1e15, 0.125), (1e8, 1.5e-8), (-1.0, 3e-16), (1e-120, 2e-136)]
)
@pytest.mark.parametrize("chunk", [7, 10**9])
def test_numbers_that_differ_in_their_last_digits_correlate_as_they_do(size: float, step: float, chunk: int) -> None:
    """Of two-valued numbers Spearman's coefficient is Pearson's, which a rounded mean once told as 0.54 instead of
    -0.06."""
    draw = random.Random(1)
    a = [size + draw.choice((0, 0, step)) for _ in range(620)]
    b = [size - draw.choice((0, step)) for _ in range(620)]

    found = agreement(chunks(a, b, size=chunk))

    assert found.pearson.value == pytest.approx(exact_pearson(a, b), rel=1e-9)
    assert found.pearson.value == pytest.approx(found.spearman.value, rel=1e-9)
    less = (sum(map(Fraction, b)) - sum(map(Fraction, a))) / len(a)
    assert found.mean_difference == pytest.approx(float(less), rel=1e-12, abs=0.0), "no difference of rounded means"


def test_an_interval_over_items_does_not_follow_how_a_mean_is_rounded() -> None:
    draw = random.Random(2)
    item = [place // 6 for place in range(120)]
    plain = [float(draw.choice((0, 0, 1)) + number % 2) for number in item]
    other = [number + draw.choice((0, 1, 2)) for number in plain]

    near = agreement(chunks([0.5 + math.ulp(0.5) * x for x in plain], [1e15 + 0.125 * y for y in other], item)).pearson

    far = agreement(chunks(plain, other, item)).pearson
    assert (near.value, near.low, near.high) == pytest.approx((far.value, far.low, far.high), rel=1e-9)


steps = st.tuples(st.integers(0, 3), st.integers(0, 3))


@pytest.mark.sweep
@given(
    st.lists(steps, min_size=4, max_size=40),
    st.sampled_from([0.0, 0.1, -0.5, 1e15, 1e59, 1e-125, 1e-139, 1e-170]),
    st.sampled_from([0.0, 0.5, 1e8]),
    st.integers(1, 50),
)
def test_pearson_is_that_of_fractions(pairs: list[tuple[int, int]], one: float, other: float, size: int) -> None:
    a = [one + x * math.ulp(one) for x, _ in pairs]
    b = [other + y * 2 * math.ulp(other) for _, y in pairs]

    found = agreement(chunks(a, b, size=size)).pearson.value

    exact = exact_pearson(a, b)
    if exact is None:
        assert found is None
    else:
        assert found == pytest.approx(exact, abs=1e-12)


@pytest.mark.sweep
@given(st.lists(numbers, min_size=1, max_size=60))
def test_ranks_are_those_of_scipy(stats: Any, values: list[float]) -> None:
    assert list(ranks(values)) == stats.rankdata(values).tolist()


def test_the_interval_of_pearson_over_independent_pairs_is_that_of_scipy(stats: Any) -> None:
    a, b, _ = clustered(1, 40, 1)

    found = agreement(chunks(a, b))

    expected = stats.pearsonr(a, b).confidence_interval(0.95)
    assert found.basis == "pairs"
    assert (found.pearson.low, found.pearson.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_the_interval_of_spearman_over_independent_pairs_is_that_of_bonett_and_wright(stats: Any) -> None:
    a, b, _ = clustered(2, 40, 1)

    found = agreement(chunks(a, b)).spearman

    rho = stats.spearmanr(a, b).statistic
    half = stats.norm.ppf(0.975) * math.sqrt((1 + rho**2 / 2) / (40 - 3))
    ends = (math.tanh(math.atanh(rho) - half), math.tanh(math.atanh(rho) + half))
    assert (found.low, found.high) == pytest.approx(ends, abs=1e-9)


@pytest.mark.parametrize("which", ["pearson", "spearman"])
@pytest.mark.parametrize("seed", [3, 4, 5])
def test_the_interval_over_items_is_that_of_leaving_each_item_out(stats: Any, which: str, seed: int) -> None:
    a, b, item = clustered(seed, 25, 12)
    values = np.array([a, b])
    correlate = {
        "pearson": lambda v: np.corrcoef(v)[0, 1],
        "spearman": lambda v: stats.spearmanr(v[0], v[1]).statistic,
    }[which]
    without = np.arctanh([correlate(values[:, np.array(item) != one]) for one in range(25)])
    error = math.sqrt(24 / 25 * float(((without - without.mean()) ** 2).sum()))

    found: Coefficient = getattr(agreement(chunks(a, b, item)), which)

    assert found.low is not None
    assert found.high is not None
    assert found.value == pytest.approx(correlate(values), abs=1e-9)
    mine = (math.atanh(found.high) - math.atanh(found.low)) / 2 / stats.t.ppf(0.975, 24)
    assert mine == pytest.approx(error, rel=0.25)


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("items", [4, 8, 20])
def test_intervals_over_items_hold_the_truth_nineteen_times_in_twenty(items: int) -> None:
    truth = {"pearson": 0.6, "spearman": 6 / math.pi * math.asin(0.3)}
    held = dict.fromkeys(truth, 0)
    naive = 0
    for seed in range(120):
        found = agreement(chunks(*clustered(seed, items, 20)))
        assert (found.basis, found.items) == ("items", items)
        for which, true in truth.items():
            one: Coefficient = getattr(found, which)
            assert one.low is not None
            assert one.high is not None
            held[which] += one.low <= true <= one.high
        alone = agreement(chunks(*clustered(seed, items, 20)[:2])).pearson
        naive += (alone.low or 0) <= truth["pearson"] <= (alone.high or 0)
    # What takes all rows for independent is far too sure.
    assert naive < 85
    assert min(held.values()) >= 108


def test_rows_that_are_independent_after_all_cost_little() -> None:
    a, b, item = clustered(7, 30, 10, within=1.0)

    found, alone = agreement(chunks(a, b, item)).pearson, agreement(chunks(a, b)).pearson

    assert found.value == alone.value
    assert found.high is not None
    assert found.low is not None
    assert alone.high is not None
    assert alone.low is not None
    assert 1.0 <= (found.high - found.low) / (alone.high - alone.low) < 1.5


def test_a_design_effect_is_at_least_one_and_at_most_the_rows_of_an_item() -> None:
    assert design_effect([1.0, -1.0, 1.0, -1.0], [(0, 2), (2, 4)]) == 1.0
    # Two items, each with four times the same: half of the squares' sum is between them.
    assert design_effect([1.0] * 4 + [-1.0] * 4, [(0, 4), (4, 8)]) == pytest.approx(4 * 2)
    assert design_effect([0.0, 0.0], [(0, 1), (1, 2)]) == 1.0


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([], []),
        ([1.0, 2.0, 3.0], [1.0, 2.0, 4.0]),
        ([0.1] * 5, [1.0, 2.0, 3.0, 4.0, 5.0]),
        ([1.0, 2.0, 3.0, 4.0], [7.0] * 4),
        ([1e-200, 2e-200, 3e-200, 4e-200], [1.0, 2.0, 3.0, 5.0]),
    ],
)
def test_there_is_no_correlation_of_too_few_or_constant_values(a: list[float], b: list[float]) -> None:
    found = agreement(chunks(a, b))

    assert found.n == len(a)
    assert (found.mean_a is None) == (not a)
    assert found.pearson == NONE
    if len({*a}) < 4:
        assert found.spearman == NONE


@pytest.mark.parametrize("scale", [1e-170, 1e-161, 1e-158, 1e-140, 1e-130, 1e-60, 1e59])
def test_a_correlation_of_very_small_numbers_is_right_or_there_is_none(stats: Any, scale: float) -> None:
    draw = random.Random(8)
    a = [draw.random() for _ in range(6)]
    b = [draw.random() for _ in range(6)]
    found = agreement(chunks([value * scale for value in a], b))
    if scale < 1e-139:
        assert found.pearson == NONE
    else:
        assert found.pearson.value == pytest.approx(stats.pearsonr(a, b).statistic, rel=1e-12)
    assert found.spearman.value == pytest.approx(stats.spearmanr(a, b).statistic, rel=1e-12)


def test_fewer_than_four_items_give_a_correlation_without_an_interval() -> None:
    a, b, item = clustered(8, 3, 20)

    found = agreement(chunks(a, b, item))

    assert found.basis is None
    assert found.pearson.value is not None
    assert (found.pearson.low, found.spearman.high) == (None, None)


def test_a_result_beside_itself_agrees_in_everything() -> None:
    a, _, item = clustered(9, 10, 5)

    found = agreement(chunks(a, a, item))

    assert found.mean_difference == 0.0
    assert found.pearson == found.spearman == Coefficient(value=1.0, low=1.0, high=1.0)


def test_the_cut_into_chunks_changes_nothing() -> None:
    a, b, item = clustered(10, 30, 7)
    whole = agreement(chunks(a, b, item))

    for size in (1, 13, 100):
        other = agreement(chunks(a, b, item, size=size))
        assert (other.n, other.items, other.spearman) == (whole.n, whole.items, whole.spearman)
        assert other.pearson.value == pytest.approx(whole.pearson.value, abs=1e-12)


@pytest.mark.parametrize("size", [10**9, 37])
def test_ranks_of_very_many_pairs_come_from_evenly_spread_ones(stats: Any, size: int) -> None:
    a, b, item = clustered(11, 40, 25)

    found: Agreement = agreement(chunks(a, b, item, size=size), most_ranked=300)

    assert (found.n, found.ranked) == (1000, 250)
    assert found.pearson.value == pytest.approx(stats.pearsonr(a, b).statistic, abs=1e-9)
    assert found.spearman.value == pytest.approx(stats.spearmanr(a[::4], b[::4]).statistic, abs=1e-9)
