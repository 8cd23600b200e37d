"""`hume-runner emulate` as whoever starts and ends it sees it."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from types import FrameType
from typing import Any

import pytest

from hume_runner.cli import emulate
from hume_runner.cli.console import Console
from hume_runner.cli.main import main

_LINES = 40  # of Python, from the first word to where it waits and once around: those in which a signal may come


class Words(io.StringIO):
    """Where its line goes; from then on lines of Python are counted, and in one of them the signal comes."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.left = at
        self.sent = False

    def flush(self) -> None:
        super().flush()
        if self.getvalue() and not self.sent:
            sys.settrace(self._traced)
            frame: FrameType | None = sys._getframe()
            while frame is not None:  # those that go on are traced, too
                frame.f_trace = self._traced
                frame = frame.f_back

    def _traced(self, frame: FrameType, event: str, arg: Any) -> Any:
        del arg
        if event == "line" and not self.sent and frame.f_code.co_filename != __file__:
            self.left -= 1
            if self.left <= 0:
                self.sent = True
                os.kill(os.getpid(), signal.SIGTERM)
        return self._traced


@pytest.mark.sweep
def test_a_signal_ends_the_stand_in_wherever_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that takes a lock its own thread holds would wait for ever, once in thousands of times."""
    monkeypatch.setattr(emulate, "_LOOK_S", 0.001)
    before = sys.gettrace()
    sent = 0
    for line in range(1, _LINES):
        words = Words(line)
        try:
            assert main(["emulate"], Console(out=words, err=io.StringIO())) == 0
        finally:
            sys.settrace(before)
        assert json.loads(words.getvalue())["url"].startswith("http://127.0.0.1:")
        sent += words.sent
    assert sent == _LINES - 1
