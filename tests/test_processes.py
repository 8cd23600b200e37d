"""Worker processes, as their parent and whoever reads its log sees them."""

from __future__ import annotations

import os
import pickle
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hume_runner.processes import ProcessExecutor, Stopped, TookTooLong


def test_a_worker_whose_parent_is_killed_ends_without_a_word() -> None:
    worker = subprocess.Popen(
        [sys.executable, "-c", "from hume_runner.processes import serve; serve()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert worker.stdin
    assert worker.stdout
    assert worker.stderr
    body = pickle.dumps((time.sleep, (0.3,), {}))
    worker.stdin.write(struct.pack("<Q", len(body)) + body)
    worker.stdin.flush()
    worker.stdout.close()  # what the death of a parent does to both pipes
    worker.stdin.close()
    assert worker.wait(timeout=30) == 0
    assert worker.stderr.read() == b""
    worker.stderr.close()


@pytest.mark.sweep
def test_a_call_that_takes_too_long_ends_with_its_process_and_the_next_one_has_another() -> None:
    with ProcessExecutor(1, timeout_s=4) as executor:
        endless, after = executor.submit(time.sleep, 600), executor.submit(os.getpid)
        with pytest.raises(TookTooLong):
            endless.result(60)
        assert after.result(60) != os.getpid()


def test_after_a_stop_no_process_is_started_any_more() -> None:
    executor = ProcessExecutor(2)
    first = executor.submit(os.getpid).result(60)
    waiting = [executor.submit(time.sleep, 600) for _ in range(4)]
    executor.stop()
    for one in waiting:
        with pytest.raises(Stopped):
            one.result(60)
    executor.shutdown()
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)


@pytest.mark.sweep
def test_a_call_under_way_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    note = tmp_path / "note"
    script = (
        "import sys, time, pathlib; sys.path.insert(0, sys.argv[1])\n"
        "from tests.test_processes import say_and_sleep\n"
        "from hume_runner.processes import ProcessExecutor\n"
        "ProcessExecutor(1).submit(say_and_sleep, sys.argv[2]).result()\n"
    )
    root = str(Path(__file__).parents[1])
    with subprocess.Popen([sys.executable, "-c", script, root, str(note)], stderr=subprocess.PIPE) as parent:
        while not note.exists() or not note.read_text():
            time.sleep(0.02)
        parent.kill()
        assert parent.stderr
        assert parent.stderr.read() == b""  # which ends when nobody holds it any more


def say_and_sleep(note: str) -> None:
    Path(note).write_text(str(os.getpid()))
    time.sleep(600)
