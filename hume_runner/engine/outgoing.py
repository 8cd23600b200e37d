"""What goes out: a job is asked whether it may, its request is prepared and recorded as meant, and then it leaves."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from pathlib import Path

from hume_runner.engine import intent
from hume_runner.engine.again import sender
from hume_runner.engine.board import Board
from hume_runner.engine.evidence import Evidence
from hume_runner.engine.reactions import sending
from hume_runner.engine.reactions.base import Rules
from hume_runner.engine.tools import Tools
from hume_runner.engine.view import Submit, begun
from hume_runner.errors import is_scarce
from hume_runner.services.base import Job, Submission
from hume_runner.state.keeping import Intent


class Outgoing:
    """Submissions of one run. What an earlier run left below `outputs` may answer one of them."""

    def __init__(self, board: Board, tools: Tools, rules: Rules, evidence: Evidence, outputs: Path) -> None:
        self._board = board
        self._tools = tools
        self._store = tools.store
        self._service = tools.service
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
        number, wall = action.job, self._tools.wall()
        job = self._store.load_job(number, now=wall)
        left_out = self._store.left_out(number)
        listed = [member for member in job.members if member.item.id and member.item.key not in left_out]
        if len(listed) < len(job.members):
            # A lost job that is not at the service, and the manifest or the selection has changed since: what it still
            # lists goes.
            self._store.record_prepared(number, tuple(self._service.recompile(listed)), (), wall)
            board.refill()
            return
        if not self._rules.pay_again and (doubts := self._store.doubts(number)):
            self._ask_about(job, doubts, wall)
            return
        board.do(sending.may_send(board.view, self._rules, job, self._evidence.suspects(job), board.moment()))
        if board.view.no_more or number in board.view.held_back:
            return
        job = intent.for_this_try(self._store, job)
        try:
            submission = self._service.prepare(job)
        except OSError as error:
            if is_scarce(error):  # no fault of the source: the job stays planned
                raise
            self._not_readable(job, error, wall)
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

    def _ask_about(self, job: Job, doubts: Mapping[bytes, str], wall: float) -> None:
        """Some of a job may have been paid for: what is beyond doubt goes by itself."""
        clear = [member for member in job.members if member.item.key not in doubts]
        if not clear:
            self._board.do(sending.asked_about(self._board.view, job, next(iter(doubts.values()))))
            return
        doubtful = [member for member in job.members if member.item.key in doubts]
        drafts = (*self._service.recompile(clear), *self._service.recompile(doubtful))
        self._store.record_prepared(job.number, drafts, (), wall)
        self._board.refill()

    def _not_readable(self, job: Job, error: OSError, wall: float) -> None:
        """A file of the job vanished since it was planned: halves find it, and all else is sent."""
        if len(job.members) > 1:
            self._store.record_prepared(job.number, intent.halves(self._store, self._service, job.number), (), wall)
            self._board.refill()
        else:
            self._board.do(sending.cannot_be_read(self._board.view, job, str(error)))
