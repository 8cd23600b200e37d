"""The one pass over the answers: what is drawn of each source, and what all sources say together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from hume_runner.results.aggregates import Moments, Score
from hume_runner.results.base import ResultSet
from hume_runner.results.by_source import Summed, SumsBySource
from hume_runner.results.credits import MEASURED_BY
from hume_runner.results.groups import GroupSums
from hume_runner.results.label_groups import LabelGroups
from hume_runner.results.report.doubts import Doubts
from hume_runner.results.report.parts import LONGEST_TEXT, Detail, OpenPart, Part
from hume_runner.results.report.signals import SignalPart
from hume_runner.results.rows import ItemError, ItemRows, all_rows
from hume_runner.results.summable import can_be_summed
from hume_runner.services.table_shapes import Block, Ragged

LONGEST_START = 90
_MOST_LABELS = 6
# A service's open names are words of ours to nobody: of so many different ones the first are summed up.
_MOST_OPEN = 400


@dataclass(slots=True, kw_only=True)
class Pass:
    """What is known so far. Only sources in `records` are drawn; sums are over all of them.

    `records`: item -> what the page says of it, which gets the start of a text, and errors that only answers tell.
    """

    records: dict[str, dict[str, Any]]
    pictured: set[str]
    detail: Detail
    most_rows: int
    label_groups: LabelGroups
    unread: Callable[[str], None]
    parts: dict[str, dict[str, Part | OpenPart]] = field(default_factory=dict)
    drawn: dict[str, dict[str, SignalPart]] = field(default_factory=dict)
    by: dict[str, set[str]] = field(default_factory=dict)  # who measured -> tables
    open_names: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)  # table -> prefix -> name -> number
    lowest: dict[str, int] = field(default_factory=dict)  # table -> the lowest score where names are open, thousandths
    means: dict[str, dict[Score, Moments]] = field(default_factory=dict)  # table -> score -> over sources
    covered: dict[str, int] = field(default_factory=dict)  # table -> how many sources have rows in it
    groups: dict[str, GroupSums] = field(init=False)
    doubts: Doubts = field(default_factory=Doubts)
    found: set[str] = field(default_factory=set)  # those of `records` that have rows
    unread_items: int = 0

    def __post_init__(self) -> None:
        self.groups = {
            label: GroupSums(label, self.label_groups.order(label)) for label in self.label_groups.usual[:_MOST_LABELS]
        }

    def go(self, results: ResultSet) -> None:
        """Read every answer once."""
        sums = SumsBySource(above=0.5, spread=False)
        last = ""
        for found in all_rows(results.answers()):
            if isinstance(found, ItemError):
                if found.unread is not None:
                    self.unread_items += 1
                    if found.unread != last:
                        last = found.unread
                        self.unread(last)
                    if found.item.id in self.records:
                        self.records[found.item.id]["e"] = found.error.message[:LONGEST_TEXT]
                continue
            self._complete(sums.add(found))
            self.doubts.rows(found)
            self._rows(found)
        self._complete(sums.rest())

    @property
    def thinned(self) -> int:
        """How many sources are drawn with gaps between rows."""
        return sum(
            any(part.stride > 1 for part in (*self.parts.get(name, {}).values(), *self.drawn.get(name, {}).values()))
            for name in self.records
        )

    def _rows(self, found: ItemRows) -> None:
        block, name = found.block, found.item.id
        layout = block.layout
        for said in set(block.columns.get(MEASURED_BY, ())):
            self.by.setdefault(str(said), set()).add(layout.name)
        if layout.open_families and (low := _lowest(block.ragged[layout.open_families[0].name])) is not None:
            self.lowest[layout.name] = min(low, self.lowest.get(layout.name, low))
        if name not in self.records:
            return
        if block.rows:
            self.found.add(name)
        if found.item.kind == "text":
            self._start(self.records[name], block)
        if layout.signals is not None and name in self.pictured:
            signals = self.drawn.setdefault(name, {})
            if layout.name not in signals:
                signals[layout.name] = SignalPart(layout=layout, signals=layout.signals, most=self.most_rows)
            signals[layout.name].add(block)
        if layout.families or layout.open_families:  # the page draws scores; what has none is in the tables
            self._part(name, block).add(block)

    def _part(self, name: str, block: Block) -> Part | OpenPart:
        layout = block.layout
        mine = self.parts.setdefault(name, {})
        if layout.name not in mine:
            mine[layout.name] = (
                OpenPart(layout=layout, detail=self.detail, names=self.open_names.setdefault(layout.name, {}))
                if layout.open_families
                else Part(layout=layout, detail=self.detail)
            )
        return mine[layout.name]

    def _start(self, record: dict[str, Any], block: Block) -> None:
        """The first words of a written text, as far as they are seen in order: by them people know it."""
        layout = block.layout
        if layout.text is None or not (layout.families or layout.open_families):
            return
        table, start = record.get("x", (layout.name, ""))
        # A table of names has but some words of it.
        if table != layout.name or layout.text != "text" or len(start) >= LONGEST_START:
            return
        for words in block.columns[layout.text]:
            if words is not None:
                start = f"{start} {words}".strip()[: LONGEST_START + 1]
            if len(start) >= LONGEST_START:
                break
        record["x"] = (table, start)

    def _complete(self, done: Iterable[Summed]) -> None:
        for one in done:
            self.doubts.complete(one.item, one.table, one.sums)
            if one.sums.rows:
                self.covered[one.table] = self.covered.get(one.table, 0) + 1
            means = self.means.setdefault(one.table, {})
            for score, moments in one.sums.scores.items():
                mine = means.get(score)
                if mine is None and len(means) < _MOST_OPEN:
                    mine = means[score] = Moments()
                if mine is not None:
                    mine.take(moments.mean)
            for groups in self.groups.values():
                groups.add(one.item, one.table, one.sums)
            part = self.parts.get(one.item.id, {}).get(one.table)
            if part is not None:
                part.sum_up(one.sums)


def _lowest(ragged: Ragged) -> int | None:
    """In thousandths; None where there is no score that can be drawn."""
    if not ragged.values:
        return None
    low = min(ragged.values)
    if not can_be_summed(low):
        low = min(filter(can_be_summed, ragged.values), default=math.nan)
    return None if math.isnan(low) else round(low * 1000)
