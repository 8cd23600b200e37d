"""A list that grew proves that what it does not show is not there: against hosts that hide what is old or too much."""

from __future__ import annotations

import pytest

from hume_runner.services.base import Job, LostJob
from hume_runner.services.batch_v0.growth import Growth
from hume_runner.services.batch_v0.listing import Listing
from hume_runner.services.batch_v0.reading import read_job

SENT_AT = 10_000.0


def lost(*before: str, **after: float) -> LostJob:
    job = Job(number=1, key="k", nonce="n", members=(), size_bytes=1)
    return LostJob(job=job, sent_at=SENT_AT, ended_at=SENT_AT, before=before, after=after)


def listing(shown: dict[str, float], gap: str = "") -> Listing:
    """`shown`: when each was created, in seconds after the lost one was sent."""
    views = tuple(
        read_job({"job_id": name, "state": {"status": "QUEUED", "created_timestamp_ms": int((SENT_AT + at) * 1000)}})
        for name, at in shown.items()
    )
    return Listing(views=views, newest=views[::-1], gap=gap)


def proven(*looks: tuple[float, dict[str, float]], one: LostJob | None = None, gap: str = "") -> bool:
    """Whether the last of these looks, at these times by our clock, proves that it is not there."""
    growth = Growth()
    *early, (at, last) = looks
    for began, shown in early:
        growth.note([one or lost(**shown)], listing(shown, gap), began + 0.1)
    return growth.proves(one or lost(**last), listing(last, gap), at)


A, B = {"a": 0.5}, {"a": 0.5, "b": 1.0}


def test_what_shows_more_later_was_no_full_list_before() -> None:
    assert proven((0.7, A), (121.0, B))


@pytest.mark.parametrize(
    ("looks", "why"),
    [
        ([(121.0, B)], "nobody looked before"),
        ([(0.7, B), (121.0, B)], "it may be full with two"),
        ([(0.7, {}), (121.0, B)], "the early look showed none of ours: it may have been late"),
        ([(0.7, A), (121.0, {"b": 1.0, "c": 2.0})], "nothing of the early look shows by now"),
    ],
)
def test_what_does_not_grow_proves_nothing(looks: list[tuple[float, dict[str, float]]], why: str) -> None:
    assert not proven(*looks), why


def test_nor_does_a_list_with_gaps_or_one_that_lacks_what_came_before() -> None:
    assert not proven((0.7, A), (121.0, B), gap="not whole")
    assert not proven((0.7, A), (121.0, B), one=lost("p", a=0.5, b=1.0))


CREATED = [0.5, 1.0, 1.5, 4.0, 130.0]


@pytest.mark.parametrize("accepted", [0.0, 0.8, 1.2, 90.0])
@pytest.mark.parametrize("newest", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("younger_than_s", [0.6, 2.0, 119.6, 120.2, 131.0, 1e9])
def test_no_host_that_shows_the_newest_or_the_youngest_hides_one_that_it_took(
    accepted: float, newest: int, younger_than_s: float
) -> None:
    """The lost one was taken: whenever a look does not show it, and none did before, nothing is proven."""
    ours = {f"j{n}": at for n, at in enumerate(CREATED)}
    growth = Growth()
    for now in [0.7, 1.1, 1.6, 2.0, 5.0, 60.0, 121.0, 125.0, 131.0, 140.0]:
        there = sorted([(at, name) for name, at in [*ours.items(), ("lost", accepted)] if at <= now], reverse=True)
        shown = {name: at for at, name in reversed(there[:newest]) if now - at < younger_than_s}
        if "lost" in shown:
            return  # it is found
        one = lost(**{name: at for name, at in ours.items() if at <= now})
        # Nobody asks for a proof before the host had its time to take it.
        assert now < 121.0 or not growth.proves(one, listing(shown), now)
        growth.note([one], listing(shown), now + 0.01)
