"""RIFF/WAVE: reading any header by its chunks, writing the one header that the service takes, slices for upload."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from hume_runner.media.problems import MediaProblem

RATE_HZ: Final = 16_000
BYTES_PER_SAMPLE: Final = 2
HEADER_BYTES: Final = 44
MAX_SAMPLES: Final = (0xFFFFFFFF - 36) // BYTES_PER_SAMPLE  # what the 32-bit sizes of a plain header can say
_STREAMED = 0xFFFFFFFF  # written by tools that cannot seek back; 0 by others
_EXTENSIBLE = 0xFFFE
_PCM = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class WavHeader:
    """What a WAV file says of itself.

    `format_tag` is the one inside an extensible header, 1 for PCM. `declared_bytes` is None where the writer did not
    know it; `data_bytes` is what the file really holds of it.
    """

    format_tag: int
    extensible: bool
    channels: int
    rate_hz: int
    bits: int
    block_bytes: int
    data_offset: int
    declared_bytes: int | None
    data_bytes: int

    @property
    def samples(self) -> int:
        """Whole sample frames in the file."""
        return self.data_bytes // self.block_bytes if self.block_bytes else 0

    @property
    def truncated(self) -> bool:
        return self.declared_bytes is not None and self.declared_bytes > self.data_bytes


def read_header(path: Path) -> WavHeader:
    """Walk the chunks up to `data`. Raises: MediaProblem "truncated" or "corrupt"."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(12)
        if len(start) < 12 or start[:4] not in {b"RIFF", b"RF64", b"BW64"} or start[8:] != b"WAVE":
            raise MediaProblem("corrupt", f"{path.name}: no WAV header")
        return _walk(file, size, path.name)


def _walk(file: BinaryIO, size: int, name: str) -> WavHeader:
    form: bytes | None = None
    wide_data_bytes: int | None = None
    while len(chunk := file.read(8)) == 8:
        mark, length = chunk[:4], int.from_bytes(chunk[4:], "little")
        here = file.tell()
        if mark == b"fmt ":
            form = file.read(min(length, 40))
        elif mark == b"ds64":
            wide_data_bytes = int.from_bytes(file.read(16)[8:], "little")
        elif mark == b"data":
            if form is None or len(form) < 16:
                raise MediaProblem("corrupt", f"{name}: the WAV header describes no samples")
            unknown = length == _STREAMED or (length == 0 and size > here)
            return _header(form, here, wide_data_bytes if unknown else length, size)
        file.seek(here + length + (length & 1))  # chunks begin at even offsets
    raise MediaProblem("truncated", f"{name}: the WAV file ends before its samples")


def _header(form: bytes, data_offset: int, declared: int | None, size: int) -> WavHeader:
    tag, channels, rate, _, block, bits = struct.unpack_from("<HHIIHH", form)
    extensible = tag == _EXTENSIBLE
    if extensible and len(form) >= 26:
        tag = int.from_bytes(form[24:26], "little")  # the first two bytes of the sub-format's GUID
    present = max(0, size - data_offset)
    return WavHeader(
        format_tag=tag,
        extensible=extensible,
        channels=channels,
        rate_hz=rate,
        bits=bits,
        block_bytes=block,
        data_offset=data_offset,
        declared_bytes=declared,
        data_bytes=present if declared is None else min(declared, present),
    )


def plain_header(samples: int) -> bytes:
    """The 44 bytes before `samples` of 16 kHz mono signed 16-bit PCM.

    Raises: MediaProblem "too_long" beyond what 32-bit sizes can say (37 hours).
    """
    if samples > MAX_SAMPLES:
        raise MediaProblem("too_long", f"{samples} samples do not fit a WAV file; the longest is {MAX_SAMPLES}")
    data = samples * BYTES_PER_SAMPLE
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", data + 36, b"WAVE"),
        *(b"fmt ", 16, _PCM, 1, RATE_HZ, RATE_HZ * BYTES_PER_SAMPLE, BYTES_PER_SAMPLE, 16),
        *(b"data", data),
    )


def plain_samples(path: Path) -> int | None:
    """How many samples the file holds if it already is, byte for byte, what the service takes; else None."""
    size = path.stat().st_size
    samples, odd = divmod(size - HEADER_BYTES, BYTES_PER_SAMPLE)
    if odd or not 0 < samples <= MAX_SAMPLES:
        return None
    with path.open("rb") as file:
        return samples if file.read(HEADER_BYTES) == plain_header(samples) else None


class WavSlice(io.RawIOBase):
    """A run of samples of a prepared WAV, readable as a WAV file of its own without a copy.

    Seekable, and `len()` is the size in bytes, so that an upload can say how long it is and be sent again.
    """

    def __init__(self, path: Path, first_sample: int, samples: int) -> None:
        super().__init__()
        self._header = plain_header(samples)
        self._offset = HEADER_BYTES + first_sample * BYTES_PER_SAMPLE
        self._size = HEADER_BYTES + samples * BYTES_PER_SAMPLE
        self._position = 0
        end = self._offset + samples * BYTES_PER_SAMPLE
        if first_sample < 0 or samples < 1 or end > path.stat().st_size:
            raise ValueError(f"samples {first_sample} to {first_sample + samples} are not in {path.name}")
        self._file = path.open("rb")

    def __len__(self) -> int:
        return self._size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        view = memoryview(buffer).cast("B")
        end = min(self._position + len(view), self._size)
        piece = self._header[self._position : end]
        if end > HEADER_BYTES:
            start = max(self._position, HEADER_BYTES)
            self._file.seek(self._offset + start - HEADER_BYTES)
            piece += self._file.read(max(0, end - start))
        view[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def close(self) -> None:
        self._file.close()
        super().close()
