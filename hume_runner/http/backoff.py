"""How long to wait before another try, or before asking again. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable

# What comes after them is longer than anybody waits, and no number is too large for a float.
_MOST_DOUBLINGS = 16


def doubled(times: int, *, first: float, most: float) -> float:
    """`first` seconds, doubled so many times; never more than `most`."""
    return min(most, first * float(1 << min(max(times, 0), _MOST_DOUBLINGS)))


def backoff(tries: int, *, most: float, asked: float | None, random: Callable[[], float]) -> float:
    """Seconds before the next try, after `tries` failures: what the service asked for, else 1, 2, 4, … with jitter
    that takes up to a quarter off, so that many clients do not come back in step; never more than `most`."""
    if asked is not None and not math.isnan(asked):
        return min(most, max(0.0, asked))
    return doubled(tries - 1, first=1.0, most=most) * (1 - 0.25 * random())
