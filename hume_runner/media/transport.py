"""MPEG transport streams that were joined from recordings whose packets bear other numbers, read as if they bore one's.

A demuxer follows the streams that it found at the beginning: of a second part with other packet identifiers (PIDs), or
another program, it would give nothing, and say nothing. Players begin anew with each table of programs; here the later
parts get the numbers of the first one, and their clocks are bridged as those of any joined parts.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hume_runner.frozen import frozen
from hume_runner.media.problems import MediaProblem
from hume_runner.media.views import FileView

_PACKET = 188
_STRIDES = (188, 192, 204)
_PAT = b"\x47\x40\x00"  # the head of a packet with which a table of programs begins
_NOTHING = 0x1FFF  # the PID of packets that are to be passed over
_READ, _TABLE_WITHIN = 1 << 22, 1 << 16
_PICTURES = frozenset({0x01, 0x02, 0x10, 0x1B, 0x24, 0x33, 0xD1, 0xEA})
_SOUND = frozenset({0x03, 0x04, 0x0F, 0x11, 0x1C, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87})
_ALIKE = {0x01: 0x02, 0x04: 0x03}  # two generations that one decoder reads
_PRIVATE = 0x06
_SOUND_TAGS = frozenset({0x6A, 0x7A, 0x7B, 0x7C})  # AC-3, E-AC-3, DTS, AAC by the descriptors of DVB
_SOUND_FORMATS = frozenset({b"AC-3", b"EAC3", b"Opus", b"BSSD", b"DTS1", b"DTS2", b"DTS3"})


@frozen(kw_only=False)
class Track:
    """`what`: "sound" or "picture"; `codec`: alike where one decoder reads both."""

    pid: int
    what: str
    codec: tuple[int, bytes]


@frozen(kw_only=False)
class Part:
    """From byte `begin` on, where a packet begins, these tables hold. `table` is the PID of the one with the tracks."""

    begin: int
    table: int
    tracks: tuple[Track, ...]


def one_program(path: Path) -> io.RawIOBase | None:
    """What to read in place of the file; None for one whose parts bear the same numbers, as nearly all do.

    Raises: MediaProblem "unsupported" where a later part has sound or pictures that the first one cannot stand for.
    """
    status = path.stat()
    stride, parts = _parts(path, status.st_size, status.st_mtime_ns, status.st_ino)
    if all((part.table, part.tracks) == (parts[0].table, parts[0].tracks) for part in parts):
        return None
    return _Renumbered(path, stride, [(part.begin, _renumbering(parts[0], part, path.name)) for part in parts])


@functools.lru_cache(maxsize=64)
def _parts(path: Path, size: int, mtime_ns: int, inode: int) -> tuple[int, tuple[Part, ...]]:
    """(bytes from packet to packet, the parts). One part, or none, for a file of several programs at a time."""
    del size, mtime_ns, inode  # another file under this name
    parts: list[Part] = []
    stride = _PACKET
    with path.open("rb") as file:
        for at, part in _tables(file):
            if part is None:
                return stride, tuple(parts[:1])
            if not parts:
                stride = _stride(file, at)
                parts.append(Part(0, part.table, part.tracks))
                continue
            last = parts[-1]
            same = (part.table, part.tracks) == (last.table, last.tracks)
            # Joined after a cut within a packet, the same numbers begin elsewhere.
            if not same or (len(parts) > 1 and (part.begin - last.begin) % stride):
                parts.append(part)
    return stride, tuple(parts)


def _tables(file: io.BufferedReader) -> Iterator[tuple[int, Part | None]]:
    """(offset, part) of each table of programs with the table of tracks behind it; None where there are several."""
    base, data = 0, file.read(_READ)
    known: dict[bytes, list[int] | None] = {}
    tracks: dict[bytes, tuple[Track, ...] | None] = {}
    while data:
        last = len(data) < _READ
        usable = len(data) if last else len(data) - _TABLE_WITHIN
        at = data.find(_PAT)
        while 0 <= at < usable:
            packet = data[at : at + _PACKET]
            if packet not in known:
                if len(known) > 10_000:
                    known.clear()
                known[packet] = _programs(packet)
            programs = known[packet]
            if programs is not None and len(programs) > 1:
                yield base + at, None
                return
            if programs:
                head = bytes((0x47, 0x40 | programs[0] >> 8, programs[0] & 0xFF))
                found = data.find(head, at + _PACKET, at + _TABLE_WITHIN)
                packet = data[found : found + _PACKET]
                if found >= 0 and packet not in tracks:
                    if len(tracks) > 10_000:
                        tracks.clear()
                    tracks[packet] = _tracks(packet)
                told = tracks[packet] if found >= 0 else None
                if told is not None:
                    yield base + at, Part(base + at, programs[0], told)
            at = data.find(_PAT, at + 1)
        if last:
            return
        base += usable
        file.seek(base)
        data = file.read(_READ)


def _stride(file: io.BufferedReader, at: int) -> int:
    here = file.tell()
    file.seek(at)
    head = file.read(3 * max(_STRIDES) + 1)
    file.seek(here)
    for stride in _STRIDES:
        if all(head[place] == 0x47 for place in range(0, len(head), stride)):
            return stride
    return _PACKET


def _section(packet: bytes, table_id: int) -> bytes | None:
    """The body of a table that begins and ends in this packet, without its checksum; None for what is none."""
    if len(packet) < _PACKET or not packet[3] & 0x10:
        return None
    at = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
    if at >= _PACKET:
        return None
    at += 1 + packet[at]
    if at + 3 > _PACKET or packet[at] != table_id:
        return None
    end = at + 3 + ((packet[at + 1] & 0x0F) << 8 | packet[at + 2])
    if end > _PACKET or end - at < 12 or _crc(packet[at:end]):
        return None
    return packet[at + 8 : end - 4] if packet[at + 5] & 1 else None  # a table that holds now


def _crc(data: bytes) -> int:
    """0 where the checksum at the end is that of what is before it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc


