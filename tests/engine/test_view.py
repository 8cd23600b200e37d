from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.engine.view import (
    AtService,
    Fetch,
    Lost,
    Poll,
    Prepare,
    Settle,
    Submit,
    ToFetch,
    View,
    begun,
    ended,
    next_actions,
)
from hume_runner.services.jobs import Ended


def view(**parts: Any) -> View:
    return View(**{"most_in_flight": 4, "most_transfers": 3, **parts})


def waiting(*numbers: int, at: float = 0.0) -> dict[int, AtService]:
    return {n: AtService(remote_id=f"r{n}", submitted_at=at, since=at, created_at=at, simulated=False) for n in numbers}


def ready(next_at: float = 0.0) -> ToFetch:
    return ToFetch(ended=Ended(), next_at=next_at)


def lost(next_at: float = 0.0) -> Lost:
    return Lost(since=0.0, wait_s=20.0, next_at=next_at)


def test_planned_jobs_go_out_in_order_as_far_as_there_is_room() -> None:
    actions, _ = next_actions(view(queue=deque([5, 6, 7, 8])), 10.0)
    assert actions == [Submit(5), Submit(6), Submit(7)]


def test_jobs_at_the_service_and_on_their_way_take_room() -> None:
    busy = view(queue=deque([5, 6, 7]), waiting=waiting(1, 2), submitting={3}, last_poll=10.0)
    assert next_actions(busy, 10.0)[0] == [Submit(5)]


def test_a_lost_job_that_is_asked_about_counts_once() -> None:
    busy = view(queue=deque([5, 6, 7, 8]), lost={1: lost(99.0)}, settling={1})
    assert next_actions(busy, 10.0)[0] == [Submit(5), Submit(6), Submit(7)]


def test_a_refused_job_waits_and_then_goes_before_the_others() -> None:
    held = view(queue=deque([5, 6]), held_back={2: 20.0})
    assert next_actions(held, 10.0) == ([Submit(5), Submit(6)], 20.0)
    assert next_actions(held, 20.0)[0] == [Submit(2), Submit(5), Submit(6)]


def test_submitting_comes_before_fetching_and_fetching_waits_for_its_time() -> None:
    both = view(queue=deque([5]), to_fetch={1: ready(), 2: ready(30.0), 3: ready(), 4: ready()})
    assert next_actions(both, 10.0) == ([Submit(5), Fetch(1), Fetch(3)], 30.0)


def test_lost_jobs_are_asked_about_one_at_a_time() -> None:
    assert next_actions(view(lost={1: lost(), 2: lost()}), 10.0)[0] == [Settle((1, 2))]
    assert next_actions(view(lost={1: lost(), 2: lost()}, settling={1}), 10.0)[0] == []
    assert next_actions(view(lost={1: lost(12.0), 2: lost(11.0)}), 10.0) == ([], 11.0)


def test_all_waiting_jobs_are_polled_together_and_not_twice_at_once() -> None:
    assert next_actions(view(waiting=waiting(1, 2)), 10.0)[0] == [Poll()]
    assert next_actions(view(waiting=waiting(1, 2), polling=True), 10.0)[0] == []
    assert next_actions(view(waiting=waiting(1), poll_not_before=15.0), 10.0) == ([], 15.0)


def test_media_are_prepared_ahead_but_not_far() -> None:
    assert next_actions(view(unprepared=deque([1, 2, 3])), 10.0)[0] == [Prepare(1), Prepare(2)]
    assert next_actions(view(unprepared=deque([1, 2]), preparing={9}), 10.0)[0] == [Prepare(1)]
    full = view(unprepared=deque([1]), queue=deque([5, 6, 7, 8]), most_transfers=3)
    assert Prepare(1) not in next_actions(full, 10.0)[0]


def test_after_a_stop_nothing_is_submitted_and_what_is_at_the_service_is_still_fetched() -> None:
    stopped = view(queue=deque([5]), held_back={6: 0.0}, to_fetch={1: ready()}, waiting=waiting(2), no_more=True)
    assert next_actions(stopped, 10.0)[0] == [Fetch(1), Poll()]
    assert not stopped.finished


def test_leaving_starts_nothing() -> None:
    leaving = view(queue=deque([5]), to_fetch={1: ready()}, waiting=waiting(2), lost={3: lost()}, leaving=True)
    assert next_actions(leaving, 10.0) == ([], None)
    assert leaving.finished


@pytest.mark.parametrize("part", ["submitting", "fetching", "settling", "preparing"])
def test_nobody_leaves_while_a_worker_is_busy(part: str) -> None:
    busy = view(leaving=True, **{part: {1}})
    assert busy.active
    assert not busy.finished


@pytest.mark.parametrize(
    "parts",
    [
        {"queue": deque([1])},
        {"held_back": {1: 99.0}},
        {"unprepared": deque([1])},
        {"waiting": waiting(1)},
        {"to_fetch": {1: ready(99.0)}},
        {"lost": {1: lost(99.0)}},
        {"polling": True},
    ],
)
def test_anything_left_to_do_is_not_the_end(parts: dict[str, Any]) -> None:
    assert view().finished
    assert not view(**parts).finished


NUMBERS = st.sets(st.integers(1, 30), max_size=6)


@given(NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.booleans(), st.floats(0, 40))
def test_limits_hold_and_a_view_with_work_left_acts_wakes_or_has_somebody_working(
    queue: set[int],
    held: set[int],
    submitting: set[int],
    at_service: set[int],
    ended: set[int],
    no_more: bool,
    now: float,
) -> None:
    any_view = view(
        queue=deque(sorted(queue)),
        held_back={100 + n: float(n) for n in held},
        submitting={200 + n for n in submitting},
        waiting=waiting(*(300 + n for n in at_service)),
        to_fetch={400 + n: ready(float(n)) for n in ended},
        no_more=no_more,
        last_poll=now,
    )
    actions, wake = next_actions(any_view, now)
    assert len(actions) == len(set(actions))
    submits = [action for action in actions if isinstance(action, Submit)]
    fetches = [action for action in actions if isinstance(action, Fetch)]
    assert any_view.in_flight + len(submits) <= max(any_view.most_in_flight, any_view.in_flight)
    assert any_view.transfers + len(submits) + len(fetches) <= max(any_view.most_transfers, any_view.transfers)
    assert not (no_more and submits)
    assert wake is None or wake > now
    stuck = not actions and wake is None and not any_view.active
    assert any_view.finished or not stuck


def test_what_is_begun_is_not_begun_again_and_what_is_ended_makes_room() -> None:
    before = view(
        queue=[1, 2],
        unprepared=[3],
        waiting=waiting(4),
        to_fetch={5: ready(), 6: ToFetch(ended=Ended(), here=True)},
        lost={7: lost()},
    )
    actions, _ = next_actions(before, 10.0)
    assert {type(action) for action in actions} == {Submit, Prepare, Poll, Fetch, Settle}
    after = before
    for action in actions:
        after = begun(after, action, 10.0)
    assert next_actions(replace(after, no_more=True), 10.0)[0] == []
    assert (set(after.fetching), set(after.filing), after.settling, after.preparing) == ({5}, {6}, {7}, {3})
    assert (after.last_poll, after.looked_at) == (10.0, 10.0)
    for action in actions:
        after = ended(after, action)
    assert (after.polling, after.settling, after.preparing) == (False, frozenset(), frozenset())
