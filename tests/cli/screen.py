"""A terminal for tests: a real pty, and a screen that understands what is drawn on it."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from fcntl import ioctl
from pathlib import Path

from tests.cli.project import Project

ROOT = Path(__file__).parents[2]
_SEQUENCE = re.compile(r"\x1b\[[?0-9;]*[A-Za-z]")


class Screen:
    """What stands on a terminal of so many columns, with all that was scrolled away. Lines too long are continued."""

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._lines: list[list[str]] = [[]]
        self._x = self._y = 0
        self.continued = 0  # how often a line went over the edge

    def feed(self, text: str) -> None:
        for part in re.split(f"({_SEQUENCE.pattern})", text):
            if _SEQUENCE.fullmatch(part):
                self._control(part)
            else:
                for letter in part:
                    self._letter(letter)

    def _control(self, sequence: str) -> None:
        number = sequence[2:-1]
        if sequence.endswith("A"):
            self._y = max(0, self._y - int(number or 1))
        elif sequence.endswith("K"):
            self._lines[self._y] = [] if number == "2" else self._lines[self._y][: self._x]

    def _letter(self, letter: str) -> None:
        if letter == "\r":
            self._x = 0
        elif letter == "\n":
            self._down()
        else:
            if self._x >= self._columns:
                self.continued += 1
                self._x = 0
                self._down()
            line = self._lines[self._y]
            line += " " * (self._x + 1 - len(line))
            line[self._x] = letter
            self._x += 1

    def _down(self) -> None:
        self._y += 1
        while len(self._lines) <= self._y:
            self._lines.append([])

    @property
    def lines(self) -> list[str]:
        return [line for line in ("".join(one).rstrip() for one in self._lines) if line]


class Terminal:
    """A command of a project in a pty. `raw` is all that it wrote; `frames` what stood there after each piece."""

    def __init__(self, project: Project, *words: str, columns: int = 80, **environ: str) -> None:
        self.columns = columns
        self.raw = ""
        self.frames: list[list[str]] = []
        self.screen = Screen(columns)
        ours, its = pty.openpty()
        ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        kept = {name: value for name, value in os.environ.items() if name not in _OF_TERMINALS}
        project.write()
        self._process = subprocess.Popen(
            ["setsid", "--ctty", sys.executable, "-m", "hume_runner", *words],
            cwd=project.folder,
            env={
                **kept,
                **project.environ,
                "PYTHONPATH": str(ROOT),
                "TERM": "xterm-256color",
                "LANG": "C.UTF-8",
                "HUME_RUNNER_SETTLE": "0.2",
                **environ,
            },
            stdin=its,
            stdout=its,
            stderr=its,
        )
        os.close(its)
        self._ours = ours

    def until(self, pattern: str, timeout_s: float = 60.0) -> None:
        """Read until this is on the screen."""
        end = time.monotonic() + timeout_s
        while not any(re.search(pattern, line) for line in self.screen.lines):
            assert time.monotonic() < end, self.raw
            assert self.read(), self.raw

    def end(self, timeout_s: float = 60.0) -> int:
        """Read to the end; the exit code."""
        end = time.monotonic() + timeout_s
        while self.read():
            assert time.monotonic() < end, self.raw
        os.close(self._ours)
        return self._process.wait(timeout=10)

    def press_ctrl_c(self) -> None:
        os.write(self._ours, b"\x03")

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)

    def read(self) -> bool:
        """The next piece, if one comes soon; False at the end."""
        ready, _, _ = select.select([self._ours], [], [], 0.2)
        if not ready:
            return True
        try:
            piece = os.read(self._ours, 65536)
        except OSError:  # EIO: the last one that had it open is gone
            return False
        text = piece.decode("utf-8", "replace")
        self.raw += text
        self.screen.feed(text)
        self.frames.append(self.screen.lines)
        return bool(piece)


_OF_TERMINALS = {"NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "LC_ALL", "LC_CTYPE", "LANG", "TERM", "COLORTERM"}
