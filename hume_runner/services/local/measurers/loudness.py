"""Loudness by ITU-R BS.1770-4 and levels in dBFS, of one channel at 16 kHz. Pure; numpy alone.

The K-weighting of BS.1770-4 (annex 1) is given as two filters for 48 kHz. For another rate they are made anew from the
analogue prototypes behind them, whose corner frequencies, gain and quality follow from those coefficients (De Man,
"Evaluation of implementations of the EBU R128 loudness measurement", AES 145, 2018; libebur128 does the same).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from hume_runner.frozen import frozen
from hume_runner.services.local.measurers.base import SOUND_RATE_HZ

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HOP = SOUND_RATE_HZ // 100  # samples that one weighted power stands for
MOMENTARY_HOPS = 40  # 400 ms
SHORT_TERM_HOPS = 300  # 3 s
_BLOCK_STEP = 10  # blocks of 400 ms overlap by three quarters

FLOOR_DB = -120.0  # below it lies nothing that 16 bits can hold, but what calculating leaves behind
_OFFSET_DB = -0.691  # BS.1770-4: so that the weighting leaves a tone of 1 kHz as loud as it is
_ABSOLUTE_GATE = -70.0
_RELATIVE_GATE = -10.0

# The impulse response of both filters has fallen by 500 dB after a quarter of a second: cut there, it is exact.
_TAPS = 4096
_FFT = 16384


@frozen
class Biquad:
    """A filter of second order, a0 = 1."""

    b: tuple[float, float, float]
    a: tuple[float, float]

    def over(self, signal: Sequence[float]) -> list[float]:
        found: list[float] = []
        x1 = x2 = y1 = y2 = 0.0
        for x in signal:
            y = self.b[0] * x + self.b[1] * x1 + self.b[2] * x2 - self.a[0] * y1 - self.a[1] * y2
            x1, x2, y1, y2 = x, x1, y, y1
            found.append(y)
        return found


def shelf(rate_hz: float) -> Biquad:
    """The high shelf: 4 dB above about 1.7 kHz, for the head. Bilinear transform, exact at the corner frequency."""
    corner_hz, gain_db, quality = 1681.974450955533, 3.999843853973347, 0.7071752369554196
    k = math.tan(math.pi * corner_hz / rate_hz)
    high = 10 ** (gain_db / 20)
    band = high**0.4996667741545416
    scale = 1 + k / quality + k * k
    return Biquad(
        b=(
            (high + band * k / quality + k * k) / scale,
            2 * (k * k - high) / scale,
            (high - band * k / quality + k * k) / scale,
        ),
        a=(2 * (k * k - 1) / scale, (1 - k / quality + k * k) / scale),
    )


def high_pass(rate_hz: float) -> Biquad:
    """The high pass at 38 Hz (the revised low-frequency B-curve). It leaves no direct current."""
    corner_hz, quality = 38.13547087602444, 0.5003270373238773
    k = math.tan(math.pi * corner_hz / rate_hz)
    scale = 1 + k / quality + k * k
    return Biquad(b=(1.0, -2.0, 1.0), a=(2 * (k * k - 1) / scale, (1 - k / quality + k * k) / scale))


class Weighting:
    """K-weighting at 16 kHz, ready to be used on any number of sounds."""

    def __init__(self) -> None:
        import numpy as np

        impulse = [1.0, *([0.0] * (_TAPS - 1))]
        response = high_pass(SOUND_RATE_HZ).over(shelf(SOUND_RATE_HZ).over(impulse))
        self._spectrum = np.fft.rfft(np.array(response), _FFT)

    def powers(self, samples: NDArray[np.float32]) -> NDArray[np.float64]:
        """Mean square of the weighted sound in each 10 ms that are complete, shape (hops,)."""
        import numpy as np

        whole = len(samples) // HOP
        found = np.empty(whole)
        step = (_FFT - _TAPS + 1) // HOP * HOP
        block = np.zeros(_FFT)
        for first in range(0, whole * HOP, step):
            # Overlap-save: the samples before a block are what rings on into it.
            start = first - (_TAPS - 1)
            part = samples[max(0, start) : min(first + step, whole * HOP)]
            block[:] = 0.0
            at = max(0, -start)
            block[at : at + len(part)] = part
            weighted = np.fft.irfft(np.fft.rfft(block) * self._spectrum, _FFT)
            kept = weighted[_TAPS - 1 : at + len(part)].reshape(-1, HOP)
            found[first // HOP : first // HOP + len(kept)] = np.mean(kept * kept, axis=1)
        return found


def decibels(power: float) -> float | None:
    """A mean square in dB of full scale; None for silence."""
    if power <= 0.0:
        return None
    level = 10 * math.log10(power)
    return level if level >= FLOOR_DB else None


def lufs(power: float) -> float | None:
    """A weighted mean square in LUFS (which BS.1770 calls LKFS); None for silence."""
    level = decibels(power)
    return None if level is None else level + _OFFSET_DB


def running(powers: NDArray[np.float64], hops: int) -> NDArray[np.float64]:
    """Means over `hops` powers; element n is that of the stretch that ends after power n + hops - 1."""
    import numpy as np

    if len(powers) < hops:
        return np.empty(0)
    sums = np.concatenate(([0.0], np.cumsum(powers)))
    # What is left of loud sound before, where silence follows, must not fall below nothing.
    return np.maximum((sums[hops:] - sums[:-hops]) / hops, 0.0)


def integrated(powers: NDArray[np.float64]) -> float | None:
    """Gated loudness of all of it, in LUFS: blocks of 400 ms, absolute gate -70 LUFS, relative gate -10 LU. None where
    it is shorter than a block, or nothing passes the gate."""
    blocks = running(powers, MOMENTARY_HOPS)[::_BLOCK_STEP]
    loud = blocks[blocks > _power(_ABSOLUTE_GATE)]
    if not len(loud):
        return None
    gate = (lufs(float(loud.mean())) or _ABSOLUTE_GATE) + _RELATIVE_GATE
    return lufs(float(loud[loud > _power(gate)].mean()))


def _power(level_lufs: float) -> float:
    return float(10 ** ((level_lufs - _OFFSET_DB) / 10))


def windows(length: int, window_s: float, step_s: float) -> Iterator[tuple[int, int]]:
    """(first sample, one past the last) of each window; the last may be shorter."""
    number = 0
    while (first := round(number * step_s * SOUND_RATE_HZ)) < length:
        last = first + round(window_s * SOUND_RATE_HZ)
        yield first, min(length, last)
        if last >= length:
            return
        number += 1
