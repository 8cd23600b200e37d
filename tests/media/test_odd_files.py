"""Odd files, each either prepared right, as other programs see it, or refused with the reason.

Sound is read back with the standard library's `wave` and compared with the samples that the file was made from;
pictures are read back with Pillow and compared with the drawing.
"""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from hume_runner.media.audio import PreparedAudio, prepare_audio
from hume_runner.media.frames import iter_frames, write_frames
from hume_runner.media.probe import probe
from hume_runner.media.problems import MediaProblem
from hume_runner.media.sniff import Kind, sniff_path
from hume_runner.media.stills import PreparedStill, prepare_still
from tests.media_files import (
    RATE_HZ,
    number_of,
    numbered_picture,
    picture,
    picture_bytes,
    read_wav,
    speech,
    write_audio,
    write_video,
    write_wav,
)
from tests.tiers import sampled

TALK = speech([("pause", 0.3), ("speech", 0.6), ("pause", 0.4), ("speech", 0.5), ("pause", 0.2)])
DRAWING = picture(320, 240)
Build = Callable[[Path], object]


# ------------------------------------------------------------------------------------------------ sound


def wav_bytes(
    body: bytes,
    *,
    tag: int = 1,
    channels: int = 1,
    rate: int = RATE_HZ,
    bits: int = 16,
    before: bytes = b"",
    after: bytes = b"",
    declared: int | None = None,
    extensible: bool = False,
) -> bytes:
    """A WAV file by hand. `declared` is what the data chunk says of its size."""
    block = channels * bits // 8
    form = struct.pack("<HHIIHH", 0xFFFE if extensible else tag, channels, rate, rate * block, block, bits)
    if extensible:
        guid = struct.pack("<H", tag) + bytes.fromhex("000000001000800000aa00389b71")
        form += struct.pack("<HHI", 22, bits, 4 if channels == 1 else 3) + guid
    size = len(body) if declared is None else declared
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + before + b"data" + struct.pack("<I", size) + body + after
    return b"RIFF" + struct.pack("<I", min(4 + len(chunks), 0xFFFFFFFF)) + b"WAVE" + chunks


