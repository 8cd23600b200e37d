"""Where to cut a long recording: near even parts, in the middle of the longest pause nearby.

The decision is pure and works on levels, the loudness of each 10 ms frame; only the neighbourhood of a cut is ever
read. Offsets are samples at 16 kHz and multiples of 16, so that every offset is a whole number of milliseconds.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from math import isqrt
from operator import mul
from pathlib import Path
from sys import byteorder

from hume_runner.frozen import frozen
from hume_runner.media.wav import BYTES_PER_SAMPLE, HEADER_BYTES, RATE_HZ

MAX_BODY_BYTES = 24_900_000  # the service takes 25 MB, whichever way it counts them
MULTIPART_BYTES = 4_096  # generous: boundaries, part headers and the configuration
MAX_PART_SAMPLES = 780 * RATE_HZ
SEARCH_RADIUS = 30 * RATE_HZ
FRAME_SAMPLES = 160  # 10 ms
ROUNDING = 16  # 1 ms

_PAUSE_FRAMES = 20  # 200 ms: the quietest such passage says how quiet a pause is here
_CONTEXT_FRAMES = 500  # 5 s beyond the search, so that a pause at its edge is seen whole
_INAUDIBLE = 30  # RMS of 16-bit samples, about -61 dB of full scale
_READ_FRAMES = 2_048

# levels(first_frame, frames) -> the RMS of each frame that exists in that range
Levels = Callable[[int, int], Sequence[int]]


@frozen
class Part:
    """A run of samples of a prepared recording, to be sent as one request."""

    index: int
    first_sample: int
    samples: int

    @property
    def offset_ms(self) -> int:
        """Exact: cuts are multiples of 16 samples."""
        return self.first_sample * 1000 // RATE_HZ


def part_ceiling(max_body_bytes: int = MAX_BODY_BYTES) -> int:
    """The most samples that one request may carry, in a WAV and a multipart body.

    Raises: ValueError for a body too small to carry 100 ms.
    """
    ceiling = min((max_body_bytes - HEADER_BYTES - MULTIPART_BYTES) // BYTES_PER_SAMPLE, MAX_PART_SAMPLES)
    ceiling -= ceiling % ROUNDING
    if ceiling < RATE_HZ // 10:
        raise ValueError(f"a body of {max_body_bytes} bytes carries no recording")
    return ceiling


def search_radius(max_body_bytes: int = MAX_BODY_BYTES) -> int:
    """How far a cut may move: 30 s, or an eighth of a part where bodies are much smaller than usual."""
    radius = min(SEARCH_RADIUS, part_ceiling(max_body_bytes) // 8)
    return radius - radius % ROUNDING


def parts_needed(samples: int, max_body_bytes: int = MAX_BODY_BYTES) -> int:
    """How many parts, so that each still fits when both its cuts move as far as they may."""
    ceiling = part_ceiling(max_body_bytes)
    if samples <= ceiling:
        return 1
    return -(-samples // (ceiling - 2 * search_radius(max_body_bytes) - ROUNDING))


def choose_cuts(levels: Levels, samples: int, parts: int, *, radius: int = SEARCH_RADIUS) -> tuple[int, ...]:
    """The first samples of parts 2 to `parts`, ascending.

    Each is within `radius` of the even cut, in the pause and at the place in it that are farthest from speech, and so
    never in speech while there is a pause. Without one it is the even cut.
    """
    return tuple(_choose_cut(levels, samples * number // parts, radius) for number in range(1, parts))


def split(levels: Levels, samples: int, *, max_body_bytes: int = MAX_BODY_BYTES) -> tuple[Part, ...]:
    """A recording of `samples` as parts that each fit a request; one part if it fits whole."""
    parts = parts_needed(samples, max_body_bytes)
    cuts = choose_cuts(levels, samples, parts, radius=search_radius(max_body_bytes))
    edges = (0, *cuts, samples)
    return tuple(
        Part(index=index, first_sample=begin, samples=end - begin) for index, (begin, end) in enumerate(pairwise(edges))
    )


def _choose_cut(levels: Levels, even: int, radius: int) -> int:
    even -= even % ROUNDING
    lowest, highest = even - radius, even + radius
    first_frame = max(0, lowest // FRAME_SAMPLES - _CONTEXT_FRAMES)
    frames = levels(first_frame, -(-highest // FRAME_SAMPLES) + _CONTEXT_FRAMES - first_frame)
    begin = first_frame * FRAME_SAMPLES
    inside = [
        (start, end)
        for start, end in quiet_runs(frames, quiet_below(frames))
        if begin + start * FRAME_SAMPLES < highest and begin + end * FRAME_SAMPLES > lowest
    ]
    if not inside:
        return even

    def cut_in(run: tuple[int, int]) -> int:
        middle = begin + (run[0] + run[1]) * FRAME_SAMPLES // 2
        return min(max(middle, lowest), highest)

    def clearance(run: tuple[int, int]) -> int:
        """Samples between the cut and the nearer end of the pause: a long pause at the edge of the range may have
        its middle outside, and then its edge is close to speech."""
        cut = cut_in(run)
        return min(cut - (begin + run[0] * FRAME_SAMPLES), begin + run[1] * FRAME_SAMPLES - cut)

    # The longest; of equals the one that keeps the parts most even, then the earlier.
    return cut_in(min(inside, key=lambda run: (-clearance(run), abs(cut_in(run) - even), run[0])))


def quiet_below(levels: Sequence[int]) -> int:
    """The level under which a frame counts as pause, from this recording's own quiet and loud.

    The quietest 200 ms are taken as a pause, so one pause in a minute of speech is enough to know how quiet it is
    here. The limit is twice that, and never above the geometric middle of quiet and loud.
    """
    if not levels:
        return _INAUDIBLE
    quiet = min(_window_maxima(levels, min(_PAUSE_FRAMES, len(levels))))
    loud = sorted(levels)[len(levels) * 95 // 100]
    return max(_INAUDIBLE, min(2 * quiet, isqrt(quiet * loud)), quiet) + 1


def _window_maxima(levels: Sequence[int], width: int) -> Iterator[int]:
    """The loudest frame of every `width` frames in a row, in linear time."""
    falling: list[int] = []  # indexes of ever lower levels; the head is the loudest of the window
    head = 0
    for index, level in enumerate(levels):
        while len(falling) > head and levels[falling[-1]] <= level:
            falling.pop()
        falling.append(index)
        if falling[head] <= index - width:
            head += 1
        if index >= width - 1:
            yield levels[falling[head]]


def quiet_runs(levels: Sequence[int], limit: int) -> Iterator[tuple[int, int]]:
    """Runs of frames below `limit`, as [first, behind the last)."""
    start: int | None = None
    for index, level in enumerate(levels):
        if level < limit:
            start = index if start is None else start
        elif start is not None:
            yield start, index
            start = None
    if start is not None:
        yield start, len(levels)


def wav_levels(path: Path) -> Levels:
    """Levels of a prepared WAV (16 kHz mono 16-bit, plain header), read as they are asked for."""

    def levels(first_frame: int, frames: int) -> Sequence[int]:
        found = array("H")
        with path.open("rb") as file:
            file.seek(HEADER_BYTES + first_frame * FRAME_SAMPLES * BYTES_PER_SAMPLE)
            while frames > 0:
                block = file.read(min(frames, _READ_FRAMES) * FRAME_SAMPLES * BYTES_PER_SAMPLE)
                if not block:
                    break
                found.extend(_rms(block))
                frames -= _READ_FRAMES
        return found

    return levels


def _rms(block: bytes) -> Iterator[int]:
    samples = array("h", block[: len(block) // BYTES_PER_SAMPLE * BYTES_PER_SAMPLE])
    if byteorder == "big":
        samples.byteswap()
    for start in range(0, len(samples), FRAME_SAMPLES):
        frame = samples[start : start + FRAME_SAMPLES]
        yield isqrt(sum(map(mul, frame, frame)) // len(frame))
