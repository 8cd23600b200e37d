"""Processes that hold something until a test lets them go."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.warm import WarmPopen


@contextmanager
def holding(code: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    """`code` says `held` once it does, and lets go at the end of its standard input."""
    process = WarmPopen([sys.executable, "-c", code, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    try:
        yield process
    finally:
        process.communicate()
