"""One source in one model as the page shows it: means over all its rows, and some rows to draw."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from hume_runner.frozen import frozen
from hume_runner.results.aggregates import Moments, SourceSums
from hume_runner.results.summable import can_be_summed
from hume_runner.services.table_shapes import Block, Family, Grid, Layout, Tells

LONGEST_TEXT = 240
LONGEST_NAME = 160
# Of names that are open, so many are told of each source, and so many drawn; fewer where sources are many.
_OPEN_NAMES, _FEW_OPEN_NAMES = 60, 12
_OPEN_DRAWN = 24


@frozen
class Detail:
    """How much of each source and model the page keeps: rows to draw, and scores in each of them (None: all)."""

    rows: int
    scores: int | None


@dataclass(slots=True)
class Means:
    """One family's scores over all rows of a source: how many rows have each, mean and highest."""

    counts: array[int]
    means: array[float]
    peaks: array[float]

    @classmethod
    def of(cls, width: int) -> Means:
        """Of a family with so many scores, none of which is there yet."""
        return cls(array("q", bytes(8 * width)), array("d", bytes(8 * width)), array("d", [-math.inf]) * width)

    def add(self, place: int, moments: Moments) -> None:
        """What more rows say of the score at this place."""
        total = self.counts[place] + moments.n
        self.means[place] += (moments.mean - self.means[place]) * moments.n / total
        self.peaks[place] = max(self.peaks[place], moments.highest)
        self.counts[place] = total

    @property
    def known(self) -> list[int]:
        """The places that have a score."""
        return [place for place, count in enumerate(self.counts) if count]

    def mean(self, places: Iterable[int]) -> list[int | None]:
        """In thousandths, None where there is none."""
        return [_thousandths(self.means[place]) if self.counts[place] else None for place in places]

    def peak(self, places: Iterable[int]) -> list[int | None]:
        return [_thousandths(self.peaks[place]) if self.counts[place] else None for place in places]


@dataclass(slots=True, kw_only=True)
class Part:
    """What is known of one source in one model: means over all rows, and some rows to draw."""

    layout: Layout
    detail: Detail
    rows: int = 0
    means: dict[str, Means] = field(default_factory=dict)  # by the family's prefix
    stride: int = 1
    kept: list[list[Any]] = field(default_factory=list)
    groups: dict[str, int] = field(default_factory=dict)

    def add(self, block: Block) -> None:
        """Rows of one more block, to draw some of them."""
        grid = block.grids[self.layout.families[0].prefix]
        levels, kinds = _telling(block, "mean level"), _telling(block, "strongest kind")
        # After a thinning only every `stride`-th row of the whole is kept, so that what is drawn is evenly spread.
        for row in range(-self.rows % self.stride, block.rows, self.stride):
            self.kept.append([*self._drawn(block, grid, row), _mean_level(levels, row), _strongest(kinds, row)])
        self.rows += block.rows
        while len(self.kept) > self.detail.rows:
            self.kept = self.kept[::2]
            self.stride *= 2

    def sum_up(self, sums: SourceSums) -> None:
        """What all rows of the source say."""
        index = {family.prefix: family.index for family in self.layout.families}
        for prefix in dict.fromkeys(prefix for prefix, _ in sums.scores):
            if prefix in index:
                self.means.setdefault(prefix, Means.of(len(index[prefix])))
        for (prefix, name), moments in sums.scores.items():
            if prefix in index:
                self.means[prefix].add(index[prefix][name], moments)

    def _drawn(self, block: Block, grid: Grid, row: int) -> list[Any]:
        """[begin, end, group, text, scores]: times in seconds, scores in thousandths."""
        scores: list[float | None] = grid.row(row)
        words = block.columns[self.layout.text][row] if self.layout.text else None
        return [
            *_place(self.layout, block, row, self.groups),
            str(words)[:LONGEST_TEXT] if words is not None else None,
            [_thousandths(score) for score in scores],
        ]

    def document(self) -> dict[str, Any]:
        """This part for the page. `peak` is of the scores in `shown` where that is not null, else of all."""
        first, *others = self.layout.families
        every = range(len(first.names))
        means = self.means.get(first.prefix) or Means.of(len(every))
        strongest = sorted(means.known, key=lambda place: (-means.means[place], place))
        shown = sorted(strongest[: self.detail.scores]) if self.detail.scores else None
        rows = [[*row[:4], [row[4][position] for position in shown] if shown is not None else row[4], *row[5:]]
                for row in self.kept]  # fmt: skip
        more = {family.prefix: self._more(family, peaks=shown is None)
                for family in others if family.prefix in self.means}  # fmt: skip
        return {
            "n": self.rows,
            "mean": means.mean(every),
            "peak": means.peak(every if shown is None else shown),
            "groups": list(self.groups),
            "stride": self.stride,
            "shown": shown,
            "rows": rows,
            **({"more": more} if more else {}),
        }

    def _more(self, family: Family, *, peaks: bool) -> list[list[int | None]]:
        """[means] of a further family, or [means, highest]."""
        means, every = self.means[family.prefix], range(len(family.names))
        return [means.mean(every), means.peak(every)] if peaks else [means.mean(every)]


