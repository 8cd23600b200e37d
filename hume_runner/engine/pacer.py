"""The pace that all workers share: what the formulas of `pacing` say, with a clock, a lock and sleep."""

from __future__ import annotations

import threading
from collections.abc import Callable

from hume_runner.engine.pacing import rate_after_complaint, rate_after_success

# Whoever waits looks up so often: the pace may be another by then, or the run may be ending.
_LOOK_UP_S = 0.25
# What is still to be asked of the service by a run that ends is waited for at most so long: the next run asks, too.
_LAST_WAIT_S = 10.0


class Pacer:
    """A token bucket for all requests, with one slow-down for all workers.

    `rate` is requests per second. After `slow_down` nobody sends for that long, and the rate halves, down to one
    request in ten seconds; every success gives a part of it back.
    """

    def __init__(
        self, rate: float, *, burst: float, clock: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        self._full_rate = self._rate = rate
        self._burst = max(1.0, burst)
        self._tokens = self._burst
        self._clock = clock
        self._sleep = sleep
        self._updated = clock()
        self._blocked_until = 0.0
        self._ending = False
        self._lock = threading.Lock()

    def acquire(self, *, submits: bool = False) -> bool:
        """Return when a request may be sent. False: it may not be any more, since the run ends."""
        while True:
            if submits and self._ending:
                return False
            wait = self._take()
            if wait <= 0:
                return True
            if self._ending and wait > _LAST_WAIT_S:
                return False
            self._sleep(min(wait, _LOOK_UP_S))

    def end_soon(self) -> None:
        """Turn away what waits for its turn to submit, and what else would wait for long."""
        self._ending = True

    def _take(self) -> float:
        with self._lock:
            now = self._clock()
            if now < self._blocked_until:
                return self._blocked_until - now
            self._tokens = min(self._burst, self._tokens + (now - self._updated) * self._rate)
            self._updated = now
            # A whole token less what adding up fractions loses: else a wait of no length would follow.
            if self._tokens >= 1 - 1e-9:
                self._tokens -= 1
                return 0.0
            return (1 - self._tokens) / self._rate

    def slow_down(self, seconds: float) -> None:
        """The service asked for a pause: everybody waits, and then goes at half the pace."""
        with self._lock:
            now = self._clock()
            until = now + seconds
            # Many workers hear the same complaint: the rate halves once a pause, not once a worker.
            if now >= self._blocked_until:
                self._rate = rate_after_complaint(self._rate, self._full_rate)
            # Nothing is saved up during the pause, or all workers would burst out of it together.
            self._updated = self._blocked_until = max(self._blocked_until, until)
            self._tokens = 0.0

    def change(self, rate: float, *, burst: float) -> None:
        """Another rate from now on, for all workers; what was saved up is kept up to `burst` requests."""
        with self._lock:
            self._full_rate = self._rate = rate
            self._burst = max(1.0, burst)
            self._tokens = min(self._tokens, self._burst)

    @property
    def full_rate(self) -> float:
        """Requests per second, where nobody asked to slow down."""
        return self._full_rate

    def speed_up(self) -> None:
        """A request went well: a twentieth of the full rate comes back."""
        with self._lock:
            self._rate = rate_after_success(self._rate, self._full_rate)

    @property
    def rate(self) -> float:
        """Requests per second at present."""
        return self._rate
