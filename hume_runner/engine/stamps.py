"""The wall clock of a run, for stamps that are compared with an earlier moment, whatever it was set to meanwhile."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable


class Stamps:
    """Tells the wall clock's time, and remembers how far behind it ever was of a clock that nobody sets. Asked by any
    thread."""

    def __init__(self, wall: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._lock = threading.Lock()
        self._least = math.inf
        self.now()

    def now(self) -> float:
        with self._lock:
            now = self._wall()
            self._least = min(self._least, now - self._monotonic())
            return now

    def since(self, seconds: float) -> float:
        """No stamp of the last so many seconds is less than this, however often the wall clock was set."""
        self.now()
        return self._monotonic() + self._least - seconds
