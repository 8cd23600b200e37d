"""Whether a `file` part is one complete JPEG within the limits, and how large its picture is."""

from __future__ import annotations

import re
from typing import NamedTuple

from hume_runner.emulator.expression_v1.errors import Coded

MAX_IMAGE_BYTES = 2_000_000
MAX_IMAGE_PIXELS = 8_294_400
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended, progressive; others are read by hardly anything
_OTHER_FRAMES = frozenset(range(0xC3, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Within a scan only stuffed zeros, restarts and fill bytes may follow 0xFF; anything else ends it.
_SCAN_END = re.compile(rb"\xff(?=[^\x00\xd0-\xd7\xff])", re.DOTALL)


class Size(NamedTuple):
    """Stored pixels; the EXIF orientation is not applied."""

    width: int
    height: int


def check_image(data: bytes, position: int) -> Size:
    """The size of the picture, whose place among the parts messages name.

    Raises: Coded "unsupported_media_type" for what is not a JPEG, "image_too_large", "image_decode_failed" for one
    that is not complete from its start to its end marker, or whose header makes no sense.
    """
    if not data:
        raise _damaged(position, "the part is empty")
    if not data.startswith(b"\xff\xd8\xff"):
        raise Coded("unsupported_media_type", f"image {position} is not a JPEG")
    if len(data) > MAX_IMAGE_BYTES:
        raise Coded("image_too_large", f"image {position} has {len(data)} bytes, the limit is {MAX_IMAGE_BYTES}")
    size = _walk(data, position)
    if size.width * size.height > MAX_IMAGE_PIXELS:
        raise Coded(
            "image_too_large",
            f"image {position} has {size.width}x{size.height} pixels, the limit is {MAX_IMAGE_PIXELS}",
        )
    return size


def _walk(data: bytes, position: int) -> Size:
    size: Size | None = None
    tables = scans = 0
    at = 2
    while True:
        at, marker = _marker(data, at, position)
        if marker == 0xD9:
            if size is None or not scans:
                raise _damaged(position, "it holds no picture")
            return size
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:
            continue
        length = int.from_bytes(data[at : at + 2], "big")
        if length < 2 or at + length > len(data):
            raise _damaged(position, "it is cut off")
        segment = data[at + 2 : at + length]
        at += length
        if marker in _FRAMES:
            size = _frame(segment, position)
        elif marker in _OTHER_FRAMES:
            raise _damaged(position, f"its coding (marker {marker:02x}) is not supported")
        elif marker == 0xDB:
            tables += 1
        elif marker == 0xDA:
            if size is None or not tables:
                raise _damaged(position, "its header is incomplete")
            scans += 1
            found = _SCAN_END.search(data, at)
            if found is None or found.start() == at:
                raise _damaged(position, "it is cut off")
            at = found.start()


def _marker(data: bytes, at: int, position: int) -> tuple[int, int]:
    """Position behind the next marker, and its code; any number of fill bytes may precede it."""
    if at >= len(data):
        raise _damaged(position, "it is cut off")
    if data[at] != 0xFF:
        raise _damaged(position, "it holds bytes where a marker belongs")
    while at < len(data) and data[at] == 0xFF:
        at += 1
    if at >= len(data):
        raise _damaged(position, "it is cut off")
    return at + 1, data[at]


def _frame(segment: bytes, position: int) -> Size:
    if len(segment) < 6:
        raise _damaged(position, "its header is malformed")
    precision, components = segment[0], segment[5]
    height, width = int.from_bytes(segment[1:3], "big"), int.from_bytes(segment[3:5], "big")
    if precision != 8 or components not in (1, 3, 4) or len(segment) != 6 + 3 * components or not (width and height):
        raise _damaged(position, "its header is malformed")
    return Size(width, height)


def _damaged(position: int, reason: str) -> Coded:
    return Coded("image_decode_failed", f"image {position} cannot be decoded: {reason}")
