"""What a list lacks to prove that a job is not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from hume_runner.services.batch_v0.client import JobView
from hume_runner.services.batch_v0.listing import Listing, lacking


def at(name: str, second: float | None) -> JobView:
    return JobView(job_id=name, status="QUEUED", created_ms=None if second is None else int(second * 1000))


def listing(*views: JobView, newest: Sequence[JobView] | None = None, gap: str = "") -> Listing:
    return Listing(views=views, newest=views[::-1] if newest is None else newest, gap=gap)


GAP = "there is a gap"
SENT_AT, LOST_AT = 9.0, 10.0
BEFORE, AFTER = {"p": 5.0}, {"q": 15.0}


@pytest.mark.parametrize(
    ("shown", "ours", "why"),
    [
        # A job of ours from before, and it is the newest; one from after as well; one from after alone.
        (listing(at("p", 5)), BEFORE, ""),
        (listing(at("p", 5), at("q", 15)), {**BEFORE, **AFTER}, ""),
        (listing(at("q", 15)), AFTER, ""),
        (listing(at("x", 7)), BEFORE, "does not show p"),
        (listing(at("p", 5)), {**BEFORE, **AFTER}, "none of the jobs that the service took after"),
        (listing(at("q", 15)), {**BEFORE, **AFTER}, "does not show p"),
        (listing(), BEFORE, "does not show p"),
        # One that came a moment ago may not show yet, if another from after does.
        (listing(at("p", 5), at("q", 15)), {**BEFORE, **AFTER, "r": 17.5}, ""),
        # Too close to tell which came first: all of ours have to be there.
        (listing(at("p", 9.5)), {"p": 9.5, "q": 11.0}, "does not show q"),
        (listing(at("p", 9.5), at("q", 11)), {"p": 9.5, "q": 11.0}, ""),
        (listing(at("q", 15)), {**AFTER, "r": 16.5}, "does not show r"),
        # None of ours: nothing is missing, and the list proves nothing (services/test_evidence.py).
        (listing(), {}, ""),
        # Not shown whole: its newest page, in order, back to one of ours from before, is as good.
        (listing(at("p", 5), at("q", 15), gap=GAP), {**BEFORE, **AFTER}, ""),
        (listing(at("p", 5), newest=[at("q", 15), at("p", 5)], gap=GAP), {**BEFORE, **AFTER}, ""),
        (listing(at("p", 5), newest=[at("q", 15)], gap=GAP), {**BEFORE, **AFTER}, GAP),
        (listing(at("p", 5), newest=[at("p", 5), at("q", 15)], gap=GAP), {**BEFORE, **AFTER}, GAP),
        (listing(at("x", 7), gap=GAP), {}, GAP),
        (listing(at("q", 15), gap=GAP), AFTER, GAP),
    ],
)
def test_what_a_list_lacks_to_prove_that_a_job_is_not_there(
    shown: Listing, ours: Mapping[str, float], why: str
) -> None:
    said = lacking(shown, ours, SENT_AT, LOST_AT)
    assert said == "" if not why else why in said
