"""One loop decides, small workers act, one store writes.

The loop asks `next_actions` what to do and hands each action to a worker; what comes back goes through `reactions`, and
what they say is recorded before anything else is done with it. It never asks which API it is talking to.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from hume_runner import events
from hume_runner.engine import download, facts, reactions, reconcile
from hume_runner.engine.reactions import Moment, Reaction, Rules
from hume_runner.engine.view import (
    Action,
    AtService,
    Ending,
    Fetch,
    Lost,
    Poll,
    Prepare,
    Settle,
    Submit,
    ToFetch,
    View,
    next_actions,
)
from hume_runner.engine.workers import Done, Workers
from hume_runner.errors import ApiError, HumeRunnerError, StateError, is_scarce, of_disk
from hume_runner.services.base import (
    Accepted,
    Answered,
    AnswerIncomplete,
    Draft,
    Ended,
    Job,
    ListingUnsupported,
    Look,
    LostJob,
    Prepared,
    Refused,
    Service,
    SubmitResult,
    Unknown,
    Waiting,
    job_name,
)
from hume_runner.state.disk import Disk
from hume_runner.state.journal import MISLED
from hume_runner.state.lifecycle import JobStatus
from hume_runner.state.store import Store, nonce_of

# So many jobs of ours on either side of a lost one show how the service tells of what it has.
_CONTROLS = 3
# Of so many jobs that an earlier run sent it is checked that the service shows what was sent.
_REMINDED = 1_000


# So many submissions that were refused for now are looked for once more at the end of a run.
_MOST_REFUSED = 100


@dataclass(frozen=True, slots=True)
class Interrupt:
    """A signal, as the loop sees it. `exit_code` is 130 or 143."""

    exit_code: int
    name: str


class Abandoned(BaseException):
    """The second signal: leave now. The state is safe at every moment."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What a loop acts with. `clock` is monotonic, for all waiting; `wall` tells Unix seconds, for people and records;
    `server_time` the service's, None before its first answer."""

    store: Store
    service: Service
    disk: Disk
    workers: Workers
    clock: Callable[[], float]
    wall: Callable[[], float]
    server_time: Callable[[], float | None]
    random: Callable[[], float]
    report: events.Report


