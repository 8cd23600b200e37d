"""What the loop knows while it runs, and what it does next: `next_actions` is a pure function of view and time.

The view holds jobs in flight only; planned jobs wait in the state until there is room for them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import field, replace
from itertools import islice
from typing import assert_never

from hume_runner.engine.pacing import PollRule, next_poll_at
from hume_runner.errors import HumeRunnerError
from hume_runner.frozen import frozen
from hume_runner.services.jobs import STRICT, Ended, Leniency


@frozen(kw_only=False)
class Submit:
    job: int


@frozen(kw_only=False)
class Poll:
    pass


@frozen(kw_only=False)
class Fetch:
    job: int


@frozen(kw_only=False)
class Settle:
    """Ask the service, in one look, about submissions whose answers were lost."""

    jobs: tuple[int, ...]


@frozen(kw_only=False)
class Prepare:
    """Prepare the media of a planned job, which becomes the jobs that are sent."""

    job: int


@frozen(kw_only=False)
class Recheck:
    """Look once more for what was lost and sent again, when all else is done."""


Due = Submit | Poll | Fetch | Settle | Prepare
Action = Due | Recheck


@frozen
class Sent:
    """A submission without an answer yet, and what it costs where the API bills by the second. `at`: when it left, by
    the run's monotonic clock."""

    at: float
    billable_seconds: float = 0.0
    members: int = 1


@frozen
class AtService:
    """A submitted job. `submitted_at` by the run's monotonic clock, `created_at` in Unix seconds by the service's.

    `since`: when this run began to wait for it, by the monotonic clock. For a job of an earlier run `submitted_at` is
    as good as the machine's time: it tells how often to ask, and nothing else.
    """

    remote_id: str
    submitted_at: float
    since: float
    created_at: float
    simulated: bool


@frozen
class Lost:
    """A submission without an answer. Its request ended at `since`; `wait_s` after that, the service had the time to
    take it. Asked about next at `next_at`, after `looks` looks so far. `here`: this run lost it. `waited_before_s`: so
    long an earlier run waited in vain, and asked. `unlisted`: nothing that is listed waits for it."""

    since: float
    wait_s: float
    next_at: float
    looks: int = 0
    billable_seconds: float = 0.0
    here: bool = False
    waited_before_s: float = 0.0
    unlisted: bool = False


@frozen
class ToFetch:
    """A job whose answer can be fetched. `next_at` moves on when fetching failed (`tries` times) or came too early
    (`early` times, first at `early_at`).

    `leniency`: what it may lack by now. `here`: the answer came with the submission, so that only the disk has to do
    with it.
    """

    ended: Ended
    leniency: Leniency = STRICT
    next_at: float = 0.0
    tries: int = 0
    early: int = 0
    early_at: float | None = None
    here: bool = False


@frozen
class Trouble:
    """How often in a row something failed, to know when waiting is no use any more. `unseen`: by remote id."""

    polls: int = 0
    fetches: int = 0
    submissions: int = 0
    unseen: Mapping[str, int] = field(default_factory=dict)


@frozen
class Ending:
    """Why a run stopped before everything was done. `error` carries the exit code and the next step."""

    error: HumeRunnerError | None = None
    exit_code: int | None = None

    def __bool__(self) -> bool:
        return self.error is not None or self.exit_code is not None


PREPARING = 2  # media at one time on this machine: the work is the processor's, not the network's


