"""What the loop knows while it runs, and what it does next: `next_actions` is a pure function of view and time.

The view holds jobs in flight only; planned jobs wait in the state until there is room for them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import islice

from hume_runner.engine.pacing import PollRule, next_poll_at
from hume_runner.services.base import Ended


@dataclass(frozen=True, slots=True)
class Submit:
    job: int


@dataclass(frozen=True, slots=True)
class Poll:
    pass


@dataclass(frozen=True, slots=True)
class Fetch:
    job: int


@dataclass(frozen=True, slots=True)
class Settle:
    """Ask the service, in one look, about submissions whose answers were lost."""

    jobs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Prepare:
    """Prepare the media of a planned job, which becomes the jobs that are sent."""

    job: int


Action = Submit | Poll | Fetch | Settle | Prepare


@dataclass(frozen=True, slots=True, kw_only=True)
class AtService:
    """A submitted job. `submitted_at` by the run's monotonic clock, `created_at` in Unix seconds by the service's."""

    remote_id: str
    submitted_at: float
    created_at: float
    simulated: bool


@dataclass(slots=True, kw_only=True)
class Lost:
    """A submission without an answer. Its request ended at `since`; `wait_s` after that, the service had the time to
    take it. Asked about next at `next_at`, after `looks` looks so far."""

    since: float
    wait_s: float
    next_at: float
    looks: int = 0


@dataclass(slots=True, kw_only=True)
class ToFetch:
    """A job whose answer can be fetched. `next_at` moves on when fetching failed or came too early.

    `here`: the answer came with the submission, so that only the disk has to do with it.
    """

    ended: Ended
    next_at: float = 0.0
    tries: int = 0
    first_at: float = 0.0
    here: bool = False


@dataclass(slots=True, kw_only=True)
class View:
    """The loop's picture of the run. Times are seconds by a monotonic clock: nothing here moves when somebody sets the
    machine's time."""

    most_in_flight: int
    most_transfers: int
    most_filing: int = 2  # of answers that are here: they must not take a transfer's place
    most_preparing: int = 2  # the work is the processor's, not the network's
    poll_rule: PollRule = field(default_factory=PollRule)
    queue: deque[int] = field(default_factory=deque)  # planned jobs that may go out, in order
    held_back: dict[int, float] = field(default_factory=dict)  # refused for now: when they may go out again
    unprepared: deque[int] = field(default_factory=deque)  # planned jobs whose media have to be prepared first
    preparing: set[int] = field(default_factory=set)
    submitting: set[int] = field(default_factory=set)
    waiting: dict[int, AtService] = field(default_factory=dict)
    to_fetch: dict[int, ToFetch] = field(default_factory=dict)
    fetching: set[int] = field(default_factory=set)
    filing: set[int] = field(default_factory=set)
    lost: dict[int, Lost] = field(default_factory=dict)
    settling: set[int] = field(default_factory=set)
    polling: bool = False
    last_poll: float = 0.0
    poll_not_before: float = 0.0
    typical_s: float | None = None  # how long recent jobs took at the least
    no_more: bool = False  # submit nothing more; what is at the service is waited for
    leaving: bool = False  # start nothing more at all

    @property
    def in_flight(self) -> int:
        """Jobs that the service may hold."""
        # What is being settled is among the lost.
        return len(self.submitting) + len(self.waiting) + len(self.lost)

    @property
    def transfers(self) -> int:
        return len(self.submitting) + len(self.fetching)

    @property
    def active(self) -> bool:
        """Whether some worker is busy."""
        return bool(self.submitting or self.fetching or self.filing or self.settling or self.preparing or self.polling)

    @property
    def finished(self) -> bool:
        """Whether nothing is left that this run would do."""
        if self.active:
            return False
        if self.leaving:
            return True
        more = bool(self.queue or self.held_back or self.unprepared) and not self.no_more
        return not (more or self.waiting or self.to_fetch or self.lost)


def next_actions(view: View, now: float) -> tuple[list[Action], float | None]:
    """What to start now, and when to look again if nothing happens before (None: only when something does).

    Submitting comes before fetching: the service's queue works meanwhile, an answer waits.
    """
    if view.leaving:
        return [], None
    actions: list[Action] = []
    wakes: list[float] = []
    room = view.most_transfers - view.transfers
    if not view.no_more:
        released = [job for job, when in sorted(view.held_back.items()) if when <= now]
        wakes += [when for when in view.held_back.values() if when > now]
        free = max(0, min(room, view.most_in_flight - view.in_flight))
        if len(view.to_fetch) > 2 * max(view.most_in_flight, view.most_transfers):
            free = 0  # answers pile up faster than they are fetched: no more until some of them are on disk
        for job in (released + list(islice(view.queue, free)))[:free]:
            actions.append(Submit(job))
            room -= 1
        # Ahead of what can be sent, but not far: prepared media lie on disk until they are.
        ahead = view.most_preparing - len(view.preparing) if len(view.queue) <= view.most_transfers else 0
        actions += [Prepare(job) for job in islice(view.unprepared, max(0, ahead))]
    filing = view.most_filing - len(view.filing)
    for job, fetch in view.to_fetch.items():
        if fetch.next_at > now:
            wakes.append(fetch.next_at)
        elif fetch.here:
            if filing > 0:
                actions.append(Fetch(job))
                filing -= 1
        elif room > 0:
            actions.append(Fetch(job))
            room -= 1
    if view.lost and not view.settling:
        if any(lost.next_at <= now for lost in view.lost.values()):
            # About all of them: one look shows as much of each, and two that look alike are told apart by number only.
            actions.append(Settle(tuple(view.lost)))
        else:
            wakes.append(min(lost.next_at for lost in view.lost.values()))
    if view.waiting and not view.polling:
        due = next_poll_at(
            view.poll_rule,
            now=now,
            last=view.last_poll,
            submitted=(job.submitted_at for job in view.waiting.values()),
            typical=view.typical_s,
        )
        due = max(due, view.poll_not_before)
        if due <= now:
            actions.append(Poll())
        else:
            wakes.append(due)
    return actions, min(wakes) if wakes else None
