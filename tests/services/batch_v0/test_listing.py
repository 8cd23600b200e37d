"""Whether a list was shown as a whole, and what it lacks to prove that a job is not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import le, lt
from typing import cast

import pytest

from hume_runner.services.batch_v0.client import BatchV0Api, ListedJobs
from hume_runner.services.batch_v0.host import Host
from hume_runner.services.batch_v0.listing import Listing, Walk, lacking, walked
from hume_runner.services.batch_v0.reading import JobView


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


class Shelf:
    """Jobs by (id, creation in ms), listed as the API says it, but that a page has `cap` of them at most. `always`: the
    order that it keeps whatever is asked for; `included`: whether a moment is before and after itself; `deaf`: moments
    that are asked for change nothing."""

    def __init__(
        self,
        jobs: Sequence[tuple[str, int]],
        cap: int,
        *,
        always: str | None = None,
        included: bool = True,
        deaf: bool = False,
    ) -> None:
        self._jobs = sorted(jobs, key=lambda one: one[1])
        self._cap = cap
        self._always = always
        self._before = le if included else lt
        self._deaf = deaf

    def list_jobs(
        self, *, limit: int, sort_by: str, direction: str, when: str = "", timestamp_ms: int = 0
    ) -> ListedJobs:
        assert sort_by == "created"
        kept = [
            (name, at)
            for name, at in self._jobs
            if not when
            or self._deaf
            or (self._before(timestamp_ms, at) if when == "created_after" else self._before(at, timestamp_ms))
        ]
        kept = kept[::-1] if (self._always or direction) == "desc" else kept
        entries = [{"job_id": name, "state": {"status": "COMPLETED", "created_timestamp_ms": at}} for name, at in kept]
        return ListedJobs(jobs=iter(entries[: min(limit, self._cap)]), simulated=False, server_date_s=None)


def many(*groups: tuple[int, int]) -> list[tuple[str, int]]:
    """So many jobs at each moment, in ms."""
    return [(f"{at}-{number}", at) for at, count in groups for number in range(count)]


SINCE = 1_000_000


@pytest.mark.parametrize(
    ("jobs", "cap", "whole"),
    [
        (many((SINCE + 1, 1), (SINCE + 2, 30), (SINCE + 9, 5)), 500, True),  # a burst at the end
        (many((SINCE + 1, 30), (SINCE + 2000, 31)), 500, True),  # a host that tells whole seconds
        (many((10, 40), (SINCE + 1, 12)), 500, True),  # what is older shows how long its pages are
        (many((SINCE + 1, 12)), 500, False),  # nothing shows it
        (many((SINCE + 1, 30), (SINCE + 2, 40)), 20, False),  # a page is one moment, and there are more
        (many((10, 40), (SINCE + 1, 25)), 20, False),
        (many((SINCE + 1, 30), *((SINCE + 10 + number, 1) for number in range(30))), 50, True),
        (many(*((SINCE + number, 3) for number in range(30))), 20, True),
        (many((SINCE + 1, 4)), 500, True),
        ([], 500, True),
    ],
)
def test_a_list_is_whole_unless_a_page_of_one_moment_may_be_cut(
    jobs: Sequence[tuple[str, int]], cap: int, whole: bool
) -> None:
    host = Host(lambda: cast("BatchV0Api", Shelf(jobs, cap)), lambda at: None)
    walk = Walk()
    shown = {view.job_id for view in walked(host, SINCE, walk)}
    assert (walk.gap == "") == whole
    if whole:
        assert shown >= {name for name, at in jobs if at >= SINCE}


@pytest.mark.parametrize("included", [True, False])
@pytest.mark.parametrize("cap", [2, 3, 4])
@pytest.mark.parametrize(("always", "deaf"), [(None, False), ("desc", False), ("desc", True)])
@pytest.mark.parametrize("at", ["the newest", "the oldest", "in the middle"])
def test_jobs_of_one_moment_hide_no_others(at: str, always: str | None, deaf: bool, cap: int, included: bool) -> None:
    """Two at a page, of one millisecond, looked like a list in order, met at once by the other order: what else there
    was, was paid for once more."""
    others = [(f"other-{number}", SINCE + 100 + 10 * number) for number in range(5)]
    moment = {"the newest": SINCE + 900, "the oldest": SINCE + 5, "in the middle": SINCE + 125}[at]
    jobs = others + [(f"twin-{number}", moment) for number in range(cap)]
    shelf = Shelf(jobs, cap, always=always, included=included, deaf=deaf)
    host = Host(lambda: cast("BatchV0Api", shelf), lambda at: None)
    walk = Walk()
    shown = {view.job_id for view in walked(host, SINCE, walk)}
    assert shown == {name for name, _ in jobs} or walk.gap
