"""Talk to the nursery: many runs at a time, each in a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.warm import WarmPopen

ROOT = Path(__file__).resolve().parents[2]
KILLED = -signal.SIGKILL


class Nursery:
    """Starts children and waits for them, for `with`. Codes below zero are signals."""

    def __enter__(self) -> Nursery:
        self._process = WarmPopen(
            [sys.executable, "-m", "tests.durability.nursery"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=30)

    def run(self, children: Sequence[Mapping[str, Any]], *, at_once: int = 6) -> list[int]:
        """Run them all, so many at a time."""
        return self._ask({"run": children, "at_once": at_once})

    def together(
        self, children: Sequence[Mapping[str, Any]], *, hold: Path | None = None, remove: Sequence[Path] = ()
    ) -> list[int]:
        """Run them all, released at the same moment, when each stands before the lock.

        `hold` is made once one child alone is left (or none ends any more), for disks that wait for it; the files
        `remove` are removed again and again until then.
        """
        return self._ask(
            {"together": children, "hold": str(hold) if hold else None, "remove": [str(path) for path in remove]}
        )

    def race(self, children: Sequence[Mapping[str, Any]]) -> list[int]:
        """Run them all at once; each gets SIGKILL after its `seconds`."""
        killed = [{**child, "signals": [[child["seconds"], signal.SIGKILL]]} for child in children]
        return self.run(killed, at_once=len(killed))

    def _ask(self, question: Mapping[str, Any]) -> list[int]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the nursery died"
        return json.loads(line)["codes"]  # type: ignore[no-any-return]


def came_too_late(child: Mapping[str, Any]) -> bool:
    """Whether a run that ended by itself had fewer durable operations than the one at which something was to happen:
    what comes back together is recorded in one, and workers race."""
    return len(Path(child["out"] + ".trace").read_text().splitlines()) < child["disk"]["at"]


def not_killed(children: Sequence[Mapping[str, Any]], codes: Sequence[int]) -> dict[str, int]:
    """How those ended that were to be killed and were not, although there was the moment for it."""
    return {
        child["out"]: code
        for child, code in zip(children, codes, strict=True)
        if code != KILLED and (code != 0 or not came_too_late(child))
    }
