"""Where there is voice in a recording, and how its voiced parts are put together for a recogniser that hears half a
minute at a time.

The detector is Silero VAD v6 (MIT, https://github.com/snakers4/silero-vad), as faster-whisper 1.2.1 ships it: one
probability for each 32 ms. Everything else here is pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hume_runner.frozen import frozen
from hume_runner.services.local.measurers.base import SOUND_RATE_HZ

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HOP = 512  # samples that one probability stands for
_CONTEXT = 64  # samples before them that the network sees as well
_HOPS_A_CALL = 1000  # so that memory does not grow with the length of the sound

# The detector's own defaults, save that a short "no" counts as voice.
_BEGINS, _ENDS = 0.5, 0.35
_SILENCE = SOUND_RATE_HZ // 10
_SHORTEST = SOUND_RATE_HZ // 10

PAD = SOUND_RATE_HZ * 2 // 5  # silence that is left around voice: Whisper drops words that begin with the sound
REACH_S = 0.4  # by which a word may be made longer, so that voice without words is not taken for one
_GRAZED_S = 0.05  # what reaches into a span by less belongs to the one beside it
LONGEST = SOUND_RATE_HZ * 29  # of what is heard at a time: a little less than Whisper's window of 30 s


@frozen
class Span:
    """Samples `begin` to `end`, half open."""

    begin: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.begin

    @property
    def begin_s(self) -> float:
        return self.begin / SOUND_RATE_HZ

    @property
    def end_s(self) -> float:
        return self.end / SOUND_RATE_HZ


@frozen
class Pack:
    """Spans that are heard one after another, without the silence between them."""

    spans: tuple[Span, ...]

    @property
    def length(self) -> int:
        return sum(span.length for span in self.spans)

    def placed(self, begin_s: float, end_s: float) -> tuple[float, float]:
        """Seconds of the pack as seconds of the sound. What spans a join lies where its middle does."""
        middle = (begin_s + end_s) / 2 * SOUND_RATE_HZ
        before = 0
        for span in self.spans:
            if middle < before + span.length or span is self.spans[-1]:
                break
            before += span.length

        def place(second: float) -> float:
            sample = span.begin - before + second * SOUND_RATE_HZ
            return min(max(sample, span.begin), span.end) / SOUND_RATE_HZ

        return place(begin_s), place(end_s)


class Detector:
    """The network with its weights loaded."""

    def __init__(self, weights: Path) -> None:
        """Raises: OSError, ValueError for weights that cannot be used."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.inter_op_num_threads = options.intra_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 4
        model = weights.read_bytes()
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own classes have no common base that is public
            raise ValueError(f"{weights}: not a network that can be run: {error}") from error

    def __call__(self, samples: NDArray[np.float32]) -> list[float]:
        """The probability of voice of each `HOP` samples; the last are filled up with silence."""
        import numpy as np

        state = np.zeros((1, 1, 128), dtype=np.float32)
        memory = np.zeros((1, 1, 128), dtype=np.float32)
        found: list[float] = []
        step = HOP * _HOPS_A_CALL
        for first in range(0, len(samples), step):
            # The samples before the first are silence.
            part = samples[max(0, first - _CONTEXT) : first + step]
            before = _CONTEXT if first == 0 else 0
            after = -(len(part) + before - _CONTEXT) % HOP
            part = np.pad(part, (before, after))
            seen = np.lib.stride_tricks.sliding_window_view(part, _CONTEXT + HOP)[::HOP]
            given = {"input": np.ascontiguousarray(seen), "h": state, "c": memory}
            probabilities, state, memory = self._session.run(None, given)
            found += probabilities.ravel().tolist()
        return found


