"""Sizes in headers are claims: what is measured is what the file holds, or it is refused.

Files are packed by hand here; ffmpeg's own decode says how long they are.
"""

from __future__ import annotations

import math
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hume_runner.media.audio import prepare_audio
from hume_runner.media.probe import probe
from hume_runner.media.problems import MediaProblem
from hume_runner.media.wav import declared_size
from tests.media_files import packed_gsm, read_wav
from tests.tiers import sampled

TONE = (8000 * np.sin(2 * np.pi * 300 * np.arange(16_000) / 16_000)).astype("<i2").tobytes()
W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
W64_WAVE = bytes.fromhex("77617665f3acd3118cd100c04f8edb8a")
W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")
LIST = b"LIST" + struct.pack("<I", 12) + b"INFOISFT\0\0\0\0"


def chunk(mark: bytes, body: bytes, *, size: int | None = None, pad: bool = True) -> bytes:
    length = len(body) if size is None else size
    return mark + struct.pack("<I", length) + body + bytes(pad and len(body) % 2)


def wav(
    body: bytes = TONE,
    *,
    size: int | None = None,
    riff: int | None = None,
    mark: bytes = b"RIFF",
    before: bytes = b"",
    after: bytes = b"",
    extensible: bool = False,
    rate: int = 16_000,
    block: int = 2,
) -> bytes:
    form = struct.pack("<HHIIHH", 0xFFFE if extensible else 1, 1, rate, 2 * rate, block, 16)
    if extensible:
        form += struct.pack("<HHI", 22, 16, 4) + struct.pack("<H", 1) + bytes.fromhex("000000001000800000aa00389b71")
    inner = b"WAVE" + before + chunk(b"fmt ", form) + chunk(b"data", body, size=size) + after
    return mark + struct.pack("<I", min(len(inner), 0xFFFFFFFF) if riff is None else riff) + inner


def ds64(data: int) -> bytes:
    return chunk(b"ds64", struct.pack("<QQQI", 0xFFFFFFFF, data, 0, 0))


def w64(body: bytes = TONE, *, size: int | None = None, after: bytes = b"") -> bytes:
    form = struct.pack("<HHIIHH", 1, 1, 16_000, 32_000, 2, 16)
    inner = b"fmt " + W64_TAIL + struct.pack("<Q", 24 + len(form)) + form
    inner += b"data" + W64_TAIL + struct.pack("<Q", 24 + len(body) if size is None else size) + body + after
    return W64_RIFF + struct.pack("<Q", 40 + len(inner)) + W64_WAVE + inner


