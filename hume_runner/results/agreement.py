"""How far two measurements of the same rows agree: means, Pearson, Spearman, and what their 95 % intervals are. Pure.

Pearson's interval is Fisher's z, Spearman's has the standard error of Bonett and Wright. Both take pairs for
independent, which rows of one recording are not: a hundred windows of one voice are no hundred voices. So where an item
has more than one pair, the number of pairs is divided by the design effect, which is estimated from how much the items'
sums of the coefficient's influence values vary, and the quantile is Student's with items - 1 degrees of freedom.

Sources: Fisher (1921), Metron 1, 3-32. Bonett and Wright (2000), Psychometrika 65, 23-28, doi:10.1007/BF02294183: SE of
atanh(rho) = sqrt((1 + rho^2 / 2) / (n - 3)). Influence values: Devlin, Gnanadesikan and Kettenring (1975), Biometrika
62, 531-545 (Pearson); Croux and Dehon (2010), Statistical Methods & Applications 19, 497-515 (Spearman). Design effect:
Kish (1965), Survey Sampling, chapter 8; sums by item with k / (k - 1) and t(k - 1): Cameron and Miller (2015), Journal
of Human Resources 50, 317-372.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, islice, pairwise
from operator import neg
from typing import Literal

from hume_runner.frozen import frozen
from hume_runner.results.quantiles import NORMAL, student
from hume_runner.results.spreads import centred, corrected, distances, products
from hume_runner.results.summable import SMALLEST_SQUARES

# Ranks and intervals are made from so many pairs at most, evenly spread; means and Pearson always from all.
MOST_RANKED = 200_000
FEWEST_PAIRS = 4
# With fewer items nothing tells how much they differ from each other.
FEWEST_ITEMS = 4

Basis = Literal["pairs", "items"]


@frozen
class Values:
    """Some pairs of one column, one after another: the value in A, the value in B, the number of their item.

    No value is missing or infinite. All pairs of an item come together.
    """

    a: array[float]
    b: array[float]
    item: array[int]


@frozen
class Coefficient:
    """A correlation and its 95 % interval; None where it does not exist or nothing is known of it."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


@frozen
class Agreement:
    """`n` pairs of `items` items. `mean_difference` is B less A.

    `basis`: what the intervals take for independent: the pairs, where each item has one, else the items; None where
    there are no intervals. `ranked`: how many of the pairs Spearman and the intervals are made from.
    """

    n: int
    items: int
    mean_a: float | None
    mean_b: float | None
    mean_difference: float | None
    pearson: Coefficient
    spearman: Coefficient
    basis: Basis | None
    ranked: int


