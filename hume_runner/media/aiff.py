"""AIFF and AIFF-C: where the samples are and how many there really are, whatever the sizes in the header claim."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

from hume_runner.frozen import frozen
from hume_runner.media.problems import MediaProblem
from hume_runner.media.wav import Behind, Reheaded, bytes_behind, declared_size, next_chunk

_AS_THEY_ARE: Final = {b"NONE", b"twos", b"sowt", b"in24", b"in32", b"42ni", b"23ni", b"raw "}
_BITS: Final = {b"fl32": 32, b"FL32": 32, b"fl64": 64, b"FL64": 64, b"ulaw": 8, b"ULAW": 8, b"alaw": 8, b"ALAW": 8}
_SSND_BYTES: Final = 8  # offset and block size, before the samples
_COMM_AT_MOST: Final = 1024
_NAMES: Final = frozenset(
    {b"MARK", b"INST", b"COMT", b"NAME", b"AUTH", b"(c) ", b"ANNO", b"ID3 ", b"APPL", b"MIDI", b"AESD", b"FVER"}
    | {b"CHAN", b"PEAK", b"COMM", b"bext", b"LIST"}
)


@frozen
class AiffHeader:
    """`frame_bytes`: of one sample of every channel, 0 for codecs whose bytes do not tell. `unclaimed_bytes`: behind
    the samples, no chunks and perhaps sound."""

    form: bytes
    common: bytes
    channels: int
    rate_hz: int
    frame_bytes: int
    data_offset: int
    declared_bytes: int | None
    data_bytes: int
    unclaimed_bytes: int

    @property
    def samples(self) -> int:
        return self.data_bytes // self.frame_bytes if self.frame_bytes else 0

    @property
    def truncated(self) -> bool:
        return self.declared_bytes is not None and self.declared_bytes > self.data_bytes


def read_aiff(path: Path) -> AiffHeader:
    """Walk the chunks. Raises: MediaProblem "truncated" or "corrupt"."""
    size = path.stat().st_size
    common: bytes | None = None
    place: tuple[int, int] | None = None
    with path.open("rb") as file:
        form = file.read(12)
        at = 12
        while at + 8 <= size and (common is None or place is None):
            file.seek(at)
            head = file.read(8)
            mark, length = head[:4], int.from_bytes(head[4:])
            if mark == b"COMM":
                common = file.read(min(length, _COMM_AT_MOST))
            elif mark == b"SSND":
                offset = int.from_bytes(file.read(4))
                if at + 8 + _SSND_BYTES + offset > size:
                    offset = 0
                place = (at + 8 + _SSND_BYTES + offset, length - _SSND_BYTES - offset)
            at = next_chunk(file, at + 8, length)
        if common is None or len(common) < 18:
            raise MediaProblem("corrupt", f"{path.name}: the AIFF header describes no samples")
        if place is None:
            raise MediaProblem("truncated", f"{path.name}: the AIFF file ends before its samples")
        channels, bits = struct.unpack_from(">H4xH", common)
        codec = common[18:22] if form[8:] == b"AIFC" and len(common) >= 22 else b"NONE"
        bits = _BITS.get(codec, bits if codec in _AS_THEY_ARE else 0)
        frame_bytes, rate = channels * ((bits + 7) // 8), _extended(common[8:18])
        start, length = place
        present = max(0, size - start)
        declared = None if length <= 0 else declared_size(length, present, start)
        unclaimed = 0
        if declared is not None and declared < present:
            behind = Behind(file=file, size=size, byteorder="big", names=_NAMES)
            unclaimed = bytes_behind(behind, start + declared, max(1, frame_bytes * rate))
    return AiffHeader(
        form=form,
        common=common,
        channels=channels,
        rate_hz=rate,
        frame_bytes=frame_bytes,
        data_offset=start,
        declared_bytes=declared,
        data_bytes=present if declared is None else min(declared, present),
        unclaimed_bytes=unclaimed,
    )


def whole_aiff(path: Path, header: AiffHeader) -> Reheaded:
    """The file as it should have been written, for whoever reads it."""
    frames = min(header.samples, 0xFFFF_FFFF)
    common = header.common
    if header.frame_bytes:
        common = common[:2] + frames.to_bytes(4) + common[6:]
    data = min(header.data_bytes + _SSND_BYTES, 0xFFFF_FFFF)
    head = b"COMM" + len(common).to_bytes(4) + common + bytes(len(common) & 1)
    if header.form[8:] == b"AIFC":
        head = bytes.fromhex("4656455200000004a2805140") + head
    head += b"SSND" + data.to_bytes(4) + bytes(_SSND_BYTES)
    form = min(4 + len(head) + header.data_bytes, 0xFFFF_FFFF)
    return Reheaded(path, b"FORM" + form.to_bytes(4) + header.form[8:] + head, header.data_offset, header.data_bytes)


def _extended(raw: bytes) -> int:
    """A sample rate as an 80-bit floating-point number, rounded; 0 for one that makes no sense."""
    exponent, mantissa = struct.unpack(">HQ", raw)
    shift = 16383 + 63 - (exponent & 0x7FFF)
    return round(mantissa / (1 << shift)) if 0 <= shift < 64 else 0