@dataclass(slots=True, kw_only=True)
class OpenPart:
    """The same where names are open and a row has a score only if it was above a cutoff.

    `names` numbers the names of each family as they come, for all sources together. Means are over the rows that have
    the score.
    """

    layout: Layout
    detail: Detail
    names: dict[str, dict[str, int]]
    rows: int = 0
    scores: dict[str, dict[int, Moments]] = field(default_factory=dict)  # by prefix, then by the name's number
    stride: int = 1
    kept: list[list[Any]] = field(default_factory=list)
    groups: dict[str, int] = field(default_factory=dict)

    def add(self, block: Block) -> None:
        """Rows of one more block, to draw some of them."""
        first = self.layout.open_families[0]
        ragged, names = block.ragged[first.name], self.names.setdefault(first.prefix, {})
        for row in range(-self.rows % self.stride, block.rows, self.stride):
            scores = {names.setdefault(name, len(names)): _thousandths(score) for name, score in ragged.row(row)}
            self.kept.append([*_place(self.layout, block, row, self.groups), None, scores, None, None])
        self.rows += block.rows
        while len(self.kept) > self.detail.rows:
            self.kept = self.kept[::2]
            self.stride *= 2

    def sum_up(self, sums: SourceSums) -> None:
        """What all rows of the source say."""
        for (prefix, name), moments in sums.scores.items():
            names = self.names.setdefault(prefix, {})
            mine = self.scores.setdefault(prefix, {}).setdefault(names.setdefault(name, len(names)), Moments())
            mine.add(moments)

    def document(self) -> dict[str, Any]:
        """This part for the page; `open` has [name, mean, highest, rows that have it] of the strongest."""
        first, *others = [family.prefix for family in self.layout.open_families]
        few = self.detail.scores
        shown = sorted(self._strongest(first)[: few or _OPEN_DRAWN])
        more = {prefix: self._told(prefix) for prefix in others if prefix in self.scores}
        return {
            "n": self.rows,
            "open": self._told(first),
            "groups": list(self.groups),
            "stride": self.stride,
            "shown": shown,
            "rows": [[*row[:4], [row[4].get(name) for name in shown], *row[5:]] for row in self.kept],
            **({"more": more} if more else {}),
        }

    def _strongest(self, prefix: str) -> list[int]:
        """What is there often and strongly comes first: a name that was there once, and high, says little."""
        scores = self.scores.get(prefix, {})
        return sorted(scores, key=lambda name: (-scores[name].mean * scores[name].n, name))

    def _told(self, prefix: str) -> list[list[int | None]]:
        strongest = self._strongest(prefix)[: _FEW_OPEN_NAMES if self.detail.scores else _OPEN_NAMES]
        told = ((name, self.scores[prefix][name]) for name in strongest)
        return [[name, _thousandths(one.mean), _thousandths(one.highest), one.n] for name, one in told]


def _place(layout: Layout, block: Block, row: int, groups: dict[str, int]) -> list[Any]:
    """[begin, end, group]: where a row stands."""
    begin, end = layout.time or (None, None)
    return [
        _seconds(block.columns[begin][row]) if begin else None,
        _seconds(block.columns[end][row]) if end else None,
        groups.setdefault(_group(block, row), len(groups)),
    ]


def _group(block: Block, row: int) -> str:
    told = block.columns.get("group_id")
    return str((told[row] if told is not None else None) or "unknown")[:LONGEST_NAME]


def _thousandths(score: float | None) -> int | None:
    """None also for what nothing is made of: it would be no number any more, and no picture has room for it."""
    return None if score is None or not can_be_summed(score) else round(score * 1000)


def _seconds(moment: Any) -> float | None:
    return round(moment, 2) if isinstance(moment, (int, float)) and can_be_summed(moment) else None


def _telling(block: Block, tells: Tells) -> Grid | None:
    """The scores of the first family that tells this; None where there is none."""
    found = (one.prefix for one in block.layout.families if one.tells == tells)
    return block.grids.get(next(found, ""))


def _mean_level(grid: Grid | None, row: int) -> int | None:
    """The weighted mean level, where the lowest is 1, in thousandths; None where it was not asked for."""
    if grid is None or grid.is_blank:
        return None
    weights = [score if score is not None and can_be_summed(score) else 0.0 for score in grid.row(row)]
    total = sum(weights)
    return round(sum(level * weight for level, weight in enumerate(weights, start=1)) / total * 1000) if total else None


def _strongest(grid: Grid | None, row: int) -> list[int] | None:
    """[number of the kind, score in thousandths] of the strongest kind."""
    if grid is None or grid.is_blank:
        return None
    scores = enumerate(grid.row(row))
    found = [(score, -position) for position, score in scores if score is not None and can_be_summed(score)]
    if not found:
        return None
    score, position = max(found)
    return [-position, round(score * 1000)]
