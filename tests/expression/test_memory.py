"""How much memory a run takes at its peak does not depend on how long a recording or how large a video is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.durability.service import ServiceProcess
from tests.expression.runs import Folder, measured_runs, metered
from tests.expression.test_recordings import write_long
from tests.media_files import picture, speech, write_video

MOST_MB = 250


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[Folder]:
    """A case at an emulator in a process of its own, so that only the runner is measured."""
    with ServiceProcess(tmp_path / "service", keys=1) as service:
        yield Folder(path=tmp_path / "case", url=service.url, key=service.new_key())


# A child's peak begins with its parent's size, so a small process stands between this large one and the run.
_MEASURE = """
import os, subprocess, sys
process = subprocess.Popen([sys.executable, *sys.argv[1:]], stdout=sys.stderr)
_, status, usage = os.wait4(process.pid, 0)
process.returncode = os.waitstatus_to_exitcode(status)
print(process.returncode, usage.ru_maxrss)
"""


def peak_mb(folder: Folder) -> float:
    """The largest resident set of one run, in units of 1,000,000 bytes; the run must end well."""
    run = ["-m", "hume_runner", "run", str(folder.manifest), "--no-progress"]
    done = subprocess.run([sys.executable, "-c", _MEASURE, *run], capture_output=True, text=True, check=True)
    code, kilobytes = map(int, done.stdout.split())
    assert code == 0, done.stderr
    return kilobytes * (1 if sys.platform == "darwin" else 1024) / 1e6


def check_recording(folder: Folder, minutes: int) -> None:
    folder.path.mkdir(parents=True)
    media = write_long(folder.path / "interview.wav", minutes)
    folder.write({"files": ["interview.wav"]})
    peak = peak_mb(folder)
    media.unlink()
    assert metered(measured_runs(folder.url)) == pytest.approx(60 * minutes, abs=0.1)
    assert peak < MOST_MB, peak


@pytest.mark.sweep  # half an hour of sound
def test_a_recording_of_some_minutes(apart: Folder) -> None:
    check_recording(apart, 30)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_a_recording_of_three_hours(apart: Folder) -> None:
    check_recording(apart, 180)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_a_video_of_two_gigabytes(apart: Folder) -> None:
    """Two minutes of film, and a box of the container that nobody reads but everybody has to get past."""
    apart.path.mkdir(parents=True)
    sound = speech([("speech", 2), ("pause", 1)] * 40)
    media = write_video(apart.path / "film.mp4", seconds=120, fps=10, sound=sound, draw=lambda n: picture(seed=n % 50))
    with media.open("r+b") as file:
        file.seek(0, os.SEEK_END)
        size = 2_000_000_000
        file.write((1).to_bytes(4) + b"free" + size.to_bytes(8))
        file.truncate(file.tell() - 16 + size)  # sparse
    apart.write({"files": ["film.mp4"]})
    peak = peak_mb(apart)
    media.unlink()
    assert {run["endpoint"] for run in measured_runs(apart.url)} == {"audio", "video"}
    assert peak < MOST_MB, peak
