"""How far numbers lie from their mean. Pure.

A mean is rounded, and numbers that differ in their last digits alone lie no further from it than that. So what the
distances from a rounded mean sum up to, which is 0 about the true one, is taken off again: the corrected two-pass
algorithm (Chan, Golub and LeVeque 1983, The American Statistician 37, 242-247).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from operator import mul

# Veltkamp's, which cuts a double into halves of 26 bits.
_CUT = 2.0**27 + 1


def distances(numbers: Iterable[float], mean: float) -> list[float]:
    return [number - mean for number in numbers]


def products(one: Iterable[float], other: Iterable[float]) -> float:
    """The sum of the products of numbers that stand beside each other."""
    return math.fsum(map(mul, one, other))


def corrected(found: float, off: float, other_off: float, n: int) -> float:
    """A sum of `n` products of distances, about the true means. `off`, `other_off`: what the distances sum up to."""
    return found - off * (other_off / n)


def centred(numbers: Sequence[float]) -> list[float]:
    """The distances from their true mean."""
    away = distances(numbers, math.fsum(numbers) / len(numbers))
    return distances(away, math.fsum(away) / len(away))


def lost(mean: float, n: int, *parts: float) -> float:
    """What rounding took from the mean of `n` numbers whose sum is that of `parts`; of up to 2^26 numbers exactly."""
    upper = _CUT * mean
    upper -= upper - mean
    return math.fsum((*parts, -upper * n, -(mean - upper) * n)) / n
