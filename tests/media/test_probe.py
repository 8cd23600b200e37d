"""Cheap facts: lengths, sizes, frames, silence; and the reasons when there are none."""

from __future__ import annotations

import io
import math
import struct
import wave
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hume_runner.media.probe import is_silent, probe
from hume_runner.media.problems import MediaProblem
from hume_runner.media.sniff import Kind


def wav_bytes(frames: bytes, *, rate: int = 8000, channels: int = 1, width: int = 2) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", ""))
        file.writeframes(frames)
    return buffer.getvalue()


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def tone(seconds: float, rate: int = 8000, loudness: float = 0.5) -> bytes:
    time_s = np.arange(int(seconds * rate)) / rate
    samples: bytes = (np.sin(math.tau * 300 * time_s) * loudness * 32767).astype("<i2").tobytes()
    return samples


def encoded(folder: Path, name: str, *, seconds: float = 1.0, picture: bool = False, sound: float | None = 0.5) -> Path:
    """A file made by PyAV, with moving pictures, sound of a loudness, or both."""
    path = folder / name
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("mpeg4", rate=10) if picture else None
        if video is not None:
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio: Any = (
            container.add_stream("mp3" if name.endswith("mp3") else "aac", rate=16_000) if sound is not None else None
        )
        if video is not None:
            for at in range(int(seconds * 10)):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), at * 9, np.uint8), format="rgb24")
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
        if audio is not None and sound is not None:
            samples = np.frombuffer(tone(seconds, 16_000, sound), "<i2").reshape(1, -1)
            sounding = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            sounding.sample_rate = 16_000
            container.mux(audio.encode(sounding))
            container.mux(audio.encode(None))
    return path


@given(
    st.integers(1, 20_000), st.sampled_from([8000, 16_000, 44_100]), st.integers(1, 2), st.sampled_from([1, 2, 3, 4])
)
def test_a_wav_lasts_as_long_as_its_samples(
    tmp_path_factory: pytest.TempPathFactory, samples: int, rate: int, channels: int, width: int
) -> None:
    content = wav_bytes(bytes(samples * channels * width), rate=rate, channels=channels, width=width)
    facts = probe(written(tmp_path_factory.getbasetemp(), "any.wav", content))
    assert facts.duration_s == pytest.approx(samples / rate)
    assert (facts.medium, facts.sample_rate, facts.channels) == ("audio", rate, channels)


def test_a_wav_that_a_stream_left_unfinished_lasts_to_its_end(tmp_path: Path) -> None:
    content = bytearray(wav_bytes(tone(2)))
    content[40:44] = b"\xff\xff\xff\xff"
    assert probe(written(tmp_path, "a.wav", bytes(content))).duration_s == 2


def test_chunks_before_the_samples_are_stepped_over(tmp_path: Path) -> None:
    content = wav_bytes(tone(1))
    odd = b"LIST" + struct.pack("<I", 5) + b"hello\0"
    assert probe(written(tmp_path, "a.wav", content[:36] + odd + content[36:])).duration_s == 1


@pytest.mark.parametrize(
    ("form", "kind"),
    [("PNG", Kind.PNG), ("JPEG", Kind.JPEG), ("GIF", Kind.GIF), ("BMP", Kind.BMP), ("WEBP", Kind.WEBP)],
)
@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"progressive": True}])
def test_pictures_tell_their_size(tmp_path: Path, form: str, kind: Kind, options: dict[str, bool]) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (123, 45), (9, 99, 199)).save(buffer, form, **options)
    facts = probe(written(tmp_path, "picture", buffer.getvalue()))
    assert (facts.kind, facts.medium, facts.width, facts.height) == (kind, "image", 123, 45)
    assert facts.duration_s is None


@pytest.mark.sweep
def test_a_video_tells_frames_rate_size_and_sound(tmp_path: Path) -> None:
    facts = probe(encoded(tmp_path, "v.mp4", seconds=2, picture=True))
    assert (facts.medium, facts.frames, facts.fps, facts.width, facts.height) == ("video", 20, 10.0, 64, 48)
    assert facts.has_audio
    assert facts.duration_s == pytest.approx(2, abs=0.2)
    assert not probe(encoded(tmp_path, "mute.mp4", picture=True, sound=None)).has_audio


@pytest.mark.sweep
@pytest.mark.parametrize("name", ["a.mp3", "a.m4a", "a.mp4"])
def test_compressed_sound_tells_its_length(tmp_path: Path, name: str) -> None:
    facts = probe(encoded(tmp_path, name, seconds=3))
    assert facts.medium == "audio"
    assert facts.duration_s == pytest.approx(3, abs=0.2)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"words", "not_media"),
        (b"PK\x03\x04\0\0", "archive"),
        (b"\0\1\2\3", "unknown_format"),
        (wav_bytes(b""), "empty"),
        (wav_bytes(b"")[:30], "truncated"),
        (wav_bytes(tone(1))[:36], "corrupt"),
        (b"\x89PNG\r\n\x1a\n\0\0", "truncated"),
        (b"\xff\xd8\xff\xe0\0\x10", "truncated"),
        (b"\0\0\0\x18ftypmp42" + bytes(200), "undecodable"),
    ],
)
def test_what_is_no_medium_says_why(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(MediaProblem) as caught:
        probe(written(tmp_path, "file", content))
    assert caught.value.reason == reason


def test_a_picture_that_breaks_off_is_truncated(tmp_path: Path) -> None:
    for form in ("PNG", "JPEG"):
        buffer = io.BytesIO()
        Image.effect_noise((200, 200), 90).save(buffer, form)
        with pytest.raises(MediaProblem) as caught:
            probe(written(tmp_path, "picture", buffer.getvalue()[: len(buffer.getvalue()) // 2]))
        assert caught.value.reason == "truncated"


@pytest.mark.parametrize("name", ["a.m4a", "a.mp4"])
def test_silence_is_told_from_sound_in_compressed_files(tmp_path: Path, name: str) -> None:
    loud, quiet = encoded(tmp_path, f"loud-{name}"), encoded(tmp_path, f"quiet-{name}", sound=0.0)
    assert not is_silent(loud, probe(loud))
    assert is_silent(quiet, probe(quiet))


@pytest.mark.parametrize(
    ("frames", "width", "silent"),
    [
        (bytes(8000), 2, True),
        (struct.pack("<4000h", *[10, -10] * 2000), 2, True),
        (bytes(200_000) + tone(0.1), 2, False),
        (tone(0.5), 2, False),
        (b"\x80" * 4000, 1, True),
        (b"\x80\xff" * 4000, 1, False),
        (bytes(9000), 3, True),
        (b"\0\0\x40" * 3000, 3, False),
    ],
)
def test_silence_is_told_from_sound_in_wav(tmp_path: Path, frames: bytes, width: int, silent: bool) -> None:
    path = written(tmp_path, "a.wav", wav_bytes(frames, width=width))
    assert is_silent(path, probe(path)) is silent


def test_a_video_without_sound_is_silent(tmp_path: Path) -> None:
    path = encoded(tmp_path, "mute.mp4", picture=True, sound=None)
    assert is_silent(path, probe(path))
