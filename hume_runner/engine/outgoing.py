"""What goes out: a job is asked whether it may, its request is prepared and recorded as meant, and then it leaves.

That it is meant is no fact of a reaction: it is durable before there is anything to react to, and where it cannot be
made so nothing leaves.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from hume_runner.engine import intent
from hume_runner.engine.again import sender
from hume_runner.engine.board import Board
from hume_runner.engine.evidence import Evidence
from hume_runner.engine.reactions import sending
from hume_runner.engine.reactions.base import Rules
from hume_runner.engine.tools import Tools
from hume_runner.engine.view import Submit, begun
from hume_runner.errors import is_scarce
from hume_runner.services.base import Packer, Sender
from hume_runner.services.jobs import Draft, Job, Submission
from hume_runner.state.keeping import Intent


class Submitting(Sender, Packer, Protocol):
    """What submitting needs of a service: to send a job, or what takes its place."""


class Outgoing:
    """Submissions of one run. What an earlier run left below `outputs` may answer one of them."""

    def __init__(
        self, board: Board, tools: Tools, service: Submitting, rules: Rules, evidence: Evidence, outputs: Path
    ) -> None:
        self._board = board
        self._tools = tools
        self._store = tools.store
        self._service = service
        self._rules = rules
        self._evidence = evidence
        self._outputs = outputs
        self._meant: list[tuple[Submit, Job, Submission]] = []  # what goes out once its intents are recorded

    def mean(self, action: Submit, now: float) -> None:
        """Prepare one submission, which leaves with `send`. Raises: StateError; OSError where the machine lacks
        something."""
        board = self._board
        if board.view.no_more or board.view.paused:  # decided since this action was
            return
        board.view = begun(board.view, action, now)
        number = action.job
        job = self._store.load_job(number, now=self._tools.wall())
        doubts = {} if self._rules.pay_again else self._store.doubts(number)
        match sending.first(job, self._store.left_out(number), doubts):
            case sending.Divide(parts=parts):
                self._replace(job, [draft for part in parts for draft in self._service.recompile(part)])
                return
            case sending.Ask(why=why):
                board.do(sending.asked_about(board.view, job, why))
                return
            case None:
                pass
        board.do(sending.may_send(board.view, self._rules, job, self._evidence.suspects(job), board.moment()))
        if board.view.no_more or number in board.view.held_back:
            return
        job = intent.for_this_try(self._store, job)
        try:
            submission = self._service.prepare(job)
        except OSError as error:
            if is_scarce(error):  # no fault of the source: the job stays planned
                raise
            self._not_readable(job, error)
            return
        board.view = sending.sent(board.view, job, board.moment())
        self._meant.append((action, job, submission))

    def send(self) -> None:
        """What was meant goes out, once all of it is recorded: one durable write for many costs as much as one."""
        if not self._meant:
            return
        meant, self._meant = self._meant, []
        server_time, wall = self._tools.server_time(), self._tools.wall()
        unsent = deque(job.number for _, job, _ in meant)
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
                unsent.popleft()
        except BaseException:
            self._board.view = sending.not_sent(self._board.view, unsent)  # else they would be waited for without end
            raise

    def _replace(self, job: Job, drafts: Sequence[Draft]) -> None:
        self._board.do(sending.replaced(self._board.view, job, drafts))
        self._board.refill()

    def _not_readable(self, job: Job, error: OSError) -> None:
        """A file of the job vanished since it was planned: halves find it, and all else is sent."""
        if len(job.members) > 1:
            self._replace(job, intent.halves(self._store, self._service, job.number))
        else:
            self._board.do(sending.cannot_be_read(self._board.view, job, str(error)))