class Loop:
    """One run from planned jobs to answers on disk, below `outputs`. With `detach` it leaves once all is sent; with
    `hold` nothing is sent, what was sent is settled and fetched, and that is what the run ends with."""

    def __init__(
        self,
        tools: Tools,
        rules: Rules,
        outputs: Path,
        *,
        detach: bool = False,
        hold: HumeRunnerError | None = None,
    ) -> None:
        self._tools = tools
        self._store = tools.store
        self._service = tools.service
        self._rules = rules
        self._outputs = outputs
        self._detach = detach
        most = rules.execution.max_jobs_in_flight
        self._view = View(most_in_flight=most, limit=most, most_transfers=rules.execution.transfer_workers)
        self._hold = hold
        self._began = math.inf  # by the service's clock; inf where that is not known
        self._highest = 0  # the last planned job that was taken from the state
        self._fetching: dict[int, Job] = {}  # jobs whose answers are on their way, with what they carry
        self._taken_at = -math.inf  # when it was last known that the service took one of ours
        self._looked_at = -math.inf  # when the latest look for lost ones began
        self._lost_here: dict[int, LostJob] = {}  # what was lost or refused and sent again, for the last look
        self._refused_here: dict[int, LostJob] = {}  # what was refused for now
        self._agreed: set[int] = set()  # jobs of which it was said that they are sent as agreed
        self._broken: Exception | None = None  # what ends the run once everything on its way is recorded

    # -- driving ----------------------------------------------------------------------------------------------------

    def run(self) -> Ending:
        """Work until nothing is left or nothing more can be done.

        Whatever goes wrong on the way, what the service is about to answer is waited for and recorded before it is
        raised. Raises: StateError, Abandoned.
        """
        self._guard(self._resume)
        while True:
            self._guard(self._refill)
            now = self._tools.clock()
            actions, wake_at = next_actions(self._view, now)
            for action in actions:
                self._guard(self._start, action, now)
            if self._view.finished or self._may_leave():
                break
            timeout = 5.0 if wake_at is None else min(5.0, max(0.0, wake_at - self._tools.clock()))
            if actions and not self._view.active:
                timeout = 0.0  # all that was to be done was dropped: nobody will call
            done = self._tools.workers.take(timeout)
            while done is not None:
                self._guard(self._absorb, done)
                done = self._tools.workers.take(0.0)
        if self._broken is not None:
            raise self._broken
        self._last_look()
        return self._view.ending

    def _guard(self, act: Callable[..., None], *what: Any) -> None:
        """Do one step. What breaks the run ends it only when nothing is on its way any more; the first reason stays."""
        try:
            act(*what)
        except Exception as error:
            self._broken = self._broken or error
            self._view = replace(self._view, no_more=True, leaving=True)

    def _do(self, reaction: Reaction) -> None:
        """Record what a reaction says, then tell it. The view holds even where the state cannot be written: what was on
        its way is not any more."""
        self._view = reaction.view
        for fact in reaction.facts:
            facts.record(
                self._store, fact, endpoint=self._service.endpoint, halves=self._halves, now=self._tools.wall()
            )
        for event in reaction.events:
            self._tools.report(event)
        if reaction.failures:
            self._do(reactions.over_budget(self._view, self._rules, *self._store.failed_items()))

    def _moment(self) -> Moment:
        return Moment(now=self._tools.clock(), wall=self._tools.wall(), chance=self._tools.random())

    # -- what an earlier run left, and what is planned ----------------------------------------------------------------

    def _resume(self) -> None:
        """Load what an earlier run left at the service."""
        at, server_time = self._moment(), self._tools.server_time()
        self._began = math.inf if server_time is None else server_time
        self._store.recover(at.wall)
        waiting: dict[int, AtService] = {}
        to_fetch: dict[int, ToFetch] = {}
        for row in self._store.jobs(JobStatus.SUBMITTED):
            assert row.remote_id is not None
            if self._store.received(row.number) is not None:
                ended_at = None if row.submitted_at is None else row.submitted_at + (row.clock_offset or 0.0)
                ended = Ended(created_at=row.created_at, started_at=row.created_at, ended_at=ended_at)
                to_fetch[row.number] = ToFetch(ended=ended, here=True)
                continue
            if next(self._store.answers(row.number), None) is not None:
                # It was done, and carries more by now: its answer is here, or there to be fetched again.
                ended = Ended(created_at=row.created_at, started_at=row.started_at, ended_at=row.ended_at)
                to_fetch[row.number] = ToFetch(ended=ended)
                continue
            waiting[row.number] = AtService(
                remote_id=row.remote_id,
                submitted_at=at.now - max(0.0, at.wall - (row.submitted_at or at.wall)),
                created_at=row.created_at or (row.submitting_at or at.wall),
                simulated=row.simulated,
            )
        keeper = self._service.keeper
        for there in islice(waiting.values(), _REMINDED if keeper is not None else 0):
            sent = self._sent_as(there.remote_id)
            if sent is not None and keeper is not None:
                keeper.remind(sent)
        view = replace(
            self._view,
            waiting=waiting,
            to_fetch=to_fetch,
            committed_s=self._store.committed_seconds(),
            unproven_s=self._store.unproven_seconds(),
        )
        for row in self._store.jobs(JobStatus.AMBIGUOUS):
            # How long ago it was lost is anybody's guess by now: the machine's time may have been set. So the wait
            # begins anew.
            slow, cost = row.lost_how == "slow", row.billable_seconds or 0.0
            view = reactions.lost(view, self._rules, row.number, slow=slow, cost=cost, here=False, at=at)
        self._view = view
        if self._hold is not None:
            self._do(reactions.stop(view, self._hold, leave=False))
        self._do(reactions.over_budget(self._view, self._rules, *self._store.failed_items()))

    def _refill(self) -> None:
        """Keep some planned jobs at hand; the others stay in the state."""
        view, transfers = self._view, self._rules.execution.transfer_workers
        if view.no_more:
            return
        # What waited for another in a chain goes first: its medium is prepared and half measured.
        at_hand = {*view.queue, *view.held_back, *view.submitting}
        freed = [number for number in self._store.freed() if number not in at_hand]
        queue, unprepared = [*reversed(freed), *view.queue], list(view.unprepared)
        if len(queue) + len(unprepared) <= 2 * transfers:
            for number, prepare in self._store.planned(4 * transfers, beyond=self._highest):
                self._highest = number
                # What an earlier run lost and the service does not have, or what a chain freed, waits here already.
                if number not in view.held_back and number not in queue:
                    (unprepared if prepare else queue).append(number)
        self._view = replace(view, queue=queue, unprepared=unprepared)

    def _may_leave(self) -> bool:
        """With --detach: everything is sent, and every sent job has its name."""
        view = self._view
        if not self._detach or view.active or view.lost:
            return False
        return not (view.queue or view.held_back or view.unprepared or self._store.any_planned())

    def _halves(self, number: int) -> list[Draft]:
        members = self._store.load_job(number).members
        middle = len(members) // 2
        return [draft for part in (members[:middle], members[middle:]) for draft in self._service.recompile(part)]

    # -- starting actions -------------------------------------------------------------------------------------------

    def _start(self, action: Action, now: float) -> None:
        match action:
            case Submit(job):
                self._submit(job)
            case Poll():
                self._poll(now)
            case Fetch(job):
                self._fetch(job)
            case Settle(jobs):
                self._settle(jobs)
            case Prepare(job):
                self._prepare(job)

    def _prepare(self, number: int) -> None:
        view = self._view
        waiting = [one for one in view.unprepared if one != number]
        self._view = replace(view, unprepared=waiting, preparing=view.preparing | {number})
        job = self._store.load_job(number)
        preparer = self._service.preparer
        assert preparer is not None  # whose drafts asked for it
        self._tools.workers.start(Prepare(number), lambda: preparer.media(job))

    def _submit(self, number: int) -> None:
        view = self._view
        if view.no_more:  # decided since this action was
            return
        held_back = {one: until for one, until in view.held_back.items() if one != number}
        queue = [one for one in view.queue if one != number] if number not in view.held_back else view.queue
        self._view = replace(view, held_back=held_back, queue=queue)
        wall = self._tools.wall()
        job = self._store.load_job(number, now=wall)
        listed = [member for member in job.members if member.item.id]
        if len(listed) < len(job.members):
            # A lost job that is not at the service, and the manifest has changed since: what it still lists goes.
            self._store.record_prepared(number, tuple(self._service.recompile(listed)), (), wall)
            self._refill()
            return
        witness = self._service.witness
        suspects = [one for one in witness.suspects(job) if not self._knows(one.remote_id)] if witness else []
        if number in self._agreed:  # to this very job
            suspects = []
        self._do(reactions.may_send(self._view, self._rules, job, suspects, self._moment()))
        if self._view.no_more or number in self._view.held_back:
            return
        self._agreed |= {number} if suspects else set()
        row = self._store.job(number)
        job = replace(job, nonce=nonce_of(self._store.lineage, number, row.tries + 1, job.key))
        try:
            submission = self._service.prepare(job)
        except OSError as error:
            if is_scarce(error):  # no fault of the source: the job stays planned
                raise
            self._reject_before_sending(job, error, wall)
            return
        server_time = self._tools.server_time()
        self._store.record_submitting(
            number,
            nonce=job.nonce,
            sha256=submission.sha256,
            request=submission.request,
            matches=submission.matches,
            endpoint=self._service.endpoint,
            clock_offset=None if server_time is None else server_time - wall,
            now=wall,
        )
        self._view = reactions.sent(self._view, job, self._moment())
        self._tools.workers.start(Submit(number), submission.send)

    def _reject_before_sending(self, job: Job, error: OSError, wall: float) -> None:
        """A file of the job vanished since it was planned: halves find it, and all else is sent."""
        if len(job.members) > 1:
            self._store.record_prepared(job.number, self._halves(job.number), (), wall)
            self._refill()
            return
        self._store.record_rejected_unsent(job.number, "source_unreadable", f"cannot read a source: {error}", wall)
        told = events.JobFailed(job=job.name, message=str(error))
        self._do(Reaction(view=self._view, events=(told,), failures=True))

    def _poll(self, now: float) -> None:
        self._view = replace(self._view, polling=True, last_poll=now)
        waiting = tuple(
            Waiting(number=number, remote_id=job.remote_id, created_at=job.created_at)
            for number, job in self._view.waiting.items()
        )
        self._tools.workers.start(Poll(), lambda: self._service.check(waiting))

    def _fetch(self, number: int) -> None:
        view, store = self._view, self._store
        job, row, members, received = store.load_job(number), store.job(number), store.members(number), None
        kept = [answer for _, answer in store.answers(number)]
        fetching = view.to_fetch[number]
        if fetching.here:
            received = store.received(number)
        to_fetch = {one: kept for one, kept in view.to_fetch.items() if one != number}
        self._view = (
            replace(view, to_fetch=to_fetch, filing={**view.filing, number: fetching})
            if fetching.here
            else replace(view, to_fetch=to_fetch, fetching={**view.fetching, number: fetching})
        )
        self._fetching[number] = job
        artifacts = self._rules.artifacts and number not in view.without_artifacts
        self._tools.workers.start(
            Fetch(number),
            lambda: download.fetch(
                self._service,
                self._tools.disk,
                job,
                row.remote_id or "",
                ended=fetching.ended,
                members=members,
                request=row.request,
                outputs=self._outputs,
                artifacts=artifacts,
                received=received,
                kept=kept,
            ),
        )

    def _settle(self, numbers: tuple[int, ...]) -> None:
        self._looked_at = self._tools.clock()
        self._view = replace(self._view, settling=self._view.settling | set(numbers))
        lost = [self._lost_job(number) for number in numbers]
        ours = self._ours(lost)
        self._tools.workers.start(Settle(numbers), lambda: self._service.look_for(lost, ours))

    def _lost_job(self, number: int) -> LostJob:
        row = self._store.job(number)
        job = replace(self._store.load_job(number), nonce=row.nonce or "")
        before, after, later = self._store.taken_around(number, self._service.endpoint)
        sent_at, ended_at = -math.inf, math.inf
        if row.submitting_at is not None and row.clock_offset is not None:
            sent_at = row.submitting_at + row.clock_offset
            # Where its run died, all that is known of its end is that it was before this run began.
            ended_at = max(sent_at, self._began if row.lost_at is None else row.lost_at + row.clock_offset)
        near = (*before[:_CONTROLS], *list(after)[:_CONTROLS])
        return LostJob(
            job=job,
            sent_at=sent_at,
            ended_at=ended_at,
            before=before,
            after=after,
            later=later,
            controls={remote_id: found for remote_id in near if (found := self._sent_as(remote_id)) is not None},
        )

    def _sent_as(self, remote_id: str) -> Job | None:
        """A job of this state as it was sent; None for one that was started elsewhere."""
        number = self._store.number_of(self._service.endpoint, remote_id)
        nonce = self._store.job(number).nonce if number is not None else None
        return replace(self._store.load_job(number), nonce=nonce) if number is not None and nonce else None

    def _ours(self, lost: Sequence[LostJob]) -> dict[str, float]:
        """What the service surely took from us around then: the list has to show it."""
        since = min(one.sent_at for one in lost)
        if since == -math.inf:  # then theirs is told by the machine's time as well
            since = min(self._store.job(one.job.number).submitting_at or 0.0 for one in lost)
        return self._store.taken_since(self._service.endpoint, since)

    def _knows(self, remote_id: str) -> bool:
        return self._store.knows_remote(self._service.endpoint, remote_id)

    def _told_before(self, remote_id: str) -> bool:
        """Whether another job of ours is called so, in whatever capitals."""
        return any(self._knows(one) for one in {remote_id, remote_id.lower(), remote_id.upper()})

    # -- absorbing results ------------------------------------------------------------------------------------------

    def _absorb(self, done: Done) -> None:
        view = self._view
        match done.tag:
            case Submit(job):
                self._submitted(job, done)
            case Poll():
                self._view = replace(view, polling=False)
                self._polled(done)
            case Fetch(job):
                self._fetched(job, done)
            case Settle(jobs):
                self._view = replace(view, settling=view.settling - set(jobs))
                self._settled(jobs, done)
            case Prepare(job):
                self._view = replace(view, preparing=view.preparing - {job})
                self._prepared(job, done)
            case "interrupt":
                self._interrupted(done.value)

    def _interrupted(self, interrupt: Interrupt) -> None:
        if self._view.interrupted:
            requests, seconds = self._view.on_the_way
            self._tools.report(events.Abandoned(signal=interrupt.name, requests=requests, billable_seconds=seconds))
            raise Abandoned(interrupt.exit_code)
        self._do(reactions.interrupted(self._view, interrupt.name, interrupt.exit_code))

    def _prepared(self, number: int, done: Done) -> None:
        if isinstance(done.error, OSError):
            raise _disk_trouble(f"{self._outputs}: cannot prepare a medium", done.error) from done.error
        if done.error is not None:
            raise done.error
        prepared: Prepared = done.value
        planned = self._store.record_prepared(
            number, prepared.drafts, prepared.failed, self._tools.wall(), given_up=prepared.given_up
        )
        # Before what is not prepared yet: media wait on the disk, and nothing is measured meanwhile.
        view = replace(self._view, queue=[*self._view.queue, *planned])
        told = tuple(events.ItemFailed(message=message) for _, _, message in prepared.failed)
        self._do(Reaction(view=view, events=told, failures=bool(prepared.failed)))

    def _submitted(self, number: int, done: Done) -> None:
        at, view, rules = self._moment(), self._view, self._rules
        # The service layer turns every expected failure into a value; anything else leaves the outcome open.
        result: SubmitResult = (
            done.value if done.error is None else Unknown(message=f"{type(done.error).__name__}: {done.error}")
        )
        match result:
            case Accepted(remote_id=remote_id) if self._told_before(remote_id):
                message = f"the service answered with the id of another job, {remote_id}"
                self._do(reactions.misled(view, rules, number, message, at))
                self._lost_here[number] = self._lost_job(number)
            case Accepted():
                self._taken_at = at.now
                self._do(reactions.accepted(view, number, result, at))
                if number in self._refused_here:
                    self._lost_here.setdefault(number, self._refused_here.pop(number))
            case Answered():
                self._taken_at = at.now
                row = self._store.job(number)
                sent_at = (row.submitting_at or at.wall) + (row.clock_offset or 0.0)
                self._do(reactions.answered(view, number, result, sent_at, at))
            case Refused():
                self._do(reactions.refused(view, rules, number, result, self._store.job(number).tries, at))
                if result.temporary and self._service.keeper is not None and len(self._refused_here) < _MOST_REFUSED:
                    self._refused_here.setdefault(number, self._lost_job(number))
            case Unknown():
                self._do(reactions.unknown(view, rules, number, result, at))
                self._lost_here[number] = self._lost_job(number)
        if done.error is not None:
            raise done.error

    def _polled(self, done: Done) -> None:
        if done.error is None:
            self._find_by_content(reactions.nearly_given_up(self._view, self._rules, done.value))
            self._do(reactions.polled(self._view, self._rules, done.value, self._moment()))
        else:
            self._do(reactions.poll_failed(self._view, self._rules, _api_error(done.error), self._moment()))

    def _find_by_content(self, numbers: Sequence[int]) -> None:
        """Before a job is given up that the service does not know: it may have it under another name than it told."""
        if not numbers:
            return
        lost = [self._lost_job(number) for number in numbers]
        with contextlib.suppress(ApiError, ListingUnsupported):
            for number, look in self._service.look_for(lost, self._ours(lost)).items():
                settled = reconcile.settle(look, self._knows, waited_s=0.0, wait_s=0.0)
                if isinstance(settled, reconcile.Found):
                    self._do(reactions.renamed(self._view, number, settled.chosen, self._moment()))

    def _fetched(self, number: int, done: Done) -> None:
        view, rules, at = self._view, self._rules, self._moment()
        job = self._fetching.pop(number)
        match done.error:
            case None:
                fetched: download.Fetched = done.value
                row = self._store.job(number)
                self._do(
                    reactions.fetched(
                        view,
                        number,
                        fetched.answers,
                        fetched.outcomes,
                        sources=row.sources,
                        simulated=row.simulated,
                    )
                )
                if self._service.shelf is not None:
                    self._service.shelf.release(job)
            case AnswerIncomplete() as early:
                self._do(reactions.came_early(view, rules, number, str(early), at))
            case OSError() as error:
                self._view = reactions.dropped(view, number)
                raise _disk_trouble(f"{self._outputs}: cannot write an answer", error) from error
            case error:
                self._view = view if isinstance(error, ApiError) else reactions.dropped(view, number)
                self._do(reactions.fetch_failed(self._view, rules, number, _api_error(error), at))

    def _settled(self, numbers: tuple[int, ...], done: Done) -> None:
        at, rules = self._moment(), self._rules
        if done.error is not None and not isinstance(done.error, ListingUnsupported):
            self._do(reactions.look_failed(self._view, rules, numbers, _api_error(done.error), at))
            return
        looks: Mapping[int, Look] = done.value if done.error is None else {}
        # First what is there: it shows the next look what the list shows of ours.
        for number in sorted(numbers, key=lambda one: one in looks and not looks[one].candidates):
            lost, row = self._view.lost[number], self._store.job(number)
            if done.error is not None:
                ask = reconcile.Ask(why="this host cannot list its jobs")
                self._do(reactions.nothing_proves(self._view, rules, number, ask, row.tries, row.error, at))
                continue
            # Who pays again on purpose does not wait for proof, and takes what is there all the same. What was found
            # for one job is known by now, and not offered to the next.
            wait_s = 0.0 if rules.pay_again else lost.wait_s
            # What is about to be sent shows whether the list shows what it must.
            put_off_s = 0.0 if rules.pay_again else self._put_off_s(lost, at.now)
            settled = reconcile.settle(
                looks[number], self._knows, waited_s=at.now - lost.since, wait_s=wait_s, put_off_s=put_off_s
            )
            if isinstance(settled, reconcile.Found):
                self._taken_at = at.now
            if isinstance(settled, reconcile.NotThere) and row.lost_how == MISLED and not rules.pay_again:
                # It answered, so it took it: that nothing is known again proves that it is told another way.
                settled = reconcile.Ask(why="the service, which answered with another job's id, shows none like it")
            if isinstance(settled, (reconcile.NotThere, reconcile.Ask)):  # whatever is sent again is looked for again
                self._lost_here.setdefault(number, self._lost_job(number))
            if rules.pay_again and not isinstance(settled, reconcile.Wait):
                self._agreed.add(number)
            self._do(reactions.looked(self._view, rules, number, settled, row.tries, row.error, at))

    def _put_off_s(self, lost: Lost, now: float) -> float:
        """How much longer than its wait nobody is asked about a lost job: while others are on their way, and until the
        list had its time to show them."""
        view, settle_s = self._view, self._rules.patience.settle_s
        if view.submitting or view.preparing or self._taken_at >= self._looked_at:
            return math.inf  # this look could not know of what was taken meanwhile
        until = self._taken_at + settle_s
        if not view.no_more and (view.queue or view.unprepared):
            until = max(until, lost.since + lost.wait_s + settle_s)
        return until - lost.since - lost.wait_s

    def _last_look(self) -> None:
        """A run that lost an answer, or sent again what was refused, looks once more: what the service took all the
        same was paid for, and is told."""
        undecided = {row.number for row in self._store.jobs(JobStatus.AMBIGUOUS)}
        sent_again = [lost for number, lost in self._lost_here.items() if number not in undecided]
        if not sent_again or self._view.interrupted:
            return
        with contextlib.suppress(ApiError, ListingUnsupported):
            looks = self._service.look_for(sent_again, self._ours(sent_again))
            for number, look in looks.items():
                found = [
                    one for one in look.candidates if not (one.maybe or one.shut) and not self._knows(one.remote_id)
                ]
                if look.most is not None and len(found) > look.most:
                    continue  # nothing tells which of them it was
                for one in found:
                    if not self._knows(one.remote_id):
                        told = events.PaidTwice(job=job_name(number), remote_id=one.remote_id)
                        fact = facts.Duplicate(job=number, found=one)
                        self._do(Reaction(view=self._view, facts=(fact,), events=(told,)))


def _disk_trouble(what: str, error: OSError) -> StateError:
    place = f"{error.filename}: " if error.filename else ""
    return of_disk(f"{what}: {place}{error.strerror or error}", error)


def _api_error(error: BaseException) -> ApiError:
    """An API's answer as the error that it is. Raises: what is none."""
    if isinstance(error, ApiError):
        return error
    raise error
