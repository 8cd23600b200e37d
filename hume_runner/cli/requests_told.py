"""Listening to the requests that are sent: the log records of `hume_runner.http`."""

from __future__ import annotations

import logging
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
    logger = logging.getLogger("hume_runner.http")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
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