def _programs(packet: bytes) -> list[int] | None:
    """The PIDs of the tables of tracks, one a program."""
    body = _section(packet, 0x00)
    if body is None:
        return None
    entries = (body[at : at + 4] for at in range(0, len(body) - 3, 4))
    return [(entry[2] & 0x1F) << 8 | entry[3] for entry in entries if entry[:2] != b"\0\0"]


def _tracks(packet: bytes) -> tuple[Track, ...] | None:
    body = _section(packet, 0x02)
    if body is None or len(body) < 4:
        return None
    found: list[Track] = []
    at = 4 + ((body[2] & 0x0F) << 8 | body[3])
    while at + 5 <= len(body):
        kind, pid = body[at], (body[at + 1] & 0x1F) << 8 | body[at + 2]
        length = (body[at + 3] & 0x0F) << 8 | body[at + 4]
        track = _track(kind, pid, body[at + 5 : at + 5 + length])
        if track is not None:
            found.append(track)
        at += 5 + length
    return tuple(found)


def _track(kind: int, pid: int, descriptors: bytes) -> Track | None:
    """None for what is neither sound nor pictures."""
    if kind in _PICTURES:
        return Track(pid, "picture", (_ALIKE.get(kind, kind), b""))
    if kind in _SOUND:
        return Track(pid, "sound", (_ALIKE.get(kind, kind), b""))
    at = 0
    while kind == _PRIVATE and at + 2 <= len(descriptors):
        tag, body = descriptors[at], descriptors[at + 2 : at + 2 + descriptors[at + 1]]
        if tag in _SOUND_TAGS:
            return Track(pid, "sound", (kind, bytes((tag,))))
        if tag == 0x05 and body[:4] in _SOUND_FORMATS:
            return Track(pid, "sound", (kind, body[:4]))
        at += 2 + len(body)
    return None


def _renumbering(first: Part, part: Part, name: str) -> Mapping[int, int]:
    """{PID: what it becomes} for the packets of a part."""
    if part.begin == first.begin:
        return {}
    # The tables of the first part hold for all of them; what bears a number of its tracks by chance is none of them.
    new = dict.fromkeys((0, part.table, *(track.pid for track in (*first.tracks, *part.tracks))), _NOTHING)
    for what in ("picture", "sound"):
        wanted, there = ([track for track in one.tracks if track.what == what] for one in (first, part))
        free = list(there)
        for track in wanted:
            like = [other for other in free if other.codec == track.codec]
            chosen = next((other for other in like if other.pid == track.pid), like[0] if like else None)
            if chosen is not None:
                new[chosen.pid] = track.pid
                free.remove(chosen)
        if there and len(free) == len(there):
            lacks = f"in another format than the {what} before" if wanted else f"while there is no {what} before"
            raise MediaProblem(
                "unsupported",
                f"{name}: from byte {part.begin:,} on another recording was joined, with its {what} {lacks}; cut it "
                "into its parts, and list each of them",
            )
    return new


class _Renumbered(FileView):
    """The file with other PIDs: each of `parts` is where it begins, and {PID: what it becomes}."""

    def __init__(self, path: Path, stride: int, parts: Sequence[tuple[int, Mapping[int, int]]]) -> None:
        super().__init__(path)
        self._stride = stride
        ends = [*(begin for begin, _ in parts[1:]), self._size]
        self._parts = [(begin, end, new) for (begin, new), end in zip(parts, ends, strict=True) if new]

    def bytes_at(self, position: int, most: int) -> bytes:
        # With the packets whole that begin before, or end behind.
        begin = max(0, position - self._stride)
        self._file.seek(begin)
        data = bytearray(self._file.read(position - begin + most + self._stride))
        for first, end, new in self._parts:
            if first < begin + len(data) and end > begin:
                self._renumber(data, begin, first, end, new)
        return bytes(data[position - begin :][:most])

    def _renumber(self, data: bytearray, begin: int, first: int, end: int, new: Mapping[int, int]) -> None:
        stride = self._stride
        skipped = max(0, -(-(begin - first) // stride))
        for at in range(first + skipped * stride - begin, min(end - begin, len(data) - 2), stride):
            if data[at] != 0x47:
                continue
            high = data[at + 1]
            pid = new.get((high & 0x1F) << 8 | data[at + 2])
            if pid is not None:
                data[at + 1], data[at + 2] = high & 0xE0 | pid >> 8, pid & 0xFF
