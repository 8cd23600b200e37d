from __future__ import annotations

from hume_runner.engine.reconcile import choose
from hume_runner.services.base import Candidate


def candidate(remote_id: str, created_at: float | None) -> Candidate:
    return Candidate(remote_id=remote_id, matches=(), created_at=created_at)


def test_the_earliest_of_several_is_ours_and_the_others_were_paid_as_well() -> None:
    match = choose((candidate("b", 2.0), candidate("a", 3.0), candidate("c", 1.0)), lambda _: False)
    assert match is not None
    assert (match.chosen.remote_id, match.others) == ("c", ("b", "a"))


def test_what_another_job_of_ours_holds_is_not_taken() -> None:
    match = choose((candidate("a", 1.0), candidate("b", 2.0)), lambda remote: remote == "a")
    assert match is not None
    assert (match.chosen.remote_id, match.others) == ("b", ())
    assert choose((candidate("a", 1.0),), lambda _: True) is None
    assert choose((), lambda _: False) is None


def test_candidates_of_the_same_moment_are_chosen_alike_every_time() -> None:
    one = choose((candidate("b", 1.0), candidate("a", 1.0)), lambda _: False)
    other = choose((candidate("a", 1.0), candidate("b", 1.0)), lambda _: False)
    assert one == other
