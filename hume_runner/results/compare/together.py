"""The rows of matched items beside each other: pairs of rows counted by table, their values gathered by column."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import isfinite, isnan, nan

from hume_runner.results.agreement import Values, agreement
from hume_runner.results.alignment import Weighted, aligned, value
from hume_runner.results.compare import base
from hume_runner.results.compare.columns import TablePair
from hume_runner.results.compare.packing import TableRows, packed_values, unpacked, unpacked_values
from hume_runner.services.table_shapes import Joined
from hume_runner.state.side_by_side import SideBySide

MOST_POINTS = 300
_BUFFERED = 2_048

ColumnKey = tuple[str, str, str, str]  # table and column of A, table and column of B


@dataclass(slots=True, kw_only=True)
class _Column:
    """The pairs of one column so far; those beyond some stand in the scratch database."""

    number: int
    n: int = 0
    only_a: int = 0
    only_b: int = 0
    beyond: int = 0
    waiting: Values = field(default_factory=lambda: Values(a=array("d"), b=array("d"), item=array("q")))


@dataclass(slots=True, kw_only=True)
class _Table:
    items: int = 0
    rows_a: int = 0
    rows_b: int = 0
    pairs: int = 0
    paired_a: int = 0
    paired_b: int = 0
    by: Counter[str] = field(default_factory=Counter)


class Together:
    """The tables and columns of both sides, filled item by item."""

    def __init__(self, beside: SideBySide, tables: Sequence[TablePair]) -> None:
        self._beside = beside
        self._pairs = tables
        self._tables = [_Table() for _ in tables]
        self._columns: dict[ColumnKey, _Column] = {
            (pair.a, a, pair.b, b): _Column(number=0) for pair in tables for a, b in pair.columns
        }
        for number, column in enumerate(self._columns.values()):
            column.number = number

    def add(self, a: int, b: int) -> str | None:
        """Take in one item, number `a` of A and `b` of B; why none of its rows lie together, None if some do."""
        mine, theirs = unpacked(self._beside.kept("a", a)), unpacked(self._beside.kept("b", b))
        any_pair = False
        for pair, table in zip(self._pairs, self._tables, strict=True):
            left, right = mine.get(pair.a), theirs.get(pair.b)
            table.rows_a += left.rows.count if left else 0
            table.rows_b += right.rows.count if right else 0
            if left is None or right is None:
                continue
            by, pairs = aligned(left.rows, right.rows)
            if not pairs:
                continue
            any_pair = True
            table.items += 1
            table.by[by] += 1
            table.pairs += len(pairs)
            table.paired_a += sum(len(one.a) for one in pairs)
            table.paired_b += sum(len(one.b) for one in pairs)
            rows_a, rows_b = [one.a for one in pairs], [one.b for one in pairs]
            for name_a, name_b in _names(pair, left, right):
                key = (pair.a, name_a, pair.b, name_b)
                a_side = _values(left.columns.get(name_a), rows_a, pair.joined_a.get(name_a, "mean"))
                b_side = _values(right.columns.get(name_b), rows_b, pair.joined_b.get(name_b, "mean"))
                if name_a in left.columns or name_b in right.columns:
                    self._add_column(key, a, a_side, b_side)
        if any_pair or not self._pairs:
            return None if any_pair else ""
        without = [name for name, tables in (("A", mine), ("B", theirs)) if not tables]
        return f"no row in {' nor in '.join(without)}" if without else ""

    def _add_column(self, key: ColumnKey, item: int, a: Sequence[float], b: Sequence[float]) -> None:
        """The values of one item beside each other."""
        column = self._columns.get(key)
        if column is None:
            column = self._columns[key] = _Column(number=len(self._columns))
        waiting = column.waiting
        for x, y in zip(a, b, strict=True):
            if isfinite(x) and isfinite(y):
                waiting.a.append(x)
                waiting.b.append(y)
                continue
            there_a, there_b = not isnan(x), not isnan(y)
            if there_a and there_b:
                column.beyond += 1
            else:
                column.only_a += there_a
                column.only_b += there_b
        added = len(waiting.a) - len(waiting.item)
        waiting.item.extend([item] * added)
        column.n += added
        if len(column.waiting.a) >= _BUFFERED:
            self._put_aside(column)

    def _put_aside(self, column: _Column) -> None:
        waiting = column.waiting
        if waiting.a:
            self._beside.keep_paired(column.number, packed_values(waiting))
            del waiting.a[:], waiting.b[:], waiting.item[:]

    def tables(self) -> Iterator[base.TablesTogether]:
        """Pairs of tables of which either has rows in some item."""
        for pair, table in zip(self._pairs, self._tables, strict=True):
            if table.rows_a or table.rows_b:
                yield base.TablesTogether(
                    a=pair.a,
                    b=pair.b,
                    items=table.items,
                    rows_a=table.rows_a,
                    rows_b=table.rows_b,
                    pairs=table.pairs,
                    unpaired_a=table.rows_a - table.paired_a,
                    unpaired_b=table.rows_b - table.paired_b,
                    by=dict(table.by),
                )

    def columns(self) -> Iterator[base.ColumnsTogether]:
        """Columns of which either side has a value beside the other's row, and those that were asked for; in the
        tables' order."""
        places = {(pair.a, pair.b): place for place, pair in enumerate(self._pairs)}
        asked = {(pair.a, a, pair.b, b) for pair in self._pairs for a, b in pair.asked}
        known = {(pair.a, a, pair.b, b) for pair in self._pairs for a, b in pair.columns}
        # Names of open families by the alphabet, since they came as items happened to have them.
        keys = sorted(
            self._columns, key=lambda key: (places[key[0], key[2]], key not in known, "" if key in known else key[1])
        )
        for key in keys:
            column = self._columns[key]
            self._put_aside(column)
            if not (column.n or column.only_a or column.only_b or column.beyond or key in asked):
                continue
            yield base.ColumnsTogether(
                table_a=key[0],
                column_a=key[1],
                table_b=key[2],
                column_b=key[3],
                agreement=agreement(lambda number=column.number: self._values(number)),  # type: ignore[misc]
                only_a=column.only_a,
                only_b=column.only_b,
                beyond=column.beyond,
                points=self._points(column),
            )

    def _values(self, number: int) -> Iterator[Values]:
        return map(unpacked_values, self._beside.paired(number))

    def _points(self, column: _Column) -> tuple[tuple[float, float], ...]:
        step = max(1, -(-column.n // MOST_POINTS))
        points = []
        seen = 0
        for values in self._values(column.number):
            for x, y in zip(values.a, values.b, strict=True):
                if seen % step == 0:
                    points.append((x, y))
                seen += 1
        return tuple(points)


def _values(column: array[float] | None, rows: Sequence[Weighted], joined: Joined) -> list[float]:
    """The value of a column beside each pair of rows."""
    if column is None:
        return [nan] * len(rows)
    return [column[some[0][0]] if len(some) == 1 else value(some, column, joined) for some in rows]


def _names(pair: TablePair, left: TableRows, right: TableRows) -> Iterator[tuple[str, str]]:
    """The columns of an item to compare: those that are known, and those that open families have here."""
    yield from pair.columns
    known = {*pair.columns}
    for prefix in pair.prefixes:
        for name in sorted(name for name in {*left.columns, *right.columns} if name.startswith(f"{prefix}_")):
            if (name, name) not in known:
                yield name, name
