"""A command in this process, and what it left."""

from __future__ import annotations

import io
import json
from typing import Any, NamedTuple

from hume_runner.cli.console import Console
from hume_runner.cli.main import main
from hume_runner.machine import Machine


class Ran(NamedTuple):
    """What a command left: its code and its two streams."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object that was printed; with --json the event that is named after the command."""
        lines = self.lines
        if len(lines) == 1:
            return lines[0]
        command = lines[0]["command"].split()[0]
        found = [line for line in lines if line["event"] == command]
        assert found, self
        return found[0]

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


def call(*words: str, machine: Machine | None = None) -> Ran:
    out, err = io.StringIO(), io.StringIO()
    code = main(words, Console(out=out, err=err), machine)
    return Ran(code, out.getvalue(), err.getvalue())
