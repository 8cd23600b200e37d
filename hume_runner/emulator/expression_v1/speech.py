"""Which stretches of a recording are speech, from its samples: a rule simple enough to predict.

1. A sample is loud outside -256..255 (about -42 dB of full scale). A window of 10 ms is loud when at least a tenth of
   its samples are. Windows begin at every millisecond.
2. Milliseconds in a loud window are voice. Pauses in voice shorter than 240 ms do not end an utterance, so a silent
   pause of 300 ms or more always does. Less than 60 ms of voice is a click and no utterance.
3. An utterance goes from 60 ms before its first voice to 60 ms after its last, within the recording.

Nothing depends on where in the recording a sound stands, nor on what else is in it. So a part that was cut in a pause,
on a whole millisecond, has the utterances of the whole recording.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

SAMPLES_PER_MS = 16
_LOUD_SAMPLES = 16  # of the 160 in a window
_WINDOW_MS = 10
_PAUSE_MS = 240
_CLICK_MS = 60
_MARGIN_MS = 60
# The high byte of a sample says whether it is loud: neither 0 (0 to 255) nor 255 (-256 to -1).
_LOUD = bytes([0]) + bytes([1]) * 254 + bytes([0])


class Utterance(NamedTuple):
    """Milliseconds from the start of the recording; the end is exclusive."""

    start_ms: int
    end_ms: int


def find_utterances(blocks: Iterable[bytes], samples: int) -> list[Utterance]:
    """The utterances of `samples` signed 16-bit little-endian samples at 16 kHz, which come in blocks of any size."""
    duration_ms = -(-samples // SAMPLES_PER_MS)
    found: list[Utterance] = []
    for voice in _merged(_voiced(_loudness(blocks)), gap_ms=_PAUSE_MS):
        if voice.end_ms - voice.start_ms >= _CLICK_MS:
            found.append(Utterance(max(0, voice.start_ms - _MARGIN_MS), min(duration_ms, voice.end_ms + _MARGIN_MS)))
    return found


def _loudness(blocks: Iterable[bytes]) -> bytes:
    """Loud samples in each millisecond, one byte each."""
    counts = bytearray()
    rest = b""
    for block in blocks:
        data = rest + block
        whole = len(data) - len(data) % (2 * SAMPLES_PER_MS)
        marks, rest = data[1:whole:2].translate(_LOUD), data[whole:]
        counts += bytes(marks.count(1, at, at + SAMPLES_PER_MS) for at in range(0, len(marks), SAMPLES_PER_MS))
    if rest:
        counts.append(rest[1::2].translate(_LOUD).count(1))
    return bytes(counts)


def _voiced(counts: bytes) -> Iterator[Utterance]:
    """Stretches of voice: loud windows that follow one another. Two may overlap by some milliseconds."""
    sums = array("I", accumulate(counts, initial=0))
    loud = bytes(after - before >= _LOUD_SAMPLES for before, after in zip(sums, sums[_WINDOW_MS:], strict=False))
    start = loud.find(1)
    while start >= 0:
        end = loud.find(0, start)
        end = len(loud) if end < 0 else end
        yield Utterance(start, end - 1 + _WINDOW_MS)
        start = loud.find(1, end)


def _merged(spans: Iterable[Utterance], *, gap_ms: int) -> Iterator[Utterance]:
    """Spans in order, joined where less than `gap_ms` is between them."""
    current: Utterance | None = None
    for span in spans:
        if current is None:
            current = span
        elif span.start_ms - current.end_ms < gap_ms:
            current = Utterance(current.start_ms, span.end_ms)
        else:
            yield current
            current = span
    if current is not None:
        yield current


class Window(NamedTuple):
    """One measurement of an utterance; `trigger` is why it was made: `interval` or `speech_ended`."""

    start_ms: int
    end_ms: int
    trigger: str


_LONGEST_MS = 10_000
_TAIL_MS = 1000


def measurement_windows(utterance: Utterance, timer_ms: int) -> Sequence[Window]:
    """Every `timer_ms` of speech one over the last ten seconds, and one at the end unless one has just been made."""
    start, end = utterance
    ends = range(start + timer_ms, end + 1, timer_ms)
    windows = [Window(max(start, at - _LONGEST_MS), at, "interval") for at in ends]
    if not windows or end - windows[-1].end_ms >= _TAIL_MS:
        windows.append(Window(max(start, end - _LONGEST_MS), end, "speech_ended"))
    return windows