def agreement(chunks: Callable[[], Iterable[Values]], *, most_ranked: int = MOST_RANKED) -> Agreement:
    """The agreement of one column's pairs. `chunks` gives them anew at every call; one chunk is held at a time, and
    `most_ranked` pairs.

    Correlations are None with fewer than four pairs, or where either side is constant.
    """
    means = _means(chunks())
    n, items, mean_a, mean_b = means.n, means.items, means.a, means.b
    if n < FEWEST_PAIRS or not means.vary or mean_a is None or mean_b is None:
        return _without(n, items, mean_a, mean_b, means.difference)
    pearson = _pearson(_sums(chunks(), mean_a, mean_b))
    some = _thinned(chunks(), step=-(-n // most_ranked))
    ranks_a, ranks_b = ranks(some.a), ranks(some.b)
    middle = (len(some.a) + 1) / 2
    whole = Values(a=ranks_a, b=ranks_b, item=some.item)
    spearman = _pearson(_sums([whole], middle, middle))
    basis: Basis | None = "pairs" if items == n else "items" if items >= FEWEST_ITEMS else None
    ends: list[tuple[float | None, float | None]] = [(None, None), (None, None)]
    if basis is not None:
        effective = _independent(some, ranks_a, ranks_b) if basis == "items" else [float(len(some.a))] * 2
        quantile = NORMAL if basis == "pairs" else student(items - 1)
        ends = [
            _interval(pearson, effective[0], 1.0, quantile),
            _interval(spearman, effective[1], 1.0 + (spearman or 0.0) ** 2 / 2, quantile),
        ]
    return Agreement(
        n=n,
        items=items,
        mean_a=mean_a,
        mean_b=mean_b,
        mean_difference=means.difference,
        pearson=Coefficient(value=pearson, low=ends[0][0], high=ends[0][1]),
        spearman=Coefficient(value=spearman, low=ends[1][0], high=ends[1][1]),
        basis=basis if ends[0][0] is not None or ends[1][0] is not None else None,
        ranked=len(some.a),
    )


@frozen
class _Means:
    """Of both sides and of their differences, None without a pair. `vary`: neither side is constant."""

    n: int
    items: int
    a: float | None = None
    b: float | None = None
    difference: float | None = None
    vary: bool = False


def _means(chunks: Iterable[Values]) -> _Means:
    n = items = 0
    sums_a, sums_b, differences = [], [], []
    low, high = [math.inf, math.inf], [-math.inf, -math.inf]
    last = None
    for chunk in chunks:
        n += len(chunk.a)
        for number in chunk.item:
            items += number != last
            last = number
        sums_a.append(math.fsum(chunk.a))
        sums_b.append(math.fsum(chunk.b))
        differences.append(math.fsum(chain(chunk.b, map(neg, chunk.a))))  # of means that are rounded, it loses digits
        for side, values in enumerate((chunk.a, chunk.b)):
            low[side] = min(low[side], min(values, default=math.inf))
            high[side] = max(high[side], max(values, default=-math.inf))
    if n == 0:
        return _Means(n=n, items=items)
    # Rounding may take a mean out of what it is the mean of.
    mean_a, mean_b = (
        min(max(math.fsum(sums) / n, low[side]), high[side]) for side, sums in enumerate((sums_a, sums_b))
    )
    return _Means(
        n=n,
        items=items,
        a=mean_a,
        b=mean_b,
        difference=math.fsum(differences) / n,
        vary=low[0] != high[0] and low[1] != high[1],
    )


def _independent(some: Values, ranks_a: array[float], ranks_b: array[float]) -> list[float]:
    """How many independent pairs these are worth, for Pearson and for Spearman."""
    pairs, groups = float(len(some.a)), _spans(some.item)
    return [
        pairs / design_effect(influence, groups) if pairs else 0.0
        for influence in (_influence(some.a, some.b), _rank_influence(ranks_a, ranks_b))
    ]


def _without(
    n: int, items: int, mean_a: float | None, mean_b: float | None, mean_difference: float | None
) -> Agreement:
    return Agreement(
        n=n,
        items=items,
        mean_a=mean_a,
        mean_b=mean_b,
        mean_difference=mean_difference,
        pearson=Coefficient(),
        spearman=Coefficient(),
        basis=None,
        ranked=0,
    )


def _sums(chunks: Iterable[Values], mean_a: float, mean_b: float) -> tuple[float, float, float]:
    """Sums of squares of A and of B, and of products, about the means."""
    n = 0
    sums: tuple[list[float], ...] = ([], [], [], [], [])
    for chunk in chunks:
        n += len(chunk.a)
        from_a, from_b = distances(chunk.a, mean_a), distances(chunk.b, mean_b)
        found = products(from_a, from_a), products(from_b, from_b), products(from_a, from_b)
        for sofar, more in zip(sums, (*found, math.fsum(from_a), math.fsum(from_b)), strict=True):
            sofar.append(more)
    square_a, square_b, product, off_a, off_b = map(math.fsum, sums)
    return (
        corrected(square_a, off_a, off_a, n),
        corrected(square_b, off_b, off_b, n),
        corrected(product, off_a, off_b, n),
    )


def _pearson(sums: tuple[float, float, float]) -> float | None:
    square_a, square_b, product = sums
    if not (SMALLEST_SQUARES <= square_a < math.inf and SMALLEST_SQUARES <= square_b < math.inf):
        return None  # numbers so small or so large that their squares are none
    found = product / square_a * math.sqrt(square_a / square_b)  # in this order, what is equal gives exactly 1
    return min(1.0, max(-1.0, found)) if math.isfinite(found) else None


def _thinned(chunks: Iterable[Values], *, step: int) -> Values:
    """Every `step`-th pair."""
    some = Values(a=array("d"), b=array("d"), item=array("q"))
    skip = 0
    for chunk in chunks:
        for mine, theirs in ((some.a, chunk.a), (some.b, chunk.b), (some.item, chunk.item)):
            mine.extend(islice(theirs, skip, None, step))  # type: ignore[arg-type]
        skip = (skip - len(chunk.a)) % step
    return some


def ranks(values: Sequence[float]) -> array[float]:
    """The rank of each value, from 1; equal ones share the mean of theirs."""
    order = sorted(range(len(values)), key=values.__getitem__)
    found = array("d", bytes(8 * len(values)))
    begin = 0
    while begin < len(order):
        end = begin + 1
        while end < len(order) and values[order[end]] == values[order[begin]]:
            end += 1
        for place in order[begin:end]:
            found[place] = (begin + 1 + end) / 2
        begin = end
    return found


def _influence(a: Sequence[float], b: Sequence[float]) -> list[float]:
    """What each pair adds to Pearson's coefficient: zx zy - r (zx^2 + zy^2) / 2."""
    za, zb = _standard(a), _standard(b)
    r = products(za, zb) / len(za)
    return [x * y - r * (x * x + y * y) / 2 for x, y in zip(za, zb, strict=True)]


def _standard(values: Sequence[float]) -> list[float]:
    away = centred(values)
    spread = math.sqrt(products(away, away) / len(away)) or 1.0
    return [value / spread for value in away]


def _rank_influence(ranks_a: Sequence[float], ranks_b: Sequence[float]) -> list[float]:
    """What each pair adds to Spearman's coefficient, but for a constant: its own product of ranks, and how it moves the
    ranks of the pairs above it."""
    n = len(ranks_a)
    u, v = ([(rank - 0.5) / n - 0.5 for rank in ranks] for ranks in (ranks_a, ranks_b))
    moved_a, moved_b = _above(ranks_a, v), _above(ranks_b, u)
    return centred([x * y + p + q for x, y, p, q in zip(u, v, moved_a, moved_b, strict=True)])


def _above(ranks: Sequence[float], weights: Sequence[float]) -> list[float]:
    """For each place the mean over all of the weights above its rank, and half of those at it."""
    n = len(ranks)
    order = sorted(range(n), key=ranks.__getitem__, reverse=True)
    found = [0.0] * n
    above = 0.0
    begin = 0
    while begin < n:
        end = begin + 1
        while end < n and ranks[order[end]] == ranks[order[begin]]:
            end += 1
        here = math.fsum(weights[place] for place in order[begin:end])
        for place in order[begin:end]:
            found[place] = (above + here / 2) / n
        above += here
        begin = end
    return found


def _spans(items: Sequence[int]) -> list[tuple[int, int]]:
    """Where each item's pairs begin and end."""
    edges = [0, *(place for place in range(1, len(items)) if items[place] != items[place - 1]), len(items)]
    return list(pairwise(edges))


def design_effect(influence: Sequence[float], groups: Sequence[tuple[int, int]]) -> float:
    """How many times as much a coefficient varies as if all pairs were independent, at least 1."""
    alone = products(influence, influence)
    if alone <= 0.0:
        return 1.0
    together = math.fsum(math.fsum(influence[begin:end]) ** 2 for begin, end in groups)
    return max(1.0, together / alone * len(groups) / (len(groups) - 1))


def _interval(
    value: float | None, effective: float, inflated: float, quantile: float
) -> tuple[float | None, float | None]:
    """The interval on the scale of atanh. `effective`: as how many independent pairs it counts."""
    if value is None or effective <= 3.0:
        return None, None
    if abs(value) == 1.0:
        return value, value
    middle, half = math.atanh(value), quantile * math.sqrt(inflated / (effective - 3.0))
    return math.tanh(middle - half), math.tanh(middle + half)
