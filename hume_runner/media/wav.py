"""RIFF/WAVE: reading any header by its chunks, writing the one header that the service takes, slices for upload."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, Final, Literal

from hume_runner.frozen import frozen
from hume_runner.media.problems import MediaProblem
from hume_runner.media.views import FileView

RATE_HZ: Final = 16_000
BYTES_PER_SAMPLE: Final = 2
HEADER_BYTES: Final = 44
MAX_SAMPLES: Final = (0xFFFFFFFF - 36) // BYTES_PER_SAMPLE  # what the 32-bit sizes of a plain header can say
_EXTENSIBLE = 0xFFFE
_PCM, _FLOAT = 1, 3

# What writers that cannot seek back leave where the size of the samples belongs: the largest number that their type
# holds, often less the header or rounded down to whole blocks. Any of these that the file does not hold is no claim.
_UNKNOWN = (0x7FFF_F000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0x7FFF_FFFF_FFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF)
_HEADER_AT_MOST = 512
_FORM_BYTES = 4096  # the longest format chunk that is read; block codecs keep tables in it
# Bytes behind the samples that are no chunks are left out up to here, in seconds of sound: more may be what was said.
_TAIL_S = 0.1
_TAGS = (b"TAG", b"ID3", b"APETAGEX", b"LYRICS", b"<?xpacket")
_AFTER_SAMPLES = frozenset(
    {b"LIST", b"id3 ", b"ID3 ", b"bext", b"cue ", b"smpl", b"iXML", b"JUNK", b"PAD ", b"FLLR", b"_PMX", b"afsp"}
    | {b"fact", b"PEAK", b"DISP", b"acid", b"inst", b"levl", b"umid", b"axml", b"chna", b"plst", b"ltxt", b"SyLp"}
)
_W64 = {
    "riff": bytes.fromhex("726966662e91cf11a5d628db04c10000"),
    "wave": bytes.fromhex("77617665f3acd3118cd100c04f8edb8a"),
    "fmt": bytes.fromhex("666d7420f3acd3118cd100c04f8edb8a"),
    "data": bytes.fromhex("64617461f3acd3118cd100c04f8edb8a"),
}


@frozen
class WavHeader:
    """What a WAV file says of itself.

    `format_tag` is the one inside an extensible header, 1 for PCM. `declared_bytes` is None where the writer did not
    know it; `data_bytes` is what the file really holds of it. `form` is the format chunk as it stands.
    `unclaimed_bytes`: bytes behind the samples that are no chunks and may be sound.
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
    form: bytes = b""
    unclaimed_bytes: int = 0

    @property
    def counts_samples(self) -> bool:
        """Whether every sample takes the same number of bytes, so that bytes tell the length."""
        return self.format_tag in (_PCM, _FLOAT, 6, 7) and 8 <= self.bits <= 64 and self.channels > 0

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel; what the header says of its blocks is not asked. 0 where they have no
        fixed number."""
        return self.channels * ((self.bits + 7) // 8) if self.counts_samples else 0

    @property
    def samples(self) -> int:
        """Whole sample frames in the file; 0 where bytes do not tell."""
        return self.data_bytes // self.frame_bytes if self.frame_bytes else 0

    @property
    def truncated(self) -> bool:
        return self.declared_bytes is not None and self.declared_bytes > self.data_bytes


def read_header(path: Path) -> WavHeader:
    """Walk the chunks up to `data`, and those behind it. Raises: MediaProblem "truncated" or "corrupt"."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(40)
        if start[:16] == _W64["riff"] and start[24:40] == _W64["wave"]:
            return _walk_w64(file, size, path.name)
        if len(start) < 12 or start[:4] not in {b"RIFF", b"RF64", b"BW64"} or start[8:12] != b"WAVE":
            raise MediaProblem("corrupt", f"{path.name}: no WAV header")
        return _walk(file, size, path.name, wide=start[:4] != b"RIFF")


