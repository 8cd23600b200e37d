"""A real Dask scheduler and real workers, each a process of its own that a test may kill."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

# What nobody looks at here takes a second and a port.
_PLAIN = {
    "DASK_DISTRIBUTED__SCHEDULER__WORK_STEALING": "True",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "10s",
    "DASK_DISTRIBUTED__ADMIN__LOW_LEVEL_LOG_LENGTH": "0",
}


def until(true: Callable[[], object]) -> None:
    """Wait for it; the test's own limit ends it."""
    while not true():
        time.sleep(0.05)


class Dask:
    """A scheduler; `worker` starts workers for it. All of them end with the block."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.folder = folder
        self._environ = environ
        self.address = ""
        self._processes: list[subprocess.Popen[bytes]] = []
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Dask:
        self.start_scheduler()
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def start_scheduler(self, *options: str, environ: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        file = self.folder / "scheduler.json"
        file.unlink(missing_ok=True)
        where = ["--host", "127.0.0.1", "--port", self.address.rpartition(":")[2] or "0"]
        self.scheduler = self._start(
            "scheduler", [*where, "--no-dashboard", "--scheduler-file", str(file), *options], environ
        )
        while True:  # pytest's own limit ends it
            with contextlib.suppress(OSError, ValueError):
                self.address = json.loads(file.read_bytes())["address"]
                return self.scheduler
            assert self.scheduler.poll() is None, (self.folder / "scheduler.log").read_text()
            time.sleep(0.05)

    def worker(self, name: str, *options: str, environ: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """One process without a nanny, so that the process is the worker; it registers when it is ready."""
        plain = [self.address, "--name", name, "--no-nanny", "--no-dashboard", "--nthreads", "1"]
        local = ["--local-directory", str(self.folder / name)]
        return self._start("worker", [*plain, *local, "--memory-limit", "0", *options], environ, log=f"{name}.log")

    def expect(self, workers: int) -> None:
        """Wait until so many workers in all have registered."""
        until(lambda: self.log("scheduler").count("Register worker") >= workers)

    def _start(
        self, what: str, arguments: Sequence[str], environ: Mapping[str, str] | None, log: str = ""
    ) -> subprocess.Popen[bytes]:
        with (self.folder / (log or f"{what}.log")).open("ab") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{what}", *arguments],
                cwd=self.folder,
                env={**os.environ, **_PLAIN, **self._environ, **(environ or {})},
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")
