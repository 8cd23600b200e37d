"""What a picture's own bytes say before it is decoded: is it complete, how large, which way up.

libav fills the missing half of a cut-off picture with grey and reports success, so completeness is checked here.
"""

from __future__ import annotations

import re
import struct
import zlib

from hume_runner.frozen import frozen
from hume_runner.media.problems import MediaProblem
from hume_runner.media.sniff import Kind

MAX_DECODED_PIXELS = 64_000_000  # a decoder needs them all in memory at once
_PNG_START = 8
_SOI_BYTES = 2
# In entropy-coded data FF is followed by 00, by another FF or by a restart mark; anything else is the next marker.
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_ORIENTATION_TAG = 0x0112
# TIFF's types of whole numbers as `struct` spells them. The standard wants 3; what writers use, people see.
_INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}


@frozen
class JpegFacts:
    """What a JPEG's segments say. `end` is the offset behind its end mark; `orientation` is 1 to 8."""

    width: int
    height: int
    bits: int
    components: int
    process: int  # the SOF marker's second byte: C0 baseline, C1 extended, C2 progressive, others are rare
    orientation: int
    end: int


def read_jpeg(data: bytes, name: str) -> JpegFacts:
    """Walk the segments. Raises: MediaProblem "truncated" without an end mark, "corrupt" where the walk fails."""
    frame: tuple[int, int, int, int, int] | None = None
    orientation = 1
    at = _SOI_BYTES
    while True:
        marker, at = _marker(data, at, name)
        if marker == 0xD9:
            break
        length = int.from_bytes(data[at : at + 2])
        body = data[at + 2 : at + length]
        if length < 2 or at + length > len(data):
            raise MediaProblem("truncated", f"{name}: the JPEG ends inside a segment")
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC} and len(body) >= 6:
            bits, height, width, components = struct.unpack_from(">BHHB", body)
            frame = frame or (marker, bits, height, width, components)
        elif marker == 0xE1 and body.startswith(b"Exif\0\0"):
            orientation = exif_orientation(body[6:])
        at += length
        if marker == 0xDA:
            at = _scan_end(data, at, name)
    if frame is None or frame[2] == 0 or frame[3] == 0:
        raise MediaProblem("corrupt", f"{name}: the JPEG holds no picture")
    process, bits, height, width, components = frame
    return JpegFacts(
        width=width, height=height, bits=bits, components=components, process=process, orientation=orientation, end=at
    )


def _marker(data: bytes, at: int, name: str) -> tuple[int, int]:
    """The marker at `at` and the offset behind it; fill bytes before a marker are allowed."""
    if at + 2 > len(data):
        raise MediaProblem("truncated", f"{name}: the JPEG ends before its end mark")
    if data[at] != 0xFF:
        raise MediaProblem("corrupt", f"{name}: the JPEG has no marker at byte {at}")
    while at < len(data) and data[at] == 0xFF:
        at += 1
    if at == len(data):
        raise MediaProblem("truncated", f"{name}: the JPEG ends before its end mark")
    return data[at], at + 1


def _scan_end(data: bytes, at: int, name: str) -> int:
    found = _NEXT_MARKER.search(data, at)
    if found is None:
        raise MediaProblem("truncated", f"{name}: the JPEG ends before its end mark")
    return found.start()