def _walk(file: BinaryIO, size: int, name: str, *, wide: bool) -> WavHeader:
    form: bytes | None = None
    wide_data_bytes: int | None = None
    at = 12
    while True:
        file.seek(at)
        chunk = file.read(8)
        if len(chunk) < 8:
            break
        mark, length = chunk[:4], int.from_bytes(chunk[4:], "little")
        here = at + 8
        if mark == b"fmt ":
            form = file.read(min(length, _FORM_BYTES))
        elif mark == b"ds64":
            wide_data_bytes = int.from_bytes(file.read(16)[8:], "little")
        elif mark == b"data":
            if wide and length in (0, 0xFFFF_FFFF) and wide_data_bytes is not None:
                length = wide_data_bytes
            return _header(form, here, length, Behind(file=file, size=size), name)
        elif chunk == bytes(8):
            # Room that was kept for a longer header: not eight bytes at a time.
            at = _zeros_end(file, here, size) // 2 * 2
            continue
        at = next_chunk(file, here, length)
    raise MediaProblem("truncated", f"{name}: the WAV file ends before its samples")


def _walk_w64(file: BinaryIO, size: int, name: str) -> WavHeader:
    form: bytes | None = None
    at = 40
    while True:
        file.seek(at)
        chunk = file.read(24)
        if len(chunk) < 24:
            break
        length = int.from_bytes(chunk[16:], "little")
        if chunk[:16] == _W64["fmt"]:
            form = file.read(min(max(0, length - 24), _FORM_BYTES))
        elif chunk[:16] == _W64["data"]:
            unknown = length <= 24
            return _header(
                form, at + 24, 0 if unknown else length - 24, Behind(file=file, size=size, wave64=True), name
            )
        if length < 24:
            raise MediaProblem("corrupt", f"{name}: the header is damaged")
        at += (length + 7) // 8 * 8
    raise MediaProblem("truncated", f"{name}: the Wave64 file ends before its samples")


@frozen
class Behind:
    """What may follow the samples in a file of `size` bytes: chunks, of which these `names` are known."""

    file: BinaryIO
    size: int
    byteorder: Literal["little", "big"] = "little"
    names: frozenset[bytes] = _AFTER_SAMPLES
    wave64: bool = False

    def chunk_end(self, at: int) -> int | None:
        """Where the chunk at `at` ends; None where there is none. One that is cut off is one if its name is known."""
        self.file.seek(at)
        if self.wave64:
            head = self.file.read(24)
            length = int.from_bytes(head[16:], "little")
            whole = len(head) == 24 and 24 <= length <= self.size - at and any(head[:16])
            return at + (length + 7) // 8 * 8 if whole else None
        head = self.file.read(8)
        mark, length = head[:4], int.from_bytes(head[4:], self.byteorder)
        if len(head) < 8 or not _is_mark(mark):
            return None
        if at + 8 + length > self.size:
            return self.size if mark in self.names else None
        return next_chunk(self.file, at + 8, length)


def _is_mark(mark: bytes) -> bool:
    return len(mark) == 4 and all(0x20 <= byte < 0x7F for byte in mark)


def next_chunk(file: BinaryIO, here: int, length: int) -> int:
    """Where the chunk after one of `length` bytes begins: at an even offset; some writers forget it, and then its name
    stands a byte earlier."""
    end = here + length
    if not length & 1:
        return end
    file.seek(end)
    head = file.read(5)
    return end if _is_mark(head[:4]) and not _is_mark(head[1:5]) else end + 1


_BLOCK = 1 << 20


def _zeros_end(file: BinaryIO, at: int, size: int) -> int:
    """Where the zeros that begin at `at` end."""
    file.seek(at)
    while block := file.read(_BLOCK):
        left = block.lstrip(b"\0")
        if left:
            return at + len(block) - len(left)
        at += len(block)
    return size


def declared_size(length: int, present: int, before: int) -> int | None:
    """What a header that says `length` bytes follow means, where `present` do, `before` bytes of header before them.

    None: the writer did not know, or counted its header: up to the end of the file. Pure.
    """
    if length <= present:
        return length
    if length - present in (before, HEADER_BYTES):
        return None
    unknown = any(-_HEADER_AT_MOST <= length - limit <= HEADER_BYTES for limit in _UNKNOWN)
    return None if unknown else length


