"""Where words go: stdout carries the result, stderr what a person wants to see meanwhile."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TextIO

SCHEMA = 1


@dataclass(slots=True, kw_only=True)
class Console:
    """The two streams and how much to say. `json` turns stdout into JSON Lines only."""

    out: TextIO
    err: TextIO
    json: bool = False
    quiet: bool = False
    verbose: int = 0
    progress: bool = True

    @classmethod
    def standard(cls) -> Console:
        return cls(out=sys.stdout, err=sys.stderr)

    def result(self, text: str) -> None:
        """A line of the command's result, for stdout."""
        self.out.write(text + "\n")

    def document(self, value: Mapping[str, Any]) -> None:
        """One JSON object on one line of stdout, with the schema number first."""
        self.out.write(json.dumps({"schema": SCHEMA, **value}, ensure_ascii=False) + "\n")
        self.out.flush()

    def note(self, text: str) -> None:
        """A line for the person who watches; nothing depends on it."""
        if not self.quiet:
            self.err.write(text + "\n")
            self.err.flush()

    def detail(self, text: str) -> None:
        """A line for `-v`."""
        if self.verbose:
            self.err.write(text + "\n")
            self.err.flush()

    def error(self, text: str) -> None:
        self.err.write(text + "\n")
        self.err.flush()
