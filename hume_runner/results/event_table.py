"""Rows joined with the events that they lie in: the column `event`, and `events`, a row a source, event and table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from hume_runner.results.intervals import Interval, Intervals, holding
from hume_runner.services.table_shapes import Block, Grid, Ragged


def moments(block: Block) -> list[float | None]:
    """When each row of a table with times is, in seconds from the start of the source: the middle of a stretch; None
    where nothing tells."""
    assert block.layout.time is not None
    begins, ends = (block.columns[name] for name in block.layout.time)
    return [_middle(begin, end) for begin, end in zip(begins, ends, strict=True)]


def _middle(begin: object, end: object) -> float | None:
    if not isinstance(begin, int | float):
        return None
    return (begin + end) / 2 if isinstance(end, int | float) else float(begin)


def innermost(intervals: Intervals, item_id: str, block: Block) -> list[str | None]:
    """For each row the name of the event that it lies in; of several the one that began last."""
    if block.layout.time is None:
        return [None] * block.rows
    found = holding(intervals.of(item_id), moments(block))
    return [one[-1].name if one else None for one in found]


def by_event(intervals: Intervals, item_id: str, block: Block) -> Iterator[tuple[Interval, Block]]:
    """The rows of each event; a row that lies in several belongs to each."""
    rows: dict[Interval, list[int]] = {}
    if block.layout.time is None:
        return
    for row, found in enumerate(holding(intervals.of(item_id), moments(block))):
        for one in found:
            rows.setdefault(one, []).append(row)
    for one, chosen in rows.items():
        yield one, selected(block, chosen)


def selected(block: Block, rows: Sequence[int]) -> Block:
    """Some rows of a block, in their order."""
    if len(rows) == block.rows:
        return block
    return replace(
        block,
        rows=len(rows),
        columns={name: [cells[row] for row in rows] for name, cells in block.columns.items()},
        grids={prefix: _some_grid(grid, rows) for prefix, grid in block.grids.items()},
        extra=[block.extra[row] for row in rows],
        ragged={name: _some_ragged(ragged, rows) for name, ragged in block.ragged.items()},
    )


def _some_grid(grid: Grid, rows: Sequence[int]) -> Grid:
    found = Grid(grid.width)
    for row in rows:
        if row in grid.absent:
            found.absent[found.rows] = grid.absent[row]
        found.values.extend(grid.values[row * grid.width : (row + 1) * grid.width])
        found.rows += 1
    return found


def _some_ragged(ragged: Ragged, rows: Sequence[int]) -> Ragged:
    found = Ragged()
    unmeasured = set(ragged.unmeasured)
    for row in rows:
        if row in unmeasured:
            found.add_unmeasured()
        else:
            begin, end = ragged.starts[row], ragged.starts[row + 1]
            found.add(ragged.names[begin:end], ragged.values[begin:end])
    return found
