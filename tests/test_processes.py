"""Worker processes, as their parent and whoever reads its log sees them."""

from __future__ import annotations

import os
import pickle
import struct
import subprocess
import sys
import time

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