def voiced(probabilities: Sequence[float], length: int) -> tuple[Span, ...]:
    """Where there is voice in `length` samples. A probability of 0.5 begins it; it ends where the probability stays
    below 0.35 for a tenth of a second, and is none where it lasts less than that."""
    found: list[Span] = []
    begin: int | None = None
    silent: int | None = None
    for number, probability in enumerate(probabilities):
        at = number * HOP
        if probability >= _BEGINS:
            silent = None
            if begin is None:
                begin = at
        elif probability < _ENDS and begin is not None:
            if silent is None:
                silent = at
            if at + HOP - silent >= _SILENCE:
                found.append(Span(begin=begin, end=silent))
                begin = silent = None
    if begin is not None:
        found.append(Span(begin=begin, end=length if silent is None else silent))
    return tuple(span for span in found if span.length >= _SHORTEST)


def packs(spans: Sequence[Span], probabilities: Sequence[float], length: int) -> Iterator[Pack]:
    """The voiced spans with some silence around them, in packs of at most `LONGEST` samples.

    Long silence is left out, and not what is heard: few packs are quick, since each costs the recogniser the same.
    After Bain et al. 2023, "WhisperX" (section 2.2, cut and merge).
    """
    sofar: list[Span] = []
    for span in _cut(_padded(spans, length), probabilities):
        if sofar and sum(one.length for one in sofar) + span.length > LONGEST:
            yield Pack(spans=tuple(sofar))
            sofar = []
        sofar.append(span)
    if sofar:
        yield Pack(spans=tuple(sofar))


def overlap(spans: Sequence[Span], begin_s: float, end_s: float) -> float:
    """Seconds between two moments that are voiced."""
    return sum(max(0.0, min(end_s, span.end_s) - max(begin_s, span.begin_s)) for span in spans)


def fitted(words: Sequence[tuple[float, float]], spans: Sequence[Span]) -> list[tuple[float, float]]:
    """The times of words in order, put where there is voice.

    Whisper stretches words over the silence beside them, of which it knows little, and begins the first late. So
    silence at the ends of a word is cut off, and the first and last word of a span reach to its ends, by at most
    `REACH_S`. A word where no voice is stays as it was.
    """
    found: list[tuple[float, float]] = []
    for number, (heard_from, heard_to) in enumerate(words):
        near = [span for span in spans if span.begin_s <= heard_to and span.end_s >= heard_from]
        touched = [one for one in near if min(heard_to, one.end_s) - max(heard_from, one.begin_s) > _GRAZED_S] or near
        before = found[-1][1] if found else 0.0
        after = words[number + 1][0] if number + 1 < len(words) else math.inf
        begin, end = heard_from, heard_to
        if touched:
            first, last = touched[0].begin_s, touched[-1].end_s
            if begin < first or (before <= first and begin - first <= REACH_S):
                begin = first
            if end > last or (after >= last and last - end <= REACH_S):
                end = last
        begin = max(begin, before)
        found.append((begin, max(begin, end)))
    return found


def _padded(spans: Sequence[Span], length: int) -> list[Span]:
    """Each span with its share of the silence around it; spans that then touch are one."""
    found: list[Span] = []
    for number, span in enumerate(spans):
        before = span.begin - (spans[number - 1].end if number else 0)
        after = (spans[number + 1].begin if number + 1 < len(spans) else length) - span.end
        first = span.begin - min(PAD, before // 2 if number else before)
        last = span.end + min(PAD, after - after // 2 if number + 1 < len(spans) else after)
        if found and found[-1].end >= first:
            found[-1] = Span(begin=found[-1].begin, end=last)
        else:
            found.append(Span(begin=first, end=last))
    return found


def _cut(spans: Sequence[Span], probabilities: Sequence[float]) -> Iterator[Span]:
    """Spans that are too long are cut where voice is least likely, in the second half of what would fit."""
    for span in spans:
        begin = span.begin
        while span.end - begin > LONGEST:
            first, last = (begin + LONGEST // 2) // HOP + 1, (begin + LONGEST) // HOP
            at = min(range(first, last), key=lambda hop: (probabilities[hop], -hop)) * HOP + HOP // 2
            yield Span(begin=begin, end=at)
            begin = at
        yield Span(begin=begin, end=span.end)
