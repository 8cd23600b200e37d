"""The Expression Measurement API's figures: wall time beside the official async SDK on the same prepared files.

    python benchmarks/expression_vs_sdk.py

Installs the SDK and the runner, as a user would, into environments of their own below the cache directory. Both send
the same recordings with the same concurrency to an emulator in a process of its own that takes 200 ms for each, and
save every answer. Both times are those of whole processes, from command to end; the runner also looks at every file and
keeps a durable state. The time of the SDK's requests alone is shown as well. Takes about three minutes.
"""

from __future__ import annotations

import json
import sys
import tempfile
import wave
from pathlib import Path
from random import Random
from statistics import median

from environments import python_of_a_user, python_with
from figures import Figure, report
from processes import KEY, Ended, emulator, runner, timed

VERSION = "0.1.0"
SDK = f"hume-expression-measurement=={VERSION}"
RECORDINGS, SECONDS = 600, 4
WORKERS = 8
ROUNDS = 3
LONG_MINUTES = 60


def write_recording(path: Path, seconds: float, seed: int) -> None:
    """Noise and pauses in turn, as the service takes it."""
    chance = Random(seed)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", "not compressed"))
        loud = chance.randbytes(16_000)  # half a second
        for half in range(round(seconds * 2)):
            file.writeframesraw(bytes(16_000) if half % 4 == 3 else loud)


def manifest(folder: Path, name: str, url: str, files: str, execution: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(
        f"version: 1\nname: {name}\n"
        f"service: {{api: expression-v1, endpoint: '{url}'}}\n"
        f"sources: {{files: [{files}]}}\n"
        "models: {audio: {}}\n"
        f"execution: {execution}\n"
        f"outputs: {{directory: results-{name}}}\n",
        encoding="utf-8",
    )
    return path


def measured(path: Path) -> Ended:
    return runner(path, "--no-progress", python=python_of_a_user("media"))


def with_runner(folder: Path, number: int) -> Ended:
    name = f"runner-{number}"
    with emulator(folder / f"{name}-data", "--processing-time", "200ms") as served:
        execution = f"{{transfer_workers: {WORKERS}, requests_per_second: 1000}}"
        ended = measured(manifest(folder, name, served.url, "media/*.wav", execution))
    done = json.loads((folder / f"results-{name}" / "run.json").read_text())["counts"]["items"]["done"]
    if done != RECORDINGS:
        raise RuntimeError(f"{done} of {RECORDINGS} recordings are measured")
    return ended


def with_sdk(folder: Path, number: int) -> tuple[float, float]:
    """Seconds of the whole process, and of its requests alone."""
    name = f"sdk-{number}"
    answers = folder / name
    answers.mkdir()
    script = str(Path(__file__).with_name("expression_sdk_loop.py"))
    with emulator(folder / f"{name}-data", "--processing-time", "200ms") as served:
        command = [python_with(SDK), script, served.url, KEY, str(folder / "media"), str(answers), str(WORKERS)]
        ended = timed(command, limit_s=300)
    if len(list(answers.iterdir())) != RECORDINGS:
        raise RuntimeError("the SDK did not measure every recording")
    return ended.seconds, float(json.loads(ended.out)["seconds"])


def long_recording(folder: Path) -> Ended:
    """The peak memory of a recording that is cut into parts."""
    write_recording(folder / "long.wav", LONG_MINUTES * 60, 1)
    with emulator(folder / "long-data", "--processing-time", "200ms") as served:
        return measured(manifest(folder, "long", served.url, "long.wav", "{}"))


def main() -> int:
    python_with(SDK)
    python_of_a_user("media")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "media").mkdir()
        for number in range(RECORDINGS):
            write_recording(folder / "media" / f"{number:03d}.wav", SECONDS, number)
        ours: list[Ended] = []
        theirs: list[tuple[float, float]] = []
        for number in range(ROUNDS):  # in turn, so that whatever else the machine does meets both
            theirs.append(with_sdk(folder, number))
            ours.append(with_runner(folder, number))
        long = long_recording(folder)
    wall, sdk_wall = median(ended.seconds for ended in ours), median(whole for whole, _ in theirs)
    requests_alone = median(alone for _, alone in theirs)
    bound = RECORDINGS / WORKERS * 0.2
    return report(
        f"expression-v1: {RECORDINGS} recordings of {SECONDS} s, {WORKERS} at a time, 200 ms each",
        [
            Figure(what="wall ÷ official async SDK's", value=wall / sdk_wall, hold=1.05),
            Figure(what="  the runner", value=wall, unit="s"),
            Figure(what=f"  official SDK {VERSION}", value=sdk_wall, unit="s"),
            Figure(what="  its requests alone", value=requests_alone, unit="s"),
            Figure(what=f"  the runner ÷ lower bound of {bound:.0f} s", value=wall / bound),
            Figure(what="peak memory of that run", value=max(ended.peak_mb for ended in ours), unit="MB"),
            Figure(what=f"peak memory, one recording of {LONG_MINUTES} min", value=long.peak_mb, hold=250, unit="MB"),
            Figure(what="  its time", value=long.seconds, unit="s"),
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
