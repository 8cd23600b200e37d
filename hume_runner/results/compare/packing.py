"""What of an answer's rows is compared, as bytes that wait for their partners, and back.

Shape: 4 bytes length, then a JSON object {"table", "rows", "columns": [name, …], "file", "text"}, then for each column
its numbers as doubles of this machine; NaN where there is none, an infinite one of its sign where it is too large to be
summed. Read by the process that wrote it, and by no other.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterable, Mapping
from functools import lru_cache

from hume_runner.frozen import frozen
from hume_runner.results.agreement import Values
from hume_runner.results.alignment import Rows
from hume_runner.results.compare.columns import Wanted
from hume_runner.results.summable import can_be_summed
from hume_runner.services.table_shapes import Block, column_name

_BLANK = math.nan
# Places among the columns; no column's name has a blank.
_SECONDS = ("place begin_s", "place end_s")
_CHARACTERS = ("place begin", "place end")
_BOX = ("place x", "place y", "place w", "place h")
_POSITIONS = ("position_begin", "position_end")
_EDGES = ("box_x", "box_y", "box_w", "box_h")


@frozen
class TableRows:
    """All that is compared of one item in one table."""

    rows: Rows
    columns: Mapping[str, array[float]]


def packed(block: Block, wanted: Wanted) -> bytes:
    """What is wanted of a block of rows."""
    columns = {**_places(block), **_closed(block, wanted.names), **_open(block, wanted)}
    texts = block.columns.get(block.layout.text) if block.layout.text else None
    files = block.columns.get("file")
    head = {
        "table": block.layout.name,
        "rows": block.rows,
        "columns": list(columns),
        "file": _strings(files) if files is not None else None,
        "text": _strings(texts) if texts is not None else None,
    }
    told = json.dumps(head, allow_nan=False).encode()
    return b"".join((len(told).to_bytes(4, "big"), told, *(column.tobytes() for column in columns.values())))


def unpacked(pieces: Iterable[bytes]) -> Mapping[str, TableRows]:
    """The rows of one item, table by table, in the order in which they were kept."""
    counts: dict[str, int] = {}
    columns: dict[str, dict[str, array[float]]] = {}
    files: dict[str, list[str | None]] = {}
    texts: dict[str, list[str | None]] = {}
    for piece in pieces:
        length = 4 + int.from_bytes(piece[:4], "big")
        head = json.loads(piece[4:length])
        table, rows = head["table"], head["rows"]
        before = counts.get(table, 0)
        mine = columns.setdefault(table, {})
        for number, name in enumerate(head["columns"]):
            column = mine.setdefault(name, array("d"))
            column.extend([_BLANK] * (before - len(column)))
            begin = length + 8 * rows * number
            column.frombytes(piece[begin : begin + 8 * rows])
        for kept, told in ((files, head["file"]), (texts, head["text"])):
            kept.setdefault(table, []).extend(told or [None] * rows)
        counts[table] = before + rows
    for table, mine in columns.items():
        for column in mine.values():
            column.extend([_BLANK] * (counts[table] - len(column)))
    return {
        table: TableRows(
            rows=Rows(
                count=count,
                seconds=_both(columns[table], _SECONDS),
                characters=_both(columns[table], _CHARACTERS),
                file=files[table],
                text=texts[table],
                box=_box(columns[table]),
            ),
            columns=columns[table],
        )
        for table, count in counts.items()
    }


def packed_values(values: Values) -> bytes:
    """Pairs of one column: as many values of A, of B, and numbers of items."""
    return values.a.tobytes() + values.b.tobytes() + values.item.tobytes()


def unpacked_values(data: bytes) -> Values:
    a, b, item = array("d"), array("d"), array("q")
    third = len(data) // 3
    a.frombytes(data[:third])
    b.frombytes(data[third : 2 * third])
    item.frombytes(data[2 * third :])
    return Values(a=a, b=b, item=item)


def _both(columns: Mapping[str, array[float]], names: tuple[str, str]) -> tuple[array[float], array[float]] | None:
    return (columns[names[0]], columns[names[1]]) if names[0] in columns else None


def _box(columns: Mapping[str, array[float]]) -> tuple[array[float], array[float], array[float], array[float]] | None:
    if _BOX[0] not in columns:
        return None
    x, y, w, h = (columns[name] for name in _BOX)
    return x, y, w, h


def _strings(cells: Iterable[object]) -> list[str | None]:
    return [None if cell is None else str(cell) for cell in cells]


def _places(block: Block) -> dict[str, array[float]]:
    layout = block.layout
    found: dict[str, array[float]] = {}
    if layout.time is not None:
        begin, end = layout.time
        # A still picture lies at no moment, or at the first: both are the same.
        blank = 0.0 if begin == end else _BLANK
        found |= {place: _where(block.columns[name], blank) for place, name in zip(_SECONDS, (begin, end), strict=True)}
    for places, names in ((_CHARACTERS, _POSITIONS), (_BOX, _EDGES)):
        if all(name in block.columns for name in names):
            found |= {place: _where(block.columns[name]) for place, name in zip(places, names, strict=True)}
    return found


def _where(cells: Iterable[object], blank: float = _BLANK) -> array[float]:
    """Places, in which a row lies nowhere that is too far away."""
    numbers = _numbers(cells, blank)
    return array("d", [blank if math.isinf(number) else number for number in numbers])


def _numbers(cells: Iterable[object], blank: float = _BLANK) -> array[float]:
    return array("d", [_number(cell) if type(cell) in (int, float) else blank for cell in cells])  # type: ignore[arg-type]


def _number(cell: float) -> float:
    """A number that something can be made of; what is larger is there, and no more than that."""
    if can_be_summed(cell):
        return float(cell)
    return math.inf if cell > 0 else -math.inf if cell < 0 else _BLANK


def _closed(block: Block, names: set[str]) -> dict[str, array[float]]:
    found = {
        one.name: _numbers(block.columns[one.name])
        for one in block.layout.columns
        if one.name in names and one.name in block.columns
    }
    for family in block.layout.families:
        grid = block.grids.get(family.prefix)
        if grid is None or grid.is_blank:
            continue
        scores = [grid.values[position :: grid.width] for position in range(grid.width)]
        for row, missing in grid.absent.items():
            for position in missing:
                scores[position][row] = _BLANK
        for column in scores:
            # Of what is not there its place is blank, which is neither small nor large.
            if column and not (can_be_summed(max(column)) and can_be_summed(min(column))):
                column[:] = array("d", map(_number, column))
        found |= {name: column for name, column in zip(family.columns, scores, strict=True) if name in names}
    return found


def _open(block: Block, wanted: Wanted) -> dict[str, array[float]]:
    found: dict[str, array[float]] = {}
    for family in block.layout.open_families:
        ragged = block.ragged.get(family.name)
        for row in range(ragged.rows if ragged is not None else 0):
            for label, score in ragged.row(row) if ragged is not None else ():
                name = _open_name(family.prefix, label)
                if family.prefix in wanted.prefixes or name in wanted.names:
                    if name not in found:
                        found[name] = array("d", [_BLANK]) * block.rows
                    if math.isnan(found[name][row]):  # of labels that differ in signs alone the first counts
                        found[name][row] = _number(score)
    return found


@lru_cache(maxsize=4096)
def _open_name(prefix: str, label: str) -> str:
    return f"{prefix}_{column_name(label)}"
