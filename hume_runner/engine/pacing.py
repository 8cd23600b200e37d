"""How fast to send, and when to ask again. One `Pacer` is shared by all workers; the rest is pure."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass


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
        self._lock = threading.Lock()

    def acquire(self) -> None:
        """Return when a request may be sent."""
        while True:
            wait = self._take()
            if wait <= 0:
                return
            self._sleep(wait)

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
                self._rate = max(min(0.1, self._full_rate), self._rate / 2)
            # Nothing is saved up during the pause, or all workers would burst out of it together.
            self._updated = self._blocked_until = max(self._blocked_until, until)
            self._tokens = 0.0

    def speed_up(self) -> None:
        """A request went well: a twentieth of the full rate comes back."""
        with self._lock:
            self._rate = min(self._full_rate, self._rate + self._full_rate / 20)

    @property
    def rate(self) -> float:
        """Requests per second at present."""
        return self._rate


def limit_after_complaint(limit: float) -> float:
    """How many jobs may be at the service at once: half as many once it complains, one at the least."""
    return max(1.0, limit / 2)


def limit_after_success(limit: float, most: int) -> float:
    """One more with each job that it takes."""
    return min(float(most), limit + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PollRule:
    """Seconds between polls: a share of the youngest waiting job's age, between `least` and `most`.

    `close` is the least time between two polls when several jobs are expected to end, one after another.
    """

    least: float = 0.25
    most: float = 30.0
    share: float = 0.05
    close: float = 0.08


def next_poll_at(
    rule: PollRule, *, now: float, last: float, submitted: Iterable[float], typical: float | None
) -> float:
    """When to poll next. `submitted`: times of the waiting jobs; `typical`: how long recent jobs took at the least.

    A new job is looked at often and an old one seldom. Once it is known how long jobs take, the next poll is when a
    few of them can be done: one request tells about all of them, so a poll a job would be wasted.
    """
    times = sorted(submitted)
    if not times:
        return now
    interval = min(rule.most, max(rule.least, rule.share * (now - times[-1])))
    if typical is None:
        return last + interval
    expected = [time + typical for time in times if time + typical > last]
    if not expected:
        return last + interval
    few = min(len(expected), max(4, len(times) // 12))
    # Sure of nothing, so never silent for more than four intervals; and not for more than one if a job is overdue.
    patience = interval if len(expected) < len(times) else 4 * interval
    return min(max(expected[few - 1], last + rule.close), last + patience)
