"""The processor's work on this machine."""

from __future__ import annotations

import threading
from collections.abc import Callable

from hume_runner.computing.base import MOST_DEATHS, P, T
from hume_runner.processes import ProcessExecutor, Stopped, WorkerDied


class InThread:
    """Works in the thread that calls."""

    elsewhere = False
    width = 2

    def open(self) -> None:
        """See `Pool.open`."""

    def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """See `Pool.call`."""
        return function(*args, **kwargs)

    def stop(self) -> None:
        """See `Pool.stop`: what a thread works on is waited for."""

    def close(self) -> None:
        """See `Pool.close`."""


class OwnProcesses:
    """Works in up to `width` processes of this machine, which are started when they are needed."""

    elsewhere = False

    def __init__(self, width: int, *, timeout_s: float) -> None:
        self.width = width
        self._timeout_s = timeout_s
        self._executor: ProcessExecutor | None = None
        self._lock = threading.Lock()
        self._stopped = False

    def open(self) -> None:
        """See `Pool.open`."""

    def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """See `Pool.call`."""
        for death in range(1, MOST_DEATHS + 1):
            future = self._started().submit(function, *args, **kwargs)
            try:
                return future.result()
            except WorkerDied:
                if death == MOST_DEATHS:
                    raise
        raise AssertionError

    def _started(self) -> ProcessExecutor:
        with self._lock:
            if self._stopped:
                raise Stopped
            if self._executor is None:
                self._executor = ProcessExecutor(self.width, timeout_s=self._timeout_s)
            return self._executor

    def stop(self) -> None:
        """See `Pool.stop`."""
        with self._lock:
            self._stopped = True
            executor = self._executor
        if executor is not None:
            executor.stop()

    def close(self) -> None:
        """See `Pool.close`."""
        with self._lock:
            executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=True, cancel_futures=True)
