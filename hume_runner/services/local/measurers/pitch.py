"""Pitch by autocorrelation after Boersma 1993, "Accurate short-term analysis of the fundamental frequency and the
harmonics-to-noise ratio of a sampled sound" (IFA Proceedings 17), with the values that the paper and Praat give for
speech. Pure; numpy alone.

In short: each 10 ms, 40 ms of sound (three periods of the floor) are windowed and correlated with themselves, the
correlation is divided by that of the window, and its peaks are candidates for the period. The cheapest path through
all candidates and "no voice" of all frames is taken, where leaps in pitch and changes of voicing cost.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hume_runner.services.local.measurers.base import SOUND_RATE_HZ

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FLOOR_HZ = 75.0
CEILING_HZ = 600.0
STEP_S = 0.01

_PERIODS = 3.0
_CANDIDATES = 15  # that of "no voice" among them
_SILENCE = 0.03  # of the loudest: what is quieter is rather no voice
_VOICING = 0.45
_OCTAVE_COST = 0.01
_JUMP_COST = 0.35
_VOICE_COST = 0.14

_FINER = 2  # the correlation is read at half samples, so that a parabola through three finds its peaks
_FRAMES_A_TIME = 256  # so that memory does not grow with the length of the sound


class Tracker:
    """The method for one range of pitch, ready to be used on any number of sounds."""

    def __init__(self, floor_hz: float = FLOOR_HZ, ceiling_hz: float = CEILING_HZ) -> None:
        import numpy as np

        self.floor_hz, self.ceiling_hz = floor_hz, ceiling_hz
        self._half = int(_PERIODS / floor_hz * SOUND_RATE_HZ) // 2 - 1
        self._period = int(SOUND_RATE_HZ / floor_hz)
        length = 2 * self._half
        self._fft = 1 << (round(length * 1.5) - 1).bit_length()
        self._window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1, length + 1) / (length + 1))
        # Lags at which there can be a peak, in steps of the finer correlation, with a neighbour on either side.
        self._first = max(2, int(SOUND_RATE_HZ / ceiling_hz * _FINER) - 1)
        self._last = int(SOUND_RATE_HZ / floor_hz * _FINER) + 2
        own = self._correlated(self._window[np.newaxis])[0]
        self._own = own / own[0]

    def track(self, samples: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(middles of the frames in seconds, pitch in Hz, NaN where there is no voice); none where the sound is too
        short for a frame."""
        import numpy as np

        starts = self._starts(len(samples))
        if not len(starts):
            return np.empty(0), np.empty(0)
        mean = float(np.mean(samples, dtype=np.float64))
        loudest = max(float(samples.max()) - mean, mean - float(samples.min()))
        hz = np.empty((len(starts), _CANDIDATES), dtype=np.float32)
        strengths = np.empty((len(starts), _CANDIDATES), dtype=np.float32)
        for first in range(0, len(starts), _FRAMES_A_TIME):
            part = slice(first, first + _FRAMES_A_TIME)
            hz[part], strengths[part] = self._candidates(samples, starts[part], loudest)
        path = _cheapest(hz, strengths)
        found = hz[np.arange(len(path)), path].astype(np.float64)
        return (starts + self._half) / SOUND_RATE_HZ, np.where(found > 0, found, np.nan)

    def _starts(self, length: int) -> NDArray[np.int64]:
        """First samples of the frames, which lie in the middle of the sound."""
        import numpy as np

        step = round(STEP_S * SOUND_RATE_HZ)
        # The mean of a period on either side of a frame's middle is taken from it: that has to be there, too.
        room = length - 2 * max(self._half + 1, self._period)
        if room < 0:
            return np.empty(0, dtype=np.int64)
        frames = room // step + 1
        before = (length - (frames - 1) * step) // 2 - self._half
        return before + step * np.arange(frames)

    def _candidates(
        self, samples: NDArray[np.float32], starts: NDArray[np.int64], loudest: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(Hz, strengths) of the candidates of some frames, shapes (frames, candidates). The first is "no voice", 0 Hz;
        what is not there has the strength minus infinity."""
        import numpy as np

        frames = self._frames(samples, starts)
        hz = np.zeros((len(starts), _CANDIDATES))
        strengths = np.full((len(starts), _CANDIDATES), -np.inf)

        middle = frames[:, self._half - self._period // 2 : self._half + self._period // 2 + 1]
        peaks = np.max(np.abs(middle), axis=1)
        share = np.minimum(1.0, peaks / loudest) if loudest > 0 else np.zeros(len(starts))
        strengths[:, 0] = _VOICING + np.maximum(0.0, 2 - share * (1 + _VOICING) / _SILENCE)

        correlation = self._correlated(frames)
        power = correlation[:, :1]
        correlation = np.divide(correlation, power * self._own, out=np.zeros_like(correlation), where=power > 0)
        here = correlation[:, self._first : self._last]
        left, right = correlation[:, self._first - 1 : self._last - 1], correlation[:, self._first + 1 : self._last + 1]
        frame, lag = np.nonzero((here > left) & (here >= right) & (here > 0.5 * _VOICING))
        if not len(frame):
            return hz, strengths
        top, slope = here[frame, lag], 0.5 * (right[frame, lag] - left[frame, lag])
        bend = 2 * top - right[frame, lag] - left[frame, lag]
        found_hz = SOUND_RATE_HZ * _FINER / (lag + self._first + slope / bend)
        strength = top + 0.5 * slope * slope / bend
        strength = np.where(strength > 1, 1 / strength, strength)
        possible = (found_hz >= self.floor_hz) & (found_hz <= self.ceiling_hz)
        frame, found_hz, strength = frame[possible], found_hz[possible], strength[possible]
        cost = _OCTAVE_COST * np.log2(self.ceiling_hz / found_hz)

        # The best of each frame, in columns from 1.
        order = np.lexsort((cost - strength, frame))
        frame, found_hz, strength, cost = frame[order], found_hz[order], strength[order], cost[order]
        place = np.arange(len(frame)) - np.searchsorted(frame, frame) + 1
        kept = place < _CANDIDATES
        hz[frame[kept], place[kept]] = found_hz[kept]
        strengths[frame[kept], place[kept]] = (strength - cost)[kept]
        return hz, strengths

    def _frames(self, samples: NDArray[np.float32], starts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Windowed frames without their mean, shape (frames, samples)."""
        import numpy as np

        begin, length = int(starts[0]), 2 * self._half
        step = round(STEP_S * SOUND_RATE_HZ)
        around = max(0, self._period - self._half)
        part = samples[begin - around : int(starts[-1]) + length + around].astype(np.float64)
        sums = np.concatenate(([0.0], np.cumsum(part)))
        middles = around + self._half + step * np.arange(len(starts))
        means = (sums[middles + self._period] - sums[middles - self._period]) / (2 * self._period)
        seen = np.lib.stride_tricks.sliding_window_view(part[around : len(part) - around], length)[::step]
        return (seen - means[:, np.newaxis]) * self._window

    def _correlated(self, frames: NDArray[np.float64]) -> NDArray[np.float64]:
        """Each row correlated with itself, at lags of half a sample: zeros behind the spectrum read between samples."""
        import numpy as np

        spectrum = np.fft.rfft(frames, self._fft, axis=1)
        power = spectrum.real**2 + spectrum.imag**2
        power[:, -1] *= 0.5  # it is both halves' now
        found: NDArray[np.float64] = np.fft.irfft(power, self._fft * _FINER, axis=1)[:, : self._last + 2]
        return found


def _cheapest(hz: NDArray[np.float32], strengths: NDArray[np.float32]) -> NDArray[np.int64]:
    """The number of the candidate in each frame, on the path with the greatest sum of strengths less costs."""
    import numpy as np

    frames, candidates = hz.shape
    logs = np.log2(np.where(hz > 0, hz, 1.0))
    voice = hz > 0
    back = np.zeros((frames, candidates), dtype=np.int8)
    best = strengths[0].astype(np.float64)
    for frame in range(1, frames):
        # At [now, before]: what it costs to come to a candidate from each of those before.
        both = voice[frame][:, np.newaxis] & voice[frame - 1]
        leap = np.abs(logs[frame][:, np.newaxis] - logs[frame - 1]) * _JUMP_COST
        either = voice[frame][:, np.newaxis] ^ voice[frame - 1]
        sums = best - np.where(both, leap, either * _VOICE_COST)
        back[frame] = sums.argmax(axis=1)
        best = sums.max(axis=1) + strengths[frame]
    path = np.empty(frames, dtype=np.int64)
    path[-1] = best.argmax()
    for frame in range(frames - 1, 0, -1):
        path[frame - 1] = back[frame, path[frame]]
    return path


def semitones(hz: float, above_hz: float = 100.0) -> float:
    """A pitch in semitones above 100 Hz."""
    return 12 * math.log2(hz / above_hz)
