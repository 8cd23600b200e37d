"""The packets of one track of a container, on the source's clock."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from hume_runner.media.clock import Bridge
from hume_runner.media.libav import moving_picture, sound_track
from hume_runner.media.sniff import Kind

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

_US = 1_000_000
_MOST_REORDERED_S = 2  # between when a picture is decoded and when it is shown
# Formats whose packets carry times. The samples of the others are their clock.
TIMED = frozenset(
    {Kind.OGG, Kind.MP4, Kind.M4A, Kind.MOV, Kind.MATROSKA, Kind.WEBM}
    | {Kind.AVI, Kind.ASF, Kind.FLV, Kind.MPEG_PS, Kind.MPEG_TS}
)
# Their index counts each track's time upwards, so that it cannot break: other tracks need not be looked at.
_NEVER_BREAK = frozenset({Kind.MP4, Kind.M4A, Kind.MOV})
_MADE_TO_BE_JOINED = frozenset({Kind.MPEG_TS, Kind.MPEG_PS, Kind.OGG})


class Packets:
    """The packets of `stream`, with times that go on where the file's own clock breaks.

    `reached_us` is where the last packet of any track ended so far, from the start of what a player shows.
    """

    def __init__(self, container: InputContainer, kind: Kind, stream: Stream, track: int | None = None) -> None:
        self._container = container
        self._stream = stream
        self._begin_us = container.start_time or 0
        self._streams: list[Stream] = [stream]
        self._bridge: Bridge | None = None
        if kind in TIMED - _NEVER_BREAK:
            # Sound and pictures are prepared one after the other and must come to the same clock: both see both.
            others = (sound_track(container, track), moving_picture(container))
            self._streams += [other for other in others if other is not None and other.index != stream.index]
            self._bridge = Bridge(joinable=kind in _MADE_TO_BE_JOINED)
        self.reached_us = 0

    def __iter__(self) -> Iterator[Packet[Any]]:
        """In the file's order. The last one is empty and asks the decoder for what it holds back."""
        wanted = self._stream.index
        bases = {stream.index: stream.time_base for stream in self._streams}
        offsets = dict.fromkeys(bases, 0)
        lag = 0
        for packet in self._container.demux(self._streams):
            index = packet.stream.index  # the last packets, which are empty, bear no number
            base = bases[index]
            dts = packet.dts
            if dts is not None and base is not None:
                begin_us = dts * base.numerator * _US // base.denominator
                length_us = (packet.duration or 0) * base.numerator * _US // base.denominator
                if self._bridge is not None:
                    offsets[index] = self._bridge.offset(index, begin_us, length_us)
                self.reached_us = max(self.reached_us, begin_us + offsets[index] + length_us - self._begin_us)
            if index != wanted:
                continue
            if dts is not None and packet.pts is not None and base is not None:
                # libav takes a picture's time from the packets behind it, and those may belong to the next clock.
                if abs(packet.pts - dts) * base < _MOST_REORDERED_S:
                    lag = packet.pts - dts
                else:
                    packet.pts = dts + lag
            if offsets[index] and base is not None:
                moved = round(Fraction(offsets[index], _US) / base)
                if dts is not None:
                    packet.dts = dts + moved
                if packet.pts is not None:
                    packet.pts += moved
            yield packet

    def since_start(self, pts: int, base: Fraction) -> Fraction:
        """Seconds from the start of what a player shows, of a time in what was decoded."""
        return pts * base - Fraction(self._begin_us, _US)
