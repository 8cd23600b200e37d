"""The columns of every table, and rows collected into Arrow tables with exactly these columns."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Sequence
from itertools import chain, repeat
from typing import Any

import pyarrow as pa

from hume_runner.results.base import ItemRecord
from hume_runner.results.event_table import innermost
from hume_runner.results.intervals import Intervals
from hume_runner.results.labels import LabelColumns, storable
from hume_runner.results.rows import ItemError, ItemRows
from hume_runner.services.table_shapes import Column, Family, Grid, Layout, Ragged

_ITEM = (
    Column(name="item_id", type="string", meaning="the item's id, as in the manifest and in `items`"),
    Column(
        name="source",
        type="string",
        meaning="what was measured: URL without its query, path, or where a text stands, as `sources.text[0] "
        "(survey.csv:2)`",
    ),
    Column(name="labels", type="json", meaning="the item's labels, as a JSON object"),
    Column(name="job", type="string", meaning="the runner's name of the job that measured it"),
    Column(name="remote_id", type="string", meaning="the service's name of that job"),
    Column(
        name="simulated",
        type="boolean",
        meaning="true if the scores were made up by the emulator, null where nobody can know",
    ),
)
_ORIGIN = (
    Column(
        name="file", type="string", meaning="file inside the source: path in an archive, else as the service calls it"
    ),
    Column(name="file_type", type="string", meaning="what the service took the file for: image, video, audio or text"),
    Column(
        name="group_id", type="string", meaning="who: `face_0`, `spk_1` and so on; `unknown` where nobody is told apart"
    ),
)
_ROW = Column(
    name="row", type="integer", meaning="number of the row within item and table, from 0, in the answer's order"
)
_EXTRA = Column(
    name="extra", type="json", meaning="what the answer holds and no column does, as a JSON object; else null"
)

ITEMS: tuple[Column, ...] = (
    _ITEM[0],
    Column(name="kind", type="string", meaning="url, file or text"),
    *_ITEM[1:3],
    Column(name="status", type="string", meaning="done, failed, pending, in_flight or ambiguous"),
    Column(name="error", type="string", meaning="what went wrong, as a sentence; null if nothing did"),
    Column(name="reason", type="string", meaning="what went wrong, as a short code to group by"),
    *_ITEM[3:5],
    Column(name="raw", type="strings", meaning="paths of the raw answers, relative to the output directory"),
    _ITEM[5],
)
ERRORS: tuple[Column, ...] = (
    *_ITEM,
    Column(name="file", type="string", meaning="file inside the source that failed; null if all of it did"),
    Column(name="reason", type="string", meaning="short code to group by; null for a file of an item that is done"),
    Column(name="message", type="string", meaning="what went wrong, as a sentence"),
)
LONG_SCORES: tuple[Column, ...] = (
    Column(name="family", type="string", meaning="what kind of score: emotion, facs, voice_attribute and so on"),
    Column(name="name", type="string", meaning="name of the score, as the service spells it"),
    Column(name="score", type="number", meaning="the score; a score that is absent has no row"),
)
# What `TABLE_scores` has for each score of a table whose names are open: `item_id` and `row` lead back to the table.
OPEN_SCORES: tuple[Column, ...] = (_ITEM[0], _ROW, *LONG_SCORES)

SCORES_TYPE = pa.map_(pa.string(), pa.float64())
_ARROW = {
    "string": pa.string(),
    "json": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "strings": pa.list_(pa.string()),
}


EVENT = Column(
    name="event",
    type="string",
    meaning="the event that the middle of this row lies in, as the manifest names it; of several the last to start",
)


def own_columns(layout: Layout, more: Sequence[Column] = ()) -> tuple[Column, ...]:
    """The columns of a model's table that are no scores and come before them; `more`: labels and the event, where
    asked for."""
    return (*_ITEM, *more, *_ORIGIN, _ROW, *layout.columns)


def wide_schema(layout: Layout, metadata: dict[str, str], more: Sequence[Column] = ()) -> pa.Schema:
    """One column a score, or one with all scores of an open family, between the table's own columns and `extra`."""
    scores = [
        pa.field(name, pa.float64(), metadata={"name": spelled})
        for family in layout.families
        for name, spelled in zip(family.columns, family.names, strict=True)
    ]
    lists = [pa.field(one.name, SCORES_TYPE, metadata={"meaning": one.meaning}) for one in layout.open_families]
    fields = [*map(field_of, own_columns(layout, more)), *scores, *lists, field_of(_EXTRA)]
    return pa.schema(fields, metadata={**metadata, "row": layout.row})


