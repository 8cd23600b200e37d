"""What a look means to a lost submission, as values: no store, no service, no clock."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import pytest

from hume_runner import events
from hume_runner.engine import facts, reconcile
from hume_runner.engine.reactions import settling
from hume_runner.engine.reactions.settling import Noted
from hume_runner.engine.view import Lost, View
from hume_runner.errors import (
    ApiError,
    LostAnswerNeedsDecision,
    ServiceUnavailable,
)
from hume_runner.services.jobs import Accepted, Answered, Refused, SubmitResult, Unknown
from hume_runner.services.lost import Look
from tests.engine.reactions.cases import CANDIDATE, LOST, NOW, SENT, error_of, rules, view

BEFORE = replace(LOST, here=False)  # an earlier run lost it


@pytest.mark.parametrize(
    ("settled", "fact", "committed_s"),
    [
        (reconcile.Wait(), (), 7.0),
        (reconcile.Found(chosen=CANDIDATE, others=("r2",)), (facts.Found,), 7.0),
        (reconcile.NotThere(), (facts.Missed,), 7.0),  # a list is no proof that nothing was billed
        (reconcile.Gone(chosen=CANDIDATE), (facts.Gone,), 9.0),
        (reconcile.Ask(why="nobody knows"), (facts.Waited,), 7.0),  # the next run does not wait as long again
    ],
)
def test_a_look_decides_what_a_lost_answer_costs(
    settled: reconcile.Settled, fact: tuple[type, ...], committed_s: float
) -> None:
    reaction = settling.looked(view(lost={1: LOST}), rules(), 1, settled, 1, "cut", NOW)
    assert tuple(type(one) for one in reaction.facts) == fact
    assert reaction.view.committed_s == committed_s
    assert (1 in reaction.view.lost) is isinstance(settled, reconcile.Wait)
    assert (1 in reaction.view.held_back) is isinstance(settled, (reconcile.NotThere, reconcile.Gone))
    assert error_of(reaction) is (LostAnswerNeedsDecision if isinstance(settled, reconcile.Ask) else None)


def test_what_nothing_proves_is_sent_again_only_with_consent() -> None:
    asked = settling.looked(view(lost={1: LOST}), rules(), 1, reconcile.Ask(why="nobody knows"), 1, None, NOW)
    assert not asked.view.no_more  # everything else goes on
    paid = settling.looked(
        view(lost={1: BEFORE}), rules(pay_again=True), 1, reconcile.Ask(why="nobody knows"), 1, None, NOW
    )
    [missed] = paid.facts
    assert isinstance(missed, facts.Missed)
    assert missed.doubt, "whoever does not agree is asked again, until it is sent"
    assert (paid.view.committed_s, paid.view.unproven_s) == (7.0, 7.0)
    assert not paid.view.ending
    [told] = paid.events
    assert isinstance(told, events.Agreed)
    assert "nobody knows" in told.message


@pytest.mark.parametrize(
    "settled", [reconcile.NotThere(), reconcile.Ask(why="nobody knows"), reconcile.Gone(chosen=CANDIDATE)]
)
def test_consent_to_pay_again_is_to_what_was_lost_by_then_and_not_to_what_the_same_run_loses(
    settled: reconcile.Settled,
) -> None:
    """A host that cuts every answer was paid as often as a run tries, for one consent."""

    def decided(pay_again: bool) -> object:
        mine = view(lost={1: LOST}, looked_at=NOW.now + 100.0)
        came = settling.looked(mine, rules(pay_again=pay_again, on_lost_answer="stop"), 1, settled, 1, None, NOW)
        return came.facts, came.events, came.view.held_back, came.view.agreed, error_of(came)

    assert decided(pay_again=True) == decided(pay_again=False)


def test_nobody_lists_and_nobody_agreed_to_what_this_run_lost() -> None:
    asked = settling.not_listed(view(lost={1: LOST}), rules(pay_again=True), 1, 1, None, NOW)
    assert error_of(asked) is LostAnswerNeedsDecision
    agreed = settling.not_listed(view(lost={1: BEFORE}), rules(pay_again=True), 1, 1, None, NOW)
    [missed] = agreed.facts
    assert isinstance(missed, facts.Missed)
    assert missed.doubt


def test_a_look_that_fails_is_a_poll_that_fails_and_is_repeated() -> None:
    failed = settling.look_failed(view(lost={1: LOST, 2: BEFORE}), rules(), (1, 2), ApiError("busy", status=503), NOW)
    assert {job: one.next_at for job, one in failed.view.lost.items()} == {1: 101.0, 2: 101.0}
    assert failed.view.trouble.polls == 1
    assert failed.events == (events.PollFailed(message="busy"),)
    assert failed.facts == ()


def test_what_was_not_waited_for_is_not_said_to_be_absent() -> None:
    """Who pays again on purpose does not wait, so that a list without it proves nothing."""
    at_once = settling.looked(
        view(lost={1: replace(BEFORE, since=NOW.now - 1.0, wait_s=120.0)}),
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
    reaction = settling.looked(view(lost={1: LOST}), rules(on_lost_answer="stop"), 1, gone, 1, None, NOW)
    assert error_of(reaction) is LostAnswerNeedsDecision
    assert reaction.facts == (facts.Billed(job=1, chosen=CANDIDATE),)
    assert reaction.view.no_more


def test_what_an_earlier_run_lost_is_no_trouble_of_this_one() -> None:
    weary = view(lost={1: BEFORE}, trouble=replace(view().trouble, submissions=9))
    assert error_of(settling.looked(weary, rules(), 1, reconcile.NotThere(), 3, None, NOW)) is None
    mine = view(lost={1: LOST}, trouble=replace(view().trouble, submissions=9))
    assert error_of(settling.looked(mine, rules(), 1, reconcile.NotThere(), 3, None, NOW)) is ServiceUnavailable


def judged(
    busy: View, look: Look, known: Collection[str] = (), *, misled: bool = False, **rule: Any
) -> reconcile.Settled:
    """`LOST` has had its whole wait at 170."""
    return settling.judge(busy, rules(**rule), 1, look, known, misled=misled)


QUIET = {"lost": {1: LOST}, "looked_at": 170.0, "taken_at": 0.0}


@pytest.mark.parametrize(
    ("parts", "at", "asks"),
    [
        ({}, 171.0, True),
        ({}, 169.0, False),  # it has not had its wait
        ({"submitting": SENT}, 171.0, False),  # whose answer shows whether the list shows what it must
        ({"taken_at": 170.5, "looked_at": 170.0}, 400.0, False),  # this look could not know of it
        ({"taken_at": 160.0}, 171.0, False),  # the list has its time to show that one
        ({"taken_at": 160.0}, 281.0, True),
        ({"queue": (2,)}, 171.0, False),
        ({"queue": (2,), "no_more": True}, 171.0, True),  # which will not be sent
        ({"queue": (2,)}, 291.0, True),
        ({"lost": {1: LOST, 2: replace(LOST, since=60.0)}}, 171.0, False),  # which may be found yet
        ({"lost": {1: LOST, 2: replace(LOST, since=60.0)}}, 181.0, True),
    ],
)
def test_nobody_is_asked_while_something_on_its_way_may_prove_it(
    parts: Mapping[str, Any], at: float, asks: bool
) -> None:
    busy = view(**{**QUIET, "looked_at": at - 0.5, **parts})
    settled = judged(busy, Look(conclusive=False, why="it hides ours"))
    assert settled == (reconcile.Ask(why="it hides ours") if asks else reconcile.Wait())


def test_a_list_is_of_the_moment_in_which_it_was_asked_for_however_late_it_comes() -> None:
    early = view(**{**QUIET, "looked_at": 169.9})
    assert judged(early, Look(conclusive=True)) == reconcile.Wait()
    assert judged(view(**QUIET), Look(conclusive=True)) == reconcile.NotThere()


def test_an_earlier_wait_hastens_the_question_and_proves_nothing() -> None:
    again = view(**{**QUIET, "lost": {1: replace(LOST, waited_before_s=120.0)}, "looked_at": 50.5})
    assert judged(again, Look(conclusive=False, why="it hides ours")) == reconcile.Ask(why="it hides ours")
    assert judged(again, Look(conclusive=True)) == reconcile.Wait()
    assert judged(again, Look(candidates=(replace(CANDIDATE, running=True),))) == reconcile.Wait()


RUNNING = Look(candidates=(replace(CANDIDATE, running=True),))


@pytest.mark.parametrize(
    ("lost", "looked_at", "parts", "rule", "asks"),
    [
        (LOST, 949.9, {}, {}, False),
        (LOST, 950.0, {}, {}, True),
        (LOST, 950.0, {"submitting": SENT}, {}, False),  # which shows more
        (replace(LOST, waited_before_s=900.0), 50.5, {}, {}, True),
        (replace(LOST, waited_before_s=400.0), 50.5, {}, {}, False),
        (replace(LOST, waited_before_s=400.0), 550.0, {}, {}, True),
        (BEFORE, 50.5, {}, {"pay_again": True}, True),
        (BEFORE, 50.5, {"submitting": SENT}, {"pay_again": True}, False),  # which may be what is measured
        (replace(LOST, here=True), 949.9, {}, {"pay_again": True}, False),  # nobody agreed to that
        (replace(LOST, here=True), 950.0, {}, {"pay_again": True}, True),
    ],
)
def test_what_is_measured_at_the_moment_is_waited_for_as_long_as_a_slow_one_and_then_asked_about(
    lost: Lost, looked_at: float, parts: Mapping[str, Any], rule: Mapping[str, Any], asks: bool
) -> None:
    busy = view(**{**QUIET, "lost": {1: lost}, "looked_at": looked_at, **parts})
    assert isinstance(judged(busy, RUNNING, **rule), reconcile.Ask if asks else reconcile.Wait)


def test_who_pays_again_waits_for_no_proof_of_what_was_lost_by_then() -> None:
    busy = view(**{**QUIET, "lost": {1: BEFORE}, "submitting": SENT, "looked_at": 50.5})
    assert judged(busy, Look(conclusive=True), pay_again=True) == reconcile.NotThere()
    mine = view(**{**QUIET, "lost": {1: replace(LOST, here=True)}, "looked_at": 50.5})
    assert judged(mine, Look(conclusive=True), pay_again=True) == reconcile.Wait()


def test_what_was_answered_with_another_jobs_id_is_somewhere_even_where_no_list_shows_it() -> None:
    assert judged(view(**QUIET), Look(conclusive=True)) == reconcile.NotThere()
    assert isinstance(judged(view(**QUIET), Look(conclusive=True), misled=True), reconcile.Ask)
    before = view(**{**QUIET, "lost": {1: BEFORE}})
    assert judged(before, Look(conclusive=True), misled=True, pay_again=True) == reconcile.NotThere()


def test_what_another_job_of_ours_holds_is_no_evidence_of_a_lost_one() -> None:
    there = Look(candidates=(CANDIDATE,), conclusive=True)
    assert judged(view(**QUIET), there) == reconcile.Found(chosen=CANDIDATE, others=())
    assert judged(view(**QUIET), there, known={"r1"}) == reconcile.NotThere()


TWICE = replace(CANDIDATE, remote_id="r2")


@pytest.mark.parametrize(
    ("look", "known", "paid_twice"),
    [
        (Look(), (), []),
        (Look(candidates=(CANDIDATE,)), (), ["r1"]),
        (Look(candidates=(CANDIDATE,)), {"r1"}, []),
        (Look(candidates=(TWICE, CANDIDATE, TWICE)), (), ["r2", "r1"]),
        (Look(candidates=(replace(CANDIDATE, maybe=True), replace(TWICE, shut=True))), (), []),
        (Look(candidates=(CANDIDATE, TWICE), most=1), (), []),  # nothing tells which of them it was
        (Look(candidates=(CANDIDATE, TWICE), most=1), {"r1"}, ["r2"]),
    ],
)
def test_what_was_sent_again_and_taken_before_is_told_as_paid_twice_each_by_itself(
    look: Look, known: Collection[str], paid_twice: list[str]
) -> None:
    reactions = settling.looked_once_more(view(), 1, look, known)
    duplicates = {one.remote_id: facts.Duplicate(job=1, found=one) for one in look.candidates}
    assert [one.facts for one in reactions] == [(duplicates[name],) for name in paid_twice]
    assert [one.events for one in reactions] == [
        (events.PaidTwice(job="job-000001", remote_id=name),) for name in paid_twice
    ]
    assert all(one.view == view() for one in reactions)


ACCEPTED = Accepted(remote_id="r1", server_time_s=None, simulated=False)
FOR_NOW = Refused(reason="busy", message="busy", temporary=True)


@pytest.mark.parametrize(
    ("result", "refused", "told_before", "refused_too", "noted"),
    [
        (ACCEPTED, (), False, True, Noted.NOTHING),
        (ACCEPTED, (1,), False, True, Noted.SENT_AGAIN),
        (ACCEPTED, (1,), True, True, Noted.LOST),
        (Unknown(message="cut"), (1,), False, True, Noted.LOST),
        (FOR_NOW, (), False, True, Noted.REFUSED),
        (FOR_NOW, (), False, False, Noted.NOTHING),
        (FOR_NOW, (1,), False, True, Noted.NOTHING),  # its first try is the one that is looked for
        (FOR_NOW, range(2, 102), False, True, Noted.NOTHING),
        (replace(FOR_NOW, temporary=False), (), False, True, Noted.NOTHING),
        (Answered(remote_id="r1", body=b"", server_time_s=None, simulated=False), (1,), False, True, Noted.NOTHING),
    ],
)
def test_what_may_be_there_besides_what_was_sent_again_is_looked_for_before_the_end(
    result: SubmitResult, refused: Collection[int], told_before: bool, refused_too: bool, noted: Noted
) -> None:
    assert settling.noted(result, 1, refused, told_before=told_before, refused_too=refused_too) is noted


def test_what_is_there_is_looked_at_first() -> None:
    looks = {1: Look(), 2: Look(candidates=(CANDIDATE,)), 3: Look(candidates=(CANDIDATE,))}
    assert settling.in_order([1, 2, 3], looks) == [2, 3, 1]
