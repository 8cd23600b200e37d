"""What polls tell, as values: no store, no service, no clock."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import pytest

from hume_runner.engine import facts
from hume_runner.engine.reactions import waiting
from hume_runner.errors import (
    ApiError,
    AuthError,
    ServiceRefused,
    ServiceUnavailable,
)
from hume_runner.services.jobs import Broken, Ended, Pending, Unseen
from hume_runner.services.lost import Look
from tests.engine.reactions.cases import CANDIDATE, NOW, THERE, error_of, rules, view

OTHER = replace(CANDIDATE, remote_id="r9")


def test_one_poll_tells_of_every_job() -> None:
    there = {number: replace(THERE, remote_id=f"r{number}") for number in range(1, 6)}
    progress = {
        "r1": Ended(created_at=1.0, ended_at=4.0),
        "r2": Broken(message="too long"),
        "r3": Pending(),
        "r4": Unseen(),
    }
    reaction = waiting.polled(view(waiting=there), rules(), progress, NOW)
    assert set(reaction.view.waiting) == {3, 4, 5}
    assert set(reaction.view.to_fetch) == {1}
    assert reaction.view.turnarounds == (3.0,)
    assert reaction.view.trouble.unseen == {"r4": 1}
    assert [type(fact) for fact in reaction.facts] == [facts.Broken]
    assert [event.name for event in reaction.events] == ["ended", "job_failed"]
    assert reaction.failures


def test_a_job_that_is_not_known_for_long_stops_the_run_and_one_that_shows_again_is_forgiven() -> None:
    known = view(waiting={1: THERE}, trouble=replace(view().trouble, unseen={"r1": 4}))
    assert error_of(waiting.polled(known, rules(), {"r1": Unseen()}, NOW)) is ServiceRefused
    assert waiting.polled(known, rules(), {"r1": Pending()}, NOW).view.trouble.unseen == {}


@pytest.mark.parametrize(("times", "jobs"), [({}, ()), ({"r1": 3}, ()), ({"r1": 4}, (1,)), ({"r1": 4, "r7": 4}, (1,))])
def test_a_job_is_looked_for_before_the_poll_that_gives_it_up(times: Mapping[str, int], jobs: tuple[int, ...]) -> None:
    known = view(waiting={1: THERE}, trouble=replace(view().trouble, unseen=times))
    assert waiting.nearly_given_up(known, rules()) == jobs


@pytest.mark.parametrize(
    ("look", "known", "named"),
    [
        (Look(candidates=(OTHER,)), (), "r9"),
        (Look(candidates=(OTHER,)), {"r9"}, "r1"),  # which is another job of ours
        (Look(candidates=(replace(OTHER, maybe=True),)), (), "r1"),
        (Look(conclusive=True), (), "r1"),
    ],
)
def test_what_the_service_does_not_know_as_it_was_told_it_may_have_under_another_name(
    look: Look, known: Collection[str], named: str
) -> None:
    reaction = waiting.looked(view(waiting={1: THERE}), 1, look, known)
    assert reaction.view.waiting[1].remote_id == named
    assert reaction.facts == ((facts.Renamed(job=1, chosen=OTHER),) if named == "r9" else ())
    assert [event.name for event in reaction.events] == ["found"] * len(reaction.facts)


@pytest.mark.parametrize(
    ("parts", "server", "given_up"),
    [
        ({"since": -1.0}, None, True),  # this run waited for it
        ({"since": 0.0}, None, False),
        # An earlier run sent it, a year ago by the machine's time, which was set since.
        ({"submitted_at": -3e7, "since": 90.0}, None, False),
        ({"submitted_at": -3e7, "since": 90.0}, THERE.created_at + 99.0, False),
        # By the service's own clock it is at work for longer.
        ({"submitted_at": 40.0, "since": 90.0}, THERE.created_at + 101.0, True),
    ],
)
def test_a_job_is_given_up_for_its_time_by_clocks_that_nobody_sets_unless_it_ended_just_now(
    parts: Mapping[str, float], server: float | None, given_up: bool
) -> None:
    waited = view(waiting={1: replace(THERE, **parts)})
    impatient, at = rules(job_timeout_s=100.0), replace(NOW, server=server)
    facts_told = waiting.polled(waited, impatient, {"r1": Pending()}, at).facts
    assert [fact.reason for fact in facts_told if isinstance(fact, facts.Broken)] == ["job_timeout"] * given_up
    assert waiting.polled(waited, impatient, {"r1": Ended()}, at).facts == ()


def test_polls_that_fail_wait_longer_and_then_end_the_run() -> None:
    failed = view()
    for tries, ends_with in ((1, None), (2, None), (3, ServiceUnavailable)):
        reaction = waiting.poll_failed(failed, rules(), ApiError("busy", status=503), NOW)
        failed = reaction.view
        assert failed.trouble.polls == tries
        assert failed.poll_not_before == 100.0 + 2.0 ** (tries - 1)
        assert error_of(reaction) is ends_with
    assert error_of(waiting.poll_failed(view(), rules(), AuthError("no", status=401), NOW)) is ServiceRefused