def aiff(body: bytes = TONE, *, size: int | None = None, frames: int | None = None, after: bytes = b"") -> bytes:
    swapped = np.frombuffer(body, "<i2").astype(">i2").tobytes()
    rate = bytes.fromhex("400cfa00000000000000")  # 16,000 as an extended float
    common = struct.pack(">HIH", 1, len(body) // 2 if frames is None else frames, 16) + rate
    length = len(body) + 8 if size is None else size
    inner = b"AIFFCOMM" + struct.pack(">I", 18) + common + b"SSND" + struct.pack(">I", length) + bytes(8) + swapped
    return b"FORM" + struct.pack(">I", min(len(inner + after), 0xFFFFFFFF)) + inner + after


PLACEHOLDERS = (0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFDB, 0x7FFFFFDB, 0x80000024, 0xFFFFFFD3, 0)
WHOLE: dict[str, bytes] = {
    **{f"riff-{size:x}": wav(size=size, riff=min(size + 36, 0xFFFFFFFF)) for size in PLACEHOLDERS},
    **{f"extensible-{size:x}": wav(size=size, extensible=True) for size in PLACEHOLDERS},
    **{f"with-list-{size:x}": wav(size=size, before=LIST) for size in PLACEHOLDERS},
    "header-counted": wav(size=len(TONE) + 44, riff=len(TONE) + 44),
    "header-counted-twice": wav(size=len(TONE) + 44, riff=len(TONE) + 88),
    "extensible-header-counted": wav(size=len(TONE) + 68, extensible=True),
    "rf64": wav(size=0xFFFFFFFF, mark=b"RF64", before=ds64(len(TONE)), riff=0xFFFFFFFF),
    "rf64-list-behind": wav(size=0xFFFFFFFF, mark=b"RF64", before=ds64(len(TONE)), after=LIST),
    "bw64": wav(size=0xFFFFFFFF, mark=b"BW64", before=ds64(len(TONE)), riff=0xFFFFFFFF),
    "rf64-without-ds64": wav(size=0xFFFFFFFF, mark=b"RF64", riff=0xFFFFFFFF),
    "rf64-unfinished": wav(size=0xFFFFFFFF, mark=b"RF64", before=ds64(0), riff=0xFFFFFFFF),
    "rf64-says-it-itself": wav(mark=b"RF64"),
    "list-behind": wav(after=LIST),
    "odd-list-behind": wav(after=chunk(b"LIST", b"INFOabc")),
    "cut-off-list-behind": wav(after=LIST[:-3]),
    "odd-chunk-before": wav(before=chunk(b"note", b"odd")),
    "odd-chunk-before-without-padding": wav(before=chunk(b"note", b"odd", pad=False)),
    "odd-samples-and-list": wav(TONE + b"\x01", after=LIST),
    "tags-behind": wav(after=b"TAG" + bytes(125) + b"ID3"),
    "junk-behind": wav(after=b"\x01\x02\x03\x04"),
    "block-of-1": wav(block=1),
    "block-of-999": wav(block=999),
    "block-of-0": wav(block=0),
    "w64": w64(),
    "w64-pipe": w64(size=0x7FFFFFFFFFFFFFFF),
    "w64-unfinished": w64(size=0),
    "aiff": aiff(),
    "aiff-mark-behind": aiff(after=b"MARK" + struct.pack(">I", 2) + b"\0\0"),
    "aiff-frames-0": aiff(frames=0),
    "aiff-frames-all": aiff(frames=0xFFFFFFFF),
    **{f"aiff-{size:x}": aiff(size=size) for size in (0, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFF000)},
    "kept-room-behind": wav(after=bytes(100_000)),
}
REFUSED: dict[str, tuple[bytes, str]] = {
    "riff-short-by-half": (wav()[:16_000], "truncated"),
    "riff-short-by-a-little": (wav()[:-1_000], "truncated"),
    "riff-short-by-two": (wav()[:-2], "truncated"),
    "extensible-short": (wav(extensible=True)[:-500], "truncated"),
    "rf64-short": (wav(size=0xFFFFFFFF, mark=b"RF64", before=ds64(2 * len(TONE))), "truncated"),
    "w64-short": (w64()[:-1_000], "truncated"),
    "aiff-short": (aiff()[:-1_000], "truncated"),
    "large-and-cut": (wav(size=0x90000000), "truncated"),
    "crashed": (wav(size=3_200), "corrupt"),
    "crashed-extensible": (wav(size=3_200, extensible=True), "corrupt"),
    "crashed-then-list": (wav(size=3_200, after=LIST), "corrupt"),
    "crashed-odd": (wav(size=3_201), "corrupt"),
    "crashed-after-a-pause": (wav(bytes(8_000) + TONE, size=4_000), "corrupt"),
    "rf64-crashed": (wav(size=0xFFFFFFFF, mark=b"RF64", before=ds64(3_200)), "corrupt"),
    "w64-crashed": (w64(size=24 + 3_200), "corrupt"),
    "aiff-crashed": (aiff(size=3_208), "corrupt"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_size_that_no_file_has_means_up_to_the_end(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(WHOLE[name])
    prepared = prepare_audio(path, tmp_path)
    assert read_wav(prepared.path).tobytes()[: len(TONE)] == TONE if not prepared.unchanged else True
    assert prepared.samples - len(TONE) // 2 in range(3)


@pytest.mark.parametrize("name", [name for name in WHOLE if not name.startswith(("aiff", "w64"))])
def test_the_stand_in_reads_the_same_length_with_a_reader_of_its_own(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(WHOLE[name])
    seconds = probe(path).duration_s
    assert abs((seconds or 0) - 1) <= 0.001


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_header_hides_or_announces_in_vain_is_refused(name: str, tmp_path: Path) -> None:
    data, reason = REFUSED[name]
    path = tmp_path / "a.bin"
    path.write_bytes(data)
    reads: list[Callable[[], object]] = [lambda: prepare_audio(path, tmp_path)]
    if not name.startswith(("aiff", "w64")):
        reads.append(lambda: probe(path))
    for read in reads:
        with pytest.raises(MediaProblem) as caught:
            read()
        assert caught.value.reason == reason
        assert path.name in caught.value.message
    assert [file.name for file in tmp_path.iterdir()] == ["a.bin"]


CODECS = {
    "gsm_ms": "gsm", "adpcm_ms": "adpcm", "adpcm_ima_wav": "ima", "adpcm_yamaha": "yamaha", "libmp3lame": "mp3",
    "ac3": "ac3", "wmav2": "wma", "pcm_alaw": "alaw", "pcm_s24le": "s24", "pcm_f32le": "f32", "g722": "g722",
    "pcm_u8": "u8",
}  # fmt: skip


@pytest.mark.sweep
@sampled(3)
@pytest.mark.parametrize("codec", CODECS)
def test_a_wav_of_any_codec_lasts_as_long_as_it_decodes(codec: str, tmp_path: Path) -> None:
    path, rate = tmp_path / "a.wav", "8000" if codec == "gsm_ms" else "44100"
    if not ffmpeg("-f", "lavfi", "-i", f"sine=d=3.3:r={rate}", "-c:a", codec, str(path), may_fail=codec == "gsm_ms"):
        packed_gsm(path, 3)
    decoded_ms = math.ceil(len(decode(path)) / 32)
    prepared = prepare_audio(path, tmp_path, name="b.wav")
    assert abs(prepared.duration_ms - decoded_ms) <= 1
    seconds = probe(path).duration_s
    assert abs((seconds or 0) * 1000 - decoded_ms) <= 60


def ffmpeg(*arguments: str, may_fail: bool = False) -> bool:
    done = subprocess.run(["ffmpeg", "-v", "error", "-y", *arguments], capture_output=True, check=not may_fail)
    return done.returncode == 0


def decode(path: Path) -> bytes:
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-map", "0:a:0", "-ac", "1", "-ar", "16000", "-f", "s16le"]
    return subprocess.run([*command, "-"], capture_output=True, check=True).stdout


@pytest.mark.parametrize("present", [0, 1, 44, 16_000, 1 << 20])
def test_only_what_is_there_is_believed(present: int) -> None:
    for length in (0, 1, present - 1, present):
        if 0 <= length <= present:
            assert declared_size(length, present, 44) == length
    assert declared_size(present + 44, present, 68) is None
    assert declared_size(present + 68, present, 68) is None
    assert declared_size(present + 43, present, 68) == present + 43
