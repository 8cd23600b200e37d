"""Media that ffmpeg makes and ffmpeg reads back: files as other programs write them, and what players make of them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

RATE_HZ = 16_000
BURSTS = (1.0, 3.0, 5.0)
SECONDS = 6
FPS = 25


def ffmpeg(*arguments: object) -> bytes:
    """Run ffmpeg; gives its stdout. A failure fails the test with ffmpeg's own words."""
    if shutil.which("ffmpeg") is None and os.environ.get("CI") != "true":
        pytest.skip("ffmpeg is not installed")
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-threads", "1", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def tone(
    at: Sequence[float] = BURSTS, *, hz: int = 600, seconds: float = SECONDS, rate: int = 48_000, level: float = 0.4
) -> list[str]:
    """ffmpeg's input of a tone that sounds 0.3 s at each of these seconds, in silence."""
    when = "+".join(f"between(t,{one},{one + 0.3})" for one in at) or "0"
    return ["-f", "lavfi", "-i", f"aevalsrc='{level}*sin(2*PI*{hz}*t)*({when})':s={rate}:d={seconds}"]


def ramp(*, seconds: float = SECONDS, size: str = "64x48", fps: int = FPS) -> list[str]:
    """ffmpeg's input of pictures whose grey tells their time: see `second_of`."""
    source = f"color=black:s={size}:r={fps}:d={seconds},format=gray,geq=lum='30+T*25',format=yuv420p"
    return ["-f", "lavfi", "-i", source]


def second_of(picture: NDArray[np.uint8]) -> float:
    """What second of `ramp` a decoded RGB or grey picture shows."""
    return (float(picture.mean()) - 30) / 25


def heard(path: Path, *options: object, track: int = 0) -> NDArray[np.int16]:
    """What ffmpeg plays of a sound track from the file's start on, 16 kHz mono, holes as silence."""
    return np.frombuffer(
        ffmpeg(
            *("-i", path, "-map", f"0:a:{track}", "-af", "aresample=async=1:first_pts=0", "-ac", 1, "-ar", RATE_HZ),
            *options,
            *("-f", "s16le", "-"),
            # Without the pictures ffmpeg would count from the start of the sound.
            *("-map", "0:v?", "-map", "0:a", "-c", "copy", "-f", "null", "/dev/null"),
        ),
        np.int16,
    )


def bursts(samples: NDArray[np.int16], *, share: float = 0.25) -> list[float]:
    """When each burst begins, in seconds, to 2.5 ms."""
    step = RATE_HZ // 400
    loud = np.abs(samples[: len(samples) // step * step].astype(int).reshape(-1, step)).max(axis=1)
    assert loud.size
    assert loud.max() > 300, "nothing is heard"
    on = np.flatnonzero(loud > share * loud.max())
    return [int(at) * step / RATE_HZ for at, gap in zip(on, np.diff(on, prepend=-1000), strict=True) if gap > 60]


def strength(samples: NDArray[np.int16], hz: int) -> float:
    """How loud a tone is in these samples: its amplitude, 1 for full scale."""
    time_s = np.arange(len(samples)) / RATE_HZ
    wave = np.exp(-2j * np.pi * hz * time_s)
    return float(2 * np.abs((samples / 32768 * wave).mean()))
