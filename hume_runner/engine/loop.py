"""One loop decides, small workers act, one store writes.

The loop asks `next_actions` what to do and hands each action to a worker; what comes back goes through `reactions`, and
what they say is recorded before anything else is done with it. It never asks which API it is talking to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import ParamSpec

from hume_runner import events
from hume_runner.engine import facts, intent, reconcile
from hume_runner.engine.again import sender
from hume_runner.engine.download import Fetched
from hume_runner.engine.errands import Errands, Looked, Polled
from hume_runner.engine.evidence import Evidence
from hume_runner.engine.last_look import LastLook
from hume_runner.engine.reactions import fetching, ordering, sending, settling, stopping, waiting
from hume_runner.engine.reactions.base import Moment, Reaction, Rules
from hume_runner.engine.rescue import keep_beside
from hume_runner.engine.resume import refilled, resumed
from hume_runner.engine.telling import Telling
from hume_runner.engine.view import (
    Action,
    Ending,
    Fetch,
    Poll,
    Prepare,
    Settle,
    Submit,
    View,
    begun,
    ended,
    next_actions,
)
from hume_runner.engine.workers import Done, Failed, Interrupt, Message, Order, Workers
from hume_runner.errors import ApiError, HumeRunnerError, StateError, is_scarce, of_disk
from hume_runner.frozen import frozen
from hume_runner.processes import Stopped
from hume_runner.services.base import (
    Accepted,
    Answered,
    AnswerIncomplete,
    Job,
    ListingUnsupported,
    Look,
    Prepared,
    Progress,
    Refused,
    Service,
    Submission,
    SubmitResult,
    Unknown,
)
from hume_runner.state.disk import Disk
from hume_runner.state.journal import MISLED
from hume_runner.state.keeping import Alone, Intent, Kept
from hume_runner.state.store import Store

P = ParamSpec("P")


class Abandoned(BaseException):
    """The second signal: leave now. The state is safe at every moment."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


