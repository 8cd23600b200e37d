from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from hume_runner.engine.reactions import ordering
from hume_runner.engine.reactions.base import Reaction
from hume_runner.engine.view import AtService, Ending, Prepare, Submit, View, next_actions


def view(**more: object) -> View:
    return View(most_in_flight=4, most_transfers=4, limit=4, queue=(1, 2), unprepared=(3,), **more)  # type: ignore[arg-type]


def test_a_paused_run_sends_and_prepares_nothing_and_is_not_finished() -> None:
    paused = ordering.paused(view()).view
    actions, _ = next_actions(paused, 0.0)
    assert not [one for one in actions if isinstance(one, Submit | Prepare)]
    assert not paused.finished
    assert next_actions(ordering.resumed(paused).view, 0.0) == next_actions(view(), 0.0)


def test_what_is_at_the_service_is_waited_for_while_paused() -> None:
    waiting = {9: AtService(remote_id="r", submitted_at=0.0, since=0.0, created_at=0.0, simulated=True)}
    actions, _ = next_actions(ordering.paused(view(waiting=waiting)).view, 100.0)
    assert [type(one).__name__ for one in actions] == ["Poll"]


def test_pausing_twice_tells_once() -> None:
    once = ordering.paused(view())
    assert len(once.events) == 1
    assert ordering.paused(once.view).events == ()
    assert ordering.resumed(view()).events == ()


def test_another_pace_holds_from_now_on_and_complaints_still_count() -> None:
    more = ordering.paced(view(), {"max_jobs_in_flight": 10, "transfer_workers": 9}).view
    assert (more.most_in_flight, more.limit, more.most_transfers) == (10, 10.0, 9)
    assert len([one for one in next_actions(more, 0.0)[0] if isinstance(one, Submit)]) == 2
    halved = View(most_in_flight=8, most_transfers=4, limit=2)
    assert ordering.paced(halved, {"max_jobs_in_flight": 10}).view.limit == 2
    assert ordering.paced(view(), {"max_jobs_in_flight": 1}).view.limit == 1


@pytest.mark.parametrize(
    ("command", "settings", "told", "changed"),
    [
        ("status", {}, [], {}),
        ("pause", {}, ["ordered"], {"paused": True}),
        ("set", {"transfer_workers": 9}, ["ordered"], {"most_transfers": 9}),
        (
            "drain",
            {},
            ["interrupted"],
            {"interrupted": True, "no_more": True, "leaving": True, "ending": Ending(exit_code=130)},
        ),
    ],
)
def test_each_order_has_its_reaction(
    command: str, settings: Mapping[str, int | float], told: list[str], changed: Mapping[str, Any]
) -> None:
    reaction = ordering.ordered(view(), command, settings)
    assert [event.name for event in reaction.events] == told
    assert reaction.view == replace(view(), **changed)
    assert reaction.facts == ()


def test_going_on_is_an_order_and_draining_twice_is_none() -> None:
    assert ordering.ordered(view(paused=True), "resume", {}).view == view()
    drained = ordering.ordered(view(), "drain", {}).view
    assert ordering.ordered(drained, "drain", {}) == Reaction(view=drained)


def test_a_run_says_where_it_stands() -> None:
    assert ordering.described(view())["phase"] == "working"
    assert ordering.described(view(paused=True))["phase"] == "paused"
    assert ordering.described(view(no_more=True, paused=True))["phase"] == "draining"
