"""Where what was sent lies in its source, as a job's members tell it to whoever reads the answer. Pure.

A recording that has no hole says `start_ms`, as every version did; one whose clock is broken says for each passage
where its runs of samples lie.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hume_runner.media.clock import TICKS_MS, ClockMap, even

# (begin, end) in ms of a passage -> the same span in ms of the source
Placed = Callable[[int, int], tuple[int, int]]


def told_clock(clock: ClockMap, first: int = 0, samples: int | None = None) -> dict[str, Any]:
    """What the detail of a passage of a recording says about its times: {"start_ms"}, and {"clock"} where that is not
    all. `start_ms` is where the whole recording begins."""
    told: dict[str, Any] = {"start_ms": max(0, (clock.start + TICKS_MS // 2) // TICKS_MS)}
    if not clock.is_even or clock.start < 0:
        told["clock"] = clock.cut(first, clock.samples if samples is None else samples).to_json()
    return told


def placed(detail: Mapping[str, Any], first: int) -> Placed:
    """Where a span of a passage lies; `first` is the passage's first sample in its recording."""
    samples = int(detail["samples"])
    if "clock" in detail:
        return ClockMap.of_json(detail["clock"], samples).ms
    return even(samples, first + int(detail.get("start_ms", 0)) * TICKS_MS).ms
