"""Sums of squares and products about a mean, against fractions, which round nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.results.spreads import centred, corrected, distances, lost, products


def steps(size: float, counts: Sequence[int]) -> list[float]:
    """Numbers of this size that differ in their last digits alone."""
    return [size + count * math.ulp(size) for count in counts]


sizes = st.sampled_from([1e-100, 0.1, 0.5, 1.0, -3.0, 1e8, 1e15, 1e59])
close = st.builds(steps, sizes, st.lists(st.integers(0, 4), min_size=1, max_size=40))
wide = st.lists(st.floats(-1e60, 1e60) | st.sampled_from([1e16, 1.0, -1e16, 0.25]), min_size=1, max_size=40)
numbers = close | wide


def exact_mean(numbers: Sequence[float]) -> Fraction:
    return sum(map(Fraction, numbers), Fraction(0)) / len(numbers)


def exact_products(one: Sequence[float], other: Sequence[float]) -> Fraction:
    """Of the distances from the true means."""
    pairs = [(Fraction(x), Fraction(y)) for x, y in zip(one, other, strict=True)]
    mean_a, mean_b = exact_mean(one), exact_mean(other)
    return sum(((x - mean_a) * (y - mean_b) for x, y in pairs), Fraction(0))


def about(one: Sequence[float], other: Sequence[float]) -> float:
    """The same by way of the rounded means."""
    n = len(one)
    a, b = distances(one, math.fsum(one) / n), distances(other, math.fsum(other) / n)
    return corrected(products(a, b), math.fsum(a), math.fsum(b), n)


def assert_near(found: float, exact: Fraction, squares: float) -> None:
    """To what rounding the terms allows: a sum of products may be nothing beside the squares that bound it."""
    assert abs(Fraction(found) - exact) <= Fraction(1e-13) * Fraction(squares) + Fraction(1e-290)


@given(numbers)
def test_squares_are_those_about_the_true_mean(numbers: list[float]) -> None:
    exact = exact_products(numbers, numbers)

    assert_near(about(numbers, numbers), exact, float(exact))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40), sizes, sizes)
def test_products_are_those_about_the_true_means(pairs: list[tuple[int, int]], one: float, other: float) -> None:
    a, b = steps(one, [x for x, _ in pairs]), steps(other, [y for _, y in pairs])
    squares = math.sqrt(exact_products(a, a)) * math.sqrt(exact_products(b, b))

    assert_near(about(a, b), exact_products(a, b), squares)


@given(numbers)
def test_distances_from_the_true_mean_are_right_each(numbers: list[float]) -> None:
    away = [Fraction(number) - exact_mean(numbers) for number in numbers]
    widest = max(map(abs, away))

    for exact, found in zip(away, centred(numbers), strict=True):
        assert abs(Fraction(found) - exact) <= Fraction(1e-15) * widest


@given(st.floats(-1e60, 1e60).filter(lambda mean: mean == 0 or abs(mean) > 1e-200), st.integers(1, 2**26))
def test_what_a_mean_lost_is_exact(mean: float, n: int) -> None:
    total = mean * n

    found = lost(mean, n, total, 1.0)

    exact = (Fraction(total) + 1) / n - Fraction(mean)
    assert found == pytest.approx(float(exact), rel=1e-15)
