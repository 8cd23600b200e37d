"""How much a recording or video will come to when it is prepared: an upper bound, measured and not believed.

What a header says of a length is a claim, and many say nothing. Every packet is looked at, which costs about what
hashing the file costs; packets are decoded only where they do not tell how much sound is in them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hume_runner.frozen import frozen
from hume_runner.media.audio import Opened, open_links, recording_kind
from hume_runner.media.clock import AUDIBLE_HOLE, MOST_SILENCE, TICKS_S
from hume_runner.media.jpeg import widest
from hume_runner.media.libav import (
    DECODER_THREADS,
    decoder_of,
    is_damage,
    libav_problems,
    moving_picture,
    sound_track,
)
from hume_runner.media.packets import TIMED, Packets
from hume_runner.media.problems import MediaProblem
from hume_runner.media.sniff import Kind
from hume_runner.media.wav import RATE_HZ

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.packet import Packet

_CHECKED_PACKETS: Final = 256  # so many are decoded to see whether packets tell the truth about their length
_SHARE_OFF: Final = Fraction(1, 200)
_PRIMING_S: Final = Fraction(3, 20)  # what encoders put before the sound, and decoders take away again
_HOLE_S: Final = Fraction(AUDIBLE_HOLE, TICKS_S)
_MOST_SILENCE_S: Final = Fraction(MOST_SILENCE, TICKS_S)
_CLOCK_ROUNDING_S: Final = Fraction(1, 500)  # as `frames` allows


@frozen
class Lengths:
    """`sound_ms`: of prepared sound, None without a sound track. `pictures`: that are sent at the rate that was asked
    for, None without moving pictures or a rate; `pixels` is the size of one at the most."""

    kind: Kind
    has_audio: bool
    has_video: bool
    sound_ms: int | None
    pictures: int | None
    pixels: tuple[int, int] | None
    sound_tracks: int = 1
    channels: int | None = None  # the most of any sound track
    heard_channels: int | None = None  # of the one that was measured


def measure(
    path: Path, *, fps: Fraction | None, max_width: int = 1280, sound: bool = True, track: int | None = None
) -> Lengths:
    """Upper bounds of what `prepare_audio` and `write_frames` give; a file that breaks off gives less.

    A track that cannot be read at all comes to nothing where there is another one.
    Raises: MediaProblem for what is neither recording nor video.
    """
    kind = recording_kind(path)
    has_video = False
    sound_s: Fraction | None = None
    pictures: int | None = None
    pixels: tuple[int, int] | None = None
    pieces = tracks = 0
    channels: list[int] = []
    heard_channels: list[int] = []
    for link in open_links(path, kind):
        if link.seconds is not None:  # bytes tell it, and nothing has to be opened
            tracks, sound_s, pieces = 1, link.seconds, 1
            channels.append(link.channels or 1)
            heard_channels.append(link.channels or 1)
            continue
        with link.open() as container:
            chosen = sound_track(container, track)
            heard, video = chosen is not None, moving_picture(container) is not None
            if chosen is not None and chosen.codec_context:
                heard_channels.append(chosen.channels)
            tracks, has_video = max(tracks, len(container.streams.audio)), has_video or video
            channels += [one.channels for one in container.streams.audio if one.codec_context]
        if heard and sound:
            with _forgiven(video):
                sound_s = sound_s or Fraction(0)
                found, holes = _sound(link, track, path.name)
                sound_s, pieces = sound_s + found, pieces + 1 + holes
        if video and fps is not None:
            with _forgiven(heard):
                pictures = pictures or 0
                count, pixels = _pictures(link, Fraction(fps), max_width, path.name)
                pictures += count
    ms = None
    if sound_s is not None:
        exact = sound_s * RATE_HZ
        # A resampler may give a sample more, each time that it is begun anew.
        samples = int(exact) if exact.denominator == 1 and pieces == 1 else int(exact) + 1 + pieces
        ms = -(-samples * 1000 // RATE_HZ)
    return Lengths(
        kind=kind,
        has_audio=tracks > 0,
        has_video=has_video,
        sound_ms=ms,
        pictures=pictures,
        pixels=pixels,
        sound_tracks=tracks,
        channels=max(channels, default=None),
        heard_channels=max(heard_channels, default=None),
    )


@contextmanager
def _forgiven(other: bool) -> Iterator[None]:
    """What is wrong with one track is no problem of a medium that has another."""
    try:
        yield
    except MediaProblem:
        if not other:
            raise


def _sound(link: Opened, track: int | None, name: str) -> tuple[Fraction, int]:
    """(seconds, holes that are filled). Packets are counted where the first ones show that they can be."""
    first = _decode(link, track, name, packets=_CHECKED_PACKETS)
    if not first.cut_short:
        return first.decoded + first.between_frames.silence, first.between_frames.number
    if not first.honest or link.kind is Kind.AAC:  # parts with another rate claim the one of the first part
        whole = _decode(link, track, name)
        return whole.decoded + whole.between_frames.silence, whole.between_frames.number + 1
    tally = _Tally(timed=link.kind in TIMED, unit=first.unit)
    with link.open() as container, libav_problems(name):
        stream = sound_track(container, track)
        assert stream is not None  # it was there just now
        for packet in Packets(container, link.kind, stream, track):
            tally.take(packet)
    holes = tally.between_packets
    return tally.claimed + holes.silence + max(Fraction(0), holes.drift), holes.number


@dataclass(slots=True)
class _Holes:
    """The silence that goes between what came, where sound is missing, and how far the clock runs ahead of it."""

    silence: Fraction = Fraction(0)
    drift: Fraction = Fraction(0)
    number: int = 0
    _end: Fraction | None = None

    def take(self, at: Fraction, length: Fraction) -> None:
        gap = Fraction(0) if self._end is None else at - self._end
        if abs(gap) >= _HOLE_S:
            self.silence += min(abs(gap), _MOST_SILENCE_S)
            self.number += 1
        else:
            self.drift += gap
        self._end = at + length


@dataclass(slots=True)
class _Tally:
    """Seconds of the packets that came, and of what they decode to.

    `unit`: what every packet decodes to, where they are all alike; else 0. `claimed` is by the packets, `decoded` by
    what came out of them; `cut_short`: there are more packets. What the clock runs ahead of the claims is sound that
    they do not speak of.
    """

    timed: bool
    unit: Fraction = Fraction(0)
    packets: int = 0
    claimed: Fraction = Fraction(0)
    decoded: Fraction = Fraction(0)
    coarse: bool = False
    cut_short: bool = False
    between_packets: _Holes = field(default_factory=_Holes)
    between_frames: _Holes = field(default_factory=_Holes)

    def take(self, packet: Packet[Any]) -> None:
        if not packet.size or packet.is_discard:
            return
        self.packets += 1
        base = packet.time_base or Fraction(1)
        length = max((packet.duration or 0) * base, self.unit)
        if self.unit and length - self.unit >= _HOLE_S:
            length = self.unit  # some formats tell a hole by the length of what is before it
        self.claimed += length
        if self.timed and packet.pts is not None:
            self.between_packets.take(packet.pts * base, length)

    def hear(self, frame: AudioFrame) -> Fraction:
        length = Fraction(frame.samples, frame.sample_rate)
        self.decoded += length
        if self.timed and frame.pts is not None and frame.time_base is not None:
            self.between_frames.take(frame.pts * frame.time_base, length)
        return length

    @property
    def honest(self) -> bool:
        """Whether the packets claim what they decode to, save what an encoder put before the sound."""
        claimed = max(self.claimed, self.packets * self.unit)
        more = claimed - self.decoded
        return (bool(self.unit) or not self.coarse) and 0 <= more <= _PRIMING_S + _SHARE_OFF * claimed


def _decode(link: Opened, track: int | None, name: str, *, packets: int | None = None) -> _Tally:
    """The first packets of sound decoded, or all; what cannot be decoded is passed over."""
    import av

    tally = _Tally(timed=link.kind in TIMED)
    sizes: list[Fraction] = []
    with link.open() as container, libav_problems(name):
        stream = sound_track(container, track)
        assert stream is not None  # it was there just now
        decoder = decoder_of(stream, name)
        decoder.thread_count = 1 if packets else DECODER_THREADS
        for packet in Packets(container, link.kind, stream, track):
            tally.take(packet)
            if packets is not None and tally.packets > packets:
                tally.cut_short = True
                break
            try:
                frames = decoder.decode(packet)
            except av.error.FFmpegError as error:
                if not is_damage(error):
                    raise
                continue
            for frame in frames:
                length = tally.hear(frame)
                if packets is not None:
                    sizes.append(length)
        base = stream.time_base
        # In a clock of milliseconds every packet may be rounded the same way.
        tally.coarse = base is None or base.denominator < (stream.rate or 0)
    inner = set(sizes[2:-2])
    if len(inner) == 1 and abs(len(sizes) - tally.packets) <= 3:
        tally.unit = inner.pop()
    return tally


def _pictures(link: Opened, fps: Fraction, max_width: int, name: str) -> tuple[int, tuple[int, int]]:
    """(how many pictures `frames.iter_frames` gives at most, the size of one): one for each tick in which one is
    shown."""
    untimed = False
    cells: set[int] = set()
    tolerance = _CLOCK_ROUNDING_S * fps
    with link.open() as container, libav_problems(name):
        stream = moving_picture(container)
        assert stream is not None  # it was there just now
        packets = Packets(container, link.kind, stream)
        for packet in packets:
            at = packet.pts if packet.pts is not None else packet.dts
            if not packet.size or packet.is_discard:
                continue
            untimed = untimed or packet.pts is None
            if at is None or not packet.time_base:
                continue
            cells.add(int(max(Fraction(0), packets.since_start(at, packet.time_base)) * fps + tolerance))
        context = decoder_of(stream, name)
        width = max(1, round(context.width * (stream.sample_aspect_ratio or Fraction(1))))
        size = widest(width, max(1, context.height), max_width=max_width)
    # Where packets do not say when they are shown, a picture may fall into a tick of its own.
    return len(cells) + untimed, size