def in_bits(bits: int) -> bytes:
    if bits == 8:
        return ((TALK.astype(int) >> 8) + 128).astype(np.uint8).tobytes()
    wide = TALK.astype("<i4") << (bits - 16)
    return b"".join(struct.pack("<i", int(value))[: bits // 8] for value in wide)


def at_rate(rate: int) -> NDArray[np.int16]:
    """The same talk sampled at another rate: made anew, not resampled."""
    return speech([("pause", 0.3), ("speech", 0.6), ("pause", 0.4), ("speech", 0.5), ("pause", 0.2)], rate_hz=rate)


def written(data: bytes) -> Build:
    return lambda path: path.write_bytes(data)


def chunk(mark: bytes, body: bytes) -> bytes:
    return mark + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def rf64(path: Path) -> None:
    plain = wav_bytes(TALK.tobytes(), declared=0xFFFFFFFF)
    sizes = chunk(b"ds64", struct.pack("<QQQI", len(plain) + 28, 2 * len(TALK), len(TALK), 0))
    path.write_bytes(b"RF64\xff\xff\xff\xffWAVE" + sizes + plain[12:])


def with_big_tag(path: Path) -> None:
    write_audio(path, TALK, "libmp3lame", form="mp3")
    data = path.read_bytes()
    size = 200_000
    tag = b"ID3\x03\0\0" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + bytes(size)
    path.write_bytes(tag + data)


LIST = chunk(b"LIST", b"INFO" + chunk(b"INAM", b"odd "))
SOUND: dict[str, Build] = {
    "plain.wav": lambda path: write_wav(path, TALK),
    "plain-wav-named.mp3": lambda path: write_wav(path, TALK),
    "plain-wav-without-extension": lambda path: write_wav(path, TALK),
    "mp3-named.wav": lambda path: write_audio(path, TALK, "libmp3lame", form="mp3"),
    "flac-named.mp3": lambda path: write_audio(path, TALK, "flac", form="flac"),
    "extensible.wav": written(wav_bytes(TALK.tobytes(), extensible=True)),
    "extensible-float.wav": written(wav_bytes((TALK / 32768).astype("<f4").tobytes(), tag=3, bits=32, extensible=True)),
    "bits-8.wav": written(wav_bytes(in_bits(8), bits=8)),
    "bits-24.wav": written(wav_bytes(in_bits(24), bits=24)),
    "bits-32.wav": written(wav_bytes(in_bits(32), bits=32)),
    "float-32.wav": written(wav_bytes((TALK / 32768).astype("<f4").tobytes(), tag=3, bits=32)),
    "float-64.wav": written(wav_bytes((TALK / 32768).astype("<f8").tobytes(), tag=3, bits=64)),
    "mu-law.wav": lambda path: write_audio(path, TALK, "pcm_mulaw", form="wav"),
    "stereo-44100.wav": lambda path: write_wav(path, at_rate(44_100), rate_hz=44_100, channels=2),
    "six-channels-48000.wav": lambda path: write_wav(path, at_rate(48_000), rate_hz=48_000, channels=6),
    "slow-8000.wav": lambda path: write_wav(path, at_rate(8_000), rate_hz=8_000),
    "list-chunk.wav": written(wav_bytes(TALK.tobytes(), before=LIST)),
    "chunk-behind.wav": written(wav_bytes(TALK.tobytes(), after=LIST)),
    "sizes-unknown.wav": written(wav_bytes(TALK.tobytes(), declared=0xFFFFFFFF, before=LIST)),
    "sizes-zero.wav": written(wav_bytes(TALK.tobytes(), declared=0)),
    "odd-byte-count.wav": written(wav_bytes(TALK.tobytes() + b"\x7f")),
    "bytes-behind-the-samples.wav": written(wav_bytes(TALK.tobytes(), after=b"junk")),
    "rf64.wav": rf64,
    "big-id3-tag.mp3": with_big_tag,
    "cover-art.mp3": lambda path: write_audio(path, TALK, "libmp3lame", cover=DRAWING),
    "phone.m4a": lambda path: write_audio(path, TALK, "aac"),
    "voice.aac": lambda path: write_audio(path, TALK, "aac"),
    "sound.mka": lambda path: write_audio(path, TALK, "flac"),
    "sound.aiff": lambda path: write_audio(path, TALK, "pcm_s16be"),
    "sound.caf": lambda path: write_audio(path, TALK, "pcm_s16le"),
    "sound.au": lambda path: write_audio(path, TALK, "pcm_s16be"),
    "opus.ogg": lambda path: write_audio(path, at_rate(48_000), "libopus", rate_hz=48_000),
    "opus.webm": lambda path: write_audio(path, at_rate(48_000), "libopus", rate_hz=48_000),
    "sound-only.mp4": lambda path: write_audio(path, TALK, "aac"),
    "sound-only.mov": lambda path: write_audio(path, TALK, "pcm_s16le"),
}


@sampled(9)
@pytest.mark.parametrize("name", SOUND)
def test_odd_sound_is_prepared_and_is_the_same_sound(name: str, tmp_path: Path) -> None:
    SOUND[name](tmp_path / name)
    out = tmp_path / "out"
    out.mkdir()
    prepared = prepare_audio(tmp_path / name, out)
    samples = read_wav(prepared.path)
    header = prepared.path.read_bytes()[:44]
    assert header[:4] == b"RIFF"
    assert header[36:40] == b"data"
    assert struct.unpack("<I", header[40:]) == (2 * prepared.samples,)
    assert prepared.size_bytes == prepared.path.stat().st_size
    assert len(samples) == prepared.samples
    assert abs(len(samples) - len(TALK)) <= 0.12 * RATE_HZ  # codecs pad to whole frames at both ends
    assert _likeness(samples, TALK) > 0.97
    assert prepared.unchanged == name.startswith("plain")
    with pytest.raises(MediaProblem) as caught:
        next(iter_frames(tmp_path / name))
    assert caught.value.reason in {"no_video", "unsupported"}


def _likeness(one: NDArray[np.int16], other: NDArray[np.int16]) -> float:
    """Correlation of loudness over time, at the best alignment within 150 ms; 1 is the same."""

    def loudness(samples: NDArray[np.int16]) -> NDArray[np.float64]:
        whole = samples[: len(samples) // 160 * 160].astype(float).reshape(-1, 160)
        return np.sqrt((whole**2).mean(axis=1))

    a, b = loudness(one), loudness(other)
    best = 0.0
    for shift in range(-15, 16):
        first, second = (a[shift:], b) if shift >= 0 else (a, b[-shift:])
        count = min(len(first), len(second))
        best = max(best, float(np.corrcoef(first[:count], second[:count])[0, 1]))
    level = np.sqrt((one.astype(float) ** 2).mean() / (other.astype(float) ** 2).mean())
    assert 0.8 < level < 1.25, "louder or softer than what it was made from"
    return best


@pytest.mark.parametrize("name", ["stereo-44100.wav", "cover-art.mp3", "sound.mka"])
def test_the_same_file_gives_the_same_bytes(name: str, tmp_path: Path) -> None:
    SOUND[name](tmp_path / name)
    one = prepare_audio(tmp_path / name, tmp_path, name="1.wav")
    two = prepare_audio(tmp_path / name, tmp_path, name="2.wav")
    assert one.path.read_bytes() == two.path.read_bytes()


# ------------------------------------------------------------------------------------------------ pictures


def saved(image: Image.Image, form: str, **options: object) -> Build:
    return lambda path: path.write_bytes(picture_bytes(image, form, **options))


def enlarged(width: int, height: int, form: str, **options: object) -> Build:
    """Drawn when the file is written: every worker collects this table."""
    return lambda path: path.write_bytes(picture_bytes(DRAWING.resize((width, height)), form, **options))


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def with_hole(image: Image.Image) -> Image.Image:
    """Transparent in the lower right quarter, which the drawing leaves in its ground colour."""
    cut = image.convert("RGBA")
    cut.paste((0, 0, 0, 0), (240, 180, 320, 240))
    return cut


def on_white(image: Image.Image) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA")).convert("RGB")


NOISE = Image.fromarray(np.random.default_rng(3).integers(0, 255, (1400, 1600, 3), np.uint8))


@dataclass(frozen=True)
class Still:
    build: Build
    expected: Image.Image
    unchanged: bool = False


STILLS: dict[str, Still] = {
    "baseline.jpg": Still(saved(DRAWING, "JPEG", quality=92), DRAWING, unchanged=True),
    "jpeg-named.png": Still(saved(DRAWING, "JPEG", quality=92), DRAWING, unchanged=True),
    "progressive.jpg": Still(saved(DRAWING, "JPEG", quality=92, progressive=True), DRAWING, unchanged=True),
    "grey.jpg": Still(saved(DRAWING.convert("L"), "JPEG"), DRAWING.convert("L").convert("RGB"), unchanged=True),
    "upright.jpg": Still(saved(DRAWING, "JPEG", exif=exif(1)), DRAWING, unchanged=True),
    "bytes-behind.jpg": Still(written(picture_bytes(DRAWING) + b"MotionPhoto" * 99), DRAWING, unchanged=True),
    "cmyk.jpg": Still(saved(DRAWING.convert("CMYK"), "JPEG", quality=95), DRAWING),
    **{
        f"orientation-{number}.jpg": Still(
            saved(DRAWING, "JPEG", exif=exif(number), quality=95), ImageOps.exif_transpose(_turned)
        )
        for number in range(2, 9)
        for _turned in [Image.open(io.BytesIO(picture_bytes(DRAWING, "JPEG", exif=exif(number), quality=95)))]
    },
    "orientation.png": Still(saved(DRAWING, "PNG", exif=exif(6)), DRAWING.transpose(Image.Transpose.ROTATE_270)),
    "alpha.png": Still(saved(with_hole(DRAWING), "PNG"), on_white(with_hole(DRAWING))),
    "grey-alpha.png": Still(saved(with_hole(DRAWING).convert("LA"), "PNG"), on_white(with_hole(DRAWING).convert("LA"))),
    "palette.png": Still(saved(DRAWING.quantize(64), "PNG"), DRAWING.quantize(64).convert("RGB")),
    "bits-16.png": Still(
        written(picture_bytes(Image.fromarray(np.asarray(DRAWING.convert("L")).astype(np.uint16) * 257), "PNG")),
        DRAWING.convert("L").convert("RGB"),
    ),
    "one-bit.png": Still(
        saved(DRAWING.convert("L").point(lambda level: 255 * (level > 150)).convert("1"), "PNG"),
        DRAWING.convert("L").point(lambda level: 255 * (level > 150)).convert("RGB"),
    ),
    "png-named.jpg": Still(saved(DRAWING, "PNG"), DRAWING),
    "lossy.webp": Still(saved(DRAWING, "WEBP", quality=95), DRAWING),
    "alpha.webp": Still(saved(with_hole(DRAWING), "WEBP", lossless=True), on_white(with_hole(DRAWING))),
    "still.gif": Still(saved(DRAWING.quantize(64), "GIF"), DRAWING.quantize(64).convert("RGB")),
    "moving.gif": Still(
        saved(DRAWING, "GIF", save_all=True, append_images=[picture(320, 240, seed=9)]), DRAWING.convert("RGB")
    ),
    "still.bmp": Still(saved(DRAWING, "BMP"), DRAWING),
    "tiny.png": Still(saved(Image.new("RGB", (1, 1), (200, 20, 20)), "PNG"), Image.new("RGB", (1, 1), (200, 20, 20))),
    "many-pixels.png": Still(enlarged(4200, 3150, "PNG", compress_level=1), DRAWING),
    "many-pixels.jpg": Still(enlarged(5000, 2000, "JPEG", quality=60), DRAWING.resize((500, 200))),
    "many-bytes.jpg": Still(saved(NOISE, "JPEG", quality=100, subsampling=0), NOISE),
}


@sampled(7)
@pytest.mark.parametrize("name", STILLS)
def test_odd_pictures_are_prepared_and_are_the_same_picture(name: str, tmp_path: Path) -> None:
    case = STILLS[name]
    case.build(tmp_path / name)
    prepared = prepare_still(tmp_path / name, tmp_path, name="out.jpg")
    data = prepared.path.read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert (image.format, image.size) == ("JPEG", (prepared.width, prepared.height))
        assert image.getexif().get(0x0112, 1) == 1
        assert image.mode in {"RGB", "L"}
        got = image.convert("RGB")
    assert data.startswith(b"\xff\xd8\xff")
    assert data.endswith(b"\xff\xd9")
    assert len(data) == prepared.size_bytes < 2_000_000
    assert prepared.width * prepared.height <= 8_294_400
    shape = case.expected.width / case.expected.height
    assert got.width / got.height == pytest.approx(shape, rel=0.01)
    assert _difference(got, case.expected) < 6
    assert prepared.unchanged == case.unchanged
    if case.unchanged:
        assert (tmp_path / name).read_bytes().startswith(data)


@pytest.mark.parametrize("form", ["GIF", "PNG"])
@pytest.mark.parametrize("pictures", [1, 2, 5])
def test_of_a_picture_that_moves_the_first_is_measured_and_that_is_said(
    pictures: int, form: str, tmp_path: Path
) -> None:
    path = tmp_path / f"a.{form.lower()}"
    others = [picture(320, 240, seed=number) for number in range(1, pictures)]
    DRAWING.save(path, form, save_all=True, append_images=others)
    prepared = prepare_still(path, tmp_path, name="out.jpg")
    assert _difference(Image.open(prepared.path), DRAWING) < 6
    said = "it moves, and its first picture is measured; save it as a video for all of them"
    assert prepared.notes == ((said,) if pictures > 1 else ())


def _difference(one: Image.Image, other: Image.Image) -> float:
    """Mean difference of colours, 0 to 255, seen from a little distance."""
    size = (min(other.width, 40), min(other.height, 30))
    far = [np.asarray(image.convert("RGB").resize(size, Image.Resampling.BOX)).astype(int) for image in (one, other)]
    return float(np.abs(far[0] - far[1]).mean())


# ------------------------------------------------------------------------------------------------ videos


@pytest.mark.sweep
def test_a_video_gives_its_sound_and_its_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", seconds=2, sound=TALK)
    frames = [(frame.source_ms, number_of(_opened(frame.jpeg.data))) for frame in iter_frames(path)]
    assert frames == [(0, 0), (360, 9), (680, 17), (1000, 25), (1360, 34), (1680, 42)]
    assert _likeness(read_wav(prepare_audio(path, tmp_path).path), TALK) > 0.97


def test_a_video_named_as_a_picture_is_still_a_video(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", seconds=0.4).rename(tmp_path / "a.jpg")
    facts = probe(tmp_path / "a.jpg")
    assert (facts.kind, facts.medium) == (Kind.MP4, "video")
    assert len(list(iter_frames(tmp_path / "a.jpg"))) == 2


def test_a_video_without_sound_has_frames_and_says_so(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", seconds=1)
    assert len(list(iter_frames(path))) == 3
    with pytest.raises(MediaProblem) as caught:
        prepare_audio(path, tmp_path)
    assert caught.value.reason == "no_audio"
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"]


def test_frames_of_irregular_video_keep_their_own_times(tmp_path: Path) -> None:
    times = [0, 40, 80, 900, 910, 950, 2500, 2533]
    path = write_video(tmp_path / "a.mkv", times_ms=times)
    frames = [(frame.source_ms, number_of(_opened(frame.jpeg.data))) for frame in iter_frames(path)]
    assert frames == [(0, 0), (900, 3), (2500, 6)]
    assert all(times[number] == at for at, number in frames)


@pytest.mark.parametrize("angle", [90, 180, -90])
def test_a_turned_phone_gives_upright_frames(angle: int, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", seconds=0.2, rotation=angle, draw=lambda _number: DRAWING)
    (frame,) = iter_frames(path)
    upright = DRAWING.rotate(angle, expand=True)
    assert (frame.jpeg.width, frame.jpeg.height) == upright.size
    assert _difference(_opened(frame.jpeg.data), upright) < 6


def test_wide_frames_are_scaled_after_turning(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", seconds=0.1, size=(640, 320), rotation=90)
    (frame,) = iter_frames(path, max_width=160)
    assert (frame.jpeg.width, frame.jpeg.height) == (160, 320)


def test_frames_have_the_colours_of_the_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.webm", codec="libvpx-vp9", seconds=0.1, draw=lambda _number: DRAWING)
    (frame,) = iter_frames(path)
    assert _difference(_opened(frame.jpeg.data), DRAWING) < 6


def test_sound_that_begins_later_says_when(tmp_path: Path) -> None:
    path = tmp_path / "late.mkv"
    with av.open(str(path), "w") as container:
        video, sound = container.add_stream("mpeg4", rate=10), container.add_stream("pcm_s16le", rate=RATE_HZ)
        video.width, video.height, video.pix_fmt, sound.layout = 64, 48, "yuv420p", "mono"
        for number in range(20):
            frame = av.VideoFrame.from_image(numbered_picture(number, (64, 48)))
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        piece = av.AudioFrame.from_ndarray(TALK.reshape(1, -1), format="s16", layout="mono")
        piece.sample_rate, piece.pts, piece.time_base = RATE_HZ, RATE_HZ // 2, Fraction(1, RATE_HZ)
        container.mux(sound.encode(piece))
        container.mux(sound.encode(None))
    prepared = prepare_audio(path, tmp_path)
    assert (prepared.start_ms, prepared.samples) == (500, len(TALK))


def _opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


# ------------------------------------------------------------------------------------------------ refused


def cut_off(build: Build, share: float) -> Build:
    def cut(path: Path) -> None:
        build(path)
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])

    return cut


def faststart(path: Path) -> None:
    """An index first and the media behind, so that a cut-off file still opens."""
    long = np.tile(TALK, 4)
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("aac", rate=RATE_HZ)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(long.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def damaged_png(path: Path) -> None:
    data = bytearray(picture_bytes(DRAWING, "PNG"))
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def damaged_jpeg(path: Path) -> None:
    data = picture_bytes(picture(640, 480, seed=4), quality=90)
    path.write_bytes(data[: len(data) // 2] + b"\xff\xd9")


def forged_size(path: Path) -> None:
    data = bytearray(picture_bytes(Image.new("RGB", (8, 8)), "PNG"))
    data[16:24] = struct.pack(">II", 60_000, 60_000)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    path.write_bytes(data)


PAGE = b"<!DOCTYPE html>\n<html><body>Please sign in</body></html>"
REFUSED: dict[str, tuple[Build, str]] = {
    "nothing.wav": (written(b""), "empty"),
    "nothing.jpg": (written(b""), "empty"),
    "header-alone.wav": (written(wav_bytes(b"")), "empty"),
    "half-a-sample.wav": (written(wav_bytes(b"\x01")), "empty"),
    "cut-off.wav": (cut_off(lambda path: write_wav(path, TALK), 0.5), "truncated"),
    "cut-off-extensible.wav": (cut_off(written(wav_bytes(TALK.tobytes(), extensible=True)), 0.5), "truncated"),
    "cut-in-the-header.wav": (written(wav_bytes(TALK.tobytes())[:30]), "truncated"),
    "no-format.wav": (written(b"RIFF\x24\0\0\0WAVE" + chunk(b"data", TALK.tobytes())), "corrupt"),
    "text.wav": (written(b"Dear diary, today nobody spoke.\n" * 40), "not_media"),
    "page.mp3": (written(PAGE), "not_media"),
    "page.jpg": (written(b"\n  " + PAGE), "not_media"),
    "error.wav": (written(b'{"error": "no such file"}'), "not_media"),
    "playlist.mp4": (written(b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n"), "not_media"),
    "paper.mp3": (written(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + bytes(500)), "not_media"),
    "letters.wav": (written("\ufeffgrüße\n".encode("utf-16-le")), "not_media"),
    "samples-alone.wav": (written(TALK.tobytes()), "unknown_format"),
    "noise.mp3": (written(b"\x07" + random.Random(1).randbytes(5000)), "unknown_format"),
    "zeros.wav": (written(bytes(5000)), "unknown_format"),
    "sync-word-by-chance.mp3": (written(b"\xff\xfb\x90\x64" + random.Random(2).randbytes(6000)), "unknown_format"),
    "packed.wav": (written(b"PK\x03\x04" + bytes(200)), "archive"),
    "packed.jpg": (written(b"\x1f\x8b\x08" + bytes(200)), "archive"),
    "cut-off.m4a": (cut_off(lambda path: write_audio(path, TALK, "aac"), 0.5), "truncated"),
    "cut-off-faststart.mp4": (cut_off(faststart, 0.5), "truncated"),
    "cut-off.flac": (cut_off(lambda path: write_audio(path, np.tile(TALK, 3), "flac"), 0.4), "truncated"),
    "header-alone.flac": (written(b"fLaC" + bytes(60)), "undecodable"),
    "no-track.mkv": (written(b"\x1aE\xdf\xa3" + bytes(100)), "undecodable"),
    "cut-off.jpg": (cut_off(saved(DRAWING, "JPEG"), 0.6), "truncated"),
    "cut-in-the-header.jpg": (cut_off(saved(DRAWING, "JPEG"), 0.02), "truncated"),
    "half-with-an-end.jpg": (damaged_jpeg, "undecodable"),
    "cut-off.png": (cut_off(saved(DRAWING, "PNG"), 0.6), "truncated"),
    "damaged.png": (damaged_png, "corrupt"),
    "cut-off.webp": (cut_off(saved(DRAWING, "WEBP"), 0.6), "truncated"),
    "cut-off.gif": (cut_off(saved(DRAWING, "GIF"), 0.6), "truncated"),
    "cut-off.bmp": (cut_off(saved(DRAWING, "BMP"), 0.6), "truncated"),
    "forged-size.png": (forged_size, "too_many_pixels"),
    "moving.webp": (saved(DRAWING, "WEBP", save_all=True, append_images=[picture(seed=2)]), "unsupported"),
    "phone.heic": (written(b"\0\0\0\x18ftypheic" + bytes(200)), "unsupported"),
    "scan.tiff": (saved(DRAWING, "TIFF"), "unsupported"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_odd_files_are_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    build, reason = REFUSED[name]
    build(tmp_path / name)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(MediaProblem) as caught:
        prepare_by_content(tmp_path / name, out)
    assert caught.value.reason == reason
    assert name in caught.value.message
    assert list(out.iterdir()) == []


def prepare_by_content(path: Path, out: Path) -> PreparedAudio | PreparedStill:
    """As a service does: pictures by one way, everything else as sound."""
    if sniff_path(path).family == "image":
        return prepare_still(path, out)
    return prepare_audio(path, out)


def test_a_folder_and_a_missing_file_are_unreadable(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.wav"):
        with pytest.raises(MediaProblem) as caught:
            prepare_by_content(path, tmp_path)
        assert caught.value.reason == "unreadable"


def test_there_are_more_than_forty_odd_files() -> None:
    assert len(SOUND) + len(STILLS) + len(REFUSED) >= 100


def test_frames_are_written_one_by_one_and_whole(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", seconds=1)
    out = tmp_path / "out"
    out.mkdir()
    for number, frame in enumerate(write_frames(path, out, fps=5)):
        assert sorted(file.name for file in out.iterdir()) == [f"{at:06}.jpg" for at in range(number + 1)]
        with Image.open(frame.path) as image:
            assert image.size == (frame.width, frame.height)
        assert frame.path.stat().st_size == frame.size_bytes
    assert number == 4
