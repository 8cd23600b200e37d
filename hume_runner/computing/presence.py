"""Whether a cluster is there, by what was seen of it, and the time for which it was. Pure; the clock is handed over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from hume_runner.frozen import frozen

Scheduler = Literal["answers", "silent", "gone"]
# What follows: work is handed out; it is waited; or the run ends, for want of whom.
Ruling = Literal["works", "waits", "silent", "gone", "nobody"]


@frozen
class Seen:
    """What was seen of a cluster. `scheduler`: whether it answered just now, kept silent, or has no connection with us;
    `away_s`: since its last answer. `fit`: whether somebody may get work; `lacking_s`: since nobody may. `asked_s`: for
    how long the last who came is asked whether they are fit; None where nobody is. The latter two count only while the
    scheduler answers."""

    scheduler: Scheduler
    away_s: float = 0.0
    fit: bool = False
    lacking_s: float = 0.0
    asked_s: float | None = None


def ruling(seen: Seen, wait_s: float) -> Ruling:
    """What follows where a run waits `wait_s` for who is not there."""
    if seen.scheduler != "answers":
        return seen.scheduler if seen.away_s > wait_s else "waits"
    if seen.fit:
        return "works"
    if seen.lacking_s <= wait_s or (seen.asked_s is not None and seen.asked_s <= wait_s):
        return "waits"
    return "nobody"


class Answering:
    """For how long somebody has answered: a clock that goes on with each answer, and stands still without one. Between
    two answers no more than `most_s` counts, so that a silence does not, however it ends. One thread hears; any reads.
    """

    def __init__(self, clock: Callable[[], float], *, most_s: float) -> None:
        self._clock = clock
        self._most_s = most_s
        self._last = clock()
        self.total_s = 0.0

    def heard(self) -> None:
        """There was an answer."""
        now = self._clock()
        self.total_s += min(now - self._last, self._most_s)
        self._last = now

    @property
    def away_s(self) -> float:
        """Since the last answer."""
        return self._clock() - self._last
