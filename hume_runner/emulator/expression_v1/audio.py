"""One uploaded recording: what it is, and its simulated measurement."""

from __future__ import annotations

import hashlib
import struct
from typing import Any

from hume_runner.emulator.expression_v1.errors import Coded
from hume_runner.emulator.expression_v1.scores import audio_expressions, voice_attributes
from hume_runner.emulator.expression_v1.speech import SAMPLES_PER_MS, Window, find_utterances, measurement_windows
from hume_runner.emulator.expression_v1.uploads import Medium, Submission
from hume_runner.frozen import frozen

_HEAD_BYTES = 64
_CHUNK_LIMIT = 1000  # chunks before the samples; a file with more is no recording
_PCM = (1, 1, 16_000, 32_000, 2, 16)  # format tag, channels, rate, bytes a second, block, bits


@frozen
class Samples:
    """Where the samples lie within the medium, in bytes."""

    start: int
    size_bytes: int

    @property
    def count(self) -> int:
        return self.size_bytes // 2

    @property
    def duration_ms(self) -> int:
        """Rounded up to a whole millisecond."""
        return -(-self.count // SAMPLES_PER_MS)


def find_samples(submission: Submission, medium: Medium) -> Samples:
    """The samples of a WAV, or of headerless bytes: whatever is not recognised is taken as samples.

    Raises: Coded "unsupported_media_type" for MP3, FLAC, Ogg, MP4 and RIFF files that are not WAVE, by content;
    "audio_decode_failed" for a WAV that is not plain 16 kHz mono 16-bit PCM, and for bytes that are no whole samples.
    """
    head = submission.read(medium, 0, _HEAD_BYTES)
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and len(head) >= 12:
        if head[8:12] != b"WAVE":
            raise Coded("unsupported_media_type", "a RIFF file that is not WAVE")
        if head[:4] != b"RIFF":
            raise Coded("audio_decode_failed", f"a {head[:4].decode()} header; only plain RIFF is read")
        return _wav(submission, medium)
    if name := _container(head):
        raise Coded("unsupported_media_type", f"{name} is not supported; send 16 kHz mono signed 16-bit WAV")
    return _whole_samples(0, medium.size_bytes)


def _container(head: bytes) -> str | None:
    if head.startswith(b"fLaC"):
        return "FLAC"
    if head.startswith(b"OggS"):
        return "Ogg"
    if head[4:8] == b"ftyp":
        return "MP4"
    return "MP3" if head.startswith(b"ID3") or _is_mpeg_frame(head) else None


def _is_mpeg_frame(head: bytes) -> bool:
    """A possible header of MPEG audio. Samples can look the same: WAV is the safer form."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bitrate, rate = head[2] >> 4, head[2] >> 2 & 3
    return version != 1 and layer != 0 and bitrate not in (0, 15) and rate != 3


def _wav(submission: Submission, medium: Medium) -> Samples:
    form: tuple[int, ...] | None = None
    riff_bytes = int.from_bytes(submission.read(medium, 4, 4), "little") + 8
    if riff_bytes > medium.size_bytes:
        raise Coded("audio_decode_failed", "the WAV file ends before the size that it declares")
    at = 12
    for _ in range(_CHUNK_LIMIT):
        header = submission.read(medium, at, 8)
        if len(header) < 8:
            break
        length = int.from_bytes(header[4:], "little")
        at += 8
        if at + length > medium.size_bytes:
            raise Coded("audio_decode_failed", "the WAV file ends before the size that it declares")
        if header[:4] == b"fmt ":
            form = _form(submission.read(medium, at, min(length, 16)))
        elif header[:4] == b"data":
            if form is None:
                raise Coded("audio_decode_failed", "the WAV file describes no samples before it holds them")
            return _whole_samples(at, length)
        at += length + (length & 1)
    raise Coded("audio_decode_failed", "the WAV file holds no samples")


def _form(raw: bytes) -> tuple[int, ...]:
    if len(raw) < 16:
        raise Coded("audio_decode_failed", "the WAV header is malformed")
    tag, channels, rate, bytes_s, block, bits = form = struct.unpack("<HHIIHH", raw)
    if tag == 0xFFFE:
        raise Coded("audio_decode_failed", "the extensible WAV header is not supported")
    if form != _PCM:
        raise Coded(
            "audio_decode_failed",
            f"WAV must be 16000 Hz mono signed 16-bit PCM; this is format {tag}, {rate} Hz, {channels} channels, "
            f"{bits} bits, {bytes_s} bytes a second in blocks of {block}",
        )
    return form


def _whole_samples(start: int, size_bytes: int) -> Samples:
    if size_bytes == 0:
        raise Coded("audio_decode_failed", "the recording is empty")
    if size_bytes % 2:
        raise Coded("audio_decode_failed", "16-bit samples cannot fill an odd number of bytes")
    return Samples(start=start, size_bytes=size_bytes)


def measure_audio(submission: Submission, medium: Medium, samples: Samples, timer_ms: int, seed: int) -> dict[str, Any]:
    """`received`, `utterances` and `measurements` of the answer. Reads the samples twice, in blocks."""
    blocks = submission.blocks(medium, samples.start, samples.size_bytes)
    utterances = find_utterances(blocks, samples.count)
    measurements: list[dict[str, Any]] = []
    for utterance_id, utterance in enumerate(utterances):
        for window in measurement_windows(utterance, timer_ms):
            key = _content_key(submission, medium, samples, window, seed)
            measurements.append(
                {
                    "measurement_id": len(measurements),
                    "utterance_id": utterance_id,
                    "audio_start_ms": window.start_ms,
                    "audio_end_ms": window.end_ms,
                    "trigger": window.trigger,
                    "expressions": audio_expressions(key),
                    "voice_attributes": voice_attributes(key),
                }
            )
    return {
        "received": {"audio_duration_ms": samples.duration_ms},
        "utterances": [
            {"utterance_id": number, "audio_start_ms": start, "audio_end_ms": end}
            for number, (start, end) in enumerate(utterances)
        ],
        "measurements": measurements,
    }


def _content_key(submission: Submission, medium: Medium, samples: Samples, window: Window, seed: int) -> bytes:
    """What a window's scores follow from: its samples and the seed, not its place."""
    start = window.start_ms * SAMPLES_PER_MS * 2
    end = min(window.end_ms * SAMPLES_PER_MS * 2, samples.size_bytes)
    digest = hashlib.blake2b(str(seed).encode(), digest_size=32)
    for block in submission.blocks(medium, samples.start + start, end - start):
        digest.update(block)
    return digest.digest()
