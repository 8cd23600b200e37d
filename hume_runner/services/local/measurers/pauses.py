"""Pauses in a sound by its energy alone, whatever it is that is heard. Pure.

After de Jong & Wempe 2009, "Praat script to detect syllable nuclei and measure speech rate automatically" (Behavior
Research Methods 41): quiet is what lies 25 dB below the loud parts (the 99th percentile of the levels, so that a click
decides nothing), a pause is quiet of at least 0.3 s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hume_runner.services.local.measurers.loudness import HOP, running
from hume_runner.services.local.measurers.voice import Span

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHORTEST_S = 0.3
_BELOW_DB = 25.0
_LOUD_PERCENT = 99.0
# Quieter than this is a pause whatever it is compared with: sound without any other.
_ALWAYS_DB = -70.0
_SMOOTHED = 3  # powers of 10 ms: a period of the lowest voice


def pauses(powers: NDArray[np.float64], shortest_s: float = SHORTEST_S) -> tuple[Span, ...]:
    """Where the sound pauses, in samples. `powers` are weighted mean squares of each 10 ms."""
    import numpy as np

    shortest = round(shortest_s * 100)
    if len(powers) < shortest:
        return ()
    levels = running(np.pad(powers, _SMOOTHED // 2, mode="edge"), _SMOOTHED)
    limit = max(float(np.percentile(levels, _LOUD_PERCENT)) * 10 ** (-_BELOW_DB / 10), 10 ** (_ALWAYS_DB / 10))
    edges = np.diff(np.concatenate(([0], (levels < limit).astype(np.int8), [0])))
    begins, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return tuple(
        Span(begin=int(begin) * HOP, end=int(end) * HOP)
        for begin, end in zip(begins, ends, strict=True)
        if end - begin >= shortest
    )
