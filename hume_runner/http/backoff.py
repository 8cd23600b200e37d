"""How long to wait before another try. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable


def backoff(tries: int, *, most: float, asked: float | None, random: Callable[[], float]) -> float:
    """Seconds before the next try, after `tries` failures: what the service asked for, else 1, 2, 4, … with jitter
    that takes up to a quarter off, so that many clients do not come back in step; never more than `most`."""
    if asked is not None and not math.isnan(asked):
        return min(most, max(0.0, asked))
    return min(most, float(1 << min(max(tries - 1, 0), 16))) * (1 - 0.25 * random())
