"""Each request and its answer as one log record, for whoever wants to see or count them.

The logger `hume_runner.http` gets a record of level DEBUG when an exchange is over; its `exchange` is an `Exchanged`.
Nobody listens unless they ask, and then nothing is made.
"""

from __future__ import annotations

import logging
import time
from typing import Final
from urllib.parse import urlsplit

from hume_runner.frozen import frozen

LOGGER: Final = logging.getLogger("hume_runner.http")


@frozen
class Exchanged:
    """`path` is without query; `status` is None where no answer came; the bytes are those of the bodies."""

    method: str
    host: str
    path: str
    status: int | None
    took_s: float
    sent_bytes: int
    received_bytes: int

    def __str__(self) -> str:
        answer = "no answer" if self.status is None else str(self.status)
        return f"{self.method} {self.path} at {self.host}: {answer}, {self.took_s * 1000:.0f} ms"


def tell(method: str, url: str, *, status: int | None, began: float, sent: int = 0, received: int = 0) -> None:
    """An exchange is over that began at that monotonic time. `sent` and `received`: bytes."""
    if not LOGGER.isEnabledFor(logging.DEBUG):
        return
    parts = urlsplit(url)
    one = Exchanged(
        method=method,
        host=parts.netloc.rpartition("@")[2],
        path=parts.path or "/",
        status=status,
        took_s=time.monotonic() - began,
        sent_bytes=sent,
        received_bytes=received,
    )
    LOGGER.debug("%s", one, extra={"exchange": one})
