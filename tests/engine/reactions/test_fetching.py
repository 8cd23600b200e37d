"""What comes of fetching, as values: no store, no service, no clock."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hume_runner import events
from hume_runner.engine import facts
from hume_runner.engine.download import Fetched
from hume_runner.engine.reactions import fetching
from hume_runner.engine.view import ToFetch
from hume_runner.errors import (
    ApiError,
    NotFound,
    ServiceUnavailable,
    UnexpectedResponse,
)
from hume_runner.services.base import AnswerUnreadable
from hume_runner.services.jobs import Ended, Job, Leniency, Outcome
from tests.engine.reactions.cases import NOW, error_of, row, rules, view


@pytest.mark.parametrize("place", ["fetching", "filing"])
def test_what_breaks_the_run_is_left_for_another_to_fetch(place: str) -> None:
    assert fetching.dropped(view(**{place: {1: ToFetch(ended=Ended())}}), 1) == view()


@pytest.mark.parametrize("place", ["fetching", "filing"])
def test_an_answer_on_disk_is_recorded_and_what_it_did_not_measure_is_told_by_name(place: str) -> None:
    ended = Ended(created_at=1.0, started_at=2.0, ended_at=3.0)
    outcomes = (
        Outcome(position=0, ok=True, notes=("quiet",)),
        Outcome(position=1, ok=False, reason="no_face", message="nobody is seen"),
    )
    came = Fetched(job=Job(number=1, key="k", nonce="n", members=(), size_bytes=0), answers=(), outcomes=outcomes)
    busy = view(**{place: {1: ToFetch(ended=ended)}}, trouble=replace(view().trouble, fetches=2))
    reaction = fetching.fetched(busy, 1, came, replace(row(1), sources=2), {0: "a.wav", 1: "b.wav"})
    times = {"created_at": 1.0, "started_at": 2.0, "ended_at": 3.0}
    assert reaction.facts == (facts.Finished(job=1, answers=(), outcomes=outcomes, times=times, simulated=False),)
    assert reaction.events == (
        events.NotMeasured(job="job-000001", item="b.wav", reason="no_face", message="nobody is seen"),
        events.MediumNoted(item="a.wav", message="quiet"),
        events.JobFinished(job="job-000001", sources=2, failed=1, items=1),
    )
    assert reaction.view == view()
    assert reaction.failures


def test_an_answer_that_is_early_is_waited_for_and_at_last_taken_as_it_is() -> None:
    busy = view(fetching={1: ToFetch(ended=Ended())})
    first = fetching.came_early(busy, rules(), 1, "1 is missing", NOW).view.to_fetch[1]
    assert (first.early, first.early_at, first.next_at) == (1, 100.0, 100.5)
    late = view(fetching={1: replace(first, early_at=40.0)})
    last = fetching.came_early(late, rules(), 1, "1 is missing", NOW).view.to_fetch[1]
    assert last.leniency == Leniency(missing=True)
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
    reaction = fetching.fetch_failed(view(fetching={1: ToFetch(ended=Ended(), tries=tries)}), rules(), 1, error, NOW)
    assert (1 in reaction.view.to_fetch) is kept
    assert error_of(reaction) is ends_with
    assert not reaction.view.no_more  # one answer that is bad holds nobody back
    assert reaction.facts == ()


@pytest.mark.parametrize(("tries", "leniency", "waits_s"), [(0, Leniency(), 1.0), (1, Leniency(unreadable=True), 0.0)])
def test_what_cannot_be_read_twice_over_is_what_the_service_says(
    tries: int, leniency: Leniency, waits_s: float
) -> None:
    busy = view(fetching={1: ToFetch(ended=Ended(announced={"predictions": 4}), tries=tries)})
    again = fetching.fetch_failed(busy, rules(), 1, AnswerUnreadable("odd"), NOW).view.to_fetch[1]
    assert (again.leniency, again.next_at - NOW.now) == (leniency, waits_s)
    assert again.ended.announced == {"predictions": 4}  # by the service, and nobody else