@frozen
class Tools:
    """What a loop acts with. `clock` is monotonic, for all waiting; `wall` tells Unix seconds, for people and records;
    `server_time` the service's, None before its first answer. `end_soon` turns away what waits for its turn to be
    sent; `tell_others` is called when intents are recorded, before anything leaves, and with True where one is about to
    be recorded as lost by a time-out."""

    store: Store
    service: Service
    disk: Disk
    workers: Workers
    clock: Callable[[], float]
    wall: Callable[[], float]
    server_time: Callable[[], float | None]
    random: Callable[[], float]
    report: events.Report
    traffic: Callable[[], tuple[int, int]] = lambda: (0, 0)
    here: bool = False
    kept: Kept = field(default_factory=Alone)
    end_soon: Callable[[], None] = lambda: None
    tell_others: Callable[[bool], None] = lambda slow: None


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
        self._hold = hold
        most = rules.execution.max_jobs_in_flight
        self._view = View(
            most_in_flight=most,
            limit=most,
            most_transfers=rules.execution.transfer_workers,
            most_preparing=rules.preparing,
        )
        server_time = tools.server_time()
        began = math.inf if server_time is None else server_time
        self._evidence = Evidence(tools.store, tools.service, began)
        self._errands = Errands(
            tools.store, tools.service, tools.disk, self._evidence, outputs, artifacts=rules.artifacts
        )
        self._last_look = LastLook(self._evidence, refused_too=tools.service.keeper is not None)
        self._telling = Telling(tools.store, tools.report, tools.clock, tools.traffic, here=tools.here)
        self._untold: list[Reaction] | None = None  # what is told once it is recorded together
        self._meant: list[tuple[Submit, Job, Submission]] = []  # what goes out once its intents are recorded
        self._broken: Exception | None = None  # what ends the run once everything on its way is recorded

    # -- driving ----------------------------------------------------------------------------------------------------

    def run(self) -> Ending:
        """Work until nothing is left or nothing more can be done.

        Whatever goes wrong on the way, what the service is about to answer is waited for and recorded before it is
        raised. Raises: StateError, Abandoned.
        """
        self._guard(self._telling.look, self._view)  # before anything is done: what a run begins with
        self._guard(self._resume)
        while True:
            self._guard(self._still_ours)
            self._guard(self._refill)
            if self._view.leaving:  # at a slow pace it would be waited for long
                self._tools.end_soon()
            now = self._tools.clock()
            actions, wake_at = next_actions(self._view, now)
            for action in actions:
                self._guard(self._start, action, now)
            self._guard(self._send)
            if self._view.finished or (self._detach and self._view.all_sent and not self._left()):
                break
            timeout = self._telling.wait_s(self._view)
            if wake_at is not None:
                timeout = min(timeout, max(0.0, wake_at - self._tools.clock()))
            if actions and not self._view.active:
                timeout = 0.0  # all that was to be done was dropped: nobody will call
            self._absorb_all(self._tools.workers.take(timeout))
            self._guard(self._telling.look, self._view)
        if self._broken is not None:
            raise self._broken
        for reaction in self._last_look.look(self._view):
            self._do(reaction)
        return self._view.ending

    def _left(self) -> bool:
        """Whether anything is still to be sent that nobody has to be asked about."""
        return not self._view.passed_over and self._store.any_planned()

    def _guard(self, act: Callable[P, None], *what: P.args, **named: P.kwargs) -> None:
        """Do one step. What breaks the run ends it only when nothing is on its way any more; the first reason stays."""
        try:
            act(*what, **named)
        except Exception as error:
            self._stop_for(error)

    def _stop_for(self, error: Exception) -> None:
        self._broken = self._broken or error
        self._view = replace(self._view, no_more=True, leaving=True)

    def _do(self, reaction: Reaction) -> None:
        """Record what a reaction says, then tell it. The view holds even where the state cannot be written: what was on
        its way is not any more."""
        self._view = reaction.view
        if self._untold is None:
            self._record_and_tell(reaction)
        else:
            self._untold.append(reaction)
            self._record(reaction)
        if reaction.failures:
            self._do(stopping.over_budget(self._view, self._rules, *self._store.failed_items()))

    def _record(self, reaction: Reaction) -> None:
        for fact in reaction.facts:
            facts.record(self._store, self._service, fact, self._tools.wall())

    def _record_and_tell(self, reaction: Reaction) -> None:
        self._record(reaction)
        self._tell(reaction)

    def _tell(self, reaction: Reaction) -> None:
        for event in reaction.events:
            self._tools.report(event)

    def _moment(self) -> Moment:
        tools = self._tools
        return Moment(now=tools.clock(), wall=tools.wall(), server=tools.server_time(), chance=tools.random())

    def _resume(self) -> None:
        self._view = resumed(self._view, self._rules, self._store, self._service, self._evidence, self._moment())
        if self._hold is not None:
            self._do(stopping.stop(self._view, self._hold, leave=False))
        self._do(stopping.over_budget(self._view, self._rules, *self._store.failed_items()))

    def _still_ours(self) -> None:
        broken = self._tools.kept.broken
        if broken is not None:
            self._do(stopping.not_ours(self._view, broken))

    def _refill(self) -> None:
        self._view = refilled(self._view, self._store)

    # -- starting actions -------------------------------------------------------------------------------------------

    def _start(self, action: Action, now: float) -> None:
        if isinstance(action, Submit):
            self._submit(action, now)
            return
        errand = self._errands.of(action, self._view)
        self._view = begun(self._view, action, now)
        self._tools.workers.start(action, errand)

    def _submit(self, action: Submit, now: float) -> None:
        if self._view.no_more or self._view.paused:  # decided since this action was
            return
        self._view = begun(self._view, action, now)
        number, wall = action.job, self._tools.wall()
        job = self._store.load_job(number, now=wall)
        left_out = self._store.left_out(number)
        listed = [member for member in job.members if member.item.id and member.item.key not in left_out]
        if len(listed) < len(job.members):
            # A lost job that is not at the service, and the manifest or the selection has changed since: what it still
            # lists goes.
            self._store.record_prepared(number, tuple(self._service.recompile(listed)), (), wall)
            self._refill()
            return
        if not self._rules.pay_again and (doubts := self._store.doubts(number)):
            self._ask_about(job, doubts, wall)
            return
        self._do(sending.may_send(self._view, self._rules, job, self._evidence.suspects(job), self._moment()))
        if self._view.no_more or number in self._view.held_back:
            return
        job = intent.for_this_try(self._store, job)
        try:
            submission = self._service.prepare(job)
        except OSError as error:
            if is_scarce(error):  # no fault of the source: the job stays planned
                raise
            self._not_readable(job, error, wall)
            return
        self._view = sending.sent(self._view, job, self._moment())
        self._meant.append((action, job, submission))

    def _send(self) -> None:
        """What was meant goes out, once all of it is recorded: one durable write for many costs as much as one."""
        if not self._meant:
            return
        meant, self._meant = self._meant, []
        server_time, wall = self._tools.server_time(), self._tools.wall()
        unsent = [job.number for _, job, _ in meant]
        try:
            with self._store.together("submitting"):
                for _, job, submission in meant:
                    intent.record(self._store, self._service, job, submission, server_time=server_time, wall=wall)
            self._tools.tell_others(False)
            endpoint = self._service.endpoint
            for action, job, submission in meant:
                one = Intent(number=job.number, nonce=job.nonce, sha256=submission.sha256, endpoint=endpoint, wall=wall)
                self._tools.workers.start(
                    action, self._tools.kept.around(one, sender(self._store, self._outputs, job, submission))
                )
                unsent.remove(job.number)
        except BaseException:
            self._view = sending.not_sent(self._view, unsent)  # else they would be waited for without end
            raise

    def _ask_about(self, job: Job, doubts: Mapping[bytes, str], wall: float) -> None:
        """Some of a job may have been paid for: what is beyond doubt goes by itself."""
        clear = [member for member in job.members if member.item.key not in doubts]
        if not clear:
            self._do(sending.asked_about(self._view, job, next(iter(doubts.values()))))
            return
        doubtful = [member for member in job.members if member.item.key in doubts]
        drafts = (*self._service.recompile(clear), *self._service.recompile(doubtful))
        self._store.record_prepared(job.number, drafts, (), wall)
        self._refill()

    def _not_readable(self, job: Job, error: OSError, wall: float) -> None:
        """A file of the job vanished since it was planned: halves find it, and all else is sent."""
        if len(job.members) > 1:
            self._store.record_prepared(job.number, intent.halves(self._store, self._service, job.number), (), wall)
            self._refill()
        else:
            self._do(sending.cannot_be_read(self._view, job, str(error)))

    # -- absorbing results ------------------------------------------------------------------------------------------

    def _absorb_all(self, message: Message | None) -> None:
        """This one and what else came meanwhile, in order; acceptances that came one after another together."""
        accepted: list[Message] = []
        while message is not None:
            if isinstance(message, Done) and isinstance(message.came, Accepted):
                accepted.append(message)
            else:
                self._absorb_together(accepted)
                self._guard(self._absorb, message)
            message = self._tools.workers.take(0.0)
        self._absorb_together(accepted)

    def _absorb_together(self, messages: list[Message]) -> None:
        """All of these at the cost of one durable write. Where that fails, each is recorded by itself, or kept beside
        the state: it was paid for."""
        if len(messages) > 1:
            untold: list[Reaction] = []
            self._untold = untold
            failed: Exception | None = None
            try:
                with self._store.together("accepted"):
                    while messages:
                        self._absorb(messages.pop(0))
            except Exception as error:
                failed = error
            self._untold = None
            for reaction in untold:
                self._guard(self._tell if failed is None else self._record_and_tell, reaction)
            if failed is not None:  # what is said of one of them says more
                self._stop_for(failed)
        while messages:
            self._guard(self._absorb, messages.pop(0))

    def _absorb(self, message: Message) -> None:
        if isinstance(message, Interrupt):
            self._interrupted(message)
            return
        if isinstance(message, Order):
            self._ordered(message)
            return
        self._view = ended(self._view, message.action)
        match message:
            case Failed(action, error):
                self._failed(action, error)
            case Done(Submit(job), Accepted() | Answered() | Refused() | Unknown() as result):
                self._submitted(job, result)
            case Done(Poll(), Polled(progress)):
                self._polled(progress)
            case Done(Fetch(job), Fetched() as fetched):
                names = {} if all(one.ok for one in fetched.outcomes) else self._names(job)
                self._do(fetching.fetched(self._view, job, fetched, self._store.job(job), names))
                if self._service.shelf is not None:
                    self._service.shelf.release(fetched.job)
            case Done(Settle(jobs), Looked(looks)):
                self._looked(jobs, looks)
            case Done(Prepare(job), Prepared() as came):
                names = self._names(job) if came.failed or came.notes else {}
                planned = self._store.record_prepared(
                    job, came.drafts, came.failed, self._tools.wall(), given_up=came.given_up
                )
                self._do(sending.prepared(self._view, came, planned, names))
            case _:
                raise AssertionError(message)

    def _names(self, number: int) -> dict[int, str]:
        """The ids of a job's items by their positions."""
        return {member.position: member.item.id for member in self._store.load_job(number).members}

    def _interrupted(self, interrupt: Interrupt) -> None:
        if self._view.interrupted:
            requests, seconds = self._view.on_the_way
            self._tools.report(events.Abandoned(signal=interrupt.name, requests=requests, billable_seconds=seconds))
            raise Abandoned(interrupt.exit_code)
        self._do(stopping.interrupted(self._view, interrupt.name, interrupt.exit_code))
        if self._service.stopper is not None:
            self._service.stopper.stop()

    def _ordered(self, order: Order) -> None:
        """Do what somebody asks, and say where the run stands then."""
        match order.command:
            case "pause":
                self._do(ordering.paused(self._view))
            case "resume":
                self._do(ordering.resumed(self._view))
            case "set":
                had = self._view.most_transfers
                self._tools.workers.resize(int(order.settings.get("transfer_workers", had)) - had)
                self._do(ordering.paced(self._view, order.settings))
            case "drain" if not self._view.interrupted:
                self._interrupted(Interrupt(130, "drain"))
        order.answer(ordering.described(self._view))

    def _submitted(self, number: int, result: SubmitResult) -> None:
        if isinstance(result, Unknown) and result.slow:
            self._guard(self._tools.tell_others, True)  # it is recorded all the same
        at, row = self._moment(), self._store.job(number)
        told_before = isinstance(result, Accepted) and self._evidence.told_before(result.remote_id)
        self._do(sending.came(self._view, self._rules, number, result, row, told_before=told_before, at=at))
        self._last_look.note(number, result, told_before=told_before)
        if not self._tools.kept.heard(self._store, number):
            keep_beside(self._store, number, result)

    def _polled(self, progress: Mapping[str, Progress]) -> None:
        # Before a job is given up that the service does not know: it may have it under another name than it told.
        nearly = waiting.nearly_given_up(self._view, self._rules, progress)
        looks = self._evidence.ask([self._evidence.of(number) for number in nearly]) if nearly else {}
        for number, look in looks.items():
            settled = reconcile.settle(look, self._evidence.knows, waited_s=0.0, wait_s=0.0)
            if isinstance(settled, reconcile.Found):
                self._do(waiting.renamed(self._view, number, settled.chosen, self._moment()))
        self._do(waiting.polled(self._view, self._rules, progress, self._moment()))

    def _looked(self, numbers: Sequence[int], looks: Mapping[int, Look]) -> None:
        at, knows = self._moment(), self._evidence.knows
        for number in settling.in_order(numbers, looks):
            row = self._store.job(number)
            misled = row.lost_how == MISLED
            settled = settling.judge(self._view, self._rules, number, looks[number], knows, misled=misled)
            if isinstance(settled, (reconcile.NotThere, reconcile.Ask)):  # whatever is sent again is looked for again
                self._last_look.lost(number)
            self._do(settling.looked(self._view, self._rules, number, settled, row.tries, row.error, at))

    def _failed(self, action: Action, error: BaseException) -> None:
        at, view, rules = self._moment(), self._view, self._rules
        match action, error:
            case Submit(job), _:
                # The service layer turns every expected failure into a value; anything else leaves the outcome open.
                self._submitted(job, Unknown(message=f"{type(error).__name__}: {error}"))
                raise error
            case Poll(), ApiError():
                self._do(waiting.poll_failed(view, rules, error, at))
            case Fetch(job), AnswerIncomplete():
                self._do(fetching.came_early(view, rules, job, str(error), at))
            case Fetch(job), ApiError():
                self._do(fetching.fetch_failed(view, rules, job, error, at))
            case Fetch(job), _:
                self._view = fetching.dropped(view, job)
                if isinstance(error, OSError):
                    raise _disk_trouble(f"{self._outputs}: cannot write an answer", error) from error
                raise error
            case Settle(jobs), ListingUnsupported():
                for number in jobs:
                    row = self._store.job(number)
                    self._do(settling.not_listed(self._view, rules, number, row.tries, row.error, at))
            case Settle(jobs), ApiError():
                self._do(settling.look_failed(view, rules, jobs, error, at))
            case Prepare(), Stopped():
                pass  # by an interruption: it stays planned
            case Prepare(), HumeRunnerError():
                # Nothing can be prepared any more; what is sent already is finished.
                self._do(stopping.stop(view, error, leave=False))
            case Prepare(), OSError():
                raise _disk_trouble(f"{self._outputs}: cannot prepare a medium", error) from error
            case _:
                raise error


def _disk_trouble(what: str, error: OSError) -> StateError:
    place = f"{error.filename}: " if error.filename else ""
    return of_disk(f"{what}: {place}{error.strerror or error}", error)
