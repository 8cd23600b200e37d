"""Who hears what is told: callers that take no events, and those that take them in one thread alone."""

from __future__ import annotations

import logging
from queue import Empty, SimpleQueue

from hume_runner import events

_LOG = logging.getLogger("hume_runner")


def logged(event: events.Event) -> None:
    """The report of a caller who takes no events: warnings are logged, and the rest is told to nobody."""
    if isinstance(event, events.Warned):
        _LOG.warning(event.message)


class InOneThread:
    """A report that is called in one thread, with what is warned of in others: that is told before the next event."""

    def __init__(self, report: events.Report) -> None:
        self._report = report
        self._warned: SimpleQueue[str] = SimpleQueue()

    def __call__(self, event: events.Event) -> None:
        self.catch_up()
        self._report(event)

    def warn(self, message: str) -> None:
        """From any thread."""
        self._warned.put(message)

    def catch_up(self) -> None:
        """Tell what other threads warned of by now."""
        while True:
            try:
                message = self._warned.get_nowait()
            except Empty:
                return
            self._report(events.Warned(message=message))
