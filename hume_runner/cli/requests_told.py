"""Listening to the requests that are sent, and to waits before they are sent again: the log records of
`hume_runner.http` and `hume_runner.waits`."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class _Lines(logging.Handler):
    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.DEBUG)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        self._say(record.getMessage())


@contextmanager
def heard_by(handler: logging.Handler) -> Iterator[None]:
    """`handler` gets a record for each request while the block lasts. Other handlers hear what they heard before."""
    with _added(logging.getLogger("hume_runner.http"), handler, logging.DEBUG):
        yield


@contextmanager
def _added(logger: logging.Logger, handler: logging.Handler, level: int) -> Iterator[None]:
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.disabled = False  # libraries that configure logging switch off whoever was there before
    try:
        yield
    finally:
        logger.removeHandler(handler)
        if not logger.handlers:
            logger.setLevel(before)


@contextmanager
def listening(say: Callable[[str], None]) -> Iterator[None]:
    """`say` gets a line for each request: method, path, host, status, milliseconds."""
    with heard_by(_Lines(say)):
        yield


# A first failure is often the only one: the second wait is longer than this.
_WORTH_TELLING_S = 1.0
_TOLD_EVERY_S = 10.0


class _Waits(logging.Handler):
    """Says what is waited for, now and then: many requests may fail at one time for one reason."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float]) -> None:
        super().__init__(logging.INFO)
        self._say = say
        self._clock = clock
        self._next = clock()
        self._guard = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "wait_s", 0.0) <= _WORTH_TELLING_S:
            return
        with self._guard:
            now = self._clock()
            if now < self._next:
                return
            self._next = now + _TOLD_EVERY_S
        self._say(record.getMessage())


@contextmanager
def waits_told(say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> Iterator[None]:
    """`say` gets a line now and then while a request that failed waits for its next try. From any thread."""
    logger, handler = logging.getLogger("hume_runner.waits"), _Waits(say, clock)
    with _added(logger, handler, logging.INFO):
        yield
