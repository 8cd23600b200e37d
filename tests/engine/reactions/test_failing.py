"""What it means that an action failed, as values: no store, no service, no clock."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hume_runner.engine import facts
from hume_runner.engine.reactions import failing, fetching, settling, stopping, waiting
from hume_runner.engine.reactions.base import Reaction
from hume_runner.engine.reactions.failing import Breaks, Heard, Rescue, Step
from hume_runner.engine.view import Action, Fetch, Poll, Prepare, Recheck, Settle, Submit, ToFetch, View
from hume_runner.errors import ApiError, HumeRunnerError, LostAnswerNeedsDecision, NoRoom, StateError
from hume_runner.processes import Stopped
from hume_runner.services.base import AnswerIncomplete, ListingUnsupported
from hume_runner.services.jobs import Accepted, Answered, Ended, Refused, SubmitResult, Unknown
from tests.engine.reactions.cases import LOST, NOW, SENT, error_of, row, rules, view

OUTPUTS = Path("out")
BUSY = view(submitting=SENT, fetching={2: ToFetch(ended=Ended())}, lost={3: LOST, 4: replace(LOST, here=False)})
FETCHED = replace(BUSY, fetching={})
API = ApiError("busy", status=503)
CUT = ConnectionError("cut")
FAULT = AssertionError("a bug")
EARLY = AnswerIncomplete("one is missing")
FULL = OSError(errno.ENOSPC, "No space left on device", "out/raw")
OURS = HumeRunnerError("no model")


def failed(action: Action, error: BaseException, busy: View = BUSY, **rule: Any) -> tuple[Step, ...]:
    rows = {number: replace(row(number), tries=number, error="cut") for number in busy.lost}
    return failing.failed(busy, rules(**rule), action, error, rows, NOW, OUTPUTS)


@pytest.mark.parametrize(
    ("action", "error", "steps"),
    [
        (Submit(1), FAULT, (Heard(job=1, result=Unknown(message="AssertionError: a bug")), Breaks(error=FAULT))),
        (Submit(1), API, (Heard(job=1, result=Unknown(message="ApiError: busy")), Breaks(error=API))),
        (Poll(), API, (waiting.poll_failed(BUSY, rules(), API, NOW),)),
        (Poll(), FAULT, (Breaks(error=FAULT),)),
        (Fetch(2), EARLY, (fetching.came_early(BUSY, rules(), 2, "one is missing", NOW),)),
        (Fetch(2), API, (fetching.fetch_failed(BUSY, rules(), 2, API, NOW),)),
        (Fetch(2), OURS, (Reaction(view=FETCHED), Breaks(error=OURS))),
        (Fetch(2), FAULT, (Reaction(view=FETCHED), Breaks(error=FAULT))),
        (Settle((3, 4)), API, (settling.look_failed(BUSY, rules(), (3, 4), API, NOW),)),
        (Settle((3, 4)), FAULT, (Breaks(error=FAULT),)),
        (Prepare(5), Stopped(), ()),
        (Prepare(5), OURS, (stopping.stop(BUSY, OURS, leave=False),)),
        (Prepare(5), FAULT, (Breaks(error=FAULT),)),
        (Recheck(), API, (Breaks(error=API),)),
        (Recheck(), FAULT, (Breaks(error=FAULT),)),
    ],
    ids=lambda one: type(one).__name__,
)
def test_each_failure_has_its_meaning(action: Action, error: BaseException, steps: tuple[Step, ...]) -> None:
    assert failed(action, error) == steps


@pytest.mark.parametrize(
    ("action", "before", "message"),
    [
        (Fetch(2), [Reaction(view=FETCHED)], "out: cannot write an answer: out/raw: No space left on device"),
        (Prepare(5), [], "out: cannot prepare a medium: out/raw: No space left on device"),
    ],
)
def test_a_disk_that_refuses_breaks_the_run_in_the_states_words(
    action: Action, before: list[Step], message: str
) -> None:
    *others, last = failed(action, FULL)
    assert others == before
    assert isinstance(last, Breaks)
    assert isinstance(last.error, NoRoom)
    assert str(last.error) == message


def test_a_disk_that_names_no_file_is_told_all_the_same() -> None:
    (last,) = failed(Prepare(5), CUT)
    assert isinstance(last, Breaks)
    assert (type(last.error), str(last.error)) == (StateError, "out: cannot prepare a medium: cut")


def test_of_a_host_without_a_list_each_lost_job_is_asked_about_by_itself() -> None:
    first, second = failed(Settle((3, 4)), ListingUnsupported())
    assert isinstance(first, Reaction)
    assert isinstance(second, Reaction)
    assert error_of(first) is error_of(second) is LostAnswerNeedsDecision
    assert (set(first.view.lost), set(second.view.lost)) == ({4}, set())
    assert (first.facts, second.facts) == ((), ())


def test_of_a_host_without_a_list_what_was_lost_by_then_is_sent_again_with_consent() -> None:
    first, second = failed(Settle((3, 4)), ListingUnsupported(), pay_again=True)
    assert isinstance(first, Reaction)
    assert isinstance(second, Reaction)
    assert first.facts == ()
    assert [type(one) for one in second.facts] == [facts.Missed]
    assert set(second.view.held_back) == {4}


LET_GO = Reaction(view=replace(BUSY, submitting={}))
ANSWERED = Answered(remote_id="r1", body=b"{}", server_time_s=None, simulated=True)
ACCEPTED = Accepted(remote_id="r1", server_time_s=None, simulated=True)
UNREADABLE = StateError("it cannot be read", hint="look")


@pytest.mark.parametrize(
    ("job", "result", "error", "steps"),
    [
        (1, ACCEPTED, UNREADABLE, (LET_GO, Rescue(job=1, remote_id="r1", error=UNREADABLE))),
        (1, ANSWERED, UNREADABLE, (LET_GO, Rescue(job=1, remote_id="r1", error=UNREADABLE))),
        (1, Unknown(message="cut"), UNREADABLE, (LET_GO, Breaks(error=UNREADABLE))),
        (1, Refused(reason="no", message="no", temporary=True), CUT, (LET_GO, Breaks(error=CUT))),
        (9, ACCEPTED, UNREADABLE, (Breaks(error=UNREADABLE),)),  # which recording it has taken care of
    ],
)
def test_an_answer_that_the_state_cannot_be_asked_about_is_not_waited_for_and_its_name_is_kept(
    job: int, result: SubmitResult, error: Exception, steps: tuple[Step, ...]
) -> None:
    assert failing.not_judged(BUSY, job, result, error) == steps


def test_a_name_is_kept_whatever_went_wrong() -> None:
    let_go, rescue = failing.not_judged(BUSY, 1, ACCEPTED, ValueError("odd"))
    assert let_go == LET_GO
    assert isinstance(rescue, Rescue)
    assert (type(rescue.error), str(rescue.error)) == (StateError, "odd")
