"""The bill: exact, never below what the service takes, and packing never costs more."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.services.expression_v1.cost import (
    NOTHING,
    Bill,
    bill_audio_request,
    bill_image_request,
    billable_seconds_audio,
    billable_seconds_images,
    fits,
    shown_seconds,
    total,
)


@pytest.mark.parametrize(
    ("images", "seconds"), [(0, 0), (1, 10), (30, 10), (31, Fraction(31, 3)), (300, 100), (600, 200)]
)
def test_images_are_a_third_of_a_second_and_a_request_ten(images: int, seconds: Fraction) -> None:
    assert billable_seconds_images(images) == seconds


@pytest.mark.parametrize(
    ("duration_ms", "seconds"), [(0, 0), (1, 10), (10_000, 10), (10_001, Fraction(10_001, 1000)), (780_000, 780)]
)
def test_audio_is_its_duration_and_a_request_ten(duration_ms: int, seconds: Fraction) -> None:
    assert billable_seconds_audio(duration_ms) == seconds


def test_three_hundred_stills_cost_a_hundred_seconds_packed_and_three_thousand_alone() -> None:
    assert bill_image_request(300) == Bill(packed_s=Fraction(100), unpacked_s=Fraction(3000))
    assert total(bill_image_request(75) for _ in range(4)) == Bill(packed_s=Fraction(100), unpacked_s=Fraction(3000))


@given(st.lists(st.integers(0, 1000), max_size=30))
def test_thirds_add_up_without_drift(requests: list[int]) -> None:
    bill = total(bill_image_request(30 + images) for images in requests)
    assert bill.packed_s * 3 == sum(30 + images for images in requests)


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_one_request_never_costs_more_than_the_same_images_in_two(one: int, other: int) -> None:
    together = billable_seconds_images(one + other)
    apart = billable_seconds_images(one) + billable_seconds_images(other)
    assert together <= apart
    assert (together == apart) == (one >= 30 and other >= 30)


@given(st.lists(st.integers(0, 600_000), min_size=1, max_size=20), st.integers(0, 3000))
def test_packed_clips_bill_the_silence_between_them(durations: list[int], gap_ms: int) -> None:
    bill = bill_audio_request(durations, gap_ms=gap_ms)
    sent_ms = sum(durations) + gap_ms * (len(durations) - 1)
    assert bill.packed_s == (max(10, Fraction(sent_ms, 1000)) if sent_ms else 0)
    assert bill.unpacked_s == sum((max(10, Fraction(ms, 1000)) for ms in durations if ms), Fraction(0))
    assert bill + NOTHING == bill


@given(st.lists(st.integers(1, 100), max_size=50), st.integers(0, 500))
def test_a_cap_is_reached_and_never_exceeded(requests: list[int], cap_s: int) -> None:
    committed = Fraction(0)
    for images in requests:
        cost = billable_seconds_images(images)
        if fits(cap_s, committed, cost):
            committed += cost
        else:
            assert committed + cost > cap_s
    assert committed <= cap_s


def test_without_a_cap_everything_fits() -> None:
    assert fits(None, Fraction(10**9), Fraction(1))


def test_people_see_milliseconds_rounded_up() -> None:
    assert shown_seconds(Fraction(31, 3)) == 10.334
    assert shown_seconds(Fraction(100)) == 100
    assert isinstance(shown_seconds(Fraction(100)), int)


def test_negative_amounts_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        billable_seconds_audio(-1)
    with pytest.raises(ValueError, match="negative"):
        billable_seconds_images(-1)