def long_schema(layout: Layout, metadata: dict[str, str], more: Sequence[Column] = ()) -> pa.Schema:
    """One row a score: the table's own columns, then family, name and score."""
    fields = map(field_of, (*own_columns(layout, more), *LONG_SCORES))
    return pa.schema(fields, metadata={**metadata, "row": f"one score of {layout.row}"})


def scores_schema(layout: Layout, metadata: dict[str, str]) -> pa.Schema:
    """One row a score of the open families: where it belongs, family, name and score."""
    return pa.schema(map(field_of, OPEN_SCORES), metadata={**metadata, "row": f"one score of {layout.row}"})


def record_schema(columns: Iterable[Column], metadata: dict[str, str]) -> pa.Schema:
    return pa.schema(map(field_of, columns), metadata=metadata)


def field_of(column: Column) -> pa.Field:
    return pa.field(column.name, _ARROW[column.type], metadata={"meaning": column.meaning})


def labels_json(item: ItemRecord) -> str | None:
    return json.dumps(dict(item.labels), ensure_ascii=False, allow_nan=False, sort_keys=True) if item.labels else None


def item_record(item: ItemRecord, *, simulated: bool | None) -> dict[str, Any]:
    """The columns that every table has about an item."""
    return {
        "item_id": storable(item.id),
        "source": storable(item.source),
        "labels": storable(labels_json(item)),
        "job": item.job,
        "remote_id": item.remote_id,
        "simulated": True if simulated else item.simulated,
    }


def error_record(found: ItemError, *, simulated: bool | None) -> dict[str, Any]:
    job = {"job": found.answer.job or None, "remote_id": found.answer.remote_id or None}
    told = {"file": found.error.file, "reason": found.item.reason, "message": found.error.message}
    return {**item_record(found.item, simulated=simulated), **job, **told}


class RowBuffer:
    """Rows of one model's table, to be written as one row group."""

    def __init__(self, layout: Layout, labels: LabelColumns | None = None, intervals: Intervals | None = None) -> None:
        self.layout = layout
        self._labels = labels
        self._intervals = intervals
        self._more = (*(labels.columns if labels else ()), *((EVENT,) if intervals else ()))
        self.clear()

    def clear(self) -> None:
        self.rows = 0
        self._columns: dict[str, list[Any]] = {column.name: [] for column in own_columns(self.layout, self._more)}
        self._grids = {family.prefix: Grid(len(family.names)) for family in self.layout.families}
        self._ragged = {family.name: Ragged() for family in self.layout.open_families}
        self._extra: list[str | None] = []

    @property
    def open_scores(self) -> int:
        """How many scores of open families are held."""
        return sum(len(ragged.names) for ragged in self._ragged.values())

    def add(self, found: ItemRows, *, simulated: bool | None) -> None:
        """Append one block under its item's name."""
        block = found.block
        about = item_record(found.item, simulated=simulated)
        # The job that measured these rows, which for content listed twice is the same for all its items.
        about |= {"job": found.answer.job or None, "remote_id": found.answer.remote_id or None}
        if self._labels is not None:
            about |= self._labels.row(found.item)
        for name, value in about.items():
            self._columns[name].extend(repeat(value, block.rows))
        if self._intervals:
            self._columns["event"].extend(innermost(self._intervals, found.item.id, block))
        self._columns["row"].extend(range(found.first_row, found.first_row + block.rows))
        for name, cells in block.columns.items():
            self._columns[name].extend(cells)
        for column in _ORIGIN:
            if column.name not in block.columns:
                self._columns[column.name].extend(repeat(None, block.rows))
        for prefix, grid in block.grids.items():
            self._grids[prefix].extend(grid)
        for name, ragged in block.ragged.items():
            self._ragged[name].extend(ragged)
        self._extra.extend(block.extra)
        self.rows += block.rows

    def wide(self, schema: pa.Schema) -> pa.Table:
        """Everything collected, one row a row."""
        own = [pa.array(cells, type=schema.field(name).type) for name, cells in self._columns.items()]
        scores = chain.from_iterable(score_arrays(grid) for grid in self._grids.values())
        lists = map(scores_array, self._ragged.values())
        return pa.Table.from_arrays([*own, *scores, *lists, pa.array(self._extra, pa.string())], schema=schema)

    def long(self, schema: pa.Schema) -> pa.Table:
        """Everything collected, one row a score that is there, family after family."""
        return self._one_row_a_score(list(self._columns), schema)

    def scores(self, schema: pa.Schema) -> pa.Table:
        """The same with only as much of the table's own columns as leads back to its rows."""
        return self._one_row_a_score([OPEN_SCORES[0].name, OPEN_SCORES[1].name], schema)

    def _one_row_a_score(self, names: Sequence[str], schema: pa.Schema) -> pa.Table:
        own = pa.table(
            [pa.array(self._columns[name], type=schema.field(name).type) for name in names], names=list(names)
        )
        parts = [_long_part(own, family, self._grids[family.prefix], schema) for family in self.layout.families]
        parts += [
            _long_open_part(own, family.prefix, self._ragged[family.name], schema)
            for family in self.layout.open_families
        ]
        return pa.concat_tables(parts)


