"""What is handed to the media library, and what happens without it."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from hume_runner.media.libav import open_container
from hume_runner.media.problems import MediaProblem
from hume_runner.media.sniff import Kind
from tests.media_files import speech, write_wav

PROJECT = Path(__file__).parents[2]

WITHOUT_AV = """
import sys
sys.modules["av"] = None
from pathlib import Path
from hume_runner.errors import MissingExtra
from hume_runner.media import archives, audio, cache, cuts, frames, probe, sniff, stills
plain = audio.prepare_audio(Path(sys.argv[1]), Path(sys.argv[2]))
assert plain.unchanged, plain
try:
    audio.prepare_audio(Path(sys.argv[3]), Path(sys.argv[2]))
except MissingExtra as error:
    print(error, "|", error.hint)
"""


@pytest.mark.sweep
def test_without_the_extra_plain_recordings_pass_and_others_name_the_command(tmp_path: Path) -> None:
    samples = speech([("speech", 0.2)])
    plain = write_wav(tmp_path / "plain.wav", samples)
    stereo = write_wav(tmp_path / "stereo.wav", samples, channels=2)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_AV, str(plain), str(tmp_path), str(stereo)],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )
    command = f"pip install -e '{PROJECT}[media]'"
    assert done.stdout == f"preparing recordings needs the extra 'media' | {command}\n"


def test_a_kind_without_a_reader_is_not_guessed(tmp_path: Path) -> None:
    path = tmp_path / "list.m3u8"
    path.write_text("#EXTM3U\n")
    with pytest.raises(MediaProblem) as caught, open_container(path, Kind.TEXT, needed_for="a test"):
        pass
    assert caught.value.reason == "unsupported"


def test_a_name_does_not_choose_a_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_wav(Path("data:x.wav"), speech([("speech", 0.1)]))
    with open_container(Path("data:x.wav"), Kind.WAV, needed_for="a test") as container:
        assert len(container.streams.audio) == 1


def test_a_problem_survives_the_way_between_processes() -> None:
    problem = pickle.loads(pickle.dumps(MediaProblem("truncated", "a.wav ends early")))
    assert (problem.reason, problem.message, str(problem)) == ("truncated", "a.wav ends early", "a.wav ends early")
