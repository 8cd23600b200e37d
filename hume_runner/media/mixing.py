"""Many channels to one, so that nobody's voice is lost: which mix is taken, and whether channels cancel each other."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import add, mul
from typing import TYPE_CHECKING, Protocol

from hume_runner.media.problems import MediaProblem
from hume_runner.media.wav import RATE_HZ

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.plane import AudioPlane

# Layouts whose every channel libav's own mix knows the place of (it leaves out what only shakes the floor). In any
# other, places are unknown or guessed, and a guess takes a third speaker's microphone for such a channel: 2.1.
_PLACED = re.compile(
    r"mono|stereo|downmix|(?:[2-7]\.0|[5-7]\.1)(\((back|side|front|wide|wide-side)\))?|quad(\(side\))?|(hex|oct)agonal"
)
_EVERY_S, _SELDOM_S = 0.05, 2.0  # how often channels are compared, and once enough was heard
_ENOUGH = 100  # audible looks
_GATHERED = 16_384  # samples
_LOOK_SAMPLES = 128
_AUDIBLE = (1 / 1000) ** 2  # mean square, of full scale
# Channels that have nothing to do with each other leave 1 of 1 here; those that cancel each other next to nothing.
_CANCELLED = 0.05
_CODES = {"u8": "B", "s16": "h", "s32": "i", "flt": "f", "dbl": "d"}
_FULL = {"B": 1 << 7, "h": 1 << 15, "i": 1 << 31, "f": 1, "d": 1}


class Mixer(Protocol):
    """Frames of any channels in, 16 kHz mono signed 16-bit out; None asks for what is held back."""

    def resample(self, frame: AudioFrame | None, /) -> list[AudioFrame]: ...


def mixer(frame: AudioFrame, name: str, channel: int | None) -> Mixer:
    """What mixes frames like this one: one `channel` (from 1) alone, or all of them.

    Raises: MediaProblem "no_audio" for a channel that is not there.
    """
    channels = frame.layout.nb_channels
    if channel is not None and channel > channels:
        there = "there is one" if channels == 1 else f"there are {channels}"
        raise MediaProblem("no_audio", f"{name}: no channel {channel} in its sound; {there}")
    if channels == 1 or (channel is None and _PLACED.fullmatch(frame.layout.name)):
        from av.audio.resampler import AudioResampler

        return _Gathered(AudioResampler(format="s16", layout="mono", rate=RATE_HZ))
    if channel is not None:
        return _Gathered(_Pan(frame, f"c{channel - 1}"))
    if frame.layout.name.startswith("ambisonic"):
        return _Gathered(_Pan(frame, "c0"))  # its first channel hears all around
    return _Gathered(_Pan(frame, "+".join(f"{1 / channels}*c{number}" for number in range(channels))))


class _Gathered:
    """Gathers small frames before they are mixed: a call costs more than what a thousand samples do."""

    def __init__(self, mixer: Mixer) -> None:
        from av.audio.fifo import AudioFifo

        self._mixer = mixer
        self._fifo = AudioFifo()

    def resample(self, frame: AudioFrame | None, /) -> list[AudioFrame]:
        if frame is not None:
            self._fifo.write(frame)
            if self._fifo.samples < _GATHERED:
                return []
        gathered = self._fifo.read() if self._fifo.samples else None
        found = self._mixer.resample(gathered) if gathered is not None else []
        return found if frame is not None else [*found, *self._mixer.resample(None)]


class _Pan:
    """One channel as a sum of others."""

    def __init__(self, frame: AudioFrame, total: str) -> None:
        from av.filter import Graph

        self._graph = Graph()
        source = self._graph.add(
            "abuffer",
            f"sample_rate={frame.sample_rate}:sample_fmt={frame.format.name}:time_base=1/{frame.sample_rate}"
            f":channel_layout={_layout(frame)}",
        )
        steps = [
            self._graph.add("pan", f"mono|c0={total}"),
            self._graph.add("aformat", f"sample_fmts=s16:sample_rates={RATE_HZ}:channel_layouts=mono"),
            self._graph.add("abuffersink"),
        ]
        for step in steps:
            source.link_to(step)
            source = step
        self._graph.configure()

    def resample(self, frame: AudioFrame | None, /) -> list[AudioFrame]:
        self._graph.push(frame)
        return list(self._pulled())

    def _pulled(self) -> Iterator[AudioFrame]:
        import av

        while True:
            try:
                yield self._graph.pull()  # type: ignore[misc]
            except (av.error.BlockingIOError, av.error.EOFError):
                return


def _layout(frame: AudioFrame) -> str:
    """How a filter's arguments name the layout; one without places is a count."""
    name = frame.layout.name
    return f"{frame.layout.nb_channels}C" if name.endswith(" channels") else name


@dataclass(slots=True)
class Comparison:
    """Looks at the channels from time to time; `cancelled` is known at the end.

    Energies are sums over all looks: of each channel, and of the plain mean of all.
    """

    _left_s: float = 0.0
    _audible: int = 0
    _mixed: float = 0.0
    _each: list[float] = field(default_factory=list)

    def is_time(self, seconds: float) -> bool:
        """Whether the next frame, of so many seconds, is one to look at."""
        self._left_s -= seconds
        return self._left_s <= 0

    def hear(self, frame: AudioFrame) -> None:
        """Look at a frame."""
        channels = frame.layout.nb_channels
        if channels < 2:
            self._left_s = _SELDOM_S
            return
        found = _samples(frame, channels)
        each = [sum(map(mul, one, one)) / len(one) for one in found if one]
        if len(each) != channels:
            return
        if max(each) > _AUDIBLE:
            total = found[0]
            for other in found[1:]:
                total = list(map(add, total, other))
            self._audible += 1
            self._mixed += sum(map(mul, total, total)) / len(total) / channels**2
            if len(self._each) != channels:
                self._each = [0.0] * channels
            self._each = list(map(add, self._each, each))
        self._left_s = _EVERY_S if self._audible < _ENOUGH else _SELDOM_S

    @property
    def cancelled(self) -> int | None:
        """The loudest channel, from 1, where a mix of all is silent and they are not."""
        if not self._each or self._mixed >= _CANCELLED * sum(self._each) / len(self._each) ** 2:
            return None
        return self._each.index(max(self._each)) + 1


def _samples(frame: AudioFrame, channels: int) -> list[list[float]]:
    """The first samples of each channel, 1 for full scale."""
    name = frame.format.name
    code = _CODES.get(name.removesuffix("p"))
    if code is None:
        return []
    count = min(frame.samples, _LOOK_SAMPLES)
    scale = 1 / _FULL[code]
    base = 128 if code == "B" else 0
    width = array(code).itemsize

    def read(plane: AudioPlane, values: int) -> list[float]:
        return [*array(code, bytes(memoryview(plane)[: values * width]))]

    if name.endswith("p"):
        raw = [read(plane, count) for plane in frame.planes]
    else:
        flat = read(frame.planes[0], count * channels)
        raw = [flat[number::channels] for number in range(channels)]
    return [[(value - base) * scale for value in one] for one in raw]
