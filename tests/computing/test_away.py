"""A place that goes away, or is silent, is no fault of the calls that it has: in this process, with a real executor."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hume_runner.computing.base import MOST_DEATHS, Away, Needs, NoAnswer
from hume_runner.computing.executor import AnyExecutor
from hume_runner.computing.perform import CALLS, Run
from hume_runner.computing.remote import RemotePool

_TIMEOUT_S = 0.2


class Shy(AnyExecutor):
    """Loses so many calls after somebody began with them, or has them for ever. Its time stands until it is moved."""

    def __init__(self, one: ThreadPoolExecutor, *, loses: int = 0, silent: bool = False) -> None:
        super().__init__("shy", lambda: one, wait_s=20)
        self.loses = loses
        self.silent = silent
        self.now_s = 0.0
        self.calls: list[str] = []

    def clock(self) -> float:
        return self.now_s

    def submit(self, run: Run, call: str, work: bytes, timeout_s: float, *, alone: bool) -> Future[bytes]:
        self.calls.append(call)
        future: Future[bytes] = Future()
        if len(self.calls) <= self.loses:
            (Path(run["folder"]) / CALLS / f"{call}.0").touch()
            future.set_exception(Away())
            return future
        return future if self.silent else super().submit(run, call, work, timeout_s, alone=alone)

    def forget(self, future: Future[bytes]) -> None:
        future.cancel()


def pool(place: Shy, outputs: Path, *, timeout_s: float = 60) -> RemotePool:
    return RemotePool(place, outputs, Needs(function=tuple, arguments=(), told=()), timeout_s=timeout_s)


def test_a_call_outlives_the_place_as_often_as_it_goes_away(one: ThreadPoolExecutor, tmp_path: Path) -> None:
    place = Shy(one, loses=2 * MOST_DEATHS)
    there = pool(place, tmp_path)
    assert there.call(len, "abc") == 3
    assert len(set(place.calls)) == len(place.calls) == 2 * MOST_DEATHS + 1  # who had begun may still work on it
    place._made = None  # the executor is the fixture's
    there.close()


def test_a_call_takes_no_time_while_its_place_is_silent(one: ThreadPoolExecutor, tmp_path: Path) -> None:
    place = Shy(one, silent=True)
    there = pool(place, tmp_path, timeout_s=_TIMEOUT_S)
    came: list[Any] = []

    def call() -> None:
        try:
            there.call(len, "abc")
        except NoAnswer as none:
            came.append(none.reason)

    waiting = threading.Thread(target=call)
    waiting.start()
    time.sleep(4 * _TIMEOUT_S)  # looks for it several times
    assert came == []
    place.now_s += 1_000
    waiting.join()
    assert came == ["timed_out"]
    place._made = None
    there.close()
