"""What comes back: a worker's message, a signal or a person's order becomes reactions, which are done one by one."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, assert_never

from hume_runner.engine import reconcile
from hume_runner.engine.board import Board
from hume_runner.engine.download import Fetched
from hume_runner.engine.errands import Looked, Polled
from hume_runner.engine.evidence import Evidence
from hume_runner.engine.last_look import LastLook
from hume_runner.engine.reactions import failing, fetching, ordering, sending, settling, stopping, waiting
from hume_runner.engine.reactions.base import Reaction, Rules
from hume_runner.engine.rescue import keep_beside, rescue_remote_id
from hume_runner.engine.tools import Tools
from hume_runner.engine.view import Action, Fetch, Poll, Prepare, Recheck, Settle, Submit, ended
from hume_runner.engine.workers import Done, Failed, Interrupt, Message, Order
from hume_runner.services.base import Shelf, Stopper
from hume_runner.services.jobs import Accepted, Answered, Prepared, Refused, SubmitResult, Unknown
from hume_runner.services.lost import Look
from hume_runner.state.settled import MISLED


class Abandoned(BaseException):
    """The second signal: leave now. The state is safe at every moment."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


class LettingGo(Protocol):
    """What answers and orders need of a service: to let go of what it holds for us."""

    @property
    def shelf(self) -> Shelf | None: ...

    @property
    def stopper(self) -> Stopper | None: ...


