"""What a reader should distrust, counted while the rows go by: few rows, low confidence, cut speech."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from hume_runner.results.aggregates import SourceSums
from hume_runner.results.base import ItemRecord
from hume_runner.results.rows import ItemRows
from hume_runner.results.summable import LARGEST_SUMMED

FEWEST_ROWS = 3
LEAST_SURE = 0.5
_NAMED = 4
_LONGEST = 40


@dataclass(slots=True)
class Tally:
    """How many sources, and the first few by id."""

    sources: int = 0
    rows: int = 0
    first: list[str] = field(default_factory=list)

    def take(self, item: ItemRecord, rows: int = 0) -> None:
        self.sources += 1
        self.rows += rows
        if len(self.first) < _NAMED:
            self.first.append(item.id if len(item.id) <= _LONGEST else "…" + item.id[1 - _LONGEST :])

    def named(self) -> str:
        """`p1, p2 and 12 more`."""
        more = self.sources - len(self.first)
        return ", ".join(self.first) + (f" and {more:,} more" if more else "")


@dataclass(slots=True)
class _Open:
    """One source in one table whose rows are still coming."""

    sure: float = 0.0
    told: int = 0
    cut: int = 0


class Doubts:
    """Takes rows, then each source when it is complete. Holds what is open, and counts."""

    def __init__(self) -> None:
        self.few: dict[str, Tally] = {}
        self.unsure: dict[str, Tally] = {}
        self.cut: dict[str, Tally] = {}
        self.unscored: dict[str, Tally] = {}
        self.beyond: dict[str, Tally] = {}
        self._why: dict[str, str] = {}
        self._means: dict[str, str] = {}
        self._open: dict[tuple[str, str], _Open] = {}

    def rows(self, found: ItemRows) -> None:
        """Rows of one source in one table."""
        layout, columns = found.block.layout, found.block.columns
        if not layout.confidence and layout.cut is None:
            return
        one = self._open.setdefault((found.item.id, layout.name), _Open())
        if layout.cut is not None:
            one.cut += sum(1 for cell in columns[layout.cut] if cell is True)
        told = [columns[name] for name in layout.confidence]
        for row in range(found.block.rows if told else 0):
            sure = next((column[row] for column in told if column[row] is not None), None)
            if isinstance(sure, int | float):
                one.sure += sure
                one.told += 1

    def complete(self, item: ItemRecord, table: str, sums: SourceSums) -> None:
        """No more rows of this source in this table come."""
        # A written text has as many rows as it has sentences, a still picture one a face; of a recording few rows are
        # few measurements.
        still = sums.begin_s is None or sums.begin_s == sums.end_s
        if not still and 0 < sums.scored < FEWEST_ROWS and sums.scores:
            self.few.setdefault(table, Tally()).take(item, sums.scored)
        if sums.rows and not sums.scored and sums.layout.unscored:
            self.unscored.setdefault(table, Tally()).take(item, sums.rows)
            self._why[table] = sums.layout.unscored
        if sums.beyond:
            self.beyond.setdefault(table, Tally()).take(item)
        one = self._open.pop((item.id, table), None)
        if one is not None and one.cut:
            self.cut.setdefault(table, Tally()).take(item, one.cut)
        if one is not None and one.told and one.sure / one.told < LEAST_SURE:
            self.unsure.setdefault(table, Tally()).take(item, one.told)
            self._means[table] = sums.layout.unsure

    def sentences(self) -> Iterator[str]:
        """What was found, for people."""
        for table, tally in _by_size(self.few):
            yield f"{_sources(tally)} fewer than {FEWEST_ROWS} rows in {table}, no steady mean: {tally.named()}."
        for table, tally in _by_size(self.unscored):
            yield f"{_sources(tally)} no score in {table}, since {self._why[table]}: {tally.named()}."
        for table, tally in _by_size(self.beyond):
            yield (
                f"{_sources(tally)} numbers beyond ±{LARGEST_SUMMED:g} in {table}, of which nothing is drawn "
                f"and no mean made: {tally.named()}."
            )
        for table, tally in _by_size(self.unsure):
            means = f", {self._means[table]}" if self._means.get(table) else ""
            yield f"{_sources(tally)} a mean confidence below {LEAST_SURE} in {table}{means}: {tally.named()}."
        for table, tally in _by_size(self.cut):
            rows = f"{tally.rows:,} row{'' if tally.rows == 1 else 's'}"
            yield f"{_sources(tally)} speech that was cut in the middle ({table}, {rows}): {tally.named()}."


def _by_size(tallies: Mapping[str, Tally]) -> list[tuple[str, Tally]]:
    return sorted(tallies.items(), key=lambda pair: (-pair[1].sources, pair[0]))


def _sources(tally: Tally) -> str:
    return f"{tally.sources:,} source has" if tally.sources == 1 else f"{tally.sources:,} sources have"
