"""One loop decides, small workers act, one store writes.

The loop asks `next_actions` what to do and hands each action to a worker (`outgoing.py` what is paid for); what comes
back goes through `reactions` (`incoming.py`), and what they say is recorded before anything else is done with it
(`board.py`). It never asks which API it is talking to.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Protocol

from hume_runner.engine.board import Board
from hume_runner.engine.errands import Attending, Errands
from hume_runner.engine.evidence import Evidence, Showing
from hume_runner.engine.incoming import Incoming, LettingGo
from hume_runner.engine.last_look import LastLook
from hume_runner.engine.outgoing import Outgoing, Submitting
from hume_runner.engine.reactions import stopping
from hume_runner.engine.reactions.base import Rules
from hume_runner.engine.resume import resumed
from hume_runner.engine.telling import Telling
from hume_runner.engine.tools import Tools
from hume_runner.engine.view import Due, Ending, Recheck, Submit, View, begun, next_actions
from hume_runner.errors import HumeRunnerError


class Served(Showing, Attending, Submitting, LettingGo, Protocol):
    """What a loop needs of a service: all that its parts do."""


class Loop:
    """One run from planned jobs to answers on disk, below `outputs`. With `detach` it leaves once all is sent; with
    `hold` nothing is sent, what was sent is settled and fetched, and that is what the run ends with."""

    def __init__(
        self,
        tools: Tools,
        service: Served,
        rules: Rules,
        outputs: Path,
        *,
        detach: bool = False,
        hold: HumeRunnerError | None = None,
    ) -> None:
        self._tools = tools
        self._service = service
        self._rules = rules
        self._detach = detach
        self._hold = hold
        most = rules.execution.max_jobs_in_flight
        view = View(
            most_in_flight=most,
            limit=most,
            most_transfers=rules.execution.transfer_workers,
            most_preparing=rules.preparing,
        )
        self._board = Board(tools, service, rules, view)
        store, server_time = tools.store, tools.server_time()
        self._evidence = Evidence(store, service, math.inf if server_time is None else server_time)
        self._errands = Errands(store, service, tools.disk, self._evidence, outputs, rules)
        self._last_look = LastLook(self._evidence, refused_too=service.keeper is not None)
        self._telling = Telling(store, tools.report, tools.clock, tools.traffic, here=tools.here)
        self._outgoing = Outgoing(self._board, tools, service, rules, self._evidence, outputs)
        self._incoming = Incoming(self._board, tools, service, rules, self._evidence, self._last_look, outputs)

    def run(self) -> Ending:
        """Work until nothing is left or nothing more can be done.

        Whatever goes wrong on the way, what the service is about to answer is waited for and recorded before it is
        raised. Raises: StateError, Abandoned.
        """
        board, tools = self._board, self._tools
        board.guard(self._telling.look, board.view)  # before anything is done: what a run begins with
        board.guard(self._resume)
        while True:
            board.guard(self._still_ours)
            board.guard(board.refill)
            if board.view.leaving:  # at a slow pace it would be waited for long
                tools.end_soon()
            now = tools.clock()
            actions, wake_at = next_actions(board.view, now)
            for action in actions:
                board.guard(self._start, action, now)
            board.guard(self._outgoing.send)
            if board.view.finished or (self._detach and board.view.all_sent and not self._left()):
                break
            timeout = self._telling.wait_s(board.view)
            if wake_at is not None:
                timeout = min(timeout, max(0.0, wake_at - tools.clock()))
            if actions and not board.view.active:
                timeout = 0.0  # all that was to be done was dropped: nobody will call
            self._incoming.absorb(tools.workers.take(timeout))
            board.guard(self._telling.look, board.view)
        if board.broken is None:
            board.guard(self._look_once_more)
        if board.broken is not None:
            raise board.broken
        return board.view.ending

    def _look_once_more(self) -> None:
        """For what was lost and sent again. Whoever interrupts does not wait for it, nor do those who did."""
        board, tools = self._board, self._tools
        errand = None if board.view.interrupted else self._last_look.errand()
        if errand is None:
            return
        board.view = begun(board.view, Recheck(), tools.clock())
        tools.workers.start(Recheck(), errand)
        while board.view.rechecking and not board.view.interrupted:
            self._incoming.absorb(tools.workers.take(self._telling.wait_s(board.view)))
            board.guard(self._telling.look, board.view)

    def _left(self) -> bool:
        """Whether anything is still to be sent that nobody has to be asked about."""
        return not self._board.view.passed_over and self._tools.store.any_planned()

    def _resume(self) -> None:
        board, store = self._board, self._tools.store
        board.view = resumed(board.view, self._rules, store, self._service, self._evidence, board.moment())
        if self._hold is not None:
            board.do(stopping.stop(board.view, self._hold, leave=False))
        board.look_at_budget()

    def _still_ours(self) -> None:
        broken = self._tools.kept.broken
        if broken is not None:
            self._board.do(stopping.not_ours(self._board.view, broken))

    def _start(self, action: Due, now: float) -> None:
        if isinstance(action, Submit):
            self._outgoing.mean(action, now)
            return
        errand = self._errands.of(action, self._board.view)
        self._board.view = begun(self._board.view, action, now)
        self._tools.workers.start(action, errand)
