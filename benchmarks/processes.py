"""The processes that a benchmark watches: the runner, with its time and peak memory, and an emulator beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KEY = "benchmark"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A process that ended well. `cpu_s`: of the processor. `peak_mb`: its largest resident set, in units of 1,000,000
    bytes."""

    seconds: float
    cpu_s: float
    peak_mb: float
    out: str


def timed(command: list[str], *, limit_s: float, environ: Mapping[str, str] | None = None) -> Ended:
    """Run to the end. Raises: RuntimeError with the process's words if it fails or takes longer than `limit_s`."""
    started = time.perf_counter()
    process = subprocess.Popen(
        command, env={**os.environ, **(environ or {})}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    timer = threading.Timer(limit_s, process.kill)
    timer.start()
    said: list[str] = []
    assert process.stdout is not None
    assert process.stderr is not None
    drain = threading.Thread(target=lambda: said.append(process.stderr.read()))
    drain.start()
    out = process.stdout.read()
    drain.join()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    timer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    process.stderr.close()
    if process.returncode != 0:
        raise RuntimeError(f"{command} ended with {process.returncode} after {seconds:.0f} s:\n{out}{said[0]}")
    kilobyte = 1 if sys.platform == "darwin" else 1024
    cpu_s = usage.ru_utime + usage.ru_stime
    return Ended(seconds=seconds, cpu_s=cpu_s, peak_mb=usage.ru_maxrss * kilobyte / 1e6, out=out)


def runner(*arguments: object, limit_s: float = 600.0, python: str = sys.executable) -> Ended:
    """hume-runner in a process of its own, by this interpreter."""
    command = [python, "-m", "hume_runner", *map(str, arguments)]
    return timed(command, limit_s=limit_s, environ={"HUME_API_KEY": KEY})


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """An emulator in a process of its own."""

    url: str

    def requests(self) -> dict[str, int]:
        """How many requests each route had so far."""
        by_route: dict[str, int] = _call(f"{self.url}/_emulator/requests")["by_route"]
        return by_route

    def status_requests(self) -> int:
        """Requests that ask how far jobs are: lists and details."""
        return sum(
            number
            for route, number in self.requests().items()
            if route.startswith("GET /v0/batch/jobs") and not route.endswith(("/predictions", "/artifacts"))
        )

    def allow(self, **limits: int) -> None:
        """Change what a request may carry, as a compatible host might."""
        _call(f"{self.url}/_emulator/limits", limits)


def _call(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


@contextmanager
def emulator(data: Path, *options: object) -> Iterator[Served]:
    """An emulator for the length of the block."""
    command = [sys.executable, "-m", "hume_runner", "emulate", "--api-key", KEY, "--data", str(data)]
    with subprocess.Popen([*command, *map(str, options)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Served(url=json.loads(process.stdout.readline())["url"])
        finally:
            process.terminate()
