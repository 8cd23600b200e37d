"""What leaving at once costs, where an answer comes once: the first Ctrl-C says it, the second says it again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hume_runner.emulator.server import Emulator
from tests.expression.runs import AUDIO, Folder, upload_still
from tests.media_files import picture, picture_bytes, speech, write_wav
from tests.warm import WarmPopen

ROOT = Path(__file__).parents[2]


@pytest.mark.sweep
def test_a_second_signal_says_what_will_be_paid_again(folder: Folder, emulator: Emulator) -> None:
    folder.path.mkdir()
    # The list of an account without any run proves nothing, and the run after would ask.
    upload_still(emulator.url, emulator.api_key, picture_bytes(picture()))
    emulator.advance(60)
    for number in range(3):
        write_wav(folder.path / f"{number}.wav", speech([("speech", 1)], seed=number))
    folder.write({"files": ["*.wav"]}, execution={"transfer_workers": 2, "max_jobs_in_flight": 2})
    emulator.inject([{"route": AUDIO, "action": {"delay": "60s"}}])
    process = WarmPopen(
        [sys.executable, "-m", "hume_runner", "run", str(folder.manifest), "--no-progress"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 30
    while emulator.requests()["by_route"].get(AUDIO, 0) < 2:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while "SIGINT" not in (line := process.stderr.readline()):
        assert line, "ended without a word"
    assert line.endswith("once more leaves at once: 2 requests, 20 billable seconds, will be paid again\n")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "SIGINT: left: 2 requests, 20 billable seconds, will be paid again" in said
    assert "Traceback" not in said
    emulator.inject([])
    ran = folder.run()
    assert ran.code == 0, ran.err
