"""What the tests of sound listen to: recordings out of a package, speech from a synthesiser, and weights."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import io
import os
import shutil
import subprocess
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from tests.needed import lacking

RATE_HZ = 16_000
Samples = NDArray[np.float32]

# Out of moonshine-voice 0.1.5 (MIT): members `moonshine_voice/assets/<name>` of its wheel.
RECORDINGS = {
    "beckett.wav": "e5a26b3d29e5b0bc8dbd72c11d16a3808a4ec0ac45b21f12a27d2a2fe5c5ae61",
    "two_cities.wav": "f3348494d77cb74a02862f5e685ed09faf3e75832c5cc5c80703282c2cd8b52e",
}
BECKETT = "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better."
TWO_CITIES = """It was the best of times. It was the worst of times. It was the age of wisdom. It was the age of
foolishness. It was the epoch of belief. It was the epoch of incredulity. It was the season of light. It was the season
of darkness. It was the spring of hope. It was the winter of despair. We had everything before us. We had nothing before
us. We were all going direct to heaven. We were all going direct the other way. In short, the period was so far like the
present period that some of its noisiest authorities insisted on its being received, for good or for evil, in the
superlative degree of comparison only."""


def need_module(name: str) -> None:
    if importlib.util.find_spec(name) is None:
        lacking(f"{name} is not installed")


def weight(name: str) -> Path:
    """A file by the catalogue's name."""
    root = os.environ.get("HUME_RUNNER_MODELS")
    if not root:
        lacking("HUME_RUNNER_MODELS names no folder with weights")
    path = Path(root or "") / name
    if not path.is_file():
        lacking(f"{path} is missing")
    return path


@functools.cache
def recording(name: str) -> Samples:
    """A recording of somebody who reads aloud."""
    path = weight(f"recordings/{name}")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == RECORDINGS[name]
    return decoded(path)


@functools.cache
def synthetic(text: str, voice: str = "en-us", words_a_minute: int = 150) -> Samples:
    """Speech of espeak-ng."""
    if shutil.which("espeak-ng") is None:
        lacking("espeak-ng is not installed (apt-get install espeak-ng)")
    told = ["espeak-ng", "-v", voice, "-s", str(words_a_minute), "--stdout", text]
    wav = subprocess.run(told, capture_output=True, check=True).stdout
    return decoded(av.open(io.BytesIO(wav)))


def decoded(source: Path | av.container.InputContainer) -> Samples:
    """One channel at 16 kHz."""
    container = av.open(str(source)) if isinstance(source, Path) else source
    resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE_HZ)
    with container:
        frames = [heard for frame in container.decode(audio=0) for heard in resampler.resample(frame)]
    frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray().ravel() for frame in frames]).astype(np.float32)


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE_HZ), dtype=np.float32)


def noise(seconds: float, level: float = 0.1) -> Samples:
    drawn = np.random.default_rng(7).standard_normal(round(seconds * RATE_HZ))
    return (drawn * level).astype(np.float32)


def sine(hz: float, seconds: float, height: float = 1.0) -> Samples:
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (height * np.sin(2 * np.pi * hz * time_s)).astype(np.float32)