@frozen
class View:
    """The loop's picture of the run; a reaction gives a new one. Times are seconds by a monotonic clock: nothing here
    moves when somebody sets the machine's time."""

    most_in_flight: int
    most_transfers: int
    most_filing: int = 2  # of answers that are here: they must not take a transfer's place
    most_preparing: int = PREPARING
    poll_rule: PollRule = field(default_factory=PollRule)
    taken_up: int = 0  # the last planned job that was taken from the state
    queue: Sequence[int] = ()  # planned jobs that may go out, in order
    held_back: Mapping[int, float] = field(default_factory=dict)  # refused for now: when they may go out again
    passed_over: Set[int] = frozenset()  # planned jobs that somebody has to be asked about
    unprepared: Sequence[int] = ()  # planned jobs whose media have to be prepared first
    preparing: Set[int] = frozenset()
    submitting: Mapping[int, Sent] = field(default_factory=dict)
    waiting: Mapping[int, AtService] = field(default_factory=dict)
    to_fetch: Mapping[int, ToFetch] = field(default_factory=dict)
    fetching: Mapping[int, ToFetch] = field(default_factory=dict)
    filing: Mapping[int, ToFetch] = field(default_factory=dict)
    lost: Mapping[int, Lost] = field(default_factory=dict)
    settling: Set[int] = frozenset()
    looked_at: float = -math.inf  # when the latest look for lost ones began
    taken_at: float = -math.inf  # when it was last known that the service took one of ours
    agreed: Set[int] = frozenset()  # jobs of which it was said that they are sent as agreed
    polling: bool = False
    rechecking: bool = False
    last_poll: float = 0.0
    poll_not_before: float = 0.0
    turnarounds: tuple[float, ...] = ()  # how long the service worked on recent jobs
    slots: int | None = None  # on how many it works at a time; None where none was seen to wait
    freed: tuple[float, ...] = ()  # when recent jobs ended, by the run's clock, ascending
    without_artifacts: Set[int] = frozenset()  # jobs of which the service has none
    limit: float = float("inf")  # jobs that may be at the service at once, by its complaints
    committed_s: float = 0.0  # billable seconds that are sent and not refused
    unproven_s: float = 0.0  # those of them that were lost and sent again, and that nobody knows to be billed or free
    trouble: Trouble = field(default_factory=Trouble)
    ending: Ending = field(default_factory=Ending)
    interrupted: bool = False
    paused: bool = False  # submit nothing more for now, because somebody said so
    no_more: bool = False  # submit nothing more; what is at the service is waited for
    leaving: bool = False  # start nothing more at all

    @property
    def typical_s(self) -> float | None:
        """How long the service worked on recent jobs at the least."""
        return min(self.turnarounds, default=None)

    @property
    def on_the_way(self) -> tuple[int, float]:
        """(requests, billable seconds) that are sent and not answered yet."""
        return len(self.submitting), round(sum(sent.billable_seconds for sent in self.submitting.values()), 3)

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
    def all_sent(self) -> bool:
        """Whether every job that is at hand was sent and has its name."""
        return not (self.active or self.lost or self.queue or self.held_back or self.unprepared)

    @property
    def finished(self) -> bool:
        """Whether nothing is left that this run would do."""
        if self.active:
            return False
        if self.leaving:
            return True
        more = bool(self.queue or self.held_back or self.unprepared) and not self.no_more
        return not (more or self.waiting or self.to_fetch or self.lost)


def next_actions(view: View, now: float) -> tuple[list[Due], float | None]:
    """What to start now, and when to look again if nothing happens before (None: only when something does).

    Submitting comes before fetching: the service's queue works meanwhile, an answer waits.
    """
    if view.leaving:
        return [], None
    actions: list[Due] = []
    wakes: list[float] = []
    room = view.most_transfers - view.transfers
    if not view.no_more and not view.paused:
        released = [job for job, when in sorted(view.held_back.items()) if when <= now]
        wakes += [when for when in view.held_back.values() if when > now]
        most = int(max(1, min(view.most_in_flight, view.limit)))
        free = max(0, min(room, most - view.in_flight))
        if not free and 0 < len(view.lost) == view.in_flight <= most and room > 0:
            # Nothing but lost ones, whose time is over: one more shows whether the list shows what it must.
            free = int(all(now >= lost.since + lost.wait_s for lost in view.lost.values()))
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
            slots=view.slots,
            freed=view.freed,
        )
        due = max(due, view.poll_not_before)
        if due <= now:
            actions.append(Poll())
        else:
            wakes.append(due)
    return actions, min(wakes) if wakes else None


def begun(view: View, action: Action, now: float) -> View:
    """A worker has this in hand from now on."""
    match action:
        case Submit(job):
            held_back = {one: until for one, until in view.held_back.items() if one != job}
            queue = view.queue if job in view.held_back else [one for one in view.queue if one != job]
            return replace(view, held_back=held_back, queue=queue)
        case Poll():
            return replace(view, polling=True, last_poll=now)
        case Fetch(job):
            fetch, to_fetch = view.to_fetch[job], {one: kept for one, kept in view.to_fetch.items() if one != job}
            if fetch.here:
                return replace(view, to_fetch=to_fetch, filing={**view.filing, job: fetch})
            return replace(view, to_fetch=to_fetch, fetching={**view.fetching, job: fetch})
        case Settle(jobs):
            return replace(view, settling=view.settling | set(jobs), looked_at=now)
        case Prepare(job):
            waiting = [one for one in view.unprepared if one != job]
            return replace(view, unprepared=waiting, preparing=view.preparing | {job})
        case Recheck():
            return replace(view, rechecking=True)
        case _:
            assert_never(action)


def ended(view: View, action: Action) -> View:
    """A worker has done this, well or not. What it means for a submission or an answer is the reaction's to say."""
    match action:
        case Poll():
            return replace(view, polling=False)
        case Settle(jobs):
            return replace(view, settling=view.settling - set(jobs))
        case Prepare(job):
            return replace(view, preparing=view.preparing - {job})
        case Recheck():
            return replace(view, rechecking=False)
        case Submit() | Fetch():
            return view
        case _:
            assert_never(action)
