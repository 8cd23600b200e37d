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


class InFlightLimit:
    """How many jobs may be at the service at once: halves when it complains, grows by one with each job it takes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._now = float(most)

    def __int__(self) -> int:
        return max(1, int(self._now))

    def complained(self) -> None:
        self._now = max(1.0, self._now / 2)

    def accepted(self) -> None:
        self._now = min(float(self._most), self._now + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PollRule:
    """Seconds between polls: a share of the youngest waiting job's age, within bounds."""

    least: float = 0.25
    most: float = 30.0
    share: float = 0.05


def next_poll_at(
    rule: PollRule, *, now: float, last: float, submitted: Iterable[float], typical: float | None
) -> float:
    """When to poll next. `submitted`: times of the waiting jobs; `typical`: how long recent jobs took at the least.

    A new job is looked at often and an old one seldom. Once it is known how long jobs take, nothing is asked before
    the first of the waiting ones can be done.
    """
    times = list(submitted)
    if not times:
        return now
    interval = min(rule.most, max(rule.least, rule.share * (now - max(times))))
    due = last + interval
    if typical is None:
        return due
    first_done = min(times) + typical
    if first_done > last:
        # Sure of nothing, so never silent for more than four intervals; and right at the expected moment.
        return min(max(due, first_done), max(first_done, last) if first_done < due else last + 4 * interval)
    return due


def backoff(tries: int, *, most: float, asked: float | None, random: Callable[[], float]) -> float:
    """Seconds until another try: what the service asked for, else 1, 2, 4, … with up to a quarter of jitter."""
    if asked is not None:
        return min(most, max(0.0, asked))
    return float(min(most, 2.0 ** min(max(tries - 1, 0), 16)) * (1 - 0.25 * random()))
