"""SIGINT, SIGTERM and SIGHUP become messages to the loop; the handlers themselves do nothing else."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hume_runner.engine.workers import Workers

# 128 + the signal's number, as shells report it; a hang-up is an orderly end like SIGTERM's.
_EXIT_CODES = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 143}


class Mailbox:
    """Where signals go once a run has its workers; until then they interrupt as usual."""

    def __init__(self) -> None:
        self._workers: Workers | None = None

    def open(self, workers: Workers) -> None:
        self._workers = workers

    def deliver(self, number: int, frame: FrameType | None) -> None:
        from hume_runner.engine.loop import Interrupt
        from hume_runner.engine.workers import Done

        del frame
        name = signal.Signals(number).name
        if self._workers is None:
            raise Interrupted(_EXIT_CODES[name])
        self._workers.post(Done("interrupt", value=Interrupt(_EXIT_CODES[name], name)))


class Interrupted(BaseException):
    """A signal before anything was begun."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


@contextlib.contextmanager
def delivered_to(mailbox: Mailbox) -> Iterator[None]:
    """Deliver signals to `mailbox` for as long as the block lasts."""
    before = {}
    for name in _EXIT_CODES:
        number = getattr(signal, name, None)
        if number is not None:
            with contextlib.suppress(ValueError):  # not the main thread
                before[number] = signal.signal(number, mailbox.deliver)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
