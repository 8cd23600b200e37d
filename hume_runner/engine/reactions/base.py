"""What reactions speak of: the rules of a run, the moment, and a reaction itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from hume_runner import events
from hume_runner.engine import facts
from hume_runner.engine.view import PREPARING, View
from hume_runner.errors import (
    ApiError,
    AuthError,
    Discontinued,
)
from hume_runner.frozen import frozen
from hume_runner.manifest.model import ExecutionSection

K = TypeVar("K")
V = TypeVar("V")


@frozen
class Patience:
    """How long the loop waits for things that settle by themselves, in seconds.

    `settle_s`: how long the service has, from the end of a request that was cut off, to show what it took of it;
    `settle_slow_s`: the same after a time-out, where it may have everything and be slow, and how long one that it is
    measuring is waited for. `late_s`: an answer that does not speak of every source is asked for again this long.
    `unseen`: how many polls in a row may not know one of our jobs before the run stops.
    """

    settle_s: float = 120.0
    settle_slow_s: float = 900.0
    late_s: float = 60.0
    unseen: int = 5


@frozen
class Rules:
    """What the manifest and the command line say about how to react. `artifacts`: whether they are wanted;
    `preparing`: how many media are prepared at one time; `keeps_answers`: whether the service has an answer for whoever
    asks later, so that a job can be adopted."""

    execution: ExecutionSection
    patience: Patience
    artifacts: bool
    pay_again: bool = False
    preparing: int = PREPARING
    keeps_answers: bool = True


@frozen
class Moment:
    """When something came back: by the run's monotonic clock, and in Unix seconds by the machine's and by the service's
    clock (None: it never told). `chance` is from 0 to 1, for the jitter of waits."""

    now: float
    wall: float
    server: float | None = None
    chance: float = 0.0


@frozen
class Reaction:
    """A new view, what to record before anything else, what to tell. `failures`: whether items failed, so that the
    budget has to be looked at."""

    view: View
    facts: tuple[facts.Fact, ...] = ()
    events: tuple[events.Event, ...] = ()
    failures: bool = False

    def then(self, after: Reaction) -> Reaction:
        """This, and what follows from its view."""
        return Reaction(
            view=after.view,
            facts=(*self.facts, *after.facts),
            events=(*self.events, *after.events),
            failures=self.failures or after.failures,
        )


def refuses(error: ApiError) -> bool:
    """Whether no retry can mend it."""
    return isinstance(error, (AuthError, Discontinued))


def without(mapping: Mapping[K, V], key: K) -> Mapping[K, V]:
    return {one: value for one, value in mapping.items() if one != key}
