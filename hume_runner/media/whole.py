"""Whether a file ends where its own structure says that it ends: what tells a recording that was cut off from one whose
sound stops early."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from hume_runner.media.problems import MediaProblem
from hume_runner.media.sniff import Kind

_SEGMENT = 0x18538067
# Containers whose own duration can be trusted enough to tell a recording that was cut off.
_SAYS_ITS_LENGTH = frozenset(
    {Kind.MP4, Kind.M4A, Kind.MOV, Kind.MATROSKA, Kind.WEBM, Kind.FLV, Kind.FLAC, Kind.AIFF, Kind.AU}
)
_BOXED = frozenset({Kind.MP4, Kind.M4A, Kind.MOV})
_FLV_TAG, _FLV_TAGS = 11, (8, 9, 18)  # bytes of its head; sound, pictures, what is said of them
_ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")  # the object that tells the size of the file
_ASF_HEAD = 1 << 16


def check_length(path: Path, kind: Kind, *, declared_s: float | None, reached_s: float) -> None:
    """For sound and pictures alike, once the last of them was read. Raises: MediaProblem "truncated"."""
    if kind in _SAYS_ITS_LENGTH:
        # A microphone may stop before the picture does: what tells a recording that was cut off is the file.
        lost = _lost(path, kind)
        if lost == b"moof":  # how long a fragment is, its head tells
            check_end(path, kind)
        if declared_s is None:
            return
        least_s = declared_s - 0.1 if lost else declared_s * 0.98 - 0.5
        if reached_s < least_s and not ends_whole(path, kind):
            raise MediaProblem(
                "truncated", f"{path.name} holds {reached_s:.2f} s of the {declared_s:.2f} s that it announces"
            )
    elif kind in {Kind.AVI, Kind.ASF, Kind.CAF}:
        check_bytes(path, kind)  # libav takes their length from what is there


def check_end(path: Path, kind: Kind) -> None:
    """Raises: MediaProblem "truncated" where the file breaks off within what holds its sound and pictures."""
    if _lost(path, kind):
        raise MediaProblem("truncated", f"{path.name} breaks off before the end that it announces")


def check_bytes(path: Path, kind: Kind) -> None:
    """Raises: MediaProblem "truncated" where the file is smaller than its own structure says, by more than trifles."""
    size = path.stat().st_size
    with path.open("rb") as file:
        match kind:
            case Kind.MP4 | Kind.M4A | Kind.MOV:
                end, _ = _boxes_end(file, size)
            case Kind.AVI:
                end = _riffs_end(file, size)
            case Kind.ASF:
                end = _asf_end(file)
            case Kind.CAF:
                end = _chunks_end(file, size)
            case _:
                return
    if size < end * 0.98:
        raise MediaProblem("truncated", f"{path.name} holds {size:,} bytes of the {end:,} that it announces")


def ends_whole(path: Path, kind: Kind) -> bool:
    """True where every box, or the segment, that the file begins is there to its end. False where it is not, and for
    kinds whose structure does not tell."""
    size = path.stat().st_size
    with path.open("rb") as file:
        match kind:
            case Kind.MP4 | Kind.M4A | Kind.MOV:
                return _boxes_end(file, size)[0] <= size
            case Kind.FLV:
                return _ends_on_a_tag(file, size)
            case Kind.MATROSKA | Kind.WEBM:
                end = _segments_end(file, size)
                return end is not None and end <= size
            case _:
                return False


def _lost(path: Path, kind: Kind) -> bytes | None:
    """The name of the box at the top of an MP4 file within which it breaks off, if that holds sound or pictures."""
    if kind not in _BOXED:
        return None
    size = path.stat().st_size
    with path.open("rb") as file:
        end, name = _boxes_end(file, size)
    return name if end > size and name in (b"mdat", b"moof") else None


def _ends_on_a_tag(file: BinaryIO, size: int) -> bool:
    """Whether an FLV file ends behind a whole tag, whose size is told before it and behind it."""
    file.seek(max(0, size - 4))
    length = int.from_bytes(file.read(4))
    if length < _FLV_TAG or length > size - 4:
        return False
    file.seek(size - 4 - length)
    head = file.read(4)
    return head[0] in _FLV_TAGS and int.from_bytes(head[1:]) == length - _FLV_TAG


def _boxes_end(file: BinaryIO, size: int) -> tuple[int, bytes]:
    """(where the last box at the top of an MP4 file ends, its name)."""
    at, name = 0, b""
    while at < size:
        file.seek(at)
        head = file.read(16)
        length, name = int.from_bytes(head[:4]), head[4:8]
        if length == 0:  # up to the end of the file
            return size, name
        if length == 1:
            length = int.from_bytes(head[8:16])
        if length < 8:
            return size, b""  # something behind the boxes, which players pass over
        at += length
    return at, name


def _segments_end(file: BinaryIO, size: int) -> int | None:
    """Where the last element at the top of a Matroska file ends; None where the writer did not know."""
    at = 0
    while at < size:
        file.seek(at)
        head = file.read(12)
        mark, used = _number(head, keep_marker=True)
        length, more = _number(head[used:], keep_marker=False)
        if not used or not more:
            return at
        if length == (1 << 7 * more) - 1:
            return None if mark == _SEGMENT else at
        at += used + more + length
    return at


def _number(data: bytes, *, keep_marker: bool) -> tuple[int, int]:
    """An EBML number and how many bytes it takes; (0, 0) where there is none."""
    if not data or not data[0]:
        return 0, 0
    width = 9 - data[0].bit_length()
    if len(data) < width:
        return 0, 0
    value = int.from_bytes(data[:width])
    return (value if keep_marker else value & ((1 << 7 * width) - 1)), width


def _riffs_end(file: BinaryIO, size: int) -> int:
    """Where the last RIFF of an AVI file ends; writers that were interrupted leave a size of 0, or all ones."""
    at = 0
    while at < size:
        file.seek(at)
        head = file.read(8)
        length = int.from_bytes(head[4:], "little")
        if head[:4] != b"RIFF" or length in (0, 0xFFFFFFFF):
            return at
        at += 8 + length + length % 2
    return at


def _asf_end(file: BinaryIO) -> int:
    """The size that an ASF file says it has; 0 where it is a broadcast, which does not know."""
    file.seek(0)
    head = file.read(_ASF_HEAD)
    at = head.find(_ASF_FILE)
    if at < 0 or len(head) < at + 92 or head[at + 88] & 1:
        return 0
    return int.from_bytes(head[at + 40 : at + 48], "little")


def _chunks_end(file: BinaryIO, size: int) -> int:
    """Where the last chunk of a CAF file ends; one that is being written has a size of -1."""
    at = 8
    while at + 12 <= size:
        file.seek(at + 4)
        length = int.from_bytes(file.read(8), signed=True)
        if length < 0:
            return size
        at += 12 + length
    return at
