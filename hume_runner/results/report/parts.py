"""One source in one model as the page shows it: sums over all its rows, and some rows to draw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hume_runner.services.table_shapes import Block, Grid, Layout

LONGEST_TEXT = 240
LONGEST_NAME = 160
# Of names that are open, so many are told of each source, and so many drawn; fewer where sources are many.
_OPEN_NAMES, _FEW_OPEN_NAMES = 60, 12
_OPEN_DRAWN = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """How much of each source and model the page keeps: rows to draw, and scores in each of them (None: all)."""

    rows: int
    scores: int | None


@dataclass(slots=True, kw_only=True)
class Part:
    """What is known of one source in one model: sums over all rows, and some rows to draw."""

    layout: Layout
    detail: Detail
    rows: int = 0
    sums: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)
    stride: int = 1
    kept: list[list[Any]] = field(default_factory=list)
    groups: dict[str, int] = field(default_factory=dict)

    def add(self, block: Block) -> None:
        grid = block.grids[self.layout.families[0].prefix]
        self._sum(grid)
        # After a thinning only every `stride`-th row of the whole is kept, so that what is drawn is evenly spread.
        for row in range(-self.rows % self.stride, block.rows, self.stride):
            self.kept.append(self._drawn(block, grid, row))
        self.rows += block.rows
        while len(self.kept) > self.detail.rows:
            self.kept = self.kept[::2]
            self.stride *= 2

    def _sum(self, grid: Grid) -> None:
        if not self.sums:
            width = grid.width
            self.sums, self.counts, self.peaks = [0.0] * width, [0] * width, [float("-inf")] * width
        if grid.absent:
            self._sum_with_gaps(grid)
            return
        for position in range(grid.width):
            column = grid.values[position :: grid.width]
            self.sums[position] += sum(column)
            self.counts[position] += grid.rows
            self.peaks[position] = max(self.peaks[position], max(column, default=self.peaks[position]))

    def _sum_with_gaps(self, grid: Grid) -> None:
        for row in range(grid.rows):
            for position, score in enumerate(grid.row(row)):
                if score is not None:
                    self.sums[position] += score
                    self.counts[position] += 1
                    self.peaks[position] = max(self.peaks[position], score)

    def _drawn(self, block: Block, grid: Grid, row: int) -> list[Any]:
        """[begin, end, group, text, scores, sentiment, toxicity]: times in seconds, scores in thousandths."""
        begin, end = self.layout.time or (None, None)
        group = _group(block, row)
        words = block.columns[self.layout.text][row] if self.layout.text else None
        scores: list[float | None] = grid.row(row)
        return [
            _seconds(block.columns[begin][row]) if begin else None,
            _seconds(block.columns[end][row]) if end else None,
            self.groups.setdefault(group, len(self.groups)),
            str(words)[:LONGEST_TEXT] if words is not None else None,
            [_thousandths(score) for score in scores],
            _sentiment(block.grids.get("sentiment"), row),
            _worst(block.grids.get("toxicity"), row),
        ]

    def document(self) -> dict[str, Any]:
        """This part for the page."""
        means = [total / count if count else None for total, count in zip(self.sums, self.counts, strict=True)]
        strongest = sorted(
            (position for position, mean in enumerate(means) if mean is not None),
            key=lambda position: (-(means[position] or 0.0), position),
        )
        shown = sorted(strongest[: self.detail.scores]) if self.detail.scores else None
        rows = [[*row[:4], [row[4][position] for position in shown] if shown is not None else row[4], *row[5:]]
                for row in self.kept]  # fmt: skip
        return {
            "n": self.rows,
            "mean": [_thousandths(mean) for mean in means],
            "peak": [
                _thousandths(peak) if count else None for peak, count in zip(self.peaks, self.counts, strict=True)
            ],
            "groups": list(self.groups),
            "stride": self.stride,
            "shown": shown,
            "rows": rows,
        }


@dataclass(slots=True, kw_only=True)
class OpenPart:
    """The same where names are open and a row has a score only if it was above a cutoff.

    `names` numbers the names as they come, for all sources together. Means are over the rows that have the score.
    """

    layout: Layout
    detail: Detail
    names: dict[str, int]
    rows: int = 0
    sums: dict[int, float] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)
    peaks: dict[int, float] = field(default_factory=dict)
    stride: int = 1
    kept: list[list[Any]] = field(default_factory=list)
    groups: dict[str, int] = field(default_factory=dict)

    def add(self, block: Block) -> None:
        ragged = block.ragged[self.layout.open_families[0].name]
        for row in range(block.rows):
            scores = {self.names.setdefault(name, len(self.names)): score for name, score in ragged.row(row)}
            for name, score in scores.items():
                self.sums[name] = self.sums.get(name, 0.0) + score
                self.counts[name] = self.counts.get(name, 0) + 1
                self.peaks[name] = max(self.peaks.get(name, score), score)
            if (self.rows + row) % self.stride == 0:
                self.kept.append(self._drawn(block, row, scores))
        self.rows += block.rows
        while len(self.kept) > self.detail.rows:
            self.kept = self.kept[::2]
            self.stride *= 2

    def _drawn(self, block: Block, row: int, scores: Mapping[int, float]) -> list[Any]:
        begin, end = self.layout.time or (None, None)
        group = _group(block, row)
        return [
            _seconds(block.columns[begin][row]) if begin else None,
            _seconds(block.columns[end][row]) if end else None,
            self.groups.setdefault(group, len(self.groups)),
            None,
            {name: _thousandths(score) for name, score in scores.items()},
            None,
            None,
        ]

    def document(self) -> dict[str, Any]:
        """This part for the page; `open` has [name, mean, highest, rows that have it] of the strongest."""
        few = self.detail.scores
        # What is there often and strongly comes first: a name that was there once, and high, says little.
        strongest = sorted(self.sums, key=lambda name: (-self.sums[name], name))
        shown = sorted(strongest[: few or _OPEN_DRAWN])
        return {
            "n": self.rows,
            "open": [
                [
                    name,
                    _thousandths(self.sums[name] / self.counts[name]),
                    _thousandths(self.peaks[name]),
                    self.counts[name],
                ]
                for name in strongest[: _FEW_OPEN_NAMES if few else _OPEN_NAMES]
            ],
            "groups": list(self.groups),
            "stride": self.stride,
            "shown": shown,
            "rows": [[*row[:4], [row[4].get(name) for name in shown], *row[5:]] for row in self.kept],
        }


def _group(block: Block, row: int) -> str:
    told = block.columns.get("group_id")
    return str((told[row] if told is not None else None) or "unknown")[:LONGEST_NAME]


def _thousandths(score: float | None) -> int | None:
    return None if score is None else round(score * 1000)


def _seconds(moment: Any) -> float | None:
    return round(moment, 2) if isinstance(moment, (int, float)) else None


def _sentiment(grid: Grid | None, row: int) -> int | None:
    """The weighted mean level, from 1 (most negative) to 9, in thousandths; None where it was not asked for."""
    if grid is None or grid.is_blank:
        return None
    weights = [score or 0.0 for score in grid.row(row)]
    total = sum(weights)
    return round(sum(level * weight for level, weight in enumerate(weights, start=1)) / total * 1000) if total else None


def _worst(grid: Grid | None, row: int) -> list[int] | None:
    """[category, score in thousandths] of the strongest kind of toxicity."""
    if grid is None or grid.is_blank:
        return None
    found = [(score, -position) for position, score in enumerate(grid.row(row)) if score is not None]
    if not found:
        return None
    score, position = max(found)
    return [-position, round(score * 1000)]
