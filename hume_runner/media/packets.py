"""The packets of one track of a container, on the source's clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from hume_runner.media.clock import TICKS_S, Bridge
from hume_runner.media.libav import moving_picture, sound_track
from hume_runner.media.sniff import Kind

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

_US = 1_000_000
_STRAY_US = _US // 10  # a time that lies farther off may be damaged, if what follows goes on as if it were not there
_MOST_STRAY, _MOST_HELD = 32, 96  # packets: of the track, for one header of an MPEG stream times several, and of all
_MOST_REORDERED_US = 2_000_000  # between when a picture is decoded and when it is shown
# Formats whose packets carry times. The samples of the others are their clock.
TIMED = frozenset(
    {Kind.OGG, Kind.FLAC, Kind.MP4, Kind.M4A, Kind.MOV, Kind.MATROSKA, Kind.WEBM}
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
        """In the file's order. The last one is empty and asks the decoder for what it holds back.

        Whole numbers throughout, and nothing asked twice: this runs for every packet.
        """
        wanted, begin_us, bridge = self._stream.index, self._begin_us, self._bridge
        rates = {
            one.index: (one.time_base.numerator * _US, one.time_base.denominator)
            for one in self._streams
            if one.time_base
        }
        moved = dict.fromkeys(rates, 0)
        reorders = self._stream.type == "video"
        lag = reached_us = 0
        demuxed: Iterable[Packet[Any]] = _until_the_end(self._container.demux(self._streams))
        for packet in demuxed if bridge is None else _without_strays(demuxed, rates):
            dts = packet.dts
            # The last packets, which are empty, bear no number of their stream.
            index = wanted if dts is None and bridge is None else packet.stream.index
            if dts is not None and index in rates:
                up, down = rates[index]
                at_us = dts * up // down
                length_us = packet.duration or 0
                length_us = length_us * up // down
                if bridge is not None:
                    offset_us = bridge.offset(index, at_us, length_us)
                    if offset_us or moved[index]:
                        moved[index] = (2 * offset_us * down + up) // (2 * up)
                    at_us += offset_us
                at_us += length_us - begin_us
                if at_us > reached_us:
                    self.reached_us = reached_us = at_us
            if index != wanted:
                continue
            if reorders and dts is not None and (pts := packet.pts) is not None and index in rates:
                # libav takes a picture's time from the packets behind it, and those may belong to the next clock.
                if abs(pts - dts) * rates[index][0] < _MOST_REORDERED_US * rates[index][1]:
                    lag = pts - dts
                else:
                    packet.pts = dts + lag
            by = moved.get(index)
            if by:
                if dts is not None:
                    packet.dts = dts + by
                if (pts := packet.pts) is not None:
                    packet.pts = pts + by
            yield packet

    def since_start(self, pts: int, base: Fraction) -> Fraction:
        """Seconds from the start of what a player shows, of a time in what was decoded."""
        return pts * base - Fraction(self._begin_us, _US)

    def ticks(self) -> Callable[[int], int]:
        """The same for times of the wanted track in its own units, in 1/16000 s: whole numbers, for every frame."""
        base = self._stream.time_base or Fraction(1, _US)
        up, down = base.numerator * TICKS_S, base.denominator
        begin = round(Fraction(self._begin_us, _US) * TICKS_S)
        return lambda pts: (2 * pts * up + down) // (2 * down) - begin


def _until_the_end(packets: Iterable[Packet[Any]]) -> Iterator[Packet[Any]]:
    """The packets. At their end PyAV stumbles over streams that began behind where it looked for them, by chance: by
    then it has given out the last of those that are known."""
    try:
        yield from packets
    except IndexError:
        return


def _without_strays(packets: Iterable[Packet[Any]], rates: Mapping[int, tuple[int, int]]) -> Iterator[Packet[Any]]:
    """The packets in their order. Where a few of a track leave its clock and the next one is back on it, a time was
    damaged, and not the clock: those few lie where they would without it.
    """
    ends: dict[int, int] = {}
    held: list[Packet[Any]] = []
    track = away = strays = stray_end = due = 0  # of those that are held: how far off they begin, where they end
    for packet in packets:
        dts = packet.dts
        index = -1 if dts is None else packet.stream.index
        if dts is None or index not in rates:
            yield from held
            held = []
            yield packet
            continue
        up, down = rates[index]
        at, length = dts * up // down, (packet.duration or 0) * up // down
        end = ends.get(index, at)
        ends[index] = at + length
        if not held:
            if -_STRAY_US <= at - end <= _STRAY_US:
                yield packet
            else:
                held, track, away, strays, stray_end, due = [packet], index, at - end, 1, at + length, end + length
            continue
        if index == track:
            back = stray_end - at
            if abs(at - due) <= _STRAY_US and abs(back) > _STRAY_US and (back > 0) == (away > 0):
                for stray in held:
                    if stray.dts is not None and stray.stream.index == track:
                        _move(stray, -away * down // up)
                strays = _MOST_STRAY
            strays, stray_end, due = strays + 1, at + length, due + length
        held.append(packet)
        if strays > _MOST_STRAY or len(held) > _MOST_HELD:
            yield from held
            held = []
    yield from held


def _move(packet: Packet[Any], by: int) -> None:
    if packet.dts is not None:
        packet.dts += by
    if packet.pts is not None:
        packet.pts += by
