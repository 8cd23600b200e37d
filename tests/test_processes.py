"""Worker processes, as their parent and whoever reads its log sees them."""

from __future__ import annotations

import pickle
import struct
import subprocess
import sys
import time


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