def score_arrays(grid: Grid) -> list[pa.Array]:
    """One Arrow array a score, null where it is absent. The numbers are moved, never printed and read again."""
    if grid.is_blank:
        return [pa.nulls(grid.rows, pa.float64())] * grid.width
    masks = _validity(grid)
    return [
        pa.Array.from_buffers(
            pa.float64(), grid.rows, [mask and pa.py_buffer(mask), pa.py_buffer(grid.values[position :: grid.width])]
        )
        for position, mask in enumerate(masks)
    ]


def _validity(grid: Grid) -> Sequence[bytes | None]:
    """For each position a bitmap with a 1 for every row that has the score; None where all have it."""
    if not grid.absent:
        return [None] * grid.width
    full = bytearray(b"\xff" * ((grid.rows + 7) // 8))
    single: dict[int, list[int]] = {}
    for row, missing in grid.absent.items():
        if len(missing) == grid.width:
            full[row >> 3] &= ~(1 << (row & 7)) & 0xFF
        else:
            for position in missing:
                single.setdefault(position, []).append(row)
    common = bytes(full)
    return [_without(common, single[position]) if position in single else common for position in range(grid.width)]


def _without(bitmap: bytes, rows: Iterable[int]) -> bytes:
    bits = bytearray(bitmap)
    for row in rows:
        bits[row >> 3] &= ~(1 << (row & 7)) & 0xFF
    return bytes(bits)


def _long_part(own: pa.Table, family: Family, grid: Grid, schema: pa.Schema) -> pa.Table:
    present = [(row, position) for row in range(grid.rows) for position in _present(grid, row)]
    rows = pa.array(array("q", [row for row, _ in present]), pa.int64())
    names = pa.array([family.names[position] for _, position in present], pa.string())
    scores = pa.array([grid.values[row * grid.width + position] for row, position in present], pa.float64())
    families = pa.array([family.prefix] * len(present), pa.string())
    return pa.Table.from_arrays([*own.take(rows).columns, families, names, scores], schema=schema)


def scores_array(ragged: Ragged) -> pa.Array:
    """All scores of an open family as a map a row: null where the row was not measured."""
    names = pa.array(ragged.names, pa.string())
    values = pa.Array.from_buffers(pa.float64(), len(ragged.names), [None, pa.py_buffer(ragged.values)])
    entries = pa.StructArray.from_arrays([names, values], fields=[SCORES_TYPE.key_field, SCORES_TYPE.item_field])
    mask = None
    if ragged.unmeasured:
        bits = bytearray(b"\xff" * ((ragged.rows + 7) // 8))
        for row in ragged.unmeasured:
            bits[row >> 3] &= ~(1 << (row & 7)) & 0xFF
        mask = pa.py_buffer(bytes(bits))
    return pa.Array.from_buffers(SCORES_TYPE, ragged.rows, [mask, pa.py_buffer(ragged.starts)], children=[entries])


def _long_open_part(own: pa.Table, prefix: str, ragged: Ragged, schema: pa.Schema) -> pa.Table:
    lengths = map(int.__sub__, ragged.starts[1:], ragged.starts)
    rows = array("q", chain.from_iterable(repeat(row, length) for row, length in enumerate(lengths)))
    families = pa.array([prefix] * len(rows), pa.string())
    names, scores = pa.array(ragged.names, pa.string()), pa.array(ragged.values, pa.float64())
    return pa.Table.from_arrays([*own.take(pa.array(rows, pa.int64())).columns, families, names, scores], schema=schema)


def _present(grid: Grid, row: int) -> Iterable[int]:
    missing = grid.absent.get(row)
    if missing is None:
        return range(grid.width)
    gone = set(missing)
    return [position for position in range(grid.width) if position not in gone]
