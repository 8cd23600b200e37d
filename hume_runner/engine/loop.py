"""One loop decides, small workers act, one store writes.

The loop asks `next_actions` what to do, hands each action to a worker, and records what comes back before anything else
is done with it. It never asks which API it is talking to.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hume_runner.engine import download, reconcile
from hume_runner.engine.pacing import InFlightLimit, backoff
from hume_runner.engine.rescue import Rescued, rescue_answer, rescue_remote_id
from hume_runner.engine.view import (
    Action,
    AtService,
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
from hume_runner.errors import (
    ApiError,
    AuthError,
    CostCapReached,
    Discontinued,
    FailureBudgetExceeded,
    HumeRunnerError,
    LostAnswerNeedsDecision,
    NotFound,
    ServiceRefused,
    ServiceUnavailable,
    StateError,
    UnexpectedResponse,
    is_scarce,
)
from hume_runner.manifest.model import ExecutionSection
from hume_runner.services.base import (
    Accepted,
    Answered,
    AnswerIncomplete,
    Broken,
    Candidate,
    Draft,
    Ended,
    Job,
    ListingUnsupported,
    Look,
    LostJob,
    Pending,
    Prepared,
    Progress,
    Refused,
    Service,
    SubmitResult,
    Unknown,
    Unseen,
    Waiting,
    job_name,
)
from hume_runner.state.disk import Disk
from hume_runner.state.lifecycle import JobStatus
from hume_runner.state.store import Store, nonce_of

Report = Callable[..., None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long the loop waits for things that settle by themselves, in seconds.

    `settle_s`: how long the service has, from the end of a request that was cut off, to show what it took of it;
    `settle_slow_s`: the same after a time-out, where it may have everything and be slow. `late_s`: an answer that does
    not speak of every source is asked for again this long. `unseen`: how many polls in a row may not know one of our
    jobs before the run stops.
    """

    settle_s: float = 120.0
    settle_slow_s: float = 900.0
    late_s: float = 60.0
    unseen: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Why a run stopped before everything was done. `error` carries the exit code and the next step."""

    error: HumeRunnerError | None = None
    exit_code: int | None = None


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


# So many answers in a row that cannot be had are the service's trouble, not one job's.
_FETCHES_IN_VAIN = 3


@dataclass(slots=True)
class _Trouble:
    """How often in a row something failed, to know when waiting is no use any more."""

    polls: int = 0
    fetches: int = 0
    submissions: int = 0
    unseen: dict[str, int] = field(default_factory=dict)


class Loop:
    """One run from planned jobs to answers on disk."""

    def __init__(
        self,
        *,
        store: Store,
        service: Service,
        execution: ExecutionSection,
        outputs: Path,
        artifacts: bool,
        disk: Disk,
        workers: Workers,
        clock: Callable[[], float],
        wall: Callable[[], float],
        server_time: Callable[[], float | None],
        random: Callable[[], float],
        report: Report,
        patience: Patience,
        detach: bool = False,
        pay_again: bool = False,
    ) -> None:
        self._store = store
        self._service = service
        self._execution = execution
        self._outputs = outputs
        self._artifacts = artifacts
        self._disk = disk
        self._workers = workers
        self._clock = clock  # monotonic: for all waiting
        self._wall = wall  # Unix seconds: for people, and for what is recorded
        self._server_time = server_time
        self._random = random
        self._report = report
        self._patience = patience
        self._detach = detach
        self._pay_again = pay_again
        self._limit = InFlightLimit(execution.max_jobs_in_flight)
        self._view = View(most_in_flight=execution.max_jobs_in_flight, most_transfers=execution.transfer_workers)
        self._trouble = _Trouble()
        self._ending = Ending()
        self._interrupts = 0
        self._jobs: dict[int, Job] = {}
        self._highest = 0
        self._turnarounds: deque[float] = deque(maxlen=30)
        self._committed_s = 0.0
        self._without_artifacts: set[int] = set()
        self._fetch_state: dict[int, Ended] = {}
        self._fetch_tries: dict[int, int] = {}  # job -> tries that failed
        self._early: dict[int, tuple[float, int]] = {}  # job -> (first answer that came early at, how many did)
        self._lost_here: dict[int, LostJob] = {}  # what this run lost, for the last look
        self._broken: BaseException | None = None  # what ends the run once everything on its way is recorded

    # -- the loop ---------------------------------------------------------------------------------------------------

    def run(self) -> Ending:
        """Work until nothing is left or nothing more can be done.

        Whatever goes wrong on the way, what the service is about to answer is waited for and recorded before it is
        raised. Raises: StateError, Abandoned.
        """
        self._guard(self._resume)
        while True:
            self._guard(self._refill)
            now = self._clock()
            actions, wake_at = next_actions(self._view, now)
            for action in actions:
                self._guard(self._start, action, now)
            if self._view.finished or self._may_leave():
                break
            timeout = 5.0 if wake_at is None else min(5.0, max(0.0, wake_at - self._clock()))
            if actions and not self._view.active:
                timeout = 0.0  # all that was to be done was dropped: nobody will call
            done = self._workers.take(timeout)
            while done is not None:
                self._guard(self._absorb, done)
                done = self._workers.take(0.0)
        if self._broken is not None:
            raise self._broken
        self._last_look()
        return self._ending

    def _guard(self, act: Callable[..., None], *what: Any) -> None:
        """Do one step. What breaks the run ends it only when nothing is on its way any more; the first reason stays."""
        try:
            act(*what)
        except Exception as error:
            self._broken = self._broken or error
            self._view.no_more = self._view.leaving = True

    @property
    def on_the_way(self) -> tuple[int, float]:
        """(requests, billable seconds) that are sent and not answered yet."""
        jobs = [self._jobs[number] for number in self._view.submitting if number in self._jobs]
        return len(jobs), sum(job.billable_seconds or 0.0 for job in jobs)

    def _last_look(self) -> None:
        """A run that lost an answer looks once more: what the service took all the same was paid for, and is told."""
        undecided = {row.number for row in self._store.jobs(JobStatus.AMBIGUOUS)}
        sent_again = [lost for number, lost in self._lost_here.items() if number not in undecided]
        if not sent_again or self._interrupts:
            return
        with contextlib.suppress(ApiError, ListingUnsupported):
            looks = self._service.look_for(sent_again, self._ours(sent_again))
            for lost in sent_again:
                number = lost.job.number
                for one in looks[number].candidates if number in looks else ():
                    if not one.maybe and not self._knows(one.remote_id):
                        self._store.record_duplicate(number, self._service.endpoint, one, self._wall())
                        self._report("paid_twice", job=job_name(number), remote_id=one.remote_id)

    def _ours(self, lost: Sequence[LostJob]) -> dict[str, float]:
        """What the service surely took from us around then: the list has to show it."""
        return self._store.taken_since(self._service.endpoint, min(one.sent_at for one in lost))

    def _knows(self, remote_id: str) -> bool:
        return self._store.knows_remote(self._service.endpoint, remote_id)

    def _resume(self) -> None:
        """Load what an earlier run left at the service."""
        now, wall = self._clock(), self._wall()
        self._store.recover(wall)
        for row in self._store.jobs(JobStatus.SUBMITTED):
            assert row.remote_id is not None
            if self._store.received(row.number) is not None:
                ended = Ended(created_at=row.created_at, started_at=row.created_at, ended_at=row.submitted_at)
                self._view.to_fetch[row.number] = ToFetch(ended=ended, first_at=now, here=True)
                continue
            self._view.waiting[row.number] = AtService(
                remote_id=row.remote_id,
                submitted_at=now - max(0.0, wall - (row.submitted_at or wall)),
                created_at=row.created_at or (row.submitting_at or wall),
                simulated=row.simulated,
            )
        for row in self._store.jobs(JobStatus.AMBIGUOUS):
            # How long ago it was lost is anybody's guess by now: the machine's time may have been set. So the wait
            # begins anew.
            self._lose(row.number, slow=row.lost_how == "slow", now=now)
        self._committed_s = self._store.committed_seconds()
        self._check_budget()

    def _refill(self) -> None:
        """Keep some planned jobs at hand; the others stay in the state."""
        view = self._view
        view.most_in_flight = int(self._limit)
        if not view.no_more:
            # What waited for another in a chain goes first: its medium is prepared and half measured.
            at_hand = {*view.queue, *view.held_back, *view.submitting}
            view.queue.extendleft(number for number in self._store.freed() if number not in at_hand)
        if view.no_more or len(view.queue) + len(view.unprepared) > 2 * self._execution.transfer_workers:
            return
        for number, prepare in self._store.planned(4 * self._execution.transfer_workers, beyond=self._highest):
            self._highest = number
            # What an earlier run lost and the service does not have, or what a chain freed, waits here already.
            if number not in view.held_back and number not in view.queue:
                (view.unprepared if prepare else view.queue).append(number)

    def _may_leave(self) -> bool:
        """With --detach: everything is sent, and every sent job has its name."""
        view = self._view
        if not self._detach or view.active or view.lost:
            return False
        return not (view.queue or view.held_back or view.unprepared or self._store.any_planned())

    def _stop(self, error: HumeRunnerError, *, leave: bool) -> None:
        """Submit nothing more; `leave`: do not wait for what the service works on either. The first reason stays."""
        if self._ending.error is None and self._ending.exit_code is None:
            self._ending = Ending(error=error)
            self._report("stopping", message=str(error))
        self._view.no_more = True
        self._view.leaving = self._view.leaving or leave

    # -- starting actions -------------------------------------------------------------------------------------------

    def _start(self, action: Action, now: float) -> None:
        match action:
            case Submit(job):
                self._submit(job, now)
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
        view.unprepared.remove(number)
        view.preparing.add(number)
        job = self._store.load_job(number)
        self._workers.start(Prepare(number), lambda: self._service.media(job))

    def _submit(self, number: int, now: float) -> None:
        view = self._view
        if view.no_more:  # decided since this action was
            return
        if number in view.held_back:
            del view.held_back[number]
        else:
            view.queue.remove(number)
        wall = self._wall()
        job = self._store.load_job(number, now=wall)
        listed = [member for member in job.members if member.item.id]
        if len(listed) < len(job.members):
            # A lost job that is not at the service, and the manifest has changed since: what it still lists goes.
            self._store.record_prepared(number, tuple(self._service.recompile(listed)), (), wall)
            self._refill()
            return
        if not self._within_cost(job) or not self._agreed(job):
            return
        row = self._store.job(number)
        job = replace(job, nonce=nonce_of(self._store.lineage, number, row.tries + 1, job.key))
        try:
            submission = self._service.prepare(job)
        except OSError as error:
            if is_scarce(error):  # no fault of the source: the job stays planned
                raise
            self._reject_before_sending(job, error, wall)
            return
        server_time = self._server_time()
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
        self._committed_s += job.billable_seconds or 0.0
        self._jobs[number] = job
        view.submitting.add(number)
        self._workers.start(Submit(number), submission.send)

    def _agreed(self, job: Job) -> bool:
        """Whether this may be sent: what the service measured before, and whose answer is lost, is asked about."""
        if self._pay_again:
            return True
        suspects = [one for one in self._service.suspects(job) if not self._knows(one.remote_id)]
        if not suspects:
            return True
        first = suspects[0]
        more = f" and {len(suspects) - 1} more" if len(suspects) > 1 else ""
        self._stop(
            LostAnswerNeedsDecision(
                f"{job.name}: the service has measured something of this size already, as {first.remote_id}{more}, and "
                "this state knows nothing of it; its answer cannot be had again",
                hint="if that was something else, or to pay once more: --pay-again",
            ),
            leave=False,
        )
        return False

    def _within_cost(self, job: Job) -> bool:
        cap = self._execution.max_billable_seconds
        cost = job.billable_seconds
        if cap is None or cost is None or self._committed_s + cost <= cap:
            return True
        self._stop(
            CostCapReached(
                f"cost cap: {self._committed_s:g} of {cap:g} billable seconds are used, and {job.name} needs {cost:g}",
                hint="raise execution.max_billable_seconds or pass --max-billable-seconds, then run again",
            ),
            leave=False,
        )
        return False

    def _reject_before_sending(self, job: Job, error: OSError, now: float) -> None:
        """A file of the job vanished since it was planned: halves find it, and all else is sent."""
        number = job.number
        if len(job.members) > 1:
            self._store.record_prepared(number, self._halves(job), (), now)
            self._refill()
            return
        self._store.record_rejected_unsent(number, "source_unreadable", f"cannot read a source: {error}", now)
        self._report("job_failed", job=job_name(number), message=str(error))
        self._check_budget()

    def _poll(self, now: float) -> None:
        view = self._view
        view.polling = True
        view.last_poll = now
        waiting = tuple(
            Waiting(number=number, remote_id=job.remote_id, created_at=job.created_at)
            for number, job in view.waiting.items()
        )
        self._workers.start(Poll(), lambda: self._service.check(waiting))

    def _fetch(self, number: int) -> None:
        view = self._view
        job = self._job(number)
        row = self._store.job(number)
        members = self._store.members(number)
        ended = view.to_fetch[number].ended
        (view.filing if view.to_fetch[number].here else view.fetching).add(number)
        remote_id = row.remote_id or ""
        received = self._store.received(number)
        self._workers.start(
            Fetch(number),
            lambda: download.fetch(
                self._service,
                self._disk,
                job,
                remote_id,
                ended=ended,
                members=members,
                request=row.request,
                outputs=self._outputs,
                artifacts=self._artifacts and number not in self._without_artifacts,
                received=received,
            ),
        )
        view.to_fetch.pop(number)
        self._fetch_state[number] = ended

    def _settle(self, numbers: tuple[int, ...]) -> None:
        lost = [self._lost_job(number) for number in numbers]
        self._view.settling.update(numbers)
        ours = self._ours(lost)
        self._workers.start(Settle(numbers), lambda: self._service.look_for(lost, ours))

    def _lost_job(self, number: int) -> LostJob:
        row = self._store.job(number)
        job = replace(self._store.load_job(number), nonce=row.nonce or "")
        sent_at = row.submitting_at or self._wall()
        offset = row.clock_offset or 0.0
        return LostJob(job=job, sent_at=sent_at + offset, ended_at=(row.lost_at or sent_at) + offset)

    def _lose(self, number: int, *, slow: bool, now: float) -> None:
        wait_s = self._patience.settle_slow_s if slow else self._patience.settle_s
        self._view.lost[number] = Lost(since=now, wait_s=wait_s, next_at=now)

    def _job(self, number: int) -> Job:
        """A job at the service, with the names that its answer uses."""
        job = self._store.load_job(number)
        self._jobs[number] = job
        return job

    # -- absorbing results ------------------------------------------------------------------------------------------

    def _absorb(self, done: Done) -> None:
        now, wall = self._clock(), self._wall()
        match done.tag:
            case Submit(job):
                self._view.submitting.discard(job)
                self._submitted(job, done, now)
            case Poll():
                self._view.polling = False
                self._polled(done, now)
            case Fetch(job):
                self._view.fetching.discard(job)
                self._view.filing.discard(job)
                self._fetched(job, done, now)
            case Settle(jobs):
                self._view.settling.difference_update(jobs)
                self._settled(jobs, done, now)
            case Prepare(job):
                self._view.preparing.discard(job)
                self._prepared(job, done, wall)
            case "interrupt":
                self._interrupted(done.value)

    def _interrupted(self, interrupt: Interrupt) -> None:
        requests, billable_seconds = self.on_the_way
        price = {"requests": requests, "billable_seconds": billable_seconds}
        if self._interrupts:
            self._report("abandoned", signal=interrupt.name, **price)
            raise Abandoned(interrupt.exit_code)
        self._interrupts += 1
        self._view.no_more = self._view.leaving = True
        if self._ending.error is None:
            self._ending = Ending(exit_code=interrupt.exit_code)
        self._report("interrupted", signal=interrupt.name, **price)

    def _prepared(self, number: int, done: Done, now: float) -> None:
        if isinstance(done.error, OSError):
            raise StateError(
                f"{self._outputs}: cannot prepare a medium: {done.error.strerror or done.error}",
                hint="free some space or repair the disk, then run the same command again: it resumes",
            ) from done.error
        if done.error is not None:
            raise done.error
        prepared: Prepared = done.value
        # Before what is not prepared yet: media wait on the disk, and nothing is measured meanwhile.
        self._view.queue.extend(
            self._store.record_prepared(number, prepared.drafts, prepared.failed, now, given_up=prepared.given_up)
        )
        for _, _, message in prepared.failed:
            self._report("item_failed", message=message)
        if prepared.failed:
            self._check_budget()

    def _submitted(self, number: int, done: Done, now: float) -> None:
        if done.error is not None:
            # The service layer turns every expected failure into a value; anything else leaves the outcome open.
            self._record_lost(number, Unknown(message=f"{type(done.error).__name__}: {done.error}"), now)
            raise done.error
        result: SubmitResult = done.value
        match result:
            case Accepted():
                self._accepted(number, result, now)
            case Answered():
                self._answered(number, result, now)
            case Refused():
                self._refused(number, result, now)
            case Unknown():
                self._record_lost(number, result, now)

    def _record_lost(self, number: int, unknown: Unknown, now: float) -> None:
        self._store.record_lost(number, unknown.message, self._wall(), slow=unknown.slow)
        self._lose(number, slow=unknown.slow, now=now)
        self._lost_here[number] = self._lost_job(number)
        self._report("lost", job=job_name(number), message=unknown.message)

    def _accepted(self, number: int, accepted: Accepted, now: float) -> None:
        wall = self._wall()
        created_at = accepted.server_time_s if accepted.server_time_s is not None else wall
        try:
            self._store.record_accepted(
                number, accepted.remote_id, created_at=created_at, simulated=accepted.simulated, now=wall
            )
        except StateError as error:
            rescued = self._rescued(number, accepted, created_at, wall)
            raise rescue_remote_id(error, self._store.path, number, accepted.remote_id, rescued) from error
        self._trouble.submissions = 0
        self._limit.accepted()
        self._jobs.pop(number, None)  # loaded again when its answer is fetched
        self._view.waiting[number] = AtService(
            remote_id=accepted.remote_id, submitted_at=now, created_at=created_at, simulated=accepted.simulated
        )
        self._report("submitted", job=job_name(number), remote_id=accepted.remote_id)

    def _answered(self, number: int, answered: Answered, now: float) -> None:
        wall = self._wall()
        # Measured from the moment it was sent until now; the service's own clock tells whole seconds only.
        sent_at = self._store.job(number).submitting_at or wall
        try:
            self._store.record_accepted(
                number,
                answered.remote_id,
                created_at=sent_at,
                simulated=answered.simulated,
                now=wall,
                answer=answered.body,
                carry=answered.carry,
                billed_seconds=answered.billed_seconds,
            )
        except StateError as error:
            rescued = self._rescued(number, answered, sent_at, wall)
            raise rescue_answer(error, self._store.path, rescued) from error
        self._trouble.submissions = 0
        self._limit.accepted()
        self._jobs.pop(number, None)  # loaded again when its answer is fetched
        ended = Ended(created_at=sent_at, started_at=sent_at, ended_at=wall)
        self._view.to_fetch[number] = ToFetch(ended=ended, first_at=now, here=True)
        self._report("submitted", job=job_name(number), remote_id=answered.remote_id)

    def _rescued(self, number: int, result: Accepted | Answered, created_at: float, wall: float) -> Rescued:
        """All that the state would have been told. It can still be read, whatever keeps it from being written."""
        row = self._store.job(number)
        answered = result if isinstance(result, Answered) else None
        return Rescued(
            lineage=self._store.lineage,
            number=number,
            nonce=row.nonce or "",
            asked=self._store.request_sha256(number),
            endpoint=self._service.endpoint,
            remote_id=result.remote_id,
            created_at=created_at,
            simulated=result.simulated,
            at=wall,
            carry=answered.carry if answered else None,
            billed_seconds=answered.billed_seconds if answered else None,
            answer=answered.body if answered else None,
        )

    def _refused(self, number: int, refused: Refused, now: float) -> None:
        job = self._jobs[number]
        self._committed_s -= job.billable_seconds or 0.0
        if refused.stops_run:
            self._store.record_refused(number, refused.message, self._wall())
            self._stop(ServiceRefused(refused.message, hint=refused.hint), leave=True)
        elif refused.temporary:
            self._store.record_refused(number, refused.message, self._wall())
            self._try_later(number, refused, now)
        elif refused.divisible and len(job.members) > 1:
            self._split(number, job, refused, self._wall())
        else:
            self._store.record_rejected(number, refused.reason, refused.message, self._wall())
            self._report("job_failed", job=job_name(number), message=refused.message)
            self._check_budget()

    def _try_later(self, number: int, refused: Refused, now: float) -> None:
        self._limit.complained()
        self._trouble.submissions += 1
        retry = self._execution.retry
        tries = self._store.job(number).tries
        self._view.held_back[number] = now + backoff(
            tries, most=retry.max_wait_s, asked=refused.retry_after_s, random=self._random
        )
        self._report("refused", job=job_name(number), message=refused.message)
        self._stop_if_in_vain(tries, refused.message)

    def _stop_if_in_vain(self, tries: int, message: str) -> None:
        """All workers together get as many failures in a row as one job has tries, and each at least that many."""
        attempts = self._execution.retry.attempts
        if tries % attempts == 0 and self._trouble.submissions >= attempts:
            self._stop(
                ServiceUnavailable(
                    f"the service does not take jobs now: {message}",
                    hint="nothing is lost; run the same command again later",
                ),
                leave=True,
            )

    def _split(self, number: int, job: Job, refused: Refused, now: float) -> None:
        """A refused job was not paid for: its halves are tried, until the member at fault stands alone."""
        self._store.record_split(number, refused.message, self._halves(job), now)
        self._report("split", job=job_name(number), message=refused.message)

    def _halves(self, job: Job) -> list[Draft]:
        middle = len(job.members) // 2
        return [
            draft for part in (job.members[:middle], job.members[middle:]) for draft in self._service.recompile(part)
        ]

    def _polled(self, done: Done, now: float) -> None:
        if done.error is not None:
            self._poll_failed(done.error, now)
            return
        self._trouble.polls = 0
        progress: Mapping[str, Progress] = done.value
        for number, job in list(self._view.waiting.items()):
            found = progress.get(job.remote_id)
            match found:
                case Ended():
                    self._view.waiting.pop(number)
                    self._learn_duration(job, found, now)
                    self._view.to_fetch[number] = ToFetch(ended=found, first_at=now)
                    self._report("ended", job=job_name(number))
                case Broken():
                    self._view.waiting.pop(number)
                    times = {"created_at": found.created_at, "started_at": found.started_at, "ended_at": found.ended_at}
                    self._store.record_broken(number, "job_failed", found.message, self._wall(), times)
                    self._report("job_failed", job=job_name(number), message=found.message)
                    self._check_budget()
                case Unseen():
                    self._unseen(number, job)
                case Pending() | None:
                    self._trouble.unseen.pop(job.remote_id, None)
            if number in self._view.waiting and now - job.submitted_at > self._execution.job_timeout_s:
                self._timed_out(number, now)

    def _learn_duration(self, job: AtService, ended: Ended, now: float) -> None:
        if ended.created_at is not None and ended.ended_at is not None:
            self._turnarounds.append(max(0.0, ended.ended_at - ended.created_at))
        else:
            self._turnarounds.append(max(0.0, now - job.submitted_at))
        self._view.typical_s = min(self._turnarounds)

    def _timed_out(self, number: int, now: float) -> None:
        limit = self._execution.job_timeout_s
        self._view.waiting.pop(number)
        message = f"not finished after {limit:g} s (execution.job_timeout); --retry-failed asks for it again, unpaid"
        self._store.record_broken(number, "job_timeout", message, self._wall())
        self._report("job_failed", job=job_name(number), message=message)
        self._check_budget()

    def _unseen(self, number: int, job: AtService) -> None:
        times = self._trouble.unseen[job.remote_id] = self._trouble.unseen.get(job.remote_id, 0) + 1
        if times >= self._patience.unseen:
            self._stop(
                ServiceRefused(
                    f"{job_name(number)}: the service does not know the job {job.remote_id} under this key",
                    hint="use the key of the account that submitted it, and the same endpoint; nothing was sent again",
                ),
                leave=True,
            )

    def _poll_failed(self, error: BaseException, now: float) -> None:
        self._give_up_if_refused(error)
        self._trouble.polls += 1
        retry = self._execution.retry
        self._view.poll_not_before = now + backoff(
            self._trouble.polls, most=retry.max_wait_s, asked=_asked(error), random=self._random
        )
        self._report("poll_failed", message=str(error))
        if self._trouble.polls >= retry.attempts:
            self._stop(
                ServiceUnavailable(
                    f"the service does not tell how far the jobs are: {error}",
                    hint="the jobs go on without us; run the same command again later",
                ),
                leave=True,
            )

    def _give_up_if_refused(self, error: BaseException) -> None:
        """Stop the run for an error that no retry can mend; raise what is not an API's answer at all."""
        if isinstance(error, (AuthError, Discontinued)):
            self._stop(ServiceRefused(str(error), hint=error.hint), leave=True)
        elif not isinstance(error, ApiError):
            raise error

    def _fetched(self, number: int, done: Done, now: float) -> None:
        ended = self._fetch_state.pop(number)
        if isinstance(done.error, AnswerIncomplete):
            self._came_early(number, ended, done.error, now)
            return
        if done.error is not None:
            self._fetch_failed(number, ended, done.error, now)
            return
        self._fetch_tries.pop(number, None)
        self._trouble.fetches = 0
        self._early.pop(number, None)
        fetched: download.Fetched = done.value
        row = self._store.job(number)
        self._store.record_finished(
            number,
            answers=fetched.answers,
            outcomes=fetched.outcomes,
            times={"created_at": ended.created_at, "started_at": ended.started_at, "ended_at": ended.ended_at},
            simulated=row.simulated,
            now=self._wall(),
        )
        failed = [outcome for outcome in fetched.outcomes if not outcome.ok]
        job = self._jobs.pop(number, None)
        if job is not None:
            self._service.release(job)
        self._report("finished", job=job_name(number), sources=row.sources, failed=len(failed))
        if failed:
            self._check_budget()

    def _came_early(self, number: int, ended: Ended, early: AnswerIncomplete, now: float) -> None:
        """COMPLETED, and some source is not in the answer yet. After a while, what is missing has failed."""
        first, tries = self._early.get(number, (now, 0))
        self._early[number] = (first, tries + 1)
        wait = backoff(tries + 1, most=10.0, asked=None, random=self._random) / 2
        if now - first >= self._patience.late_s:
            ended = Ended(
                created_at=ended.created_at,
                started_at=ended.started_at,
                ended_at=ended.ended_at,
                announced={**ended.announced, "accept_missing": 1},
            )
            wait = 0.0
        self._view.to_fetch[number] = ToFetch(ended=ended, next_at=now + wait)
        self._report("early", job=job_name(number), message=str(early))

    def _fetch_failed(self, number: int, ended: Ended, error: BaseException, now: float) -> None:
        if isinstance(error, OSError):
            raise StateError(
                f"{self._outputs}: cannot write an answer: {error.strerror or error}",
                hint="free some space or repair the disk, then run the same command again: it resumes",
            ) from error
        self._give_up_if_refused(error)
        tries = self._fetch_tries[number] = self._fetch_tries.get(number, 0) + 1
        retry = self._execution.retry
        wait = backoff(tries, most=retry.max_wait_s, asked=_asked(error), random=self._random)
        self._view.to_fetch[number] = ToFetch(ended=ended, next_at=now + wait)
        self._report("fetch_failed", job=job_name(number), message=str(error))
        if tries >= retry.attempts and isinstance(error, NotFound) and self._do_without_artifacts(number):
            return
        if tries >= retry.attempts:
            what = "is damaged" if isinstance(error, UnexpectedResponse) else "cannot be fetched"
            self._view.to_fetch.pop(number)
            self._trouble.fetches += 1
            given_up = ServiceUnavailable(
                f"{job_name(number)}: its answer {what}: {error}",
                hint="the job is done and paid; run the same command again later to fetch it",
            )
            if self._trouble.fetches >= _FETCHES_IN_VAIN:
                self._stop(given_up, leave=isinstance(error, NotFound))
            elif self._ending.error is None and self._ending.exit_code is None:
                # One job's answer may be bad for good; that is no reason to hold the others back.
                self._ending = Ending(error=given_up)

    def _do_without_artifacts(self, number: int) -> bool:
        """A host may keep no artifacts at all: after all tries, the job is fetched once more without them."""
        if not self._artifacts or number in self._without_artifacts:
            return False
        self._without_artifacts.add(number)
        self._report("no_artifacts", job=job_name(number))
        return True

    def _settled(self, numbers: tuple[int, ...], done: Done, now: float) -> None:
        if isinstance(done.error, ListingUnsupported):
            for number in numbers:
                self._nothing_proves(number, "this host cannot list its jobs", now)
            return
        if done.error is not None:
            for number in numbers:
                self._view.lost[number].next_at = now + 1.0
            self._poll_failed(done.error, now)
            return
        looks: Mapping[int, Look] = done.value
        for number in numbers:
            lost = self._view.lost[number]
            # Who pays again on purpose does not wait for proof, and takes what is there all the same.
            wait_s = 0.0 if self._pay_again else lost.wait_s
            # What was found for one is known by now, and not offered to the next.
            settled = reconcile.settle(looks[number], self._knows, waited_s=now - lost.since, wait_s=wait_s)
            match settled:
                case reconcile.Wait():
                    lost.next_at = now + reconcile.next_look_s(
                        lost.looks, waited_s=now - lost.since, wait_s=lost.wait_s
                    )
                    lost.looks += 1
                case reconcile.Gone(chosen=chosen):
                    self._gone(number, chosen, now)
                case reconcile.Found():
                    self._found(number, settled, now)
                case reconcile.NotThere():
                    self._not_there(number, now)
                case reconcile.Ask(why=why):
                    self._nothing_proves(number, why, now)

    def _not_there(self, number: int, now: float) -> None:
        """It may be sent again."""
        self._view.lost.pop(number)
        self._store.record_missed(number, self._wall())
        self._view.held_back[number] = now
        self._report("not_there", job=job_name(number))
        if number in self._jobs:  # lost by this run, not found as an earlier one left it
            self._trouble.submissions += 1
            row = self._store.job(number)
            self._stop_if_in_vain(row.tries, row.error or "its answers are lost")

    def _nothing_proves(self, number: int, why: str, now: float) -> None:
        """Nobody can tell whether the service took it: a person decides, and everything else goes on."""
        if self._pay_again:
            self._not_there(number, now)
            return
        self._view.lost.pop(number)
        error = LostAnswerNeedsDecision(
            f"{job_name(number)}: the answer to its submission was lost, and {why}",
            hint="look for the job at the service, then `hume-runner adopt MANIFEST REMOTE_ID`; if it is not there, "
            "`--pay-again` sends it again",
        )
        if self._ending.error is None and self._ending.exit_code is None:
            self._ending = Ending(error=error)
        self._report("undecided", job=job_name(number), message=str(error))

    def _gone(self, number: int, chosen: Candidate, now: float) -> None:
        """Measured and billed, and the answer is lost for good: the manifest says what to do about it."""
        bill = f", {chosen.billed_seconds:g} s billed" if chosen.billed_seconds is not None else ""
        self._view.lost.pop(number)
        if self._execution.on_lost_answer == "stop" and not self._pay_again:
            self._stop(
                LostAnswerNeedsDecision(
                    f"{job_name(number)}: measured as {chosen.remote_id}{bill}, and its answer is lost",
                    hint="`--pay-again` pays for it again, or set execution.on_lost_answer: resubmit",
                ),
                leave=False,
            )
            return
        self._store.record_gone(number, chosen.remote_id, chosen.billed_seconds, self._wall())
        self._committed_s = self._store.committed_seconds()
        self._report("gone", job=job_name(number), remote_id=chosen.remote_id, message=bill.lstrip(", "))
        # Each try is paid for: no more of them than other failures get, and not at once.
        tries = self._store.job(number).tries
        wait = backoff(tries, most=self._execution.retry.max_wait_s, asked=None, random=self._random)
        self._view.held_back[number] = now + wait
        if number in self._jobs:  # lost by this run, not found as an earlier one left it
            self._trouble.submissions += 1
            self._stop_if_in_vain(tries, "its answers are lost, and every try is billed")

    def _found(self, number: int, found: reconcile.Found, now: float) -> None:
        self._view.lost.pop(number)
        self._trouble.submissions = 0
        chosen = found.chosen
        self._store.record_found(
            number,
            chosen.remote_id,
            endpoint=self._service.endpoint,
            matches=chosen.matches,
            created_at=chosen.created_at,
            simulated=chosen.simulated,
            others=found.others,
            now=self._wall(),
        )
        self._view.waiting[number] = AtService(
            remote_id=chosen.remote_id,
            submitted_at=now,
            created_at=chosen.created_at or self._wall(),
            simulated=chosen.simulated,
        )
        self._report("found", job=job_name(number), remote_id=chosen.remote_id, duplicates=len(found.others))

    def _check_budget(self) -> None:
        failed, total = self._store.failed_items()
        if not self._execution.max_failures.allows(failed, total):
            self._stop(
                FailureBudgetExceeded(
                    f"{failed} of {total} items failed: more than execution.max_failures allows",
                    hint="look at the reasons with `hume-runner status --jobs`; what was not submitted stays planned",
                ),
                leave=False,
            )


def _asked(error: BaseException) -> float | None:
    return error.retry_after_s if isinstance(error, ApiError) else None
