"""Student's quantile against published values and SciPy."""

from __future__ import annotations

from itertools import pairwise

import pytest

from hume_runner.results.quantiles import NORMAL, student
from tests.results.reference import scipy_stats

PUBLISHED = {
    1: 12.706204736,
    2: 4.302652730,
    3: 3.182446305,
    4: 2.776445105,
    5: 2.570581836,
    10: 2.228138852,
    30: 2.042272456,
    100: 1.983971519,
    1000: 1.962339081,
}


@pytest.mark.parametrize(("degrees", "published"), PUBLISHED.items())
def test_students_quantile_is_the_published_one(degrees: int, published: float) -> None:
    assert student(degrees) == pytest.approx(published, abs=6e-10)


def test_students_quantile_falls_to_that_of_the_normal_distribution() -> None:
    """Also from the sums to the series."""
    found = [student(degrees) for degrees in range(1, 600)]

    assert all(more > less for more, less in pairwise(found))
    assert student(10**9) == pytest.approx(NORMAL, abs=1e-8)


@pytest.mark.sweep
def test_students_quantile_is_that_of_scipy() -> None:
    stats = scipy_stats()
    for degrees in (*range(1, 700), 1_000, 2_001, 50_000, 10**7):
        assert student(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), rel=1e-12)
