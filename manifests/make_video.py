"""Makes the short video of `expression.yaml`: `python manifests/make_video.py [FOLDER]`. Needs the extra `media`.

A drawn face that opens its mouth while a synthesised voice hums: nobody was filmed. The encoder's version decides about
the exact bytes, so the file is kept beside the script.
"""

from __future__ import annotations

import math
import sys
import wave
from fractions import Fraction
from pathlib import Path

import av

WIDTH, HEIGHT, FPS, SECONDS = 320, 240, 10, 4


def picture(second: float) -> bytes:
    """RGB bytes of one frame: the head sways, the mouth opens and closes."""
    sway, gape = 18 * math.sin(1.7 * second), 6 + 12 * abs(math.sin(6 * second))
    rows = bytearray()
    for y in range(HEIGHT):
        for x in range(WIDTH):
            u, v = x - WIDTH / 2 - sway, y - HEIGHT / 2
            if (u / 78) ** 2 + (v / 98) ** 2 > 1:
                rows += bytes((206, 220, 232))
            elif (
                min(math.hypot(u - 28, v + 26), math.hypot(u + 28, v + 26)) < 9
                or (u / 30) ** 2 + ((v - 46) / gape) ** 2 < 1
            ):
                rows += bytes((66, 40, 40))
            else:
                rows += bytes((238, 200, 170))
    return bytes(rows)


def make(folder: Path) -> Path:
    """Write `greeting.mp4` into `folder`: H.264 and AAC, some tens of kB."""
    target = folder / "greeting.mp4"
    with wave.open(str(folder / "interview-1.wav"), "rb") as voice, av.open(str(target), "w") as out:
        video = out.add_stream("libx264", rate=FPS, options={"crf": "30", "preset": "veryslow"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = out.add_stream("aac", rate=voice.getframerate(), layout="mono")
        sound.bit_rate = 48_000
        for number in range(FPS * SECONDS):
            frame = av.VideoFrame(WIDTH, HEIGHT, "rgb24")
            frame.planes[0].update(_padded(picture(number / FPS), frame.planes[0].line_size))
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            out.mux(video.encode(frame.reformat(format="yuv420p")))
        for number in range(voice.getnframes() // 1024):
            block = av.AudioFrame(format="s16", layout="mono", samples=1024)
            block.planes[0].update(voice.readframes(1024))
            block.sample_rate, block.pts = voice.getframerate(), number * 1024
            block.time_base = Fraction(1, voice.getframerate())
            out.mux(sound.encode(block))
        out.mux(video.encode(None))
        out.mux(sound.encode(None))
    return target


def _padded(rows: bytes, line_size: int) -> bytes:
    if line_size == WIDTH * 3:
        return rows
    lines = (rows[start : start + WIDTH * 3] for start in range(0, len(rows), WIDTH * 3))
    return b"".join(line.ljust(line_size, b"\0") for line in lines)


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "media")