def bytes_behind(behind: Behind, end: int, bytes_s: int) -> int:
    """Bytes behind samples that end at `end` which are no chunks, no tags and no room that was kept, and would be more
    than a tenth of a second of sound; else 0."""
    left = _no_chunks(behind, end)
    if left <= _TAIL_S * bytes_s or _zeros_end(behind.file, behind.size - left, behind.size) == behind.size:
        return 0
    return left


def _no_chunks(behind: Behind, end: int) -> int:
    left = behind.size
    for begin in sorted({end, end + (end & 1), (end + 7) // 8 * 8}):
        at = begin
        while at < behind.size and (beyond := behind.chunk_end(at)) is not None:
            at = beyond
        behind.file.seek(at)
        if at >= behind.size or behind.file.read(9).startswith(_TAGS):
            return 0
        left = min(left, behind.size - at)
    return left


def _header(form: bytes | None, data_offset: int, length: int, behind: Behind, name: str) -> WavHeader:
    if form is None or len(form) < 16:
        raise MediaProblem("corrupt", f"{name}: the WAV header describes no samples")
    tag, channels, rate, bytes_s, block, bits = struct.unpack_from("<HHIIHH", form)
    extensible = tag == _EXTENSIBLE
    if extensible and len(form) >= 26:
        tag = int.from_bytes(form[24:26], "little")  # the first two bytes of the sub-format's GUID
    present = max(0, behind.size - data_offset)
    declared = declared_size(length, present, data_offset)
    if declared == 0 and present and _no_chunks(behind, data_offset):
        declared = None  # 0 is what stands there until the writer comes back
    unclaimed = 0
    if declared is not None and declared < present:
        unclaimed = bytes_behind(behind, data_offset + declared, max(1, bytes_s))
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
        form=form,
        unclaimed_bytes=unclaimed,
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


def whole_wav(path: Path, header: WavHeader) -> Reheaded:
    """A WAV file as it should have been written, for whoever reads it: its own format chunk and samples, with sizes
    that hold and nothing behind. Beyond 4 GB the sizes are those that mean "up to the end"."""
    form = header.form + bytes(len(header.form) & 1)
    riff, data = (min(size, 0xFFFF_FFFF) for size in (20 + len(form) + header.data_bytes, header.data_bytes))
    head = struct.pack("<4sI4s4sI", b"RIFF", riff, b"WAVE", b"fmt ", len(header.form)) + form
    return Reheaded(path, head + struct.pack("<4sI", b"data", data), header.data_offset, header.data_bytes)


class Reheaded(FileView):
    """Another head before `data_bytes` of a file from `data_offset` on."""

    def __init__(self, path: Path, head: bytes, data_offset: int, data_bytes: int) -> None:
        super().__init__(path, len(head) + data_bytes)
        self._head = head
        self._begin = data_offset - len(head)

    def bytes_at(self, position: int, most: int) -> bytes:
        wanted = min(most, max(0, self._size - position))
        piece = self._head[position : position + wanted]
        if len(piece) < wanted:
            self._file.seek(self._begin + position + len(piece))
            piece += self._file.read(wanted - len(piece))
        return piece


class WavSlice(FileView):
    """A run of samples of a prepared WAV, readable as a WAV file of its own.

    Seekable, and `len()` is the size in bytes, so that an upload can say how long it is and be sent again.
    """

    def __init__(self, path: Path, first_sample: int, samples: int) -> None:
        offset = HEADER_BYTES + first_sample * BYTES_PER_SAMPLE
        if first_sample < 0 or samples < 1 or offset + samples * BYTES_PER_SAMPLE > path.stat().st_size:
            raise ValueError(f"samples {first_sample} to {first_sample + samples} are not in {path.name}")
        super().__init__(path, HEADER_BYTES + samples * BYTES_PER_SAMPLE)
        self._header = plain_header(samples)
        self._offset = offset

    def __len__(self) -> int:
        return self._size

    def bytes_at(self, position: int, most: int) -> bytes:
        end = min(position + most, self._size)
        piece = self._header[position:end]
        if end > HEADER_BYTES:
            start = max(position, HEADER_BYTES)
            self._file.seek(self._offset + start - HEADER_BYTES)
            piece += self._file.read(max(0, end - start))
        return piece
