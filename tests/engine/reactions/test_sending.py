"""What comes of a submission, as values: no store, no service, no clock."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import pytest

from hume_runner import events
from hume_runner.engine import facts
from hume_runner.engine.reactions import sending
from hume_runner.engine.reactions.base import Reaction
from hume_runner.engine.reactions.sending import Ask, Divide
from hume_runner.engine.view import Lost, Sent, View
from hume_runner.errors import (
    LostAnswerNeedsDecision,
    ServiceRefused,
    ServiceUnavailable,
)
from hume_runner.services.jobs import Accepted, Answered, Draft, Job, Member, PlanItem, Prepared, Refused, Unknown
from hume_runner.services.lost import Candidate
from tests.engine.reactions.cases import CANDIDATE, NOW, SENT, TAKEN, THERE, error_of, row, rules, view


def member(name: str) -> Member:
    item = PlanItem(
        key=name.lower().encode(), id=name, kind="text", value=name, path=None, size_bytes=1, content_sha256=name
    )
    return Member(item=item)


A, B, C = member("a"), member("b"), member("c")
GONE = replace(A, item=replace(A.item, id=""))  # the manifest does not list it any more


def test_what_is_accepted_is_recorded_waited_for_and_told() -> None:
    came = Accepted(remote_id="r1", server_time_s=5.0, simulated=True)
    reaction = sending.accepted(view(submitting=SENT, limit=2.0), 1, came, NOW)
    assert reaction.facts == (TAKEN,)
    assert reaction.events == (events.Submitted(job="job-000001", remote_id="r1"),)
    assert reaction.view.submitting == {}
    assert reaction.view.waiting == {1: replace(THERE, submitted_at=100.0, since=100.0, created_at=5.0)}
    assert reaction.view.limit == 3.0
    assert reaction.view.committed_s == 7.0


def test_an_answer_that_comes_at_once_is_recorded_with_its_bytes_and_filed() -> None:
    came = Answered(remote_id="r1", body=b"{}", server_time_s=5.0, simulated=True, carry="c", billed_seconds=8.0)
    reaction = sending.answered(view(submitting=SENT), 1, came, 90.0, NOW)
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
    reaction = sending.refused(view(submitting=SENT), rules(), 1, came, 1, NOW)
    assert [type(one) for one in reaction.facts] == [fact]
    assert reaction.view.committed_s == 0.0
    assert reaction.view.held_back == held_back
    assert error_of(reaction) is ends_with
    assert reaction.failures is (fact is facts.Rejected)


def test_refusals_in_a_row_end_the_run_when_every_job_had_its_tries() -> None:
    came = Refused(reason="busy", message="busy", temporary=True)
    busy = view(submitting=SENT, trouble=replace(view().trouble, submissions=2))
    assert error_of(sending.refused(busy, rules(), 1, came, 3, NOW)) is ServiceUnavailable
    assert error_of(sending.refused(busy, rules(), 1, came, 2, NOW)) is None
    calm = view(submitting=SENT)
    assert error_of(sending.refused(calm, rules(), 1, came, 3, NOW)) is None


@pytest.mark.parametrize(("slow", "wait_s"), [(False, 120.0), (True, 900.0)])
def test_an_unknown_outcome_stays_paid_until_it_is_settled(slow: bool, wait_s: float) -> None:
    reaction = sending.unknown(view(submitting=SENT), rules(), 1, Unknown(message="cut", slow=slow), NOW)
    assert reaction.facts == (facts.Lost(job=1, message="cut", slow=slow, took_s=60.0),)
    assert reaction.view.lost[1] == Lost(since=100.0, wait_s=wait_s, next_at=100.0, billable_seconds=7.0, here=True)
    assert reaction.view.committed_s == 7.0
    assert reaction.view.in_flight == 1


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
    reaction = sending.may_send(view(), rules(cap=cap, pay_again=pay_again), job, suspects, NOW)
    assert reaction.view.no_more is stops
    told = ["stopping"] if stops else ["agreed"] if suspects else []
    assert [event.name for event in reaction.events] == told


def test_what_may_have_been_lost_is_no_reason_to_ask_before_that_is_settled() -> None:
    job = Job(number=1, key="k", nonce="n", members=(), size_bytes=0, billable_seconds=10.0)
    lost = {2: Lost(since=NOW.now, wait_s=5.0, next_at=NOW.now)}
    reaction = sending.may_send(view(lost=lost), rules(), job, (CANDIDATE,), NOW)
    assert not reaction.view.no_more
    assert NOW.now < reaction.view.held_back[1] < NOW.now + 1.0


def test_what_was_agreed_to_for_a_job_is_not_asked_about_again() -> None:
    job = Job(number=1, key="k", nonce="n", members=(), size_bytes=0)
    agreed = sending.may_send(view(), rules(pay_again=True), job, (CANDIDATE,), NOW).view
    assert sending.may_send(agreed, rules(), job, (CANDIDATE,), NOW) == Reaction(view=agreed)
    assert sending.may_send(agreed, rules(), replace(job, number=2), (CANDIDATE,), NOW).view.no_more


def test_who_has_not_agreed_is_asked_about_one_job_and_all_else_goes_on() -> None:
    job = Job(number=1, key="k", nonce="n", members=(), size_bytes=0)
    reaction = sending.asked_about(view(), job, "it may be what was lost")
    assert error_of(reaction) is LostAnswerNeedsDecision
    assert reaction.view.passed_over == {1}
    assert not reaction.view.no_more
    assert [event.name for event in reaction.events] == ["undecided"]
    assert reaction.facts == ()


def test_what_leaves_is_committed_and_given_back_where_its_intent_cannot_be_recorded() -> None:
    job = Job(number=2, key="k", nonce="n", members=(A, B), size_bytes=0, billable_seconds=10.0)
    left = sending.sent(view(submitting=SENT), job, NOW)
    assert left.submitting == {**SENT, 2: Sent(at=100.0, billable_seconds=10.0, members=2)}
    assert left.committed_s == 17.0
    assert sending.not_sent(left, [2]) == view(submitting=SENT)


@pytest.mark.parametrize("busy", [view(submitting=SENT), view(waiting={1: THERE})])
def test_what_was_taken_under_another_jobs_id_is_looked_for_by_what_it_carries(busy: View) -> None:
    reaction = sending.misled(busy, rules(), 1, "it shows another", NOW)
    assert (reaction.view.submitting, reaction.view.waiting, set(reaction.view.lost)) == ({}, {}, {1})
    assert reaction.facts == (facts.Misled(job=1, message="it shows another"),)
    assert reaction.events == (events.Lost(job="job-000001", message="it shows another"),)


def test_what_an_earlier_run_lost_has_its_whole_wait_again() -> None:
    again = sending.lost(view(), rules(), 1, slow=True, cost=7.0, here=False, at=NOW, waited_s=5.0, unlisted=True)
    assert again.lost[1] == Lost(
        since=100.0,
        wait_s=900.0,
        next_at=100.0,
        billable_seconds=7.0,
        here=False,
        waited_before_s=5.0,
        unlisted=True,
    )


@pytest.mark.parametrize(
    ("tries", "failures", "ends"), [(2, 9, False), (3, 2, False), (3, 3, True), (4, 9, False), (6, 9, True)]
)
def test_failures_in_a_row_are_all_jobs_and_each_had_its_tries(tries: int, failures: int, ends: bool) -> None:
    busy = view(trouble=replace(view().trouble, submissions=failures))
    assert (error_of(sending.in_vain(busy, rules(), tries, "busy")) is ServiceUnavailable) is ends


def test_an_id_that_another_job_has_is_an_answer_that_is_lost() -> None:
    came = Accepted(remote_id="r1", server_time_s=5.0, simulated=True)
    reaction = sending.came(view(submitting=SENT), rules(), 1, came, row(1), told_before=True, at=NOW)
    (fact,) = reaction.facts
    assert fact == facts.Misled(job=1, message="the service answered with the id of another job, r1")
    assert set(reaction.view.lost) == {1}
    assert reaction.view.waiting == {}


def test_a_source_that_vanished_fails_alone_and_unsent() -> None:
    job = Job(number=1, key="k", nonce="n", members=(), size_bytes=0)
    reaction = sending.cannot_be_read(view(), job, "no such file")
    (fact,) = reaction.facts
    assert fact == facts.Unsent(job=1, reason="source_unreadable", message="cannot read a source: no such file")
    assert reaction.failures


@pytest.mark.parametrize(
    ("members", "left_out", "doubts", "first"),
    [
        ((A, B), (), {}, None),
        ((GONE, B, C), (), {}, Divide(parts=([B, C],))),
        ((A, B, C), {b"b"}, {}, Divide(parts=([A, C],))),
        ((A, B), {b"a", b"b"}, {}, Divide(parts=([],))),
        ((A, B, C), {b"b"}, {b"c": "why c"}, Divide(parts=([A, C],))),  # it is asked about when their turn comes
        ((A, B, C), (), {b"b": "why b"}, Divide(parts=([A, C], [B]))),
        ((A, B), (), {b"b": "why b", b"a": "why a"}, Ask(why="why b")),  # all of it, and the first reason is told
    ],
)
def test_what_is_beyond_doubt_and_still_listed_waits_for_nothing_else(
    members: tuple[Member, ...], left_out: Collection[bytes], doubts: Mapping[bytes, str], first: Divide | Ask | None
) -> None:
    job = Job(number=1, key="k", nonce="n", members=members, size_bytes=0)
    assert sending.first(job, left_out, doubts) == first


def test_what_takes_a_jobs_place_is_recorded_and_waits_for_its_turn() -> None:
    job = Job(number=1, key="k", nonce="n", members=(A, B), size_bytes=0)
    drafts = [Draft(members=(A,), size_bytes=0), Draft(members=(B,), size_bytes=0)]
    busy = view(queue=(2,))
    assert sending.replaced(busy, job, drafts) == Reaction(
        view=busy, facts=(facts.Replaced(job=1, drafts=tuple(drafts)),)
    )


def test_what_is_prepared_is_recorded_before_anything_else() -> None:
    came = Prepared(
        drafts=(Draft(members=(A,), size_bytes=0),), failed=((0, "broken", "no sound"),), given_up=(4,), notes=("loud",)
    )
    became = facts.Replaced(job=3, drafts=came.drafts, failed=came.failed, given_up=(4,))
    busy = view(queue=(1, 2))
    assert sending.prepared(busy, 3, came) == Reaction(view=busy, facts=(became,))


def test_what_is_prepared_waits_behind_what_is_ready_already() -> None:
    came = Prepared(drafts=(), failed=((0, "broken", "no sound"),))
    reaction = sending.ready(view(queue=(1, 2)), came, [7, 8], {0: "a.wav"})
    assert reaction.view.queue == [1, 2, 7, 8]
    assert reaction.events == (events.ItemFailed(item="a.wav", reason="broken", message="no sound"),)
    assert reaction.failures
