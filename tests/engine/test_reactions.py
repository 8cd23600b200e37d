"""What comes back, as values, and what it does to a run, as values: no store, no service, no clock."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hume_runner import events
from hume_runner.engine import facts, reactions, reconcile
from hume_runner.engine.reactions import Moment, Patience, Reaction, Rules
from hume_runner.engine.view import AtService, Ending, Lost, Sent, ToFetch, View
from hume_runner.errors import (
    ApiError,
    AuthError,
    HumeRunnerError,
    LostAnswerNeedsDecision,
    NotFound,
    ServiceRefused,
    ServiceUnavailable,
    UnexpectedResponse,
)
from hume_runner.manifest.model import ExecutionSection, FailureBudget, RetrySection
from hume_runner.services.base import (
    Accepted,
    Answered,
    Broken,
    Candidate,
    Ended,
    Job,
    Pending,
    Refused,
    Unknown,
    Unseen,
)

NOW = Moment(now=100.0, wall=1_800_000_000.0)
SENT = {1: Sent(at=40.0, billable_seconds=7.0, members=2)}
THERE = AtService(remote_id="r1", submitted_at=40.0, created_at=1_700_000_000.0, simulated=True)
LOST = Lost(since=50.0, wait_s=120.0, next_at=50.0, billable_seconds=7.0, here=True)
CANDIDATE = Candidate(remote_id="r1", matches={}, created_at=5.0, billed_seconds=9.0)
TAKEN = facts.Accepted(job=1, remote_id="r1", created_at=5.0, simulated=True)


def rules(**changes: Any) -> Rules:
    execution = ExecutionSection(
        retry=RetrySection(attempts=3, max_wait_s=60.0),
        max_failures=FailureBudget(count=changes.pop("max_failures", None)),
        max_billable_seconds=changes.pop("cap", None),
        on_lost_answer=changes.pop("on_lost_answer", "resubmit"),
        job_timeout_s=changes.pop("job_timeout_s", 6 * 3600.0),
    )
    return Rules(execution=execution, patience=Patience(), artifacts=True, **changes)


def view(**parts: Any) -> View:
    return View(**{"most_in_flight": 4, "limit": 4.0, "most_transfers": 3, "committed_s": 7.0, **parts})


def error_of(reaction: Reaction) -> type[HumeRunnerError] | None:
    ending = reaction.view.ending
    return None if ending.error is None else type(ending.error)


# -- answers to submissions --------------------------------------------------------------------------------------------


def test_what_is_accepted_is_recorded_waited_for_and_told() -> None:
    came = Accepted(remote_id="r1", server_time_s=5.0, simulated=True)
    reaction = reactions.accepted(view(submitting=SENT, limit=2.0), 1, came, NOW)
    assert reaction.facts == (TAKEN,)
    assert reaction.events == (events.Submitted(job="job-000001", remote_id="r1"),)
    assert reaction.view.submitting == {}
    assert reaction.view.waiting == {1: replace(THERE, submitted_at=100.0, created_at=5.0)}
    assert reaction.view.limit == 3.0
    assert reaction.view.committed_s == 7.0


def test_an_answer_that_comes_at_once_is_recorded_with_its_bytes_and_filed() -> None:
    came = Answered(remote_id="r1", body=b"{}", server_time_s=5.0, simulated=True, carry="c", billed_seconds=8.0)
    reaction = reactions.answered(view(submitting=SENT), 1, came, 90.0, NOW)
    (fact,) = reaction.facts
    assert isinstance(fact, facts.Accepted)
    assert (fact.answer, fact.carry, fact.billed_seconds, fact.created_at) == (b"{}", "c", 8.0, 90.0)
    assert reaction.view.to_fetch[1].here
    assert reaction.view.waiting == {}


@pytest.mark.parametrize(
    ("refused", "fact", "held_back", "ends_with"),
    [
        ({"temporary": True}, facts.Refused, {1: 101.0}, None),
        ({"temporary": True, "retry_after_s": 9.0}, facts.Refused, {1: 109.0}, None),
        ({"temporary": False, "divisible": True}, facts.Halved, {}, None),
        ({"temporary": False}, facts.Rejected, {}, None),
        ({"temporary": True, "stops_run": True}, facts.Refused, {}, ServiceRefused),
    ],
)
def test_a_refusal_is_never_paid_for(
    refused: dict[str, Any], fact: type, held_back: dict[int, float], ends_with: type | None
) -> None:
    came = Refused(reason="no", message="no", **refused)
    reaction = reactions.refused(view(submitting=SENT), rules(), 1, came, 1, NOW)
    assert [type(one) for one in reaction.facts] == [fact]
    assert reaction.view.committed_s == 0.0
    assert reaction.view.held_back == held_back
    assert error_of(reaction) is ends_with
    assert reaction.failures is (fact is facts.Rejected)


def test_refusals_in_a_row_end_the_run_when_every_job_had_its_tries() -> None:
    came = Refused(reason="busy", message="busy", temporary=True)
    busy = view(submitting=SENT, trouble=replace(view().trouble, submissions=2))
    assert error_of(reactions.refused(busy, rules(), 1, came, 3, NOW)) is ServiceUnavailable
    assert error_of(reactions.refused(busy, rules(), 1, came, 2, NOW)) is None
    calm = view(submitting=SENT)
    assert error_of(reactions.refused(calm, rules(), 1, came, 3, NOW)) is None


@pytest.mark.parametrize(("slow", "wait_s"), [(False, 120.0), (True, 900.0)])
def test_an_unknown_outcome_stays_paid_until_it_is_settled(slow: bool, wait_s: float) -> None:
    reaction = reactions.unknown(view(submitting=SENT), rules(), 1, Unknown(message="cut", slow=slow), NOW)
    assert reaction.facts == (facts.Lost(job=1, message="cut", slow=slow, took_s=60.0),)
    assert reaction.view.lost[1] == Lost(since=100.0, wait_s=wait_s, next_at=100.0, billable_seconds=7.0, here=True)
    assert reaction.view.committed_s == 7.0
    assert reaction.view.in_flight == 1


# -- jobs at the service -----------------------------------------------------------------------------------------------


def test_one_poll_tells_of_every_job() -> None:
    waiting = {number: replace(THERE, remote_id=f"r{number}") for number in range(1, 6)}
    progress = {
        "r1": Ended(created_at=1.0, ended_at=4.0),
        "r2": Broken(message="too long"),
        "r3": Pending(),
        "r4": Unseen(),
    }
    reaction = reactions.polled(view(waiting=waiting), rules(), progress, NOW)
    assert set(reaction.view.waiting) == {3, 4, 5}
    assert set(reaction.view.to_fetch) == {1}
    assert reaction.view.turnarounds == (3.0,)
    assert reaction.view.trouble.unseen == {"r4": 1}
    assert [type(fact) for fact in reaction.facts] == [facts.Broken]
    assert [event.name for event in reaction.events] == ["ended", "job_failed"]
    assert reaction.failures


def test_a_job_that_is_not_known_for_long_stops_the_run_and_one_that_shows_again_is_forgiven() -> None:
    known = view(waiting={1: THERE}, trouble=replace(view().trouble, unseen={"r1": 4}))
    assert error_of(reactions.polled(known, rules(), {"r1": Unseen()}, NOW)) is ServiceRefused
    assert reactions.polled(known, rules(), {"r1": Pending()}, NOW).view.trouble.unseen == {}


def test_a_job_is_given_up_for_its_time_unless_it_ended_just_now() -> None:
    old = view(waiting={1: replace(THERE, submitted_at=-1.0)})
    impatient = rules(job_timeout_s=100.0)
    (fact,) = reactions.polled(old, impatient, {"r1": Pending()}, NOW).facts
    assert isinstance(fact, facts.Broken)
    assert fact.reason == "job_timeout"
    assert reactions.polled(old, impatient, {"r1": Ended()}, NOW).facts == ()


def test_polls_that_fail_wait_longer_and_then_end_the_run() -> None:
    failed = view()
    for tries, ends_with in ((1, None), (2, None), (3, ServiceUnavailable)):
        reaction = reactions.poll_failed(failed, rules(), ApiError("busy", status=503), NOW)
        failed = reaction.view
        assert failed.trouble.polls == tries
        assert failed.poll_not_before == 100.0 + 2.0 ** (tries - 1)
        assert error_of(reaction) is ends_with
    assert error_of(reactions.poll_failed(view(), rules(), AuthError("no", status=401), NOW)) is ServiceRefused


# -- fetching ----------------------------------------------------------------------------------------------------------


def test_an_answer_that_is_early_is_waited_for_and_at_last_taken_as_it_is() -> None:
    fetching = view(fetching={1: ToFetch(ended=Ended())})
    first = reactions.came_early(fetching, rules(), 1, "1 is missing", NOW).view.to_fetch[1]
    assert (first.early, first.early_at, first.next_at) == (1, 100.0, 100.5)
    late = view(fetching={1: replace(first, early_at=40.0)})
    last = reactions.came_early(late, rules(), 1, "1 is missing", NOW).view.to_fetch[1]
    assert last.ended.announced == {"accept_missing": 1}
    assert last.next_at == 100.0


@pytest.mark.parametrize(
    ("tries", "error", "kept", "ends_with"),
    [
        (0, ApiError("busy", status=503), True, None),
        (2, ApiError("busy", status=503), False, ServiceUnavailable),
        (2, UnexpectedResponse("cut"), False, ServiceUnavailable),
        (2, NotFound("gone", status=404), True, None),  # once more, without artifacts
    ],
)
def test_a_fetch_that_fails_is_tried_as_often_as_the_manifest_says(
    tries: int, error: ApiError, kept: bool, ends_with: type | None
) -> None:
    reaction = reactions.fetch_failed(view(fetching={1: ToFetch(ended=Ended(), tries=tries)}), rules(), 1, error, NOW)
    assert (1 in reaction.view.to_fetch) is kept
    assert error_of(reaction) is ends_with
    assert not reaction.view.no_more  # one answer that is bad holds nobody back
    assert reaction.facts == ()


# -- lost submissions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settled", "fact", "committed_s"),
    [
        (reconcile.Wait(), (), 7.0),
        (reconcile.Found(chosen=CANDIDATE, others=("r2",)), (facts.Found,), 7.0),
        (reconcile.NotThere(), (facts.Missed,), 7.0),  # a list is no proof that nothing was billed
        (reconcile.Gone(chosen=CANDIDATE), (facts.Gone,), 9.0),
        (reconcile.Ask(why="nobody knows"), (), 7.0),
    ],
)
def test_a_look_decides_what_a_lost_answer_costs(
    settled: reconcile.Settled, fact: tuple[type, ...], committed_s: float
) -> None:
    reaction = reactions.looked(view(lost={1: LOST}), rules(), 1, settled, 1, "cut", NOW)
    assert tuple(type(one) for one in reaction.facts) == fact
    assert reaction.view.committed_s == committed_s
    assert (1 in reaction.view.lost) is isinstance(settled, reconcile.Wait)
    assert (1 in reaction.view.held_back) is isinstance(settled, (reconcile.NotThere, reconcile.Gone))
    assert error_of(reaction) is (LostAnswerNeedsDecision if isinstance(settled, reconcile.Ask) else None)


def test_what_nothing_proves_is_sent_again_only_with_consent() -> None:
    asked = reactions.looked(view(lost={1: LOST}), rules(), 1, reconcile.Ask(why="nobody knows"), 1, None, NOW)
    assert not asked.view.no_more  # everything else goes on
    paid = reactions.looked(
        view(lost={1: LOST}), rules(pay_again=True), 1, reconcile.Ask(why="nobody knows"), 1, None, NOW
    )
    assert paid.facts == (facts.Missed(job=1),)
    assert (paid.view.committed_s, paid.view.unproven_s) == (7.0, 7.0)
    assert not paid.view.ending
    [told] = paid.events
    assert isinstance(told, events.Agreed)
    assert "nobody knows" in told.message


def test_what_was_not_waited_for_is_not_said_to_be_absent() -> None:
    """Who pays again on purpose does not wait, so that a list without it proves nothing."""
    at_once = reactions.looked(
        view(lost={1: replace(LOST, since=NOW.now - 1.0, wait_s=120.0)}),
        rules(pay_again=True),
        1,
        reconcile.NotThere(),
        1,
        None,
        NOW,
    )
    assert [event.name for event in at_once.events] == ["agreed"]


def test_the_manifest_may_ask_to_stop_where_an_answer_is_gone() -> None:
    gone = reconcile.Gone(chosen=CANDIDATE)
    reaction = reactions.looked(view(lost={1: LOST}), rules(on_lost_answer="stop"), 1, gone, 1, None, NOW)
    assert error_of(reaction) is LostAnswerNeedsDecision
    assert reaction.facts == (facts.Billed(job=1, chosen=CANDIDATE),)
    assert reaction.view.no_more


def test_what_an_earlier_run_lost_is_no_trouble_of_this_one() -> None:
    weary = view(lost={1: replace(LOST, here=False)}, trouble=replace(view().trouble, submissions=9))
    assert error_of(reactions.looked(weary, rules(), 1, reconcile.NotThere(), 3, None, NOW)) is None
    mine = view(lost={1: LOST}, trouble=replace(view().trouble, submissions=9))
    assert error_of(reactions.looked(mine, rules(), 1, reconcile.NotThere(), 3, None, NOW)) is ServiceUnavailable


# -- stopping ----------------------------------------------------------------------------------------------------------


def test_the_first_reason_is_the_one_that_a_run_ends_with() -> None:
    first = reactions.stop(view(), ServiceUnavailable("first"), leave=False)
    second = reactions.stop(first.view, ServiceRefused("second"), leave=True)
    assert str(second.view.ending.error) == "first"
    assert second.view.leaving
    assert [event.name for event in (*first.events, *second.events)] == ["stopping"]


def test_a_signal_says_what_would_be_paid_again() -> None:
    reaction = reactions.interrupted(view(submitting={**SENT, 2: Sent(at=40.0, billable_seconds=3.0)}), "SIGINT", 130)
    assert reaction.events == (events.Interrupted(signal="SIGINT", requests=2, billable_seconds=10.0),)
    assert reaction.view.ending == Ending(exit_code=130)
    assert reaction.view.leaving


@pytest.mark.parametrize(("failed", "stops"), [(2, False), (3, True)])
def test_a_budget_stops_the_run_with_the_failure_that_spends_it(failed: int, stops: bool) -> None:
    reaction = reactions.over_budget(view(), rules(max_failures=2), failed, 10)
    assert reaction.view.no_more is stops


@pytest.mark.parametrize(
    ("cap", "pay_again", "suspects", "stops"),
    [
        (None, False, (), False),
        (17.0, False, (), False),
        (16.9, False, (), True),
        (None, False, (CANDIDATE,), True),
        (None, True, (CANDIDATE,), False),
    ],
)
def test_what_may_be_sent(cap: float | None, pay_again: bool, suspects: tuple[Candidate, ...], stops: bool) -> None:
    job = Job(number=1, key="k", nonce="n", members=(), size_bytes=0, billable_seconds=10.0)
    reaction = reactions.may_send(view(), rules(cap=cap, pay_again=pay_again), job, suspects, NOW)
    assert reaction.view.no_more is stops
    told = ["stopping"] if stops else ["agreed"] if suspects else []
    assert [event.name for event in reaction.events] == told


def test_what_may_have_been_lost_is_no_reason_to_ask_before_that_is_settled() -> None:
    job = Job(number=1, key="k", nonce="n", members=(), size_bytes=0, billable_seconds=10.0)
    lost = {2: Lost(since=NOW.now, wait_s=5.0, next_at=NOW.now)}
    reaction = reactions.may_send(view(lost=lost), rules(), job, (CANDIDATE,), NOW)
    assert not reaction.view.no_more
    assert NOW.now < reaction.view.held_back[1] < NOW.now + 1.0
