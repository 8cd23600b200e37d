"""A small process that has everything imported and forks one runner a line: `python -m tests.state.remote.zygote`.

A line is `{"argv", "environ", "out", "clock": [after_s, by_s] or null}`; the answer is the runner's process id. What it
says goes to OUT.txt, its exit code to OUT.code when it ends by itself.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]


class Zygote:
    """For `with`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.state.remote.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def __enter__(self) -> Zygote:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def start(
        self, argv: Sequence[str], *, environ: Mapping[str, str], out: Path, clock: tuple[float, float] | None = None
    ) -> Child:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = {"argv": list(argv), "environ": dict(environ), "out": str(out), "clock": clock}
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()
        return Child(int(self._process.stdout.readline()), out)


class Child:
    """A runner. `signal` does nothing once it is gone."""

    def __init__(self, pid: int, out: Path) -> None:
        self.pid = pid
        self._out = out

    def signal(self, number: int) -> None:
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return

    @property
    def over(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        return False

    def wait(self, timeout_s: float) -> bool:
        until = time.monotonic() + timeout_s
        while not self.over:
            if time.monotonic() > until:
                return False
            time.sleep(0.02)
        return True

    @property
    def code(self) -> int | None:
        """None for one that was killed."""
        try:
            return int(self._out.with_suffix(".code").read_text())
        except FileNotFoundError:
            return None

    @property
    def said(self) -> str:
        return self._out.with_suffix(".txt").read_text(errors="replace")


def _become(line: dict[str, Any]) -> None:
    out = Path(line["out"])
    handle = os.open(out.with_suffix(".txt"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.environ.update(line["environ"])
    if line["clock"]:
        after_s, by_s = line["clock"]
        until, real = time.monotonic() + after_s, time.time
        time.time = lambda: real() + (by_s if time.monotonic() >= until else 0.0)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    from hume_runner.cli.main import main

    code = 1
    try:
        code = main(line["argv"])
    finally:
        out.with_suffix(".code").write_text(str(code))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _serve() -> None:
    import hume_runner.api.functions
    import hume_runner.cli.progress
    import hume_runner.cli.run
    import hume_runner.engine.run
    import hume_runner.http.access
    import hume_runner.results.finish
    import hume_runner.services.batch_v0.service
    import hume_runner.state.remote.keeper
    import hume_runner.stores.remote  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.freeze()  # or each child's first collection copies every page
    for text in sys.stdin:
        pid = os.fork()
        if not pid:
            _become(json.loads(text))
        print(pid, flush=True)


if __name__ == "__main__":
    _serve()
