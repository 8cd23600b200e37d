"""Whether a file ends where its own structure says that it ends: what tells a recording that was cut off from one whose
sound stops early."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from hume_runner.media.sniff import Kind

_SEGMENT = 0x18538067


def ends_whole(path: Path, kind: Kind) -> bool:
    """True where every box, or the segment, that the file begins is there to its end. False where it is not, and for
    kinds whose structure does not tell."""
    size = path.stat().st_size
    with path.open("rb") as file:
        match kind:
            case Kind.MP4 | Kind.M4A | Kind.MOV:
                return _boxes_end(file, size) <= size
            case Kind.MATROSKA | Kind.WEBM:
                end = _segments_end(file, size)
                return end is not None and end <= size
            case _:
                return False


def _boxes_end(file: BinaryIO, size: int) -> int:
    """Where the last box at the top of an MP4 file ends."""
    at = 0
    while at < size:
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4])
        if length == 0:  # up to the end of the file
            return size
        if length == 1:
            length = int.from_bytes(head[8:16])
        if length < 8:
            return size  # something behind the boxes, which players pass over
        at += length
    return at


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
