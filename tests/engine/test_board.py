"""In which order what follows from something is recorded and told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hume_runner import events
from hume_runner.engine import facts
from hume_runner.engine.board import Board
from hume_runner.engine.reactions.base import Reaction
from hume_runner.engine.tools import Tools
from hume_runner.engine.view import View
from hume_runner.errors import StateError
from tests.engine.reactions.cases import rules, view


class Log:
    """What a board records and tells, in order. `refuses`: the word that cannot be written."""

    path = None
    tells_each = False

    def __init__(self) -> None:
        self.done: list[str] = []
        self.refuses = ""

    def _write(self, what: str) -> None:
        if what == self.refuses:
            raise StateError("the disk is full")
        self.done.append(what)

    def record_refused(self, number: int, message: str, now: float) -> None:
        self._write(f"refused {number}")

    def record_prepared(self, number: int, drafts: Sequence[Any], failed: Sequence[Any], now: float, **_: Any) -> Any:
        self._write(f"replaced {number}")
        return [number + 10, number + 11]

    def failed_items(self) -> tuple[int, int]:
        self.done.append("budget")
        return 0, 1

    @contextmanager
    def together(self, what: str) -> Iterator[None]:
        yield
        self._write("durable")

    def tell(self, event: events.Event) -> None:
        self.done.append(f"told {event.message}")  # type: ignore[attr-defined]


class Service:
    endpoint = "here"


def board(log: Log) -> Board:
    no: Any = None
    tools = Tools(
        store=log,  # type: ignore[arg-type]
        disk=no,
        workers=no,
        clock=lambda: 0.0,
        wall=lambda: 0.0,
        server_time=lambda: None,
        random=lambda: 0.0,
        report=log.tell,
    )
    return Board(tools, Service(), rules(), view())  # type: ignore[arg-type]


def refused(busy: View, job: int) -> Reaction:
    told = events.RefusedForNow(job="", message=str(job))
    return Reaction(view=busy, facts=(facts.Refused(job=job, message="later"),), events=(told,))


def test_a_reaction_is_recorded_before_it_is_told_and_the_budget_looked_at_last() -> None:
    log = Log()
    spent = Reaction(view=view(), facts=refused(view(), 1).facts, events=refused(view(), 1).events, failures=True)
    assert board(log).do(spent) == []
    assert log.done == ["refused 1", "told 1", "budget"]


def test_whoever_has_jobs_planned_is_told_their_numbers() -> None:
    log = Log()
    twice = (facts.Replaced(job=1, drafts=()), facts.Replaced(job=5, drafts=()))
    assert board(log).do(Reaction(view=view(), facts=twice)) == [11, 12, 15, 16]
    assert log.done == ["replaced 1", "replaced 5"]


def test_what_cannot_be_recorded_is_not_told_and_what_was_on_its_way_is_not_waited_for() -> None:
    log = Log()
    log.refuses = "refused 1"
    at_work = board(log)
    at_work.guard(at_work.do, refused(view(taken_up=9), 1))
    assert log.done == []
    assert isinstance(at_work.broken, StateError)
    assert (at_work.view.taken_up, at_work.view.no_more, at_work.view.leaving) == (9, True, True)


def refuse_two(at_work: Board) -> None:
    def act() -> None:
        for job in (1, 2):
            at_work.do(refused(at_work.view, job))

    at_work.together("accepted", act)


def test_what_is_recorded_together_is_told_once_all_of_it_is_durable() -> None:
    log = Log()
    at_work = board(log)
    refuse_two(at_work)
    assert log.done == ["refused 1", "refused 2", "durable", "told 1", "told 2"]
    assert at_work.broken is None


def test_where_one_write_for_many_fails_each_is_recorded_by_itself_and_the_run_ends() -> None:
    log = Log()
    log.refuses = "durable"
    at_work = board(log)
    refuse_two(at_work)
    assert log.done[2:] == ["refused 1", "told 1", "refused 2", "told 2"]
    assert isinstance(at_work.broken, StateError)
    assert at_work.view.no_more
