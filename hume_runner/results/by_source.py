"""Rows summed up source by source as they stream past, in the order in which the sources are complete."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hume_runner.frozen import frozen
from hume_runner.results.aggregates import SourceSums
from hume_runner.results.base import Answer, ItemRecord
from hume_runner.results.event_table import by_event
from hume_runner.results.intervals import Interval, Intervals
from hume_runner.results.rows import ItemRows
from hume_runner.services.table_shapes import Block


@frozen
class Summed:
    """One source in one table, and where it was asked for, one event of it; `until`: the answer of its last part."""

    item: ItemRecord
    table: str
    event: Interval | None
    sums: SourceSums
    until: Path


class SumsBySource:
    """Holds the sources of one answer, and those whose later parts are still to come."""

    def __init__(self, *, above: float, spread: bool, every: bool = False, intervals: Intervals | None = None) -> None:
        """With `intervals` a source is summed up for each of its events, and not as a whole. `every`: also measurements
        that no page draws."""
        self._every = every
        self._above = above
        self._spread = spread
        self._intervals = intervals
        self._open: dict[tuple[str, str, Interval | None], Summed] = {}
        self._answer: Answer | None = None
        self._last: dict[str, Path] = {}  # item of this answer -> the answer that holds its last part

    def add(self, found: ItemRows) -> Iterator[Summed]:
        """Take these rows in; yields the sources that are complete with that. To be exhausted."""
        if found.answer is not self._answer:
            yield from self._settled()
            self._answer = found.answer
            spread = [member for member in found.answer.members if member.pieces]
            self._last = {item.id: member.pieces[-1].path for member in spread for item in member.items}
        if self._intervals is None:
            self._add(found, None, found.block)
        else:
            for one, block in by_event(self._intervals, found.item.id, found.block):
                self._add(found, one, block)

    def rest(self) -> Iterator[Summed]:
        """What is left at the end."""
        left, self._open = list(self._open.values()), {}
        yield from left

    def _add(self, found: ItemRows, event: Interval | None, block: Block) -> None:
        layout = block.layout
        key = (found.item.id, layout.name, event)
        if key not in self._open:
            self._open[key] = Summed(
                item=found.item,
                table=layout.name,
                event=event,
                sums=SourceSums(layout=layout, above=self._above, spread=self._spread, every=self._every),
                until=self._last.get(found.item.id, found.answer.path),
            )
        self._open[key].sums.add(block)

    def _settled(self) -> Iterator[Summed]:
        """The sources of the answer that is over, save those of which later answers hold parts."""
        if self._answer is not None:
            for key in [key for key, one in self._open.items() if one.until == self._answer.path]:
                yield self._open.pop(key)
