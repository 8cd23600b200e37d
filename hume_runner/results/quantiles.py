"""The quantiles that 95 % intervals are made with: of the normal distribution and of Student's t. Pure."""

from __future__ import annotations

import math
from functools import cache

NORMAL = 1.959963984540054

# From here on the series is right to 1e-13, and the sums have as many terms as there are degrees.
_MANY = 500
# Each doubles the digits; the worst start, of 2 degrees, takes four.
_STEPS = 8


@cache
def student(degrees: int) -> float:
    """The 97.5 % quantile of Student's t, to about 1e-12 of its size.

    The angle atan(t / sqrt(degrees)), at which 95 % lie between -t and t, by Newton's method.
    Source: Abramowitz and Stegun (1964), Handbook of Mathematical Functions, 26.7.3 and 26.7.4; 26.7.5 for the start.
    """
    start = _series(degrees)
    if degrees > _MANY:
        return start
    slope = 2 / math.sqrt(math.pi) * math.exp(math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2))
    angle = math.atan(start / math.sqrt(degrees))
    for _ in range(_STEPS):
        angle += (0.95 - _between(angle, degrees)) / (slope * math.cos(angle) ** (degrees - 1))
    return math.sqrt(degrees) * math.tan(angle)


def _between(angle: float, degrees: int) -> float:
    """The share that lies between -t and t."""
    cosine = math.cos(angle)
    odd = degrees % 2
    term, terms = cosine if odd else 1.0, []
    for number in range(2 + odd, degrees + 1, 2):
        terms.append(term)
        term *= cosine * cosine * (number - 1) / number
    found = math.sin(angle) * math.fsum(terms)
    return 2 / math.pi * (angle + found) if odd else found


def _series(degrees: int) -> float:
    z, v = NORMAL, degrees
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * v**4)
    )
