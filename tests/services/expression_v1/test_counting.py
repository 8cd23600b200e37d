"""How a host counts bytes is its own business: a run that was billed as much as an upload costs may be that upload."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hume_runner.services.expression_v1.limits import PART_OVERHEAD_BYTES
from hume_runner.services.expression_v1.runs import (
    ALIKE,
    EXACT,
    FORM,
    STATE,
    UNCOUNTED,
    Counting,
    Size,
    carried,
    looseness,
)
from hume_runner.services.jobs import Job
from tests.services.expression_v1.test_records import a_run, lost, lost_frames

NOTHING_KNOWN = Counting()


def audio(seconds: float) -> Job:
    return lost(samples=round(16_000 * seconds)).job


def pictures(number: int, *, carried: bool = False) -> Job:
    job = lost_frames(1, images=number, media=40_000 * number, carried=carried).job
    return replace(job, billable_seconds=max(10.0, number / 3))


def size(job: Job, received: int | None, metered_s: float | None) -> Size:
    endpoint = "audio" if "part" in job.members[0].detail else "video"
    return Size(endpoint=endpoint, received=received, metered_s=metered_s)


# What a host tells of a form (with so many bytes of media in it, in so many parts).
COUNTS: dict[str, Callable[[int, int], int]] = {
    "records of TLS": lambda media, parts: form(media, parts) + 31 * math.ceil(form(media, parts) / 16_384),
    "frames of HTTP/2": lambda media, parts: form(media, parts) + 9 * math.ceil(form(media, parts) / 16_384),
    "packets": lambda media, parts: form(media, parts) + 52 * math.ceil(form(media, parts) / 1448),
    "KiB": lambda media, parts: math.ceil(media / 1024) * 1024,
    "whole KiB, cut off": lambda media, parts: media // 1024 * 1024,
    "blocks": lambda media, parts: math.ceil(media / 512) * 512,
    "with headers": lambda media, parts: form(media, parts) + 700,
}
ODD: dict[str, Callable[[int, int], int]] = {
    "less": lambda media, parts: media - 1000,
    "half": lambda media, parts: media // 2,
    "base64": lambda media, parts: media * 4 // 3,
    "nothing": lambda media, parts: 0,
}
JOBS = {
    "less than the least": audio(2.0),
    "some seconds": audio(30.1),
    "minutes": audio(180.2),
    "a picture": pictures(1),
    "pictures": pictures(200),
    "frames": pictures(200, carried=True),
}


def form(media: int, parts: int) -> int:
    return media + 300 + 150 * parts


def told(job: Job, how: Callable[[int, int], int]) -> int:
    return how(*carried(job))


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("how", COUNTS | ODD)
def test_what_began_about_then_and_was_billed_as_much_may_be_it_whatever_bytes_are_told(job: str, how: str) -> None:
    upload = JOBS[job]
    run = size(upload, told(upload, (COUNTS | ODD)[how]), upload.billable_seconds)
    assert run.likeness(upload, NOTHING_KNOWN, near=True) is not None


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("how", COUNTS)
def test_without_a_state_it_may_have_been_measured_before_however_a_host_counts(job: str, how: str) -> None:
    upload = JOBS[job]
    for seconds in (upload.billable_seconds, None):
        run = size(upload, told(upload, COUNTS[how]), seconds)
        assert run.likeness(upload, NOTHING_KNOWN, near=False) is not None


BEFORE = [
    # what is to be sent; bytes and seconds of what was measured some day; whether it may be that
    (audio(30.1), 1, 30.1, True),  # a recording's length tells
    (audio(30.1), 1, 31.2, False),
    (audio(30.1), None, 30.6, True),
    (audio(30.1), None, 31.2, False),
    (audio(2.0), 32_000, 10.0, False),  # the least that is billed tells nothing
    (audio(2.0), 96_000, 10.0, False),
    (audio(2.0), None, 10.0, True),
    (audio(10.4), 32_000, 10.0, False),
    (pictures(300), 9_000_000, 100.0, False),  # so many pictures as fit into one request are sent every day
    (pictures(300), 12_300_000, 100.0, True),
]


@pytest.mark.parametrize(("job", "received", "metered_s", "may_be"), BEFORE)
def test_of_what_was_measured_in_days_seconds_that_fit_very_much_are_not_enough(
    job: Job, received: int | None, metered_s: float, may_be: bool
) -> None:
    assert (size(job, received, metered_s).likeness(job, NOTHING_KNOWN, near=False) is not None) is may_be


@given(st.integers(1, 24_000_000), st.integers(0, 30_000_000), st.floats(0, 2000), st.booleans())
def test_only_seconds_that_surely_differ_exclude_what_began_about_then(
    samples: int, received: int, metered_s: float, near: bool
) -> None:
    job = lost(samples=samples).job
    how = size(job, received, metered_s).likeness(job, NOTHING_KNOWN, near=near)
    apart = abs(metered_s - (job.billable_seconds or 0))
    if apart <= 1.0:
        assert how is not None or not near
    elif how is not None:
        assert how < UNCOUNTED  # its bytes are those of the upload
    if how is not None:
        assert size(job, received, metered_s).likeness(job, NOTHING_KNOWN, near=True) == how
        assert size(job, received, None).likeness(job, NOTHING_KNOWN, near=near) is not None or how == ALIKE


@given(st.integers(1, 24_000_000), st.integers(1, 24_000_000), st.integers(-44, 700))
def test_what_is_counted_as_runs_of_ours_are_fits_best(samples: int, other: int, beyond: int) -> None:
    job, control = lost(samples=samples).job, lost(2, samples=other).job
    assume(beyond in (-44, 0) or 100 <= beyond <= 700)
    run = a_run("control", bytes_received=control.size_bytes + beyond)
    counting = Counting.shown_by({"control": control}, {"control": run})
    for more in (-44, 0, 100, beyond, 700, 701, 5000):
        received = job.size_bytes + more
        known = counting.looseness(job, received)
        assert (known == EXACT) == (more == beyond)
        # With the form and without it are two ways, and a host has one.
        assert (known is None) == (looseness(job, received) is None or (more > 0) != (beyond > 0))
        # What is counted another way is never excluded by that.
        told = size(job, received, job.billable_seconds)
        assert told.likeness(job, counting, near=True) == (ALIKE if known is None else known)


def test_a_run_of_ours_tells_of_uploads_with_another_number_of_parts_whether_the_form_counts() -> None:
    one, two = pictures(1), pictures(2)
    run = a_run("control", endpoint="video", bytes_received=40_000 + 450)
    counting = Counting.shown_by({"control": one, "gone": one}, {"control": run})
    assert counting.looseness(one, 40_450) == EXACT
    assert counting.looseness(one, 40_451) == FORM
    assert counting.looseness(one, 40_000) is None
    assert counting.looseness(two, 80_000) is None
    assert counting.looseness(two, 80_450) == FORM
    assert counting.looseness(pictures(2, carried=True), 80_450 + 40_000) == STATE
    assert counting.looseness(one, None) == UNCOUNTED
    assert counting.looseness(audio(2.0), 64_044) == EXACT  # another endpoint
    assert two.size_bytes == 80_000 + 2 * PART_OVERHEAD_BYTES
