"""Cheap facts about a medium: how long, how large, how many frames, whether anything is heard. Nothing is prepared.

WAV, PNG, JPEG, GIF and BMP are read here from their headers; every other audio or video file needs PyAV.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from hume_runner.frozen import frozen
from hume_runner.media.libav import moving_picture, open_container
from hume_runner.media.problems import MediaProblem
from hume_runner.media.sniff import Kind, sniff_path

if TYPE_CHECKING:
    from av.container import InputContainer

_ENDINGS = {Kind.PNG: b"IEND", Kind.JPEG: b"\xff\xd9"}
_QUIET = 1 / 1000  # of full scale, about -60 dB: no speech is below it


@frozen
class MediaFacts:
    """What a file holds. Lengths are seconds, sizes pixels; None where the medium has no such thing.

    `frames` is counted from the container's index, or follows from duration and rate.
    """

    kind: Kind
    medium: Literal["image", "audio", "video"]
    duration_s: float | None = None
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    fps: float | None = None
    has_audio: bool = False
    sample_rate: int | None = None
    channels: int | None = None


def probe(path: Path) -> MediaFacts:
    """The facts of one image, audio or video file.

    Raises: MediaProblem for what is not media or does not hold what it begins; MissingExtra where the format needs
    PyAV and it is not installed; OSError where the file cannot be read.
    """
    kind = sniff_path(path)
    if kind is Kind.WAV:
        return _probe_wav(path)
    if kind.family == "image":
        width, height = _image_size(path, kind)
        return MediaFacts(kind=kind, medium="image", width=width, height=height)
    if kind.family in ("audio", "media"):
        return _probe_container(path, kind)
    reason = {"archive": "archive", "document": "not_media"}.get(
        kind.family, "empty" if kind is Kind.EMPTY else "unknown_format"
    )
    raise MediaProblem(reason, f"{path.name} is {kind.words}")


@frozen(kw_only=False)
class _WavLayout:
    codec: int
    channels: int
    sample_rate: int
    block_bytes: int
    bits: int
    data_offset: int
    data_bytes: int

    @property
    def frame_bytes(self) -> int:
        """Bytes of one PCM sample of all channels, which some writers tell wrong as the block's."""
        return max(1, self.channels * -(-self.bits // 8))


# What a writer that never came back may have left as the size of the samples.
_NO_SIZE = ((1 << 32) - 1, 1 << 31, (1 << 31) - 4096)


def _wav_layout(path: Path) -> _WavLayout:
    """Walk the chunks. A size of the samples that no file has means up to the file's end.

    Written apart from what the client reads recordings with: one misreading must not pass on both sides.
    Raises: MediaProblem "truncated" for samples that are not all there, "corrupt" for a size that is too small.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        riff = file.read(12)
        if riff[:4] not in (b"RIFF", b"RF64", b"BW64") or riff[8:12] != b"WAVE":
            raise MediaProblem("unsupported", f"{path.name}: not a RIFF WAVE file")
        layout: tuple[int, int, int, int, int, int] | None = None
        long_size: int | None = None
        while len(head := file.read(8)) == 8:
            name, length = head[:4], int.from_bytes(head[4:], "little")
            if name == b"data":
                if layout is None:
                    break
                if riff[:4] != b"RIFF" and length == 0xFFFFFFFF and long_size:
                    length = long_size
                wanted = _wav_data_bytes(file, length, size, path.name, layout[3])
                return _WavLayout(layout[0], layout[1], layout[2], layout[4], layout[5], size - wanted[1], wanted[0])
            body_at = file.tell()
            if name == b"fmt ":
                body = file.read(min(length, 64))
                if len(body) < 16:
                    raise MediaProblem("truncated", f"{path.name}: its format chunk is cut off")
                layout = struct.unpack("<HHIIHH", body[:16])
                if layout[0] == 0xFFFE and len(body) >= 26:  # extensible: the real codec opens the sub-format
                    layout = (int.from_bytes(body[24:26], "little"), *layout[1:])
            elif name == b"ds64":
                long_size = int.from_bytes(file.read(16)[8:], "little")
            file.seek(body_at + length)
            if length % 2 and (pad := file.read(1)) and pad != b"\0" and file.read(4)[:3] in (b"mt ", b"ata"):
                file.seek(body_at + length)  # a writer that does not pad
            elif length % 2:
                file.seek(body_at + length + 1)
    raise MediaProblem("corrupt", f"{path.name}: a WAVE file without format or data")


def _wav_data_bytes(file: BinaryIO, length: int, size: int, name: str, byte_rate: int) -> tuple[int, int]:
    """(bytes of samples, bytes from their start to the end of the file)."""
    start = file.tell()
    present = size - start
    if length > present:
        slip = length in (size, present + 44)  # the header was counted as well
        if slip or length > 1 << 60 or any(-512 < length - none <= 44 for none in _NO_SIZE):
            return present, present
        raise MediaProblem("truncated", f"{name}: {present} of {length} bytes of samples are there")
    behind = present - length
    if not length and behind:
        file.seek(start)
        mark = file.read(4)
        return (0 if mark in (b"LIST", b"fact", b"id3 ", b"JUNK") else present), present
    if behind * 10 > max(byte_rate, 10):  # more than a tenth of a second
        file.seek(start + length)
        mark = file.read(5)
        named = mark[:4].isascii() and mark[:4].strip(b"\0") and all(32 <= byte < 127 for byte in mark[:4])
        padded = length % 2 and all(32 <= byte < 127 for byte in mark[1:])
        if not (named or padded):
            file.seek(start + length)
            while block := file.read(1 << 20):
                if block.count(0) != len(block):
                    raise MediaProblem("corrupt", f"{name}: {behind} bytes follow the samples that it announces")
    return length, present


def _probe_wav(path: Path) -> MediaFacts:
    layout = _wav_layout(path)
    if not layout.channels or not layout.sample_rate:
        raise MediaProblem("corrupt", f"{path.name}: a WAVE file with no channel or no sample rate")
    if layout.codec not in (1, 3):
        return _probe_container(path, Kind.WAV)
    samples = layout.data_bytes // layout.frame_bytes
    if not samples:
        raise MediaProblem("empty", f"{path.name}: a WAVE file without a sample")
    return MediaFacts(
        kind=Kind.WAV,
        medium="audio",
        duration_s=samples / layout.sample_rate,
        has_audio=True,
        sample_rate=layout.sample_rate,
        channels=layout.channels,
    )


def _image_size(path: Path, kind: Kind) -> tuple[int, int]:
    """Width and height. Raises MediaProblem for a damaged header, or a kind that is not read here."""
    with path.open("rb") as file:
        head = file.read(64)
        try:
            match kind:
                case Kind.PNG:
                    size = struct.unpack(">II", head[16:24])
                case Kind.GIF:
                    size = struct.unpack("<HH", head[6:10])
                case Kind.BMP:
                    wide, high = struct.unpack("<ii", head[18:26])
                    size = (wide, abs(high))
                case Kind.WEBP:
                    size = _webp_size(head)
                case Kind.JPEG:
                    size = _jpeg_size(file)
                case _:
                    raise MediaProblem("unsupported", f"{path.name}: {kind} images are not read")
        except struct.error as error:
            raise MediaProblem("truncated", f"{path.name}: its {kind} header is cut off") from error
    if kind in _ENDINGS and _ENDINGS[kind] not in _tail(path):
        raise MediaProblem("truncated", f"{path.name}: the {kind} ends before its end mark")
    if not size[0] or not size[1]:
        raise MediaProblem("corrupt", f"{path.name}: a {kind} without width or height")
    return int(size[0]), int(size[1])


def _tail(path: Path) -> bytes:
    """The end of the file, with room for what programs append behind a picture."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - (1 << 16)))
        return file.read()


def _webp_size(head: bytes) -> tuple[int, int]:
    if head[12:16] == b"VP8X":
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if head[12:16] == b"VP8L":
        (bits,) = struct.unpack("<I", head[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    wide, high = struct.unpack("<HH", head[26:30])
    return wide & 0x3FFF, high & 0x3FFF


def _jpeg_size(file: BinaryIO) -> tuple[int, int]:
    """The size in the start-of-frame segment. Markers C4, C8 and CC share its range and are something else."""
    file.seek(2)
    while True:
        (mark,) = struct.unpack(">B", file.read(1))
        if mark != 0xFF:
            raise struct.error("no marker")
        while mark == 0xFF:
            (mark,) = struct.unpack(">B", file.read(1))
        if mark in (0x01, *range(0xD0, 0xD8)):
            continue
        (length,) = struct.unpack(">H", file.read(2))
        if 0xC0 <= mark <= 0xCF and mark not in (0xC4, 0xC8, 0xCC):
            high, wide = struct.unpack(">xHH", file.read(5))
            return wide, high
        if mark in (0xD9, 0xDA) or length < 2:
            raise struct.error("no frame")
        file.seek(length - 2, 1)


def _probe_container(path: Path, kind: Kind) -> MediaFacts:
    with open_container(path, kind, needed_for=f"reading {kind} files") as container:
        video = moving_picture(container)
        audio = container.streams.audio[0] if container.streams.audio else None
        if video is None and audio is None:
            raise MediaProblem("no_audio", f"{path.name}: holds neither sound nor moving pictures")
        duration_s = _container_seconds(container, video or audio)
        fps = float(video.average_rate) if video is not None and video.average_rate else None
        frames = None
        if video is not None:
            frames = video.frames or (max(1, round(duration_s * fps)) if duration_s and fps else None)
            if duration_s is None and frames and fps:
                duration_s = frames / fps
        return MediaFacts(
            kind=kind,
            medium="audio" if video is None else "video",
            duration_s=duration_s,
            width=None if video is None else video.width or None,
            height=None if video is None else video.height or None,
            frames=frames,
            fps=fps,
            has_audio=audio is not None,
            sample_rate=None if audio is None else audio.rate or None,
            channels=None if audio is None else audio.channels or None,
        )


def _container_seconds(container: InputContainer, stream: Any) -> float | None:
    if container.duration is not None and container.duration > 0:
        return float(container.duration) / 1_000_000
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None


def is_silent(path: Path, facts: MediaFacts, *, at_most_s: float = 120.0) -> bool:
    """Whether nothing is heard, at least in the first `at_most_s` seconds. Stops at the first audible sample.

    In WAV of 24 and 32 bits only zeros are silence. Raises: MissingExtra for a compressed file without PyAV.
    """
    if not facts.has_audio:
        return True
    if facts.kind is Kind.WAV:
        layout = _wav_layout(path)
        if layout.codec in (1, 3):
            return all(loudest <= _QUIET for loudest in _wav_peaks(path, layout, at_most_s))
    return all(loudest <= _QUIET for loudest in _container_peaks(path, facts.kind, at_most_s))


def _wav_peaks(path: Path, layout: _WavLayout, at_most_s: float) -> Iterator[float]:
    """The loudest sample of each block, 0 to 1 of full scale."""
    code = {(1, 16): "h", (3, 32): "f", (3, 64): "d"}.get((layout.codec, layout.bits))
    left = min(layout.data_bytes, int(at_most_s * layout.sample_rate) * layout.frame_bytes)
    with path.open("rb") as file:
        file.seek(layout.data_offset)
        while left > 0:
            block = file.read(min(left, 1 << 18) // 8 * 8 or left)
            if not block:
                return
            left -= len(block)
            if code is not None:
                samples: Any = array(code, block[: len(block) // array(code).itemsize * array(code).itemsize])
                loudest = max(max(samples, default=0), -min(samples, default=0))
                yield float(loudest) / (32768 if code == "h" else 1)
            elif layout.bits == 8:
                yield max(max(block) - 128, 128 - min(block)) / 128
            else:  # 24 and 32 bits: silence is all zeros
                yield 0.0 if block.count(0) == len(block) else 1.0


def _container_peaks(path: Path, kind: Kind, at_most_s: float) -> Iterator[float]:
    """The loudest sample of each decoded frame; a stream that breaks off counts up to there."""
    with open_container(path, kind, needed_for=f"reading {kind} files") as container:
        import av

        to_float = av.AudioResampler(format="flt", layout="mono")
        try:
            for frame in container.decode(audio=0):
                if frame.time is not None and frame.time > at_most_s:
                    return
                for plain in to_float.resample(frame):
                    samples = array("f", bytes(plain.planes[0])[: plain.samples * 4])
                    yield max(max(samples, default=0.0), -min(samples, default=0.0))
        except av.error.FFmpegError:
            return
