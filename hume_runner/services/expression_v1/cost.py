"""What the Expression Measurement API bills, exactly and before anything is sent. Pure.

Audio is billed by its duration, silence included; an image is a third of a second, with a face or without; a request
that took in any media is at least ten seconds. A refused upload is free. How `metered_seconds` is rounded is not
documented, so nothing is rounded here: fractions add up without drift, and only what people read is rounded, up.
Source: dev.hume.ai, expression measurement, pages on billing and runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Final

from hume_runner.frozen import frozen

MINIMUM_S: Final = Fraction(10)  # of every request that was measured
IMAGE_S: Final = Fraction(1, 3)


@frozen
class Bill:
    """Seconds as planned, and as they would be with one request an item (a still, a clip, a frame)."""

    packed_s: Fraction
    unpacked_s: Fraction

    def __add__(self, other: Bill) -> Bill:
        return Bill(packed_s=self.packed_s + other.packed_s, unpacked_s=self.unpacked_s + other.unpacked_s)


NOTHING: Final = Bill(packed_s=Fraction(0), unpacked_s=Fraction(0))


def billable_seconds_audio(duration_ms: int) -> Fraction:
    """One audio request. Nothing to send costs nothing. Raises: ValueError for a negative duration."""
    if duration_ms < 0:
        raise ValueError("a duration cannot be negative")
    return max(MINIMUM_S, Fraction(duration_ms, 1000)) if duration_ms else Fraction(0)


def billable_seconds_images(images: int) -> Fraction:
    """One request with so many images. Nothing to send costs nothing. Raises: ValueError for a negative number."""
    if images < 0:
        raise ValueError("a number of images cannot be negative")
    return max(MINIMUM_S, images * IMAGE_S) if images else Fraction(0)


def bill_audio_request(durations_ms: Iterable[int], *, gap_ms: int = 0) -> Bill:
    """One request that carries these clips with `gap_ms` of silence between; usually there is one clip."""
    durations = tuple(durations_ms)
    sent_ms = sum(durations) + gap_ms * max(0, len(durations) - 1)
    return Bill(
        packed_s=billable_seconds_audio(sent_ms),
        unpacked_s=sum(map(billable_seconds_audio, durations), Fraction(0)),
    )


def bill_image_request(images: int) -> Bill:
    """One request with so many images, beside as many requests with one."""
    return Bill(packed_s=billable_seconds_images(images), unpacked_s=images * billable_seconds_images(1))


def even_spans(count: int, requests: int) -> tuple[int, ...]:
    """`count` images in so many requests, as evenly as they go: none is smaller than it has to be, which would cost the
    least amount for little."""
    size, larger = divmod(count, requests)
    return tuple(size + (number < larger) for number in range(requests))


def bill_video_pictures(count: int, *, at_most: int, surely_fit: int) -> Fraction:
    """The most that a video's pictures can cost: at most `at_most` go into a request, and any `surely_fit` of them do,
    whatever they weigh. Requests are rounded up to milliseconds one by one.
    """
    if count <= 0:
        return Fraction(0)
    fewest, most = -(-count // at_most), -(-count // max(1, min(at_most, surely_fit)))
    return max(_even_cost(count, requests) for requests in range(fewest, most + 1))


def _even_cost(count: int, requests: int) -> Fraction:
    size, larger = divmod(count, requests)
    one, more = (in_milliseconds(billable_seconds_images(images)) for images in (size, size + 1))
    return larger * more + (requests - larger) * one


def in_milliseconds(seconds: Fraction) -> Fraction:
    """Rounded up, as each request is shown and kept."""
    return Fraction(-(-seconds.numerator * 1000 // seconds.denominator), 1000)


def bill_cut_sound(duration_ms: int, parts: int, *, moved_ms: int) -> Fraction:
    """The most that a recording in so many parts can cost, where each cut may lie `moved_ms` from the even one."""
    if parts <= 1:
        return billable_seconds_audio(duration_ms)
    shortest_s = max(Fraction(0), Fraction(duration_ms, 1000 * parts) - Fraction(2 * moved_ms, 1000))
    return Fraction(duration_ms, 1000) + parts * max(Fraction(0), MINIMUM_S - shortest_s)


def total(bills: Iterable[Bill]) -> Bill:
    return sum(bills, NOTHING)


def fits(cap_s: float | Fraction | None, committed_s: Fraction, request_s: Fraction) -> bool:
    """Whether a request may be reserved: the cap is never exceeded, not by a fraction. None: no cap."""
    return cap_s is None or committed_s + request_s <= Fraction(cap_s)


def shown_seconds(seconds: Fraction) -> int | float:
    """For people and JSON: milliseconds, rounded up, a whole number where it is one."""
    rounded = in_milliseconds(seconds)
    return rounded.numerator if rounded.denominator == 1 else float(rounded)


def shown_s(seconds: Fraction) -> float:
    """The same as a number for people and plans."""
    return float(shown_seconds(seconds))