class Incoming:
    """Answers, failures and orders of one run, whose files are below `outputs`. `last_look` hears what became of each
    submission."""

    def __init__(
        self,
        board: Board,
        tools: Tools,
        service: LettingGo,
        rules: Rules,
        evidence: Evidence,
        last_look: LastLook,
        outputs: Path,
    ) -> None:
        self._board = board
        self._tools = tools
        self._store = tools.store
        self._service = service
        self._rules = rules
        self._evidence = evidence
        self._last_look = last_look
        self._outputs = outputs

    def absorb(self, message: Message | None) -> None:
        """This one and what else came meanwhile, in order; acceptances that came one after another together."""
        accepted: deque[Message] = deque()
        try:
            while message is not None:
                if isinstance(message, Done) and isinstance(message.came, Accepted):
                    accepted.append(message)
                else:
                    self._absorb_together(accepted)
                    self._board.guard(self._absorb_one, message)
                message = self._tools.workers.take(0.0)
        finally:
            self._absorb_together(accepted)

    def _absorb_together(self, messages: deque[Message]) -> None:
        """All of these at the cost of one durable write. Where that fails, each is recorded by itself, or kept beside
        the state: it was paid for."""

        def absorb() -> None:
            while messages:
                self._absorb_one(messages.popleft())

        if len(messages) > 1 and not self._store.tells_each:
            self._board.together("accepted", absorb)
        while messages:  # those that the common write did not come to
            self._board.guard(self._absorb_one, messages.popleft())

    def _absorb_one(self, message: Message) -> None:
        if isinstance(message, Interrupt):
            self._interrupted(message)
            return
        if isinstance(message, Order):
            self._ordered(message)
            return
        self._board.view = ended(self._board.view, message.action)
        match message:
            case Failed(action, error):
                self._failed(action, error)
            case Done(Submit(job), Accepted() | Answered() | Refused() | Unknown() as result):
                self._heard(job, result)
            case Done(Poll(), Polled() as polled):
                self._polled(polled)
            case Done(Fetch(job), Fetched() as fetched):
                names = {} if all(one.ok for one in fetched.outcomes) else self._names(job)
                self._board.do(fetching.fetched(self._board.view, job, fetched, self._store.job(job), names))
                if self._service.shelf is not None:
                    self._service.shelf.release(fetched.job)
            case Done(Settle(jobs), Looked(looks)):
                self._looked(jobs, looks)
            case Done(Recheck(), Looked(looks)):
                self._looked_once_more(looks)
            case Done(Prepare(job), Prepared() as came):
                names = self._names(job) if came.failed or came.notes else {}
                planned = self._board.do(sending.prepared(self._board.view, job, came))
                self._board.do(sending.ready(self._board.view, came, planned, names))
            case _:
                raise AssertionError(message)

    def _names(self, number: int) -> dict[int, str]:
        """The ids of a job's items by their positions."""
        return {member.position: member.item.id for member in self._store.load_job(number).members}

    def _interrupted(self, interrupt: Interrupt) -> None:
        if self._board.view.interrupted:
            self._board.do(stopping.abandoned(self._board.view, interrupt.name))
            raise Abandoned(interrupt.exit_code)
        self._board.do(stopping.interrupted(self._board.view, interrupt.name, interrupt.exit_code))
        self._stop()

    def _stop(self) -> None:
        if self._service.stopper is not None:
            self._service.stopper.stop()

    def _ordered(self, order: Order) -> None:
        """Do what somebody asks, and say where the run stands then."""
        before = self._board.view
        reaction = ordering.ordered(before, order.command, order.settings)
        self._tools.workers.resize(reaction.view.most_transfers - before.most_transfers)
        self._board.do(reaction)
        if reaction.view.interrupted and not before.interrupted:
            self._stop()
        order.answer(ordering.described(self._board.view))

    def _heard(self, number: int, result: SubmitResult) -> None:
        """Where the state cannot be asked what an answer means, it is neither waited for without end nor forgotten."""
        try:
            self._submitted(number, result)
        except Exception as error:
            self._follow(failing.not_judged(self._board.view, number, result, error), error)

    def _submitted(self, number: int, result: SubmitResult) -> None:
        if isinstance(result, Unknown) and result.slow:
            self._board.guard(self._tools.tell_others, True)  # it is recorded all the same
        at, row = self._board.moment(), self._store.job(number)
        told_before = isinstance(result, Accepted) and self._evidence.told_before(result.remote_id)
        self._board.do(sending.came(self._board.view, self._rules, number, result, row, told_before=told_before, at=at))
        self._last_look.note(number, result, told_before=told_before)
        if not self._tools.kept.heard(self._store, number):
            keep_beside(self._store, number, result)

    def _polled(self, polled: Polled) -> None:
        for number, look in polled.looks.items():
            self._board.do(waiting.looked(self._board.view, number, look, self._evidence.known(look)))
        self._board.do(waiting.polled(self._board.view, self._rules, polled.progress, self._board.moment()))

    def _looked(self, numbers: Sequence[int], looks: Mapping[int, Look]) -> None:
        at = self._board.moment()
        for number in settling.in_order(numbers, looks):
            row = self._store.job(number)
            look, misled = looks[number], row.lost_how == MISLED
            known = self._evidence.known(look)  # by now: what was found for one job is no candidate for the next
            settled = settling.judge(self._board.view, self._rules, number, look, known, misled=misled)
            if isinstance(settled, (reconcile.NotThere, reconcile.Ask)):  # whatever is sent again is looked for again
                self._last_look.lost(number)
            self._board.do(settling.looked(self._board.view, self._rules, number, settled, row.tries, row.error, at))

    def _looked_once_more(self, looks: Mapping[int, Look]) -> None:
        for number, look in looks.items():
            known = self._evidence.known(look)
            for reaction in settling.looked_once_more(self._board.view, number, look, known):
                self._board.do(reaction)

    def _failed(self, action: Action, error: BaseException) -> None:
        at = self._board.moment()
        rows = {number: self._store.job(number) for number in action.jobs} if isinstance(action, Settle) else {}
        self._follow(failing.failed(self._board.view, self._rules, action, error, rows, at, self._outputs), error)

    def _follow(self, steps: Iterable[failing.Step], error: BaseException) -> None:
        """Do what follows from an error."""
        for step in steps:
            match step:
                case Reaction():
                    self._board.do(step)
                case failing.Heard(job=job, result=result):
                    self._heard(job, result)
                case failing.Rescue(job=job, remote_id=remote_id, error=told):
                    raise rescue_remote_id(told, self._store.path, job, remote_id) from error
                case failing.Breaks(error=told) if told is not error:
                    raise told from error
                case failing.Breaks():
                    raise error
                case _:
                    assert_never(step)
