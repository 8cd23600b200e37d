"""Waiting for what comes by itself, on machines that may be busy."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import Any


def until(true: Callable[[], object], process: subprocess.Popen[Any] | None = None, *, patience_s: float = 60) -> None:
    """`process`: what brings it about, so that there is nothing to wait for once it ended."""
    deadline = time.monotonic() + patience_s
    while not true():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
