"""What a list has to show besides before it proves that a lost submission did not arrive."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from hume_runner.services.evidence import uncontrolled
from hume_runner.services.jobs import Job
from hume_runner.services.lost import LostJob


def lost(*before: str, **after: float) -> LostJob:
    job = Job(number=1, key="k", nonce="n", members=(), size_bytes=1)
    return LostJob(job=job, sent_at=1e9, ended_at=2e9, before=before, after=after)


@pytest.mark.parametrize(
    ("one", "shown", "earlier", "why"),
    [
        # A job of ours from before: whatever is capped to the newest shows what came after it.
        (lost("p"), {"p": None}, (), ""),
        (lost("p"), {"p": 100.0, "x": 200.0}, (), ""),
        # But the last one, whatever clocks say: the list may be the oldest so many.
        (lost("p", "o"), {"p": None}, (), ""),
        (lost("p", "o"), {"o": None}, (), "does not show p"),
        # A lonely job: what strangers sent says nothing of what this list shows, however old it is.
        (lost(), {}, (), "no other job of this state"),
        (lost(), {"x": 1.0}, (), "no other job of this state"),
        (lost(), {"x": 1.0}, ("x",), "no other job of this state"),
        (lost("p"), {"x": 1.0}, (), "no other job of this state"),
        # Ours from after alone: the newest so many, of which the lost one is just not one any more.
        (lost(q=3.0), {"q": 500.0}, (), "nothing from before"),
        (lost(q=3.0, r=5.0), {"q": 500.0, "r": 502.0}, (), "nothing from before"),
        # And anybody's from before that, by the list's own times, with what times lose by being rounded.
        (lost(q=3.0), {"q": 500.0, "x": 496.0}, (), ""),
        (lost(q=3.0), {"q": 500.0, "x": 498.0}, (), "nothing from before"),
        (lost(q=3.0), {"q": 500.0, "x": 497.0}, (), "nothing from before"),
        (lost(q=3.0, r=200.0), {"r": 500.0, "x": 400.0}, (), "nothing from before"),
        (lost(q=3.0), {"q": 500.0, "x": None}, (), "nothing from before"),
        (lost(q=3.0), {"q": None, "x": 1.0}, (), "nothing from before"),
        # Or that was listed before it was sent.
        (lost(q=3.0), {"q": None, "x": None}, ("x",), ""),
    ],
)
def test_a_list_proves_nothing_without_jobs_that_it_must_show(
    one: LostJob, shown: Mapping[str, float | None], earlier: tuple[str, ...], why: str
) -> None:
    said = uncontrolled(one, shown, earlier)
    assert said == "" if not why else why in said
