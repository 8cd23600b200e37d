from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.state.lifecycle import (
    HELD,
    MOVES,
    Event,
    IllegalMoveError,
    ItemStatus,
    JobStatus,
    item_status,
    move,
)


@given(st.lists(st.sampled_from(list(Event)), max_size=12))
def test_any_sequence_of_events_follows_the_table_or_is_refused(events: list[Event]) -> None:
    status = JobStatus.PLANNED
    for event in events:
        if (status, event) in MOVES:
            status = move(status, event)
            assert status in JobStatus
        else:
            with pytest.raises(IllegalMoveError, match=f"{status} cannot {event}"):
                move(status, event)


def test_only_proof_leads_back_from_where_the_service_may_hold_a_job() -> None:
    back = {event for (status, event), to in MOVES.items() if status in HELD and to is JobStatus.PLANNED}
    assert back == {Event.REFUSE, Event.MISS}


def test_a_job_is_submitting_before_it_is_anything_further() -> None:
    leading = {
        status for (status, event), to in MOVES.items() if to is JobStatus.SUBMITTED and event is not Event.EXTEND
    }
    assert leading == {JobStatus.SUBMITTING, JobStatus.AMBIGUOUS, JobStatus.FAILED}
    assert {event for (status, event) in MOVES if status is JobStatus.PLANNED} == {
        Event.INTEND,
        Event.SPOIL,
        Event.SUSPECT,
    }


def test_only_more_that_an_answer_holds_leaves_done_and_never_to_be_sent_again() -> None:
    left = {(event, to) for (status, event), to in MOVES.items() if status is JobStatus.DONE}
    assert left == {(Event.EXTEND, JobStatus.SUBMITTED)}


def test_every_state_can_be_reached_and_left_for_an_end() -> None:
    reached = {JobStatus.PLANNED}
    while more := {to for (status, _), to in MOVES.items() if status in reached} - reached:
        reached |= more
    assert reached == set(JobStatus)


@pytest.mark.parametrize(
    ("outcome", "job", "status"),
    [
        ("pending", None, ItemStatus.PENDING),
        ("pending", JobStatus.PLANNED, ItemStatus.PENDING),
        ("pending", JobStatus.SUBMITTING, ItemStatus.IN_FLIGHT),
        ("pending", JobStatus.SUBMITTED, ItemStatus.IN_FLIGHT),
        ("pending", JobStatus.AMBIGUOUS, ItemStatus.AMBIGUOUS),
        ("done", JobStatus.SUBMITTED, ItemStatus.DONE),
        ("failed", JobStatus.DONE, ItemStatus.FAILED),
    ],
)
def test_an_item_stands_where_its_outcome_and_its_job_put_it(
    outcome: str, job: JobStatus | None, status: ItemStatus
) -> None:
    assert item_status(outcome, job) is status
