"""A forked program ends, is killed and is told things as one that was started by itself."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import warm


def python(code: str, *words: str) -> list[str]:
    return [sys.executable, "-c", code, *words]


def test_a_program_has_its_words_place_environment_and_streams(tmp_path: Path) -> None:
    code = "import os, sys; print(sys.argv, os.getcwd(), os.environ); print(sys.stdin.read(), file=sys.stderr)"
    process = warm.WarmPopen(
        python(code, "a b"),
        cwd=tmp_path,
        env={"ONE": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    out, err = process.communicate("typed")
    assert (process.returncode, err) == (0, "typed\n")
    assert out == f"['-c', 'a b'] {tmp_path} environ({{'ONE': '1'}})\n"


@pytest.mark.parametrize("end", ["import sys; sys.exit(7)", "raise ValueError", "import os; os._exit(9)"])
def test_it_ends_as_an_interpreter_does(end: str) -> None:
    plain = subprocess.run(python(end), capture_output=True, text=True, check=False)
    ended = warm.run(python(end), capture_output=True, text=True)
    assert ended.returncode == plain.returncode
    assert ended.stderr.splitlines()[-1:] == plain.stderr.splitlines()[-1:]


def test_a_signal_reaches_it_and_what_is_ignored_stays_ignored() -> None:
    code = "import time; print('here', flush=True); time.sleep(600)"
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = warm.WarmPopen(python(code), stdout=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.2)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert process.stdout.read() == ""
    process.stdout.close()


def test_a_shell_gets_its_streams_and_its_code(tmp_path: Path) -> None:
    warm.program(tmp_path / "hume-runner")
    line = f"{tmp_path}/hume-runner --version | cat; {tmp_path}/hume-runner nonsense 2>&1"
    ended = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert ended.returncode == 65
    assert ended.stdout.startswith("hume-runner ")
    assert "nonsense: there is no such file" in ended.stdout