def exif_orientation(tiff: bytes) -> int:
    """The orientation in a TIFF block (EXIF without its prefix), 1 to 8; 1 where it says nothing usable."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < 8:
        return 1
    (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
    if directory + 2 > len(tiff):
        return 1
    (entries,) = struct.unpack_from(f"{order}H", tiff, directory)
    for entry in range(directory + 2, min(directory + 2 + 12 * entries, len(tiff) - 11), 12):
        tag, kind, count = struct.unpack_from(f"{order}HHI", tiff, entry)
        if tag == _ORIENTATION_TAG and kind in _INTEGERS and count == 1:
            (value,) = struct.unpack_from(f"{order}{_INTEGERS[kind]}", tiff, entry + 8)
            return int(value) if 1 <= value <= 8 else 1
    return 1


def check_picture(data: bytes, kind: Kind, name: str) -> int:
    """Refuse what libav would quietly complete or misread; gives the picture's EXIF orientation, 1 to 8.

    Raises: MediaProblem "truncated", "corrupt", "too_many_pixels", "unsupported".
    """
    match kind:
        case Kind.JPEG:
            facts = read_jpeg(data, name)
            _check_pixels(facts.width, facts.height, name)
            return facts.orientation
        case Kind.PNG:
            return _check_png(data, name)
        case Kind.WEBP:
            return _check_webp(data, name)
        case Kind.GIF:
            _check_gif(data, name)
        case Kind.BMP:
            _check_bmp(data, name)
        case _:
            raise MediaProblem("unsupported", f"{name} is {kind.words}")
    return 1


def is_animation(data: bytes, kind: Kind) -> bool:
    """Whether a picture that passed `check_picture` goes on with others."""
    match kind:
        case Kind.PNG:
            return _png_pictures(data) > 1
        case Kind.GIF:
            return _gif_picture_ends(data, _gif_picture_ends(data, _gif_begin(data)) or len(data)) is not None
        case _:
            return False


def _png_pictures(data: bytes) -> int:
    """How many pictures an animated PNG announces, which it does before the first; 1 for any other."""
    at = _PNG_START
    while at + 12 <= len(data):
        length, mark = struct.unpack_from(">I4s", data, at)
        if mark == b"acTL" and length == 8:
            return int.from_bytes(data[at + 8 : at + 12])
        if mark == b"IDAT":
            break
        at += 12 + length
    return 1


def _check_png(data: bytes, name: str) -> int:
    orientation, at = 1, _PNG_START
    while at + 12 <= len(data):
        length, mark = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            break
        body = memoryview(data)[at + 8 : end - 4]
        if zlib.crc32(body, zlib.crc32(mark)) != int.from_bytes(data[end - 4 : end]):
            raise MediaProblem("corrupt", f"{name}: a checksum of the PNG does not match its bytes")
        if mark == b"IHDR":
            width, height = struct.unpack_from(">II", body)
            _check_pixels(width, height, name)
        elif mark == b"eXIf":
            orientation = exif_orientation(bytes(body))
        elif mark == b"IEND":
            return orientation
        at = end
    raise MediaProblem("truncated", f"{name}: the PNG ends before its end mark")


def _check_webp(data: bytes, name: str) -> int:
    if int.from_bytes(data[4:8], "little") + 8 > len(data) + 1:
        raise MediaProblem("truncated", f"{name}: the WebP file is shorter than its header says")
    orientation, at = 1, 12
    while at + 8 <= len(data):
        mark, length = struct.unpack_from("<4sI", data, at)
        if mark == b"ANIM":
            raise MediaProblem("unsupported", f"{name} is an animated WebP; save one picture of it as JPEG or PNG")
        if mark == b"EXIF":
            orientation = exif_orientation(data[at + 8 : at + 8 + length].removeprefix(b"Exif\0\0"))
        at += 8 + length + (length & 1)
    return orientation


def _check_pixels(width: int, height: int, name: str) -> None:
    if width * height > MAX_DECODED_PIXELS:
        raise MediaProblem(
            "too_many_pixels", f"{name}: {width} x {height} pixels; up to {MAX_DECODED_PIXELS:,} can be decoded"
        )


def _check_gif(data: bytes, name: str) -> None:
    """Walk to the end of the first picture; what an animation shows later is not checked."""
    if len(data) < 13:
        raise MediaProblem("truncated", f"{name}: the GIF ends inside its header")
    width, height = struct.unpack_from("<HH", data, 6)
    _check_pixels(width, height, name)
    if _gif_picture_ends(data, _gif_begin(data)) is None:
        raise MediaProblem("truncated", f"{name}: the GIF ends before its first picture does")


def _gif_begin(data: bytes) -> int:
    """Where the blocks begin, behind the header."""
    return 13 + _colour_table_bytes(data[10])


def _gif_picture_ends(data: bytes, at: int) -> int | None:
    """The offset behind the next picture, from the block at `at` on; None where no whole one comes."""
    while at < len(data):
        mark = data[at]
        if mark == 0x2C and at + 10 < len(data):
            at += 10 + _colour_table_bytes(data[at + 9]) + 1
        elif mark == 0x21:
            at += 2
        else:
            break
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
        if at > len(data):
            break
        if mark == 0x2C:
            return at
    return None


def _colour_table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _check_bmp(data: bytes, name: str) -> None:
    declared, width, height = int.from_bytes(data[2:6], "little"), *struct.unpack_from("<ii", data, 18)
    _check_pixels(abs(width), abs(height), name)
    if declared > len(data):
        raise MediaProblem("truncated", f"{name}: the BMP is shorter than its header says")
