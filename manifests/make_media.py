"""Makes the small media that the example manifests name: `python manifests/make_media.py [FOLDER]`.

Standard library only, and the same bytes each time: voice-like tones with pauses, and drawn faces. Nobody was recorded.
"""

from __future__ import annotations

import math
import struct
import sys
import wave
import zlib
from pathlib import Path

RATE = 16_000


def voice(path: Path, *, pitch_hz: float, seconds: float) -> None:
    """A buzz with a moving pitch in syllables of a quarter of a second, with a pause after every fourth."""
    samples = bytearray()
    phase = 0.0
    for index in range(int(RATE * seconds)):
        t = index / RATE
        syllable, within = divmod(t, 0.25)
        loud = math.sin(math.pi * within / 0.25) ** 0.5 if int(syllable) % 5 != 4 else 0.0
        phase += 2 * math.pi * pitch_hz * (1 + 0.15 * math.sin(2.1 * t + int(syllable))) / RATE
        tone = sum(math.sin(phase * k) / k for k in (1, 2, 3, 5))
        samples += struct.pack("<h", round(9_000 * loud * tone / 2))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(bytes(samples))


def face(path: Path, *, smile: float, size: int = 160) -> None:
    """A drawn face, 24-bit PNG; `smile` from -1 to 1 bends the mouth."""
    rows = b"".join(b"\0" + b"".join(_pixel(x, y, size, smile) for x in range(size)) for y in range(size))
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in parts))


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _pixel(x: int, y: int, size: int, smile: float) -> bytes:
    u, v = (2 * x / size - 1) * 1.2, (2 * y / size - 1) * 1.2
    if u * u + v * v > 1:
        return bytes((214, 226, 235))
    eye = min(math.hypot(u - 0.36, v + 0.3), math.hypot(u + 0.36, v + 0.3)) < 0.11
    mouth = abs(u) < 0.5 and abs(v - 0.42 - smile * (0.14 - u * u)) < 0.05
    return bytes((60, 42, 36)) if eye or mouth else bytes((240, 204 - int(20 * v), 170))


def make(folder: Path) -> None:
    """Write every file into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    voice(folder / "interview-1.wav", pitch_hz=118, seconds=2.5)
    voice(folder / "interview-2.wav", pitch_hz=196, seconds=1.5)
    face(folder / "portrait-calm.png", smile=0.0)
    face(folder / "portrait-smile.png", smile=1.0)


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "media")
