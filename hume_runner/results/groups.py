"""Groups of sources side by side: means by a label, with 95 % intervals; paired where ids say so.

A source counts once, however many rows it has: rows of one recording are not independent of each other. The interval
of a mean is Student's t with n - 1 degrees of freedom over sources. Where two groups hold the same people, which their
ids tell (`p07-pre` and `p07-post` with the label's values `pre` and `post`), the differences within pairs have an
interval of their own. No test is run and no p-value told: many scores are compared, and which of them was asked about
only the reader knows.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hume_runner.frozen import frozen
from hume_runner.results.aggregates import Moments, Score, SourceSums
from hume_runner.results.base import ItemRecord
from hume_runner.results.label_groups import MOST_GROUPS, natural, said
from hume_runner.results.quantiles import student

MOST_PAIRED = 20_000
_NOTHING = Moments()
_TOKENS = re.compile(r"[^\W_]+", re.UNICODE)


@frozen
class GroupMean:
    """The mean over `n` sources and its 95 % interval; None where a single source says nothing of it."""

    n: int
    mean: float
    sd: float | None
    low: float | None
    high: float | None


@frozen
class PairedMean:
    """Differences within pairs: the later group less the first, over `n` pairs."""

    groups: tuple[str, str]
    n: int
    mean: float
    sd: float | None
    low: float | None
    high: float | None


@frozen
class Compared:
    """One score of one table in the groups of a label, which are in the order in which people read the values."""

    table: str
    score: Score
    groups: Mapping[str, GroupMean]
    pairs: tuple[PairedMean, ...] = ()

    @property
    def widest(self) -> float:
        """How far the groups' means lie apart, in standard deviations of sources within groups (0: not at all)."""
        means = [group.mean for group in self.groups.values()]
        spreads = [group.sd for group in self.groups.values() if group.sd is not None]
        apart = max(means) - min(means)
        within = math.sqrt(sum(spread * spread for spread in spreads) / len(spreads)) if spreads else 0.0
        return apart / within if within > 0 else 0.0


def interval(moments: Moments) -> tuple[float | None, float | None]:
    """The 95 % interval of the mean."""
    if moments.sd is None:
        return None, None
    half = student(moments.n - 1) * moments.sd / math.sqrt(moments.n)
    return moments.mean - half, moments.mean + half


def pair_key(item_id: str, label: str, value: str) -> str | None:
    """What is left of an id without the label's value; None where the id does not tell the value.

    `p07-pre.wav` with `pre`, `wave2_p07` with the label `wave` and the value `2`: the same person elsewhere.
    """
    spelt = {value.casefold(), f"{label}{value}".casefold(), *(f"{short}{value}".casefold() for short in label[:1])}
    words = _TOKENS.findall(item_id)
    kept = [word for word in words if word.casefold() not in spelt]
    if len(kept) != len(words) - 1:
        return None
    return " ".join(word for word in kept if word.casefold() != label.casefold())


@dataclass(slots=True)
class _Group:
    means: dict[str, dict[Score, Moments]] = field(default_factory=dict)  # by table


class GroupSums:
    """Takes sources in one by one; then tells how groups of them compare. Holds a few numbers a group and score, and of
    up to `MOST_PAIRED` sources that ids pair, their means."""

    def __init__(self, label: str, order: Sequence[str] = (), *, only: bool = False) -> None:
        """`order`: how groups stand beside each other; the rest, 2 before 10, or with `only` none."""
        self.label = label
        self._only = only
        self._order = {name: place for place, name in enumerate(order)}
        self._groups: dict[str, _Group] = {}
        # (what pairs, group) -> table -> a mean for each score, in the order of `_places`, NaN where there is none.
        self._paired: dict[tuple[str, str], dict[str, array[float]]] = {}
        self._places: dict[str, dict[Score, int]] = {}
        self.left_out = 0  # sources of groups beyond the most

    def add(self, item: ItemRecord, table: str, sums: SourceSums) -> None:
        """One source in one table; a source without the label belongs nowhere."""
        value = item.labels.get(self.label)
        if value is None:
            return
        name = said(value)
        if self._only and name not in self._order:
            return
        if name not in self._groups and len(self._groups) >= MOST_GROUPS:
            self.left_out += 1
            return
        means = self._groups.setdefault(name, _Group()).means.setdefault(table, {})
        key = pair_key(item.id, self.label, name)
        for score, moments in sums.scores.items():
            mine = means.get(score)
            if mine is None:
                mine = means[score] = Moments()
            mine.take(moments.mean)
        if key and ((key, name) in self._paired or len(self._paired) < MOST_PAIRED):
            places = self._places.setdefault(table, {})
            beside = self._paired.setdefault((key, name), {}).setdefault(table, array("d"))
            for score in sums.scores:
                places.setdefault(score, len(places))
            beside.extend([math.nan] * (len(places) - len(beside)))
            for score, moments in sums.scores.items():
                beside[places[score]] = moments.mean

    @property
    def names(self) -> list[str]:
        """The groups, in their order."""
        return sorted(self._groups, key=lambda name: (self._order.get(name, len(self._order)), natural(name)))

    def compared(self) -> list[Compared]:
        """Every score that at least two groups have."""
        names = self.names
        scores: dict[tuple[str, Score], None] = {}
        for group in self._groups.values():
            scores.update(dict.fromkeys((table, score) for table, means in group.means.items() for score in means))
        within: dict[tuple[str, str], dict[tuple[str, Score], Moments]] = {}
        found = []
        for table, score in scores:
            groups = {
                name: mean_of(self._groups[name].means[table][score])
                for name in names
                if score in self._groups[name].means.get(table, ())
            }
            if len(groups) > 1:
                pairs = tuple(self._pairs(table, score, list(groups), within))
                found.append(Compared(table=table, score=score, groups=groups, pairs=pairs))
        return found

    def _pairs(
        self,
        table: str,
        score: Score,
        names: Sequence[str],
        within: dict[tuple[str, str], dict[tuple[str, Score], Moments]],
    ) -> Iterable[PairedMean]:
        """The first group beside each other one, where at least two ids are in both. `within`: what is known of it."""
        first = names[0]
        for other in names[1:]:
            if (first, other) not in within:
                within[first, other] = self._differences(first, other)
            moments = within[first, other].get((table, score), _NOTHING)
            if moments.n > 1:
                low, high = interval(moments)
                yield PairedMean(
                    groups=(first, other), n=moments.n, mean=moments.mean, sd=moments.sd, low=low, high=high
                )

    def _differences(self, first: str, other: str) -> dict[tuple[str, Score], Moments]:
        """Those within pairs, score by score, in one pass over the pairs."""
        found: dict[str, list[Moments]] = {}
        for (key, name), before in self._paired.items():
            after = self._paired.get((key, other)) if name == first else None
            for table, means in before.items() if after is not None else ():
                mine = found.setdefault(table, [Moments() for _ in self._places[table]])
                for moments, one, two in zip(mine, means, (after or {}).get(table, ()), strict=False):
                    if not math.isnan(two - one):
                        moments.take(two - one)
        return {
            (table, score): found[table][place]
            for table, places in self._places.items()
            if table in found
            for score, place in places.items()
        }


def mean_of(moments: Moments) -> GroupMean:
    """The mean of these numbers, one a source, with its interval."""
    low, high = interval(moments)
    return GroupMean(n=moments.n, mean=moments.mean, sd=moments.sd, low=low, high=high)
