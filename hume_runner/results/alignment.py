"""Which rows of two measurements of one item belong together. Pure.

Rows that lie in time, or in the characters of a text: of the two sides the one with the longer rows leads. Each row of
the other belongs to the leading row with which it shares most (at least half of the shorter of the two); between
leading rows that share as much, to the one whose middle is nearest, then to the one that has fewer, then to the
earlier. A leading row stands beside the mean of what belongs to it, weighted by what they share; of what adds up, such
as seconds of voice, beside the sum, and of what is the first, highest or lowest of its row, beside that. So no row of
the finer side counts twice.

Moments (frames): each goes with the nearest one of the other side, if that has none nearer and is at most a quarter of
a second away. Of several faces in one frame those go together whose boxes overlap most.

Where rows lie nowhere: those with the same words, the first with the first, the second with the second; else a single
row, as of a text as a whole, beside the mean of all of the other side; without words those with the same number, if
there are as many on both sides.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from hume_runner.frozen import frozen
from hume_runner.services.table_shapes import Joined

FARTHEST_S = 0.25
_BLANK = math.nan

By = Literal["time", "characters", "text", "order"]
Span = tuple[float, float, int]  # begin, end, number of the row
Weighted = tuple[tuple[int, float], ...]  # numbers of rows, each with its weight


@frozen
class Rows:
    """Where the rows of one item in one table lie, in their order; a number that is not there is NaN.

    `seconds` and `characters` are (begin, end) of each row; `file` tells files inside the source apart, `text` is what
    the row is about, `box` its left, top, width and height in a picture. Empty where the table has no such thing.
    """

    count: int
    seconds: tuple[array[float], array[float]] | None = None
    characters: tuple[array[float], array[float]] | None = None
    file: Sequence[str | None] = ()
    text: Sequence[str | None] = ()
    box: tuple[array[float], array[float], array[float], array[float]] | None = None


@frozen
class Pair:
    """Rows of A beside rows of B; one of the two sides has a single row."""

    a: Weighted
    b: Weighted


@dataclass(slots=True, kw_only=True)
class _Lead:
    span: Span
    own: list[tuple[int, float]] = field(default_factory=list)


def aligned(a: Rows, b: Rows) -> tuple[By, list[Pair]]:
    """Pairs of rows, in the order of time where there is one, and by what they were found."""
    by = _what_both_have(a, b)
    pairs: list[Pair] = []
    for mine, theirs in _by_file(a, b):
        if by == "time":
            pairs += _in_spans(_spans(a.seconds, mine), _spans(b.seconds, theirs), a, b)
        elif by == "characters":
            pairs += _in_spans(_spans(a.characters, mine), _spans(b.characters, theirs), a, b)
        elif by == "text" and (found := list(_by_words(a.text, mine, b.text, theirs))):
            pairs += found
        elif len(mine) == 1 or len(theirs) == 1:
            pairs.append(_whole(mine, theirs))
        elif by == "order" and len(mine) == len(theirs):
            pairs += map(_single, mine, theirs)
    return by, pairs


def value(rows: Weighted, column: array[float], joined: Joined = "mean") -> float:
    """What stands for these rows: their mean by weight, of those that have a value, unless `joined` says otherwise; NaN
    where there is none. What is made of an infinite number, which stands for one that is too large, is infinite."""
    if joined != "mean":
        return _joined([column[row] for row, _ in rows], joined)
    known = [(column[row], weight) for row, weight in rows if not math.isnan(column[row])]
    total = math.fsum(weight for _, weight in known)
    if not total > 0:
        return _BLANK
    numbers = [number for number, _ in known]
    if not all(map(math.isfinite, numbers)):
        return math.inf
    mean = math.fsum(number * weight for number, weight in known) / total
    return min(max(mean, min(numbers)), max(numbers))  # rounding takes it out of them


def _joined(numbers: Sequence[float], joined: Joined) -> float:
    """A sum lacks nothing, or says nothing; an extreme is that of what is known."""
    if joined in ("first", "last"):
        return numbers[0 if joined == "first" else -1]
    if joined == "sum":
        if any(map(math.isinf, numbers)):
            return _BLANK if any(map(math.isnan, numbers)) else math.inf
        return math.fsum(numbers)
    known = [number for number in numbers if not math.isnan(number)]
    return (max if joined == "highest" else min)(known, default=_BLANK)


def _single(a: int, b: int) -> Pair:
    return Pair(a=((a, 1.0),), b=((b, 1.0),))


def _whole(mine: Sequence[int], theirs: Sequence[int]) -> Pair:
    """The one row of a side, which stands for the whole, beside all of the other."""
    return Pair(a=tuple((row, 1.0) for row in mine), b=tuple((row, 1.0) for row in theirs))


def _what_both_have(a: Rows, b: Rows) -> By:
    if _lies(a.seconds) and _lies(b.seconds):
        return "time"
    if _lies(a.characters) and _lies(b.characters):
        return "characters"
    return "text" if any(a.text) and any(b.text) else "order"


def _lies(places: tuple[array[float], array[float]] | None) -> bool:
    return places is not None and not all(map(math.isnan, places[0]))


def _by_file(a: Rows, b: Rows) -> Iterator[tuple[Sequence[int], Sequence[int]]]:
    """The rows of each file inside the source; a source that is one file is called by another name in every job."""
    if len(set(a.file)) < 2 and len(set(b.file)) < 2:
        yield range(a.count), range(b.count)
        return
    mine, theirs = _numbers(a), _numbers(b)
    for name, numbers in mine.items():
        if name in theirs:
            yield numbers, theirs[name]


def _numbers(rows: Rows) -> Mapping[str | None, list[int]]:
    found: dict[str | None, list[int]] = {}
    for number, name in enumerate(rows.file):
        found.setdefault(name, []).append(number)
    return found


def _spans(places: tuple[array[float], array[float]] | None, numbers: Sequence[int]) -> list[Span]:
    """Rows that lie somewhere, by their beginning."""
    if places is None:
        return []
    begins, ends = places
    spans = [
        (begins[n], ends[n] if ends[n] >= begins[n] else begins[n], n) for n in numbers if not math.isnan(begins[n])
    ]
    return sorted(spans)


def _in_spans(mine: list[Span], theirs: list[Span], a: Rows, b: Rows) -> Iterator[Pair]:
    if not mine or not theirs:
        return
    length_a, length_b = _mean_length(mine), _mean_length(theirs)
    if length_a == length_b == 0.0:
        yield from _moments(mine, theirs, a, b)
    elif length_a >= length_b:
        for lead in _gathered(mine, theirs):
            yield Pair(a=((lead.span[2], 1.0),), b=tuple(lead.own))
    else:
        for lead in _gathered(theirs, mine):
            yield Pair(a=tuple(lead.own), b=((lead.span[2], 1.0),))


def _mean_length(spans: Sequence[Span]) -> float:
    # Rounded: two ways to the same window differ in its last digits.
    return round(math.fsum(end - begin for begin, end, _ in spans) / len(spans), 6)


def _gathered(leading: list[Span], others: list[Span]) -> list[_Lead]:
    """The leading rows to which others belong, with them."""
    leads = [_Lead(span=span) for span in leading]
    near: list[_Lead] = []  # those that have begun and may reach as far as the other's beginning
    arrived = 0
    for begin, end, number in others:
        while arrived < len(leads) and leads[arrived].span[0] <= end:
            near.append(leads[arrived])
            arrived += 1
        near = [lead for lead in near if lead.span[1] >= begin]
        best, rank = None, None
        for lead in near:
            share = _shared(lead.span, begin, end)
            if share is None:
                continue
            away = abs(lead.span[0] + lead.span[1] - begin - end)
            here = (-round(share, 6), round(away, 6), len(lead.own), lead.span)
            if rank is None or here < rank:
                best, rank = lead, here
        if best is not None and rank is not None:
            best.own.append((number, -rank[0] or 1.0))
    return [lead for lead in leads if lead.own]


def _shared(lead: Span, begin: float, end: float) -> float | None:
    """What a row shares with a leading one; None for less than half of the shorter of the two."""
    share = min(lead[1], end) - max(lead[0], begin)
    shorter = min(lead[1] - lead[0], end - begin)
    if share < 0.0 or share * 2 < shorter or (share == 0.0 and shorter > 0.0):
        return None
    return share


def _moments(mine: list[Span], theirs: list[Span], a: Rows, b: Rows) -> Iterator[Pair]:
    at_a, at_b = _by_moment(mine), _by_moment(theirs)
    times_a, times_b = list(at_a), list(at_b)
    for moment in times_a:
        other = _nearest(times_b, moment)
        if abs(other - moment) <= FARTHEST_S and _nearest(times_a, other) == moment:
            yield from _faces(at_a[moment], at_b[other], a, b)


def _by_moment(spans: Sequence[Span]) -> dict[float, list[int]]:
    found: dict[float, list[int]] = {}
    for begin, _, number in spans:
        found.setdefault(begin, []).append(number)
    return found


def _nearest(times: Sequence[float], moment: float) -> float:
    place = bisect_left(times, moment)
    return min(times[max(0, place - 1) : place + 1], key=lambda one: abs(one - moment))


def _faces(mine: Sequence[int], theirs: Sequence[int], a: Rows, b: Rows) -> Iterator[Pair]:
    """Rows of one moment, by their boxes where both have some."""
    if len(mine) == len(theirs) == 1:
        yield _single(mine[0], theirs[0])
        return
    if a.box is None or b.box is None:
        if len(mine) == len(theirs):
            yield from map(_single, mine, theirs)
        return
    boxes_a, boxes_b = (
        [tuple(edge[n] for edge in box) for n in rows] for box, rows in ((a.box, mine), (b.box, theirs))
    )
    overlaps = sorted(
        (-share, x, y)
        for x, left in enumerate(boxes_a)
        for y, right in enumerate(boxes_b)
        if (share := _box_overlap(left, right)) > 0.0
    )
    taken_a, taken_b = set(), set()
    found = []
    for _, x, y in overlaps:
        if x not in taken_a and y not in taken_b:
            taken_a.add(x)
            taken_b.add(y)
            found.append((mine[x], theirs[y]))
    for row_a, row_b in sorted(found):
        yield _single(row_a, row_b)


def _box_overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Shared area over joint area; 0 where a number is not there."""
    wide = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    high = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    if not (wide > 0.0 and high > 0.0):
        return 0.0
    joint = one[2] * one[3] + other[2] * other[3] - wide * high
    return wide * high / joint if joint > 0.0 else 0.0


def _by_words(
    a: Sequence[str | None], mine: Sequence[int], b: Sequence[str | None], theirs: Sequence[int]
) -> Iterator[Pair]:
    waiting: dict[str, list[int]] = {}
    for number in reversed(theirs):
        if text := _words(b[number]):
            waiting.setdefault(text, []).append(number)
    for number in mine:
        if (text := _words(a[number])) and waiting.get(text):
            yield _single(number, waiting[text].pop())


def _words(text: str | None) -> str:
    return " ".join((text or "").split()).casefold()
