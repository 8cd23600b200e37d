"""The calls that are at a Dask cluster, and whoever waits for them. Nobody waits for what Dask does: its futures are
brought to futures of ours, which end at once where they are let go."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable
from concurrent.futures import CancelledError, Future, InvalidStateError
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hume_runner.computing.base import Away
from hume_runner.computing.handed import aside
from hume_runner.computing.perform import starts
from hume_runner.errors import HumeRunnerError


@dataclass(slots=True)
class Out:
    """A call that is at the cluster: which workers may take it, and Dask's future of it, once it has one."""

    call: str
    workers: frozenset[str]
    theirs: Future[bytes] | None = None


class Calls:
    """All that are out, by our future of each. `changed` guards them."""

    def __init__(self, changed: threading.Condition) -> None:
        self._changed = changed
        self._out: dict[Future[bytes], Out] = {}

    def add(self, call: str, workers: frozenset[str]) -> tuple[Future[bytes], Out]:
        """One more, until its future ends."""
        future: Future[bytes] = Future()
        out = Out(call, workers)
        with self._changed:
            self._out[future] = out
        future.add_done_callback(self._came)
        return future, out

    def _came(self, future: Future[bytes]) -> None:
        with self._changed:
            self._out.pop(future, None)

    def all(self) -> list[Future[bytes]]:
        with self._changed:
            return list(self._out)

    def stuck(self, folder: Path, fit: set[str], before: set[str]) -> list[Future[bytes]]:
        """Calls that nobody may take of those who are `fit`; and, where somebody came since `before`, those that wait
        for others. `folder`: where it is told which have begun."""
        came = fit - before
        return [
            future
            for future, out in self._out.items()
            if not out.workers & fit or (came and before and not starts(folder, out.call))
        ]

    def let_go(self, waiting: Iterable[Future[Any]], error: BaseException) -> None:
        """Whoever waits for these hears of it. At once, whatever Dask does."""
        theirs: list[Future[Any]] = []
        for future in waiting:
            with self._changed:
                out = self._out.get(future)
            if out is not None and out.theirs is not None:
                theirs.append(out.theirs)
            if isinstance(error, CancelledError):
                future.cancel()
            else:
                settle(future, None, error)
        cancel_soon(theirs)


def bring(done: Future[Any], ours: Future[Any]) -> None:
    """End ours as Dask's ended: it cancels what it loses with its connection, and nobody else cancels it before
    ours."""
    if done.cancelled():
        settle(ours, None, Away())
    else:
        error = done.exception()
        settle(ours, None if error else done.result(), error)


def settle(asked: Future[Any], told: Any, error: BaseException | None) -> bool:
    """Whether anybody still wanted to know."""
    try:
        asked.set_result(told) if error is None else asked.set_exception(error)
    except InvalidStateError:
        return False
    return True


def cancel_soon(waiting: list[Future[Any]]) -> None:
    """Nobody waits for that: Dask does it in its own thread, which may be over."""
    if waiting:
        with contextlib.suppress(HumeRunnerError):  # this machine has no thread for it: they are worked on for nothing
            aside(_cancel, waiting)


def _cancel(waiting: list[Future[Any]]) -> None:
    for future in waiting:
        with contextlib.suppress(Exception):
            future.cancel()
