"""One clock for sound and pictures: where each prepared sample lies in its source, and how broken clocks go on. Pure.

Times are in ticks of 1/16000 s, a sample of prepared sound, counted from the start of what a player shows. A recording
with holes is sent without most of their silence, so a time in an answer is a place in the samples: the map made while
preparing says what moment of the source that is, whatever was cut out of it or joined with others.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from hume_runner.frozen import frozen

TICKS_S: Final = 16_000
TICKS_MS: Final = TICKS_S // 1000

JITTER: Final = TICKS_S * 15 // 1000  # containers round times, and recorders stamp late: less is no hole
AUDIBLE_HOLE: Final = TICKS_S // 10  # a hole from here on is silence in what is sent; a shorter one only moves times
MOST_SILENCE: Final = TICKS_S  # of one hole that is sent: enough to keep what was said before and after apart


@frozen(kw_only=False)
class Run:
    """Samples from `first` on, up to the next run, lie at `at` and on in the source."""

    first: int
    at: int


@frozen(kw_only=False)
class ClockMap:
    """Where each of `samples` samples lies in the source: runs by their first sample, which is 0 for the first run.

    Within a run time goes on evenly; between two runs it jumps, forward over a hole, backward where sound overlaps.
    """

    runs: tuple[Run, ...] = ()
    samples: int = 0

    def append(self, samples: int, at: int, *, tolerance: int = 0) -> ClockMap:
        """`samples` more, of which the first lies at `at`; they go on with the last run where it is there already."""
        if not samples:
            return self
        if self.runs and abs(at - self.end) <= tolerance:
            return replace(self, samples=self.samples + samples)
        return ClockMap((*self.runs, Run(self.samples, at)), self.samples + samples)

    @property
    def start(self) -> int:
        """Where the first sample lies."""
        return self.runs[0].at if self.runs else 0

    @property
    def end(self) -> int:
        """Where the last sample ends."""
        return self.behind(self.samples)

    @property
    def is_even(self) -> bool:
        """Whether `start` tells everything."""
        return len(self.runs) < 2

    def at(self, sample: int) -> int:
        """When `sample` begins. Outside the map, its ends go on."""
        if not self.runs:
            return sample
        run = self.runs[max(0, bisect_right(self.runs, sample, key=_first) - 1)]
        return run.at + sample - run.first

    def behind(self, sample: int) -> int:
        """When the sample before `sample` ends: where a run ends this is before the hole, and `at` behind it."""
        return self.at(sample - 1) + 1

    def cut(self, first: int, samples: int) -> ClockMap:
        """The map of a passage, which counts its samples from 0."""
        beyond = min(first + samples, self.samples)
        inside = (run for run in self.runs if first < run.first < beyond)
        head = (Run(0, self.at(first)),) if beyond > first else ()
        return ClockMap((*head, *(Run(run.first - first, run.at) for run in inside)), max(0, beyond - first))

    def shift(self, by: int) -> ClockMap:
        """The same samples, `by` later."""
        return replace(self, runs=tuple(Run(run.first, run.at + by) for run in self.runs))

    def then(self, other: ClockMap) -> ClockMap:
        """These samples and then those of another passage: `cut` undone."""
        joined = self
        for index, run in enumerate(other.runs):
            beyond = other.runs[index + 1].first if index + 1 < len(other.runs) else other.samples
            joined = joined.append(beyond - run.first, run.at)
        return joined

    def ms(self, begin_ms: int, end_ms: int) -> tuple[int, int]:
        """A span of the samples, in ms, as a span of the source; never before its start, and never turned round."""
        # A time in ms stands for any sample of it: what begins in the ms in which a run does, begins with the run.
        begin = max(0, _rounded_ms(self.at(begin_ms * TICKS_MS + TICKS_MS - 1) - TICKS_MS + 1))
        return begin, max(begin, _rounded_ms(self.behind(end_ms * TICKS_MS)))

    def to_json(self) -> list[list[int]]:
        """[[first sample, where it lies], ...]; `samples` is told elsewhere."""
        return [[run.first, run.at] for run in self.runs]

    @classmethod
    def of_json(cls, runs: Iterable[Sequence[int]], samples: int) -> ClockMap:
        """`to_json` back."""
        return cls(tuple(Run(int(first), int(at)) for first, at in runs), samples)


def even(samples: int, start: int = 0) -> ClockMap:
    """The map of sound without a hole."""
    return ClockMap((Run(0, start),), samples) if samples else ClockMap()


def _first(run: Run) -> int:
    return run.first


def _rounded_ms(ticks: int) -> int:
    return (ticks + TICKS_MS // 2) // TICKS_MS


@dataclass(slots=True)
class ClockWriter:
    """The map of sound that arrives piece by piece: how much silence goes before each piece, and where it lies.

    `ClockMap.append` copies; this is the same for tens of thousands of pieces.
    """

    runs: list[Run] = field(default_factory=list)
    samples: int = 0

    def silence_before(self, at: int) -> int:
        """How many samples of silence go before a piece that lies at `at`."""
        hole = at - self.end if self.runs else 0
        return min(hole, MOST_SILENCE) if hole >= AUDIBLE_HOLE else 0

    def place(self, at: int) -> None:
        """What is added from here on lies at `at`, unless that is where it would lie anyway, give or take jitter."""
        if not self.runs or abs(at - self.end) > JITTER:
            if self.runs and self.runs[-1].first == self.samples:
                self.runs.pop()  # nothing was added there
            self.runs.append(Run(self.samples, at))

    def reach(self, samples: int) -> None:
        """There are so many samples by now, counted from the first."""
        self.samples = samples

    @property
    def end(self) -> int:
        """Where the last sample ends; 0 before the first."""
        return self.runs[-1].at + self.samples - self.runs[-1].first if self.runs else 0

    def map(self) -> ClockMap:
        """What was placed so far."""
        runs = tuple(run for run in self.runs if run.first < self.samples)
        return ClockMap(runs, self.samples)


# -- broken clocks -----------------------------------------------------------------------------------------------------

_US: Final = 1_000_000
_BACK_US: Final = _US // 10  # a clock that goes back by more than this began anew
_BACK_ROUNDED_US: Final = _US // 2  # in formats that are not made to be joined, where muxers are careless
_FAR_US: Final = 10 * _US  # a clock that jumps farther than this was set; ffmpeg's players hold the same
_ABSURD_US: Final = 30 * 3600 * _US  # no recording pauses for so long
_WRAP_US: Final = 2**33 * _US // 90_000  # an MPEG clock has 33 bits
_NEAR_US: Final = 2 * _US  # how far apart sound and picture of one moment lie in a file


@dataclass(slots=True)
class _Track:
    offset: int
    end: int  # where its last packet ended, bridged


@dataclass(slots=True)
class Bridge:
    """Packets of one file in their order, each given the offset (us) that makes its clock go on where it broke.

    Parts that were joined begin their clock anew, a radio link sets it, 33 bits wrap: a player goes on where it was.
    Sound and pictures pass the same bridge, so both jump together: a track that is merely silent for a while, while
    another goes on, does not. `joinable`: the format is one that is made to be joined (MPEG streams, Ogg), in which a
    long jump forward is a new clock and not a hole.
    """

    joinable: bool
    _tracks: dict[int, _Track] = field(default_factory=dict)
    _newest: int = 0

    def offset(self, track: int, dts: int, duration: int) -> int:
        """What to add to the times of the next packet, which its own clock puts at `dts`."""
        mine = self._tracks.get(track)
        if mine is not None and -_BACK_US <= (ahead := dts + mine.offset - mine.end) <= _NEAR_US:
            mine.end += max(0, ahead + duration)  # as nearly every packet does
            return mine.offset
        front = max((other.end for other in self._tracks.values()), default=None)
        offset = self._choose(mine, front, dts)
        end = dts + offset + max(0, duration)
        if mine is None:
            self._tracks[track] = _Track(offset, end)
        else:
            # A packet that was held back belongs to the clock before: it does not bring that clock back.
            mine.offset, mine.end = offset, max(mine.end, end) if offset == mine.offset else end
        return offset

    def _choose(self, mine: _Track | None, front: int | None, dts: int) -> int:
        if front is None:
            return 0
        known = [self._newest] if mine is None or mine.offset == self._newest else [mine.offset, self._newest]
        wrapped = [offset + _WRAP_US for offset in known] if self.joinable else []
        for offset in (*known, *wrapped):
            if self._goes_on(mine, front, dts + offset):
                return offset
        begin = front if mine is None else mine.end
        before, self._newest = self._newest, begin - dts
        if mine is not None and mine.offset != before and 0 < self._newest - before <= _NEAR_US:
            # Another track met the new clock first, and had ended earlier: it waits for this one, as the parts did.
            for other in self._tracks.values():
                if other.offset == before:
                    other.offset, other.end = self._newest, other.end + self._newest - before
        return self._newest

    def _goes_on(self, mine: _Track | None, front: int, at: int) -> bool:
        back = _BACK_US if self.joinable else _BACK_ROUNDED_US
        far = _FAR_US if self.joinable else _ABSURD_US
        if mine is None:
            return abs(at - front) <= far
        if at < mine.end - back:
            return False
        return at - mine.end <= far or abs(at - front) <= _NEAR_US
