"""Many rows of one source as a few numbers a score: how many rows have it, mean, spread, highest, share above a cutoff.

A score that a row does not have counts nowhere: not in the mean, not in the share. Where a service leaves out what is
below its cutoff, the mean is over the rows above it, and `n` beside it says over how many.

A number may be as large as the format holds, and then no sum of squares is one any more. What lies beyond
`summable.LARGEST_SUMMED` stands in its row, and of its score nothing is made that sums: no mean, no spread, no picture.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, compress, pairwise
from typing import TypeGuard, cast

import pyarrow as pa
import pyarrow.compute as pc

from hume_runner.results.spreads import corrected, distances, lost, products
from hume_runner.results.summable import SMALLEST_SQUARES, can_be_summed
from hume_runner.services.table_shapes import Block, Family, Grid, Layout, Ragged, column_name

# From here on a call into Arrow costs less than a loop of our own.
_MANY_ROWS = 1_000
_MANY_SCORES = 256
# The family of what is measured and is no score: loudness, pitch, speech rate.
VALUE = "value"


@dataclass(slots=True)
class Moments:
    """Numbers as they come, without keeping them. `spread` is the sum of squared distances from the mean.

    `total` and `rest` are their sum, `rest` what rounding has taken from `total`: nothing is lost as blocks are joined,
    the sum of a block of fewer than a thousand numbers is right to its last digit, and the mean lies among them all.
    `off` is what the two lack still; it counts where spreads are joined, and is known where they are asked for.
    """

    n: int = 0
    total: float = 0.0
    rest: float = 0.0
    off: float = field(default=0.0, kw_only=True)
    spread: float = 0.0
    lowest: float = math.inf
    highest: float = -math.inf
    above: int = 0

    @property
    def mean(self) -> float:
        """The mean; 0 of no numbers."""
        if not self.n:
            return 0.0
        # A sum that is right to its last digit, divided: that may still lie a digit beyond all of them.
        return min(max((self.total + self.rest) / self.n, self.lowest), self.highest)

    def add(self, other: Moments) -> None:
        """Join in those of another set of numbers (Chan, Golub and LeVeque 1979, updating formulae)."""
        if self.n and other.n:
            # As exactly as the means are known: what they are rounded by may be more than they differ by.
            apart = (other.mean - self.mean) + (other._lost - self._lost)
            self.spread += apart * apart * self.n * other.n / (self.n + other.n)
        self.n += other.n
        self.spread += other.spread
        self.off += other.off
        self._sum(other.total, other.rest)
        self.lowest = min(self.lowest, other.lowest)
        self.highest = max(self.highest, other.highest)
        self.above += other.above

    def take(self, number: float) -> None:
        """Join in a single number, where how many are above a cutoff is not asked."""
        if self.n:
            apart = (number - self.mean) - self._lost
            self.spread += apart * apart * self.n / (self.n + 1)
        self.n += 1
        self._sum(number, 0.0)
        self.lowest = min(self.lowest, number)
        self.highest = max(self.highest, number)

    def spread_by(self, squares: float, off: float) -> None:
        """Their distances from `mean`, summed up: as `squares`, and as they are."""
        self.spread = corrected(squares, off, off, self.n)
        self.off = (off / self.n - lost(self.mean, self.n, self.total, self.rest)) * self.n

    @property
    def _lost(self) -> float:
        """What rounding has taken from `mean`."""
        return lost(self.mean, self.n, self.total, self.rest, self.off)

    def _sum(self, total: float, rest: float) -> None:
        """Add to the sum, and to `rest` what the addition loses, exactly (Knuth, TAOCP 2, 4.2.2, theorem B)."""
        found = self.total + total
        theirs = found - self.total
        self.rest += rest + ((self.total - (found - theirs)) + (total - theirs))
        self.total = found

    @property
    def sd(self) -> float | None:
        """The standard deviation of a sample (divided by n - 1); None of a single number, and of numbers that differ by
        so little that their squares are none."""
        if self.n < 2 or (self.spread < SMALLEST_SQUARES and self.lowest < self.highest):
            return None
        return math.sqrt(self.spread / (self.n - 1)) if self.lowest < self.highest else 0.0


# A family's prefix, and the score's name as the service spells it.
Score = tuple[str, str]


@dataclass(slots=True, kw_only=True)
class SourceSums:
    """One source in one table: its rows, how many of them were scored, when they begin and end, and its scores."""

    layout: Layout
    above: float
    spread: bool = True  # whether anybody will ask for the standard deviations
    every: bool = False  # whether measurements that no page draws are summed up, too
    rows: int = 0
    scored: int = 0
    begin_s: float | None = None
    end_s: float | None = None
    window_s: float = 0.0  # the longest row, where rows are windows
    measured_by: set[str] = field(default_factory=set)
    scores: dict[Score, Moments] = field(default_factory=dict)
    # Scores that have a number that cannot be summed: of their moments `n`, `highest` and `above` hold, and no mean.
    beyond: dict[Score, Moments] = field(default_factory=dict)

    def add(self, block: Block) -> None:
        """The rows of one more block."""
        self.rows += block.rows
        self.scored += _scored(block)
        self._times(block)
        self.measured_by.update(str(said) for said in set(block.columns.get("measured_by", ())) if said is not None)
        for family in self.layout.families:
            self._grid(family, block.grids[family.prefix])
        for one in self.layout.open_families:
            self._ragged(one.prefix, block.ragged[one.name])
        whole = self._whole(block) if self.layout.windows else None
        for name in measured_columns(self.layout, every=self.every):
            cells = block.columns[name] if whole is None else compress(block.columns[name], whole)
            self._numbers((VALUE, name), [float(cell) for cell in cells if _is_number(cell)])

    def _whole(self, block: Block) -> list[bool]:
        """Of windows, whether each is half a window at least: what is left at the end may be a few hundredths of a
        second of silence, and would count as much as a whole one."""
        assert self.layout.time is not None
        begin, end = self.layout.time
        lengths = [
            float(after) - float(before) if _is_number(before) and _is_number(after) else 0.0
            for before, after in zip(block.columns[begin], block.columns[end], strict=True)
        ]
        self.window_s = max(self.window_s, *lengths, 0.0)
        return [2 * length >= self.window_s for length in lengths]

    def _times(self, block: Block) -> None:
        if self.layout.time is None:
            return
        begin, end = self.layout.time
        starts, ends = _finite(block.columns[begin]), _finite(block.columns[end])
        if starts:
            self.begin_s = min(starts) if self.begin_s is None else min(self.begin_s, *starts)
        if ends:
            self.end_s = max(ends) if self.end_s is None else max(self.end_s, *ends)

    def _grid(self, family: Family, grid: Grid) -> None:
        if grid.is_blank:
            return
        some = _some(grid)
        whole = bytearray(b"\1" * grid.rows)
        for row in grid.absent:
            whole[row] = 0
        for position, name in enumerate(family.names):
            numbers: Sequence[float] = grid.values[position :: grid.width]
            if grid.absent:
                numbers = [*compress(numbers, whole), *some[position]]
            self._numbers((family.prefix, name), numbers)

    def _ragged(self, prefix: str, ragged: Ragged) -> None:
        if len(ragged.names) < _MANY_SCORES or not all(map(can_be_summed, (min(ragged.values), max(ragged.values)))):
            grouped: dict[str, list[float]] = {}
            for name, value in zip(ragged.names, ragged.values, strict=True):
                grouped.setdefault(name, []).append(value)
            for name, numbers in grouped.items():
                self._numbers((prefix, name), numbers)
            return
        values = pa.array(ragged.values, pa.float64())
        table = pa.table(
            {"name": pa.array(ragged.names), "value": values, "above": pc.greater_equal(values, self.above)}
        )
        found = table.group_by("name", use_threads=False).aggregate(
            [("value", how) for how in ("list", "min", "max")] + [("above", "sum")]
        )
        lists = found["value_list"].combine_chunks()
        edges, grouped_values = lists.offsets.to_pylist(), memoryview(lists.values.buffers()[1]).cast("d")
        columns = ("name", "value_min", "value_max", "above_sum")
        told = zip(*(found[column].to_pylist() for column in columns), strict=True)
        for (begin, end), (name, lowest, highest, above) in zip(pairwise(edges), told, strict=True):
            self._joined((prefix, name), self._some(grouped_values[begin:end], lowest, highest, above))

    def _numbers(self, score: Score, numbers: Sequence[float]) -> None:
        if not numbers:
            return
        n = len(numbers)
        if n == 1:
            (number,) = numbers
            if can_be_summed(number):
                self._joined(score, Moments(1, number, 0.0, 0.0, number, number, int(number >= self.above)))
            else:
                self._not_summed(score, n, number, int(number >= self.above))
        elif n < _MANY_ROWS:
            lowest, highest = min(numbers), max(numbers)
            above = sum(map(self.above.__le__, numbers)) if highest >= self.above else 0
            if not (can_be_summed(highest) and can_be_summed(lowest)):
                self._not_summed(score, n, highest, above)
                return
            self._joined(score, self._some(numbers, lowest, highest, above))
        else:
            values = pa.array(numbers, pa.float64()) if not isinstance(numbers, array) else _borrowed(numbers)
            lowest, highest = pc.min_max(values).as_py().values()
            above = pc.sum(pc.greater_equal(values, self.above)).as_py()
            if not (can_be_summed(lowest) and can_be_summed(highest)):
                self._not_summed(score, n, highest, above)
                return
            # Arrow's sum is made in pairs, which is right but for the last digits, and takes a tenth of the time.
            some = Moments(n, pc.sum(values).as_py(), 0.0, 0.0, lowest, highest, above)
            if self.spread:
                away = pc.subtract(values, some.mean)
                some.spread_by(pc.sum(pc.multiply(away, away)).as_py(), pc.sum(away).as_py())
            self._joined(score, some)

    def _some(self, numbers: Sequence[float], lowest: float, highest: float, above: int) -> Moments:
        """Some numbers summed up, with their spread where it will be asked for."""
        some = _summed(numbers, lowest, highest, above)
        if self.spread:
            away = distances(numbers, some.mean)
            some.spread_by(products(away, away), math.fsum(away))
        return some

    def _joined(self, score: Score, some: Moments) -> None:
        """Take in some numbers, which become ours if they are the first."""
        if score in self.beyond:
            self._not_summed(score, some.n, some.highest, some.above)
        elif (sofar := self.scores.get(score)) is not None:
            sofar.add(some)
        else:
            self.scores[score] = some

    def _not_summed(self, score: Score, n: int, highest: float, above: int) -> None:
        """Count numbers of which some cannot be summed: from then on their score has no mean in this source."""
        before = self.scores.pop(score, None) or self.beyond.get(score) or Moments()
        self.beyond[score] = Moments(n=before.n + n, highest=max(before.highest, highest), above=before.above + above)

    @property
    def strongest(self) -> tuple[Score, Moments] | None:
        """The score of the table's first family with the highest mean; None where there is no such score.

        Families measure different things: the first one is what a table is about.
        """
        prefixes = [*(one.prefix for one in self.layout.families), *(one.prefix for one in self.layout.open_families)]
        found = [(moments.mean, score) for score, moments in self.scores.items() if score[0] in prefixes[:1]]
        if not found:
            return None
        _, score = max(found, key=lambda pair: pair[0])
        return score, self.scores[score]

    def named(self) -> Iterator[tuple[str, Score, Moments]]:
        """(name as a column has it, score, numbers), in the order of the table's families; those that have no mean come
        last."""
        taken: set[str] = set()
        for score, moments in (*self.scores.items(), *self.beyond.items()):
            prefix, name = score
            plain = column = name if prefix == VALUE else f"{prefix}_{column_name(name)}"
            number = 1
            while column in taken:
                number += 1
                column = f"{plain}_{number}"
            taken.add(column)
            yield column, score, moments


def _summed(numbers: Sequence[float], lowest: float, highest: float, above: int) -> Moments:
    """Numbers, of which all but sum and spread is known."""
    if isinstance(numbers, array):
        numbers = memoryview(numbers)  # which is gone through in less time
    total = math.fsum(numbers)
    # What that lacks is seen where a later block takes most of it away again, and of scores up to 1 not even there; to
    # ask costs as much as the sum.
    rest = 0.0 if lowest >= -1.0 and highest <= 1.0 else math.fsum(chain((-total,), numbers))
    return Moments(len(numbers), total, rest, 0.0, lowest, highest, above)


def _scored(block: Block) -> int:
    """Rows with any score at all; of a table without scores, all of them."""
    if not block.grids and not block.ragged:
        return block.rows
    blank: set[int] | None = None
    for grid in block.grids.values():
        mine = {row for row, missing in grid.absent.items() if len(missing) == grid.width}
        blank = mine if blank is None else blank & mine
    for ragged in block.ragged.values():
        mine = {row for row in range(block.rows) if ragged.starts[row + 1] == ragged.starts[row]}
        blank = mine if blank is None else blank & mine
    return block.rows - len(blank or ())


def _some(grid: Grid) -> Sequence[Sequence[float]]:
    """For each position the scores of the rows that have it and lack others."""
    found: list[list[float]] = [[] for _ in range(grid.width)]
    for row, missing in grid.absent.items():
        if len(missing) < grid.width:
            gone = set(missing)
            for position in range(grid.width):
                if position not in gone:
                    found[position].append(grid.values[row * grid.width + position])
    return found


def measured_columns(layout: Layout, *, every: bool) -> tuple[str, ...]:
    """Columns that hold measurements and are no scores, those first that are drawn as curves, or told beside what is.

    `every`: the others, too. Not where a row stands: times, and boxes in pixels; nor how long something lasts, whose
    mean follows how the source was cut into rows.
    """
    signals = layout.signals
    if signals is None:
        return ()
    numbers = [column.name for column in layout.columns if column.type == "number"]
    placed = {*(layout.time or ()), *(signals.box or ())}
    drawn = [name for name in signals.columns if name in numbers and name not in placed]
    others = [name for name in numbers if name not in placed and not name.endswith("_s")] if every else []
    return tuple(dict.fromkeys((*drawn, *others)))


def _finite(cells: Sequence[object]) -> Sequence[float]:
    """Those that are numbers, and finite."""
    if set(map(type, cells)) == {float}:
        numbers = cast(Sequence[float], cells)
        if math.isfinite(sum(numbers)):  # one that is not makes their sum none either
            return numbers
    return [float(cell) for cell in cells if _is_number(cell)]


def _is_number(cell: object) -> TypeGuard[float]:
    return isinstance(cell, int | float) and not isinstance(cell, bool) and math.isfinite(cell)


def _borrowed(numbers: array[float]) -> pa.Array:
    return pa.Array.from_buffers(pa.float64(), len(numbers), [None, pa.py_buffer(numbers)])
