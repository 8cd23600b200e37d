"""Why a run stops, as values: no store, no service, no clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from hume_runner import events
from hume_runner.engine.reactions import stopping
from hume_runner.engine.reactions.base import Reaction
from hume_runner.engine.view import Ending, Sent, View
from hume_runner.errors import (
    HumeRunnerError,
    ServiceRefused,
    ServiceUnavailable,
)
from tests.engine.reactions.cases import SENT, rules, view


def test_the_first_reason_is_the_one_that_a_run_ends_with() -> None:
    first = stopping.stop(view(), ServiceUnavailable("first"), leave=False)
    second = stopping.stop(first.view, ServiceRefused("second"), leave=True)
    assert str(second.view.ending.error) == "first"
    assert second.view.leaving
    assert [event.name for event in (*first.events, *second.events)] == ["stopping"]


def test_an_error_that_holds_nothing_back_is_what_a_run_ends_with_where_nothing_came_before() -> None:
    first, second = ServiceUnavailable("first"), ServiceRefused("second")
    ends = stopping.end_with(view(), first)
    assert ends == view(ending=Ending(error=first))
    assert stopping.end_with(ends, second) == ends


@pytest.mark.parametrize(
    ("stops", "ending", "leaving"),
    [
        (lambda busy, error: stopping.stop(busy, error, leave=False).view, True, False),
        (lambda busy, error: stopping.stop(busy, error, leave=True).view, True, True),
        (lambda busy, error: stopping.not_ours(busy, error).view, True, True),
        (lambda busy, error: stopping.broken(busy), False, True),  # it is raised once nothing is on its way any more
    ],
)
def test_whatever_stops_a_run_waits_for_what_is_on_its_way(
    stops: Callable[[View, HumeRunnerError], View], ending: bool, leaving: bool
) -> None:
    busy, error = view(submitting=SENT), ServiceUnavailable("no")
    ends = Ending(error=error) if ending else Ending()
    assert stops(busy, error) == replace(busy, no_more=True, leaving=leaving, ending=ends)


def test_a_signal_says_what_would_be_paid_again() -> None:
    reaction = stopping.interrupted(view(submitting={**SENT, 2: Sent(at=40.0, billable_seconds=3.0)}), "SIGINT", 130)
    assert reaction.events == (events.Interrupted(signal="SIGINT", requests=2, billable_seconds=10.0),)
    assert reaction.view.ending == Ending(exit_code=130)
    assert reaction.view.leaving


def test_a_second_signal_tells_what_is_left_behind() -> None:
    first = stopping.interrupted(view(submitting=SENT), "SIGINT", 130).view
    told = events.Abandoned(signal="SIGTERM", requests=1, billable_seconds=7.0)
    assert stopping.abandoned(first, "SIGTERM") == Reaction(view=first, events=(told,))


def test_a_state_that_cannot_be_kept_is_what_a_run_ends_with_whatever_came_before() -> None:
    error = ServiceRefused("another has it")
    stopped = stopping.stop(view(), ServiceUnavailable("first"), leave=False).view
    reaction = stopping.not_ours(stopped, error)
    assert reaction.view.ending == Ending(error=error)
    assert reaction.view.leaving
    assert reaction.events == (events.Stopping(message="another has it"),)
    assert stopping.not_ours(reaction.view, error) == Reaction(view=reaction.view)  # which is told once


@pytest.mark.parametrize(("failed", "stops"), [(2, False), (3, True)])
def test_a_budget_stops_the_run_with_the_failure_that_spends_it(failed: int, stops: bool) -> None:
    reaction = stopping.over_budget(view(), rules(max_failures=2), failed, 10)
    assert reaction.view.no_more is stops
