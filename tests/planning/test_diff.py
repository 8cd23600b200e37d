from __future__ import annotations

from typing import Any

import pytest

from hume_runner.planning.diff import Known, decide
from hume_runner.planning.model import SUBMITS, Action, Decision, Summary


def known(**facts: Any) -> Known:
    blank: dict[str, Any] = {
        "key": b"k" * 32,
        "content": b"c" * 32,
        "outcome": None,
        "job": None,
        "job_status": None,
        "error": None,
        "simulated": False,
        "attempted": False,
        "old_key": None,
        "old_content": None,
    }
    return Known(**{**blank, **facts})


BEFORE = {"old_key": b"o" * 32, "old_content": b"c" * 32}
FASTER = ("models.face.fps_pred: 5 -> 3",)


@pytest.mark.parametrize(
    ("facts", "changes", "action", "words"),
    [
        ({}, (), Action.NEW, "not measured yet"),
        ({"outcome": "done"}, (), Action.DONE, "measured"),
        ({"outcome": "done", "simulated": True}, (), Action.CHANGED, "only simulated so far"),
        ({"outcome": "failed", "error": "too long"}, (), Action.FAILED, "too long (--retry-failed"),
        ({"outcome": "failed"}, (), Action.FAILED, "failed (--retry-failed"),
        ({"outcome": "pending", "job_status": "planned"}, (), Action.NEW, "not measured yet"),
        ({"outcome": "pending", "job_status": None}, (), Action.NEW, "not measured yet"),
        ({"outcome": "pending", "job_status": "planned", "attempted": True}, (), Action.RETRY, "surely not accepted"),
        ({"outcome": "pending", "job_status": "submitting", "attempted": True}, (), Action.IN_FLIGHT, "waiting"),
        ({"outcome": "pending", "job_status": "submitted", "attempted": True}, (), Action.IN_FLIGHT, "waiting"),
        ({"outcome": "pending", "job_status": "ambiguous", "attempted": True}, (), Action.AMBIGUOUS, "will be asked"),
        (BEFORE | {"old_content": b"x" * 32}, (), Action.CHANGED, "its content changed"),
        (BEFORE, FASTER, Action.CHANGED, "models.face.fps_pred: 5 -> 3"),
        (BEFORE | {"old_content": b"x"}, FASTER, Action.CHANGED, "its content changed; models.face"),
        (BEFORE, (), Action.CHANGED, "measured before by other rules"),
    ],
)
def test_what_a_run_does_and_why(facts: dict[str, Any], changes: tuple[str, ...], action: Action, words: str) -> None:
    decision = decide(known(**facts), changes, retry_failed=False, real_endpoint=True)
    assert decision.action is action
    assert words in decision.reason


def test_the_emulator_s_results_count_at_the_emulator() -> None:
    assert (
        decide(known(outcome="done", simulated=True), (), retry_failed=False, real_endpoint=False).action is Action.DONE
    )


def test_a_failure_is_tried_again_only_when_asked() -> None:
    asked = decide(known(outcome="failed", error="too long"), (), retry_failed=True, real_endpoint=True)
    assert asked == Decision(Action.RETRY, "failed before: too long")


def test_what_the_service_may_hold_is_never_submitted() -> None:
    for status in ("submitting", "submitted", "ambiguous"):
        held = known(outcome="pending", job_status=status, attempted=True)
        assert decide(held, (), retry_failed=True, real_endpoint=True).action not in SUBMITS


def test_unfinished_counts_what_a_run_would_touch() -> None:
    each_once = Summary(**{str(action): 1 for action in Action})
    assert each_once.unfinished == len(SUBMITS) + 2  # what is sent, and what is on its way or ambiguous
