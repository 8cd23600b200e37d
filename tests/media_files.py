"""Small media made on the spot: speech-like sound with pauses, drawn pictures, short videos.

Everything is seeded, so the same call gives the same bytes.
"""

from __future__ import annotations

import io
import math
import struct
import wave
import zipfile
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

RATE_HZ = 16_000
SPEECH_LEVEL = 6000
ROOM_LEVEL = 40

# (what, seconds): "speech" or "pause"
Passage = tuple[str, float]


def speech(passages: Iterable[Passage], *, rate_hz: int = RATE_HZ, seed: int = 0) -> NDArray[np.int16]:
    """Mono samples: a voice-like buzz with syllables for each "speech", the hiss of a room for each "pause"."""
    rng = np.random.default_rng(seed)
    pieces = []
    for what, seconds in passages:
        count = round(seconds * rate_hz)
        noise = rng.normal(0, ROOM_LEVEL / 3, count)
        if what == "speech":
            noise = noise + _voice(rate_hz, math.ceil(seconds))[:count]
        pieces.append(noise)
    return np.clip(np.concatenate(pieces), -32768, 32767).astype(np.int16)


@lru_cache(maxsize=16)
def _voice(rate_hz: int, seconds: int) -> NDArray[np.float64]:
    """Without the room, and so the same in every recording: hundreds of tests ask for a second or two of it."""
    time_s = np.arange(seconds * rate_hz) / rate_hz
    voice = sum(np.sin(2 * np.pi * 120 * harmonic * time_s) / harmonic for harmonic in (1, 2, 3, 5))
    # Syllables swell at 4 Hz but never fade to the level of a pause.
    return SPEECH_LEVEL * voice * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * time_s))


def write_wav(path: Path, samples: NDArray[np.int16], *, rate_hz: int = RATE_HZ, channels: int = 1) -> Path:
    """A WAV as Python's own writer makes it; several channels carry the same samples."""
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, rate_hz, 0, "NONE", "not compressed"))
        file.writeframes(np.repeat(samples, channels).tobytes())
    return path


def read_wav(path: Path) -> NDArray[np.int16]:
    """The samples of a 16 kHz mono 16-bit WAV, read by the standard library; anything else fails the test."""
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE_HZ)
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def picture(width: int = 320, height: int = 240, *, seed: int = 0) -> Image.Image:
    """A drawn face on a coloured ground, with a corner of each colour so that turning shows."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (width, height), tuple(int(v) for v in rng.integers(120, 200, 3)))
    draw = ImageDraw.Draw(image)
    w, h = width / 4, height / 4
    draw.rectangle((0, 0, w, h), fill=(220, 30, 30))
    draw.rectangle((width - w, 0, width, h), fill=(30, 200, 30))
    draw.rectangle((0, height - h, w, height), fill=(30, 30, 220))
    draw.ellipse((width * 0.3, height * 0.2, width * 0.7, height * 0.9), fill=(240, 200, 170))
    for eye in (0.42, 0.58):
        draw.ellipse((width * (eye - 0.03), height * 0.4, width * (eye + 0.03), height * 0.47), fill=(20, 20, 20))
    draw.arc((width * 0.4, height * 0.5, width * 0.6, height * 0.75), 20, 160, fill=(160, 30, 30), width=3)
    return image


def picture_bytes(image: Image.Image, form: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def write_audio(
    path: Path,
    samples: NDArray[np.int16],
    codec: str,
    *,
    rate_hz: int = RATE_HZ,
    form: str | None = None,
    cover: Image.Image | None = None,
) -> Path:
    """Mono samples through a libav encoder into the container that the name or `form` says."""
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream(codec, rate=rate_hz)
        stream.layout = "mono"
        if cover is not None:
            art = container.add_stream("mjpeg")
            art.width, art.height, art.pix_fmt = cover.width, cover.height, "yuvj420p"
            art.disposition = av.stream.Disposition.attached_pic
            packet = av.Packet(picture_bytes(cover))
            packet.stream = art
            packet.pts = packet.dts = 0
            packet.time_base = Fraction(1, 1000)
        _encode_sound(container, stream, samples, rate_hz)
        if cover is not None:
            container.mux(packet)
    return path


def write_video(
    path: Path,
    *,
    seconds: float = 2,
    size: tuple[int, int] = (320, 240),
    fps: int = 25,
    times_ms: Sequence[int] | None = None,
    sound: NDArray[np.int16] | None = None,
    rotation: int = 0,
    codec: str = "libx264",
    draw: Callable[[int], Image.Image] | None = None,
) -> Path:
    """A video whose picture number n is `draw(n)`, by default a face with n squares of grey.

    `times_ms` gives every picture a time of its own (a variable frame rate) instead of `seconds` x `fps`.
    `rotation` is the display matrix's, counter-clockwise in degrees.
    """
    times = times_ms if times_ms is not None else [round(1000 * n / fps) for n in range(round(seconds * fps))]
    draw = draw or (lambda number: numbered_picture(number, size))
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps, options={"preset": "ultrafast", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        if rotation:
            stream.set_display_rotation(rotation)
        voice = None
        if sound is not None:
            voice = container.add_stream("libopus" if path.suffix == ".webm" else "aac", rate=48_000)
            voice.layout = "mono"
        for number, time_ms in enumerate(times):
            frame = av.VideoFrame.from_image(draw(number)).reformat(format="yuv420p")
            frame.pts, frame.time_base = time_ms, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            _encode_sound(container, voice, sound, RATE_HZ)
    return path


def numbered_picture(number: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """A flat grey whose level tells the number, 0 to 59: `number_of` reads it back after any compression."""
    return Image.new("RGB", size, (10 + 4 * number,) * 3)


def number_of(image: Image.Image) -> int:
    return round((np.asarray(image.convert("L")).mean() - 10) / 4)


def people(seed: int) -> Callable[[int], Image.Image]:
    """A picture for each frame of a video: other ground, so other simulated faces."""
    return lambda number: picture(seed=1000 * seed + number)


def zipped(*, level: int | None = None, **members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return buffer.getvalue()


def packed_gsm(path: Path, seconds: int) -> None:
    """GSM 6.10 as telephone systems keep it, of frames that say nothing: 320 samples in 65 bytes."""
    form = struct.pack("<HHIIHHHH", 0x31, 1, 8000, 1625, 65, 0, 2, 320)
    body = bytes(65) * (seconds * 8000 // 320)
    chunks = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(body)) + body
    path.write_bytes(b"RIFF" + struct.pack("<I", len(chunks)) + chunks)


def _encode_sound(container: object, stream: object, samples: NDArray[np.int16], rate_hz: int) -> None:
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = rate_hz, 0, Fraction(1, rate_hz)
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
