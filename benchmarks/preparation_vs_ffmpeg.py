"""Preparing sound against `ffmpeg -ac 1 -ar 16000` of the same files, in turns and in processor time.

Ten minutes of AAC, stereo at 48 kHz, in three containers; Matroska and MPEG-TS beside pictures, as most such files are.
The clock that is kept, the channels that are compared and the checks of the file are in our figure. What is to be held
is what it was before there was a clock (1.63, 1.63 and 1.85), and a tenth more.

    python benchmarks/preparation_vs_ffmpeg.py [MINUTES] [ROUNDS]
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from figures import Figure, report

from hume_runner.media.audio import prepare_audio

FORMS = ("m4a", "mkv", "ts")


def ffmpeg(*arguments: object) -> None:
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", *map(str, arguments)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def make(folder: Path, minutes: int) -> dict[str, Path]:
    """Noise whose loudness comes and goes, so that an encoder has something to say of every moment."""
    sound = f"anoisesrc=d={60 * minutes}:c=pink:r=48000:a=0.3,tremolo=f=0.7:d=0.9,aformat=channel_layouts=stereo"
    picture = f"testsrc=d={60 * minutes}:s=160x120:r=10"
    paths = {form: folder / f"a.{form}" for form in FORMS}
    ffmpeg("-f", "lavfi", "-i", sound, "-c:a", "aac", "-b:a", "128k", paths["m4a"])
    inputs = ("-f", "lavfi", "-i", picture, "-i", paths["m4a"])
    video = ("-map", "0:v", "-map", "1:a", "-c:a", "copy", "-c:v", "mpeg2video", "-b:v", "200k")
    for form in ("mkv", "ts"):
        ffmpeg(*inputs, *video, paths[form])
    return paths


def processor_s(work: Callable[[], object], *, children: bool) -> float:
    """Of this process with all its threads, or of the children that it waits for."""
    if not children:
        begin = time.process_time()
        work()
        return time.process_time() - begin
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare(path: Path, folder: Path, rounds: int) -> tuple[float, float]:
    """(ours, ffmpeg's) processor seconds: the least of so many rounds, in turns."""
    target = folder / "theirs.wav"
    plain = ("-i", path, "-map", "0:a:0", "-ac", 1, "-ar", 16_000, "-c:a", "pcm_s16le", target)
    ours: list[float] = []
    theirs: list[float] = []
    prepare_audio(path, folder, name="ours.wav")  # libraries are loaded
    for _ in range(rounds):
        ours.append(processor_s(lambda: prepare_audio(path, folder, name="ours.wav"), children=False))
        theirs.append(processor_s(lambda: ffmpeg(*plain), children=True))
    return min(ours), min(theirs)


def main() -> int:
    minutes, rounds = (int(text) for text in (*sys.argv[1:], *("10", "5")[len(sys.argv) - 1 :]))
    if shutil.which("ffmpeg") is None:
        print("ffmpeg is not installed: nothing to compare with")
        return 0
    figures = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for form, path in make(folder, minutes).items():
            ours, theirs = compare(path, folder, rounds)
            figures.append(Figure(what=f"{minutes} min of {form}: ours", value=ours, unit="s"))
            figures.append(Figure(what=f"{minutes} min of {form}: ours ÷ ffmpeg", value=ours / theirs, hold=1.8))
    return report("Preparation of sound", figures)


if __name__ == "__main__":
    sys.exit(main())
