"""Pictures of a video in as few requests as can be, each full or even: pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import Any

from hume_runner.services.expression_v1.cost import billable_seconds_images, even_spans, in_milliseconds


def not_held(pictures: int, carried: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, int]]:
    """[first, beyond) of a video's pictures that no job carries yet."""
    held = {
        int(one["first_frame"]) + index
        for one in carried
        if "first_frame" in one
        for index in range(len(one["times_ms"]))
    }
    return runs_of(number for number in range(pictures) if number not in held)


def runs_of(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Ascending numbers as runs, [first, beyond)."""
    begin = beyond = -1
    for number in numbers:
        if number != beyond:
            if begin >= 0:
                yield begin, beyond
            begin = number
        beyond = number + 1
    if begin >= 0:
        yield begin, beyond


def spans(begin: int, weights: Sequence[int], most: int, body_bytes: int) -> Iterator[tuple[int, int, int]]:
    """(first, beyond, bytes) of pictures in as few requests as can be: each full, unless even ones cost less, since a
    small last one costs what a request costs at the least."""
    chosen = min((_full(weights, most, body_bytes), _even(weights, most, body_bytes)), key=_cost)
    first = 0
    for count in chosen:
        yield begin + first, begin + first + count, sum(weights[first : first + count])
        first += count


def _full(weights: Sequence[int], most: int, body_bytes: int) -> list[int]:
    counts: list[int] = []
    size = body_bytes + 1
    for weight in weights:
        if not counts or counts[-1] >= most or size + weight > body_bytes:
            counts.append(0)
            size = 0
        counts[-1] += 1
        size += weight
    return counts


def _even(weights: Sequence[int], most: int, body_bytes: int) -> list[int]:
    upto = [0, *accumulate(weights)]
    for requests in range(-(-len(weights) // most), len(weights)):
        counts = even_spans(len(weights), requests)
        edges = [0, *accumulate(counts)]
        if all(upto[beyond] - upto[first] <= body_bytes for first, beyond in pairwise(edges)):
            return list(counts)
    return [1] * len(weights)


def _cost(counts: Sequence[int]) -> Fraction:
    return sum((in_milliseconds(billable_seconds_images(count)) for count in counts), Fraction(0))
