"""Measuring on this machine: texts a second, two workers against one, and what they cost.

python benchmarks/local.py [RECORDINGS]
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

import numpy as np
from figures import Figure, report

import hume_runner
from hume_runner.services.local.measuring import measure
from hume_runner.services.local.task import Task, Texts, Wanted
from hume_runner.services.local.weights import require

WORDS = (
    "i you we they the a this that was is will never always so very happy sad angry great awful thanks love hate think "
    "know want people day time work home friend movie game food weather really just not no yes why what how good bad"
).split()


def texts(number: int) -> list[str]:
    """So many short texts, no two alike, of a length that people write."""
    random = np.random.default_rng(7)
    return [" ".join(random.choice(WORDS, size=random.integers(4, 20))) + f" {n}." for n in range(number)]


def first_three() -> float:
    """Seconds from the command to the end of a run of three texts, the smallest of five: what a person waits."""
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        manifest = {
            "version": 1,
            "name": "three",
            "service": {"api": "local"},
            "sources": {"text": ["I could not be happier.", "Leave me alone.", "What a surprise!"]},
            "models": {"language": {}},
        }
        for number in range(5):
            path = Path(folder, f"m{number}.yaml")
            path.write_text(json.dumps({**manifest, "name": f"three-{number}"}))
            began = time.perf_counter()
            subprocess.run([sys.executable, "-m", "hume_runner", str(path)], check=True, capture_output=True)
            seconds.append(time.perf_counter() - began)
    return min(seconds)


def texts_a_second(number: int) -> float:
    """Texts that one core measures in a second, as pieces of a run carry them."""
    from hume_runner.services.local.measurers.language import LANGUAGE

    files = tuple((name, str(path)) for name, path in require(LANGUAGE.card({}).files).items())
    wanted = (Wanted(model="language", options="{}", files=files),)
    every = texts(number)
    measure(Task(wanted=wanted, material=Texts(texts=tuple(every[:500]))))
    began = time.process_time()
    for begin in range(0, number, 500):
        measure(Task(wanted=wanted, material=Texts(texts=tuple(every[begin : begin + 500]))))
    return number / (time.process_time() - began)


def recordings(folder: Path, number: int) -> None:
    """So many recordings of half a minute: voice-like tones with pauses."""
    random = np.random.default_rng(11)
    time_s = np.arange(30 * 16_000) / 16_000
    for index in range(number):
        pitch = 110 + 10 * random.integers(0, 12)
        tone = sum(np.sin(2 * np.pi * pitch * k * time_s) / k for k in range(1, 6))
        samples = (8000 * tone * (np.sin(2 * np.pi * 0.4 * time_s) > -0.3)).astype("<i2")
        with wave.open(str(folder / f"{index:04}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16_000)
            file.writeframes(samples.tobytes())


def run_s(folder: Path, workers: int, models: dict[str, object]) -> float:
    """Seconds of a run over the recordings, with all that belongs to it."""
    manifest = {
        "version": 1,
        "name": f"with-{workers}",
        "service": {"api": "local"},
        "sources": {"files": [str(folder / "*.wav")]},
        "models": models,
        "execution": {"workers": workers},
        "outputs": {"directory": str(folder / f"out-{workers}")},
    }
    began = time.perf_counter()
    result = hume_runner.run(manifest)
    assert result.exit_code == 0, result.error
    return time.perf_counter() - began


def video_minute(folder: Path) -> float | None:
    """Seconds of processor time that a minute of 720p with one face, speech, sound and text costs, all told; None where
    the models (HUME_RUNNER_MODELS, with the recordings of `make models`), ffmpeg or the picture are not here."""
    recording = Path(os.environ.get("HUME_RUNNER_MODELS", "."), "recordings", "two_cities.wav")
    if not recording.is_file() or shutil.which("ffmpeg") is None:
        return None
    try:
        from PIL import Image
        from skimage.data import astronaut
    except ImportError:
        return None
    Image.fromarray(astronaut()).resize((720, 720)).save(folder / "face.png")
    moving = "pad=1280:720:(ow-iw)/2:0,crop=1240:700:20+18*sin(t):10,scale=1280:720,noise=alls=4:allf=t"
    given = ["-loop", "1", "-i", folder / "face.png", "-i", recording, "-t", "60", "-vf", moving, "-r", "25"]
    made = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", folder / "minute.mp4"]
    subprocess.run(["ffmpeg", "-v", "error", "-y", *given, *made], check=True)
    manifest = {
        "version": 1,
        "name": "minute",
        "service": {"api": "local"},
        "sources": {"files": [str(folder / "minute.mp4")]},
        "models": {"speech": {}, "acoustics": {}, "language": {}, "ner": {}, "face": {"fps": 3}},
        "outputs": {"directory": str(folder / "minute")},
    }
    (folder / "minute.yaml").write_text(json.dumps(manifest))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "hume_runner", str(folder / "minute.yaml")], check=True, stderr=subprocess.DEVNULL
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    figures = [
        Figure(what="three texts, from the command to the end", value=first_three(), hold=1.0, unit="s"),
        Figure(what="3,000 texts a second ÷ texts a second on one core", value=3000 / texts_a_second(20_000), hold=1.0),
    ]
    with tempfile.TemporaryDirectory() as folder:
        recordings(Path(folder), number)
        one = run_s(Path(folder), 1, {"acoustics": {}})
        two = run_s(Path(folder), 2, {"acoustics": {}})
    figures.append(
        Figure(what=f"{number} recordings: 1.8 ÷ (one worker ÷ two workers)", value=1.8 / (one / two), hold=1.0)
    )
    with tempfile.TemporaryDirectory() as folder:
        cost = video_minute(Path(folder))
    if cost is None:
        print("left out: a minute of video (needs `make models`, ffmpeg and scikit-image)")
    else:
        figures.append(Figure(what="one minute of 720p video, processor time", value=cost, hold=12.0, unit="s"))
    return report("Local", figures)


if __name__ == "__main__":
    sys.exit(main())
