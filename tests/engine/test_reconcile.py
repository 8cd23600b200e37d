"""What a look at the service means for a lost submission."""

from __future__ import annotations

import pytest

from hume_runner.engine.reconcile import Ask, Found, Gone, NotThere, Settled, Wait, adopt_command, next_look_s, settle
from hume_runner.services.lost import Candidate, Look


def candidate(remote_id: str, created_at: float = 1.0, **facts: bool) -> Candidate:
    return Candidate(remote_id=remote_id, matches={}, created_at=created_at, **facts)  # type: ignore[arg-type]


A, B = candidate("a", 1.0), candidate("b", 2.0)
MAYBE = candidate("m", maybe=True)
RUNNING = candidate("r", running=True)
GONE = candidate("g", gone=True)
SHOWS = Look(conclusive=True)
SHOWS_NOTHING = Look(why="the list is short")


@pytest.mark.parametrize(
    ("look", "waited_s", "expected"),
    [
        (SHOWS, 0.0, Wait()),
        (SHOWS, 119.9, Wait()),
        (SHOWS, 120.0, NotThere()),
        (SHOWS_NOTHING, 119.9, Wait()),
        (SHOWS_NOTHING, 1e9, Ask(why="the list is short")),
        (Look(candidates=(B, A)), 0.0, Found(chosen=A, others=("b",))),
        (Look(candidates=(MAYBE, A)), 0.0, Found(chosen=A, others=())),
        (Look(candidates=(MAYBE,), why="m says nothing"), 0.0, Wait()),
        (Look(candidates=(MAYBE,), why="m says nothing"), 120.0, Ask(why="m says nothing")),
        (Look(candidates=(RUNNING,), conclusive=True), 1e9, Wait()),
        (Look(candidates=(GONE,), conclusive=True), 0.0, Gone(chosen=GONE)),
        (Look(candidates=(candidate("known"),), conclusive=True), 120.0, NotThere()),
    ],
)
def test_a_look_is_evidence_only_as_far_as_it_goes(look: Look, waited_s: float, expected: Settled) -> None:
    assert settle(look, {"known"}, waited_s=waited_s, wait_s=120.0) == expected


@pytest.mark.parametrize(
    ("look", "may_be"),
    [(Look(candidates=(RUNNING,), most=1), ("r",)), (Look(candidates=(RUNNING, MAYBE, GONE), most=1), ())],
    ids=["alone", "among others"],
)
def test_what_is_measured_without_an_end_is_waited_for_so_long_and_then_asked_about(
    look: Look, may_be: tuple[str, ...]
) -> None:
    for waited_s, wait_s in ((899.9, 120.0), (899.9, 0.0), (999.9, 1000.0)):
        assert settle(look, (), waited_s=waited_s, wait_s=wait_s, running_s=900.0) == Wait()
    asked = settle(look, (), waited_s=900.0, wait_s=120.0, running_s=900.0)
    assert isinstance(asked, Ask)
    assert "as r, and comes to no end" in asked.why
    assert (asked.may_be, asked.named) == (may_be, ("r",))
    put_off = settle(look, (), waited_s=900.0, wait_s=120.0, running_s=900.0, put_off_s=1e9)
    assert put_off == Wait()


def test_of_what_is_there_something_that_may_be_ours_is_never_proof_that_ours_is_not() -> None:
    settled = settle(Look(candidates=(MAYBE,), conclusive=True), (), waited_s=1e9, wait_s=1.0)
    assert isinstance(settled, Ask)
    assert "m" in settled.why
    assert settled.named == ("m",)


def test_looks_come_often_at_first_and_once_right_after_the_wait() -> None:
    waits = [next_look_s(looks, waited_s=0.0, wait_s=120.0) for looks in range(8)]
    assert waits == sorted(waits)
    assert waits[0] == 0.25
    assert waits[-1] == 10.0
    assert next_look_s(7, waited_s=115.0, wait_s=120.0) == 5.0
    assert next_look_s(7, waited_s=119.999, wait_s=120.0) == 0.05
    assert next_look_s(7, waited_s=898.0, wait_s=120.0, running_s=900.0) == 2.0
    assert next_look_s(7, waited_s=900.0, wait_s=120.0, running_s=900.0) == 10.0


def test_the_command_that_takes_a_job_names_it_and_is_safe_to_type() -> None:
    assert adopt_command(()) == "`hume-runner adopt MANIFEST REMOTE_ID`"
    assert adopt_command(("a", "b c")) == "`hume-runner adopt MANIFEST a 'b c'`"
    assert adopt_command(("a", "b", "c", "d", "e", "f")) == "`hume-runner adopt MANIFEST a b c d e` …"
