"""Why a run stops, as values: no store, no service, no clock."""

from __future__ import annotations

import pytest

from hume_runner import events
from hume_runner.engine.reactions import stopping
from hume_runner.engine.view import Ending, Sent
from hume_runner.errors import (
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


def test_a_signal_says_what_would_be_paid_again() -> None:
    reaction = stopping.interrupted(view(submitting={**SENT, 2: Sent(at=40.0, billable_seconds=3.0)}), "SIGINT", 130)
    assert reaction.events == (events.Interrupted(signal="SIGINT", requests=2, billable_seconds=10.0),)
    assert reaction.view.ending == Ending(exit_code=130)
    assert reaction.view.leaving


@pytest.mark.parametrize(("failed", "stops"), [(2, False), (3, True)])
def test_a_budget_stops_the_run_with_the_failure_that_spends_it(failed: int, stops: bool) -> None:
    reaction = stopping.over_budget(view(), rules(max_failures=2), failed, 10)
    assert reaction.view.no_more is stops
