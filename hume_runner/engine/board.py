"""What a run knows at each moment, and the one way in which that changes.

A reaction is recorded before it is told, and told before anything else is done. What breaks the run ends it only when
nothing is on its way any more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ParamSpec

from hume_runner.engine import facts
from hume_runner.engine.reactions import stopping
from hume_runner.engine.reactions.base import Moment, Reaction, Rules
from hume_runner.engine.resume import refilled
from hume_runner.engine.tools import Tools
from hume_runner.engine.view import View

P = ParamSpec("P")


class Board:
    """The `view` that all parts of a loop see, in the loop's own thread; `broken` is what ends the run once everything
    on its way is recorded."""

    def __init__(self, tools: Tools, service: facts.Recorded, rules: Rules, view: View) -> None:
        self.view = view
        self.broken: Exception | None = None
        self._tools = tools
        self._service = service
        self._rules = rules
        self._untold: list[Reaction] | None = None  # what is told once it is recorded together

    def moment(self) -> Moment:
        """Now, by all clocks."""
        tools = self._tools
        return Moment(now=tools.clock(), wall=tools.wall(), server=tools.server_time(), chance=tools.random())

    def do(self, reaction: Reaction) -> Sequence[int]:
        """Record what a reaction says, then tell it. The view holds even where the state cannot be written: what was on
        its way is not any more. Gives the numbers of the jobs that are planned by it and can be sent now. Raises:
        StateError."""
        self.view = reaction.view
        if self._untold is None:
            planned = self._record(reaction)
            self._tell(reaction)
        else:
            self._untold.append(reaction)
            planned = self._record(reaction)
        if reaction.failures:
            self.look_at_budget()
        return planned

    def together(self, doing: str, act: Callable[[], None]) -> None:
        """All that `act` does is recorded by one durable write, and then told. Where that fails, the run ends, and each
        reaction is recorded by itself. Not for a state that `tells_each`. Never raises an Exception."""
        untold: list[Reaction] = []
        self._untold = untold
        failed: Exception | None = None
        try:
            with self._tools.store.together(doing):
                act()
        except Exception as error:
            failed = error
        self._untold = None
        for reaction in untold:
            self.guard(self._tell if failed is None else self._record_and_tell, reaction)
        if failed is not None:  # what is said of one of them says more
            self.stop_for(failed)

    def look_at_budget(self) -> None:
        """End the run where more has failed than may. Raises: StateError."""
        self.do(stopping.over_budget(self.view, self._rules, *self._tools.store.failed_items()))

    def refill(self) -> None:
        """Take up planned jobs that there is room for. Raises: StateError."""
        self.view = refilled(self.view, self._tools.store)

    def guard(self, act: Callable[P, None], *what: P.args, **named: P.kwargs) -> None:
        """Do one step. What breaks the run ends it only when nothing is on its way any more; the first reason stays."""
        try:
            act(*what, **named)
        except Exception as error:
            self.stop_for(error)

    def stop_for(self, error: Exception) -> None:
        """Begin nothing more; what is on its way is waited for."""
        self.broken = self.broken or error
        self.view = stopping.broken(self.view)

    def _record_and_tell(self, reaction: Reaction) -> None:
        self._record(reaction)
        self._tell(reaction)

    def _record(self, reaction: Reaction) -> Sequence[int]:
        planned: list[int] = []
        for fact in reaction.facts:
            planned += facts.record(self._tools.store, self._service, fact, self._tools.wall())
        return planned

    def _tell(self, reaction: Reaction) -> None:
        for event in reaction.events:
            self._tools.report(event)
