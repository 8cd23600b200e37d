"""Two results, item by item: both listings side by side, the rows of both put aside, then each item with its own."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan, nan
from typing import Any

from hume_runner.errors import UsageError
from hume_runner.planning.fingerprint import changed_settings
from hume_runner.results.agreement import Values, agreement
from hume_runner.results.alignment import Weighted, aligned, value
from hume_runner.results.compare import base
from hume_runner.results.compare.columns import TablePair, Wanted, table_pairs, wanted
from hume_runner.results.compare.packing import TableRows, packed, packed_values, unpacked, unpacked_values
from hume_runner.results.from_state import StateResults
from hume_runner.results.rows import ItemError, all_rows, row_mapping
from hume_runner.state.side_by_side import ListedItem, Side, SideBySide

MOST_UNMATCHED = 1_000
MOST_POINTS = 300
MOST_UNREAD = 100
_BUFFERED = 2_048
_MOST_MEASURERS = 50

ColumnKey = tuple[str, str, str, str]


def compare_results(
    a: tuple[str, StateResults],
    b: tuple[str, StateResults],
    *,
    pairs: Iterable[str] = (),
    even_simulated: bool = False,
) -> base.Comparison:
    """Compare two results, each (how it was named, results).

    Raises: UsageError for simulated beside measured ones unless `even_simulated`, and for pairs that name what is not
    there; MissingExtra where answers cannot be read; StateError without room for what waits.
    """
    results: dict[Side, StateResults] = {"a": a[1], "b": b[1]}
    simulated = {side: one.simulated for side, one in results.items()}
    if simulated["a"] != simulated["b"] and not even_simulated:
        which = a[0] if simulated["a"] else b[0]
        raise UsageError(
            f"{which}: simulated scores are no measurement, and the others are",
            hint="compare two measured results; --even-simulated compares them all the same, to rehearse",
        )
    layouts = {side: row_mapping(one.api).LAYOUTS for side, one in results.items()}
    tables = table_pairs(layouts["a"], layouts["b"], pairs)
    kept = dict(zip(("a", "b"), wanted(tables), strict=True))
    with SideBySide() as beside:
        numbers = dict.fromkeys(results, 0)
        for side, one in results.items():
            beside.list_items(side, _counted(_listed(one), numbers, side))
        beside.match()
        seen = {side: _keep_rows(beside, side, one, kept[side]) for side, one in results.items()}
        together = _Together(beside, tables)
        matched = compared = 0
        left = _Left()
        for mine, theirs in beside.matched():
            matched += 1
            if mine.status != "done":
                left.add("a", mine, "not_measured_in_a", _why_not(mine))
            elif theirs.status != "done":
                left.add("b", theirs, "not_measured_in_b", _why_not(theirs))
            elif (apart := together.add(mine.number, theirs.number)) is None:
                compared += 1
            else:
                left.add("a", mine, "no_rows_together" if tables else "no_columns", apart)
        for side in results:
            for item, other_content in beside.alone(side):
                left.add(side, item, "other_content" if other_content else "no_such_content")
        repeats = {side: beside.repeats(side) for side in results}
        return base.Comparison(
            a=_side(a, numbers["a"], repeats["a"], seen["a"]),
            b=_side(b, numbers["b"], repeats["b"], seen["b"]),
            simulated=any(simulated.values()),
            differences=_differences(results["a"], results["b"]),
            matched=matched,
            compared=compared,
            reasons=dict(left.reasons),
            unmatched=tuple(left.items),
            tables=tuple(together.tables()),
            columns=tuple(together.columns()),
            tables_a=tuple(seen["a"].tables),
            tables_b=tuple(seen["b"].tables),
            unread=tuple(dict.fromkeys((*seen["a"].unread, *seen["b"].unread)))[:MOST_UNREAD],
        )


def _side(named: tuple[str, StateResults], items: int, repeats: int, seen: _Seen) -> base.Side:
    shown, one = named
    return base.Side(
        shown=shown,
        name=one.name,
        api=one.api,
        simulated=one.simulated,
        items=items,
        repeats=repeats,
        measured_by=tuple(seen.measured_by),
    )


def _differences(a: StateResults, b: StateResults) -> tuple[str, ...]:
    def told(one: StateResults) -> Mapping[str, Any]:
        return {"service": {"api": one.api}, **one.settings}

    return tuple(changed_settings(told(a), told(b)))


def _listed(results: StateResults) -> Iterator[ListedItem]:
    for number, (content, item) in enumerate(results.contents()):
        yield ListedItem(
            number=number,
            id=item.id,
            kind=item.kind,
            content=content,
            source=item.source,
            status=item.status,
            error=item.error or item.reason,
        )


def _counted(items: Iterable[ListedItem], numbers: dict[Side, int], side: Side) -> Iterator[ListedItem]:
    for item in items:
        numbers[side] += 1
        yield item


def _why_not(item: ListedItem) -> str:
    return item.error or item.status.replace("_", " ")


@dataclass(slots=True)
class _Left:
    """Items that are not compared: counted all, kept some."""

    reasons: Counter[base.Reason] = field(default_factory=Counter)
    items: list[base.Unmatched] = field(default_factory=list)

    def add(self, side: Side, item: ListedItem, reason: base.Reason, why: str = "") -> None:
        self.reasons[reason] += 1
        if len(self.items) < MOST_UNMATCHED:
            told = base.REASONS[reason] + (f": {why}" if why else "")
            self.items.append(
                base.Unmatched(side=side, id=item.id, kind=item.kind, source=item.source, reason=reason, told=told)
            )


@dataclass(slots=True)
class _Seen:
    """What the answers of one side told, beside their rows; as mappings, which keep their order."""

    tables: dict[str, None] = field(default_factory=dict)
    measured_by: dict[str, None] = field(default_factory=dict)
    unread: dict[str, None] = field(default_factory=dict)


def _keep_rows(beside: SideBySide, side: Side, results: StateResults, tables: Mapping[str, Wanted]) -> _Seen:
    """Put aside what is compared of the rows of matched items."""
    seen = _Seen()
    for found in all_rows(results.answers()):
        if isinstance(found, ItemError):
            if found.unread is not None and len(seen.unread) < MOST_UNREAD:
                seen.unread[found.unread] = None
            continue
        block = found.block
        table = block.layout.name
        seen.tables[table] = None
        for who in dict.fromkeys(block.columns.get("measured_by", ())):
            if who is not None and len(seen.measured_by) < _MOST_MEASURERS:
                seen.measured_by[str(who)] = None
        if table in tables:
            number = beside.wanted(side, found.item.kind, found.item.id)
            if number is not None:
                beside.keep(side, number, packed(block, tables[table]))
    return seen


@dataclass(slots=True, kw_only=True)
class _Column:
    """The pairs of one column so far; those beyond some stand in the scratch database."""

    number: int
    n: int = 0
    only_a: int = 0
    only_b: int = 0
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


class _Together:
    """All that is found, item by item."""

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
                self._add_column(key, a, left.columns.get(name_a), rows_a, right.columns.get(name_b), rows_b)
        if any_pair or not self._pairs:
            return None if any_pair else ""
        without = [name for name, tables in (("A", mine), ("B", theirs)) if not tables]
        return f"no row in {' nor in '.join(without)}" if without else ""

    def _add_column(
        self,
        key: ColumnKey,
        item: int,
        values_a: array[float] | None,
        rows_a: Sequence[Weighted],
        values_b: array[float] | None,
        rows_b: Sequence[Weighted],
    ) -> None:
        if values_a is None and values_b is None:
            return
        column = self._columns.get(key)
        if column is None:
            column = self._columns[key] = _Column(number=len(self._columns))
        waiting = column.waiting
        for x, y in zip(_values(values_a, rows_a), _values(values_b, rows_b), strict=True):
            there_a, there_b = not isnan(x), not isnan(y)
            if there_a and there_b:
                waiting.a.append(x)
                waiting.b.append(y)
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
            if not (column.n or column.only_a or column.only_b or key in asked):
                continue
            yield base.ColumnsTogether(
                table_a=key[0],
                column_a=key[1],
                table_b=key[2],
                column_b=key[3],
                agreement=agreement(lambda number=column.number: self._values(number)),  # type: ignore[misc]
                only_a=column.only_a,
                only_b=column.only_b,
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


def _values(column: array[float] | None, rows: Sequence[Weighted]) -> list[float]:
    """The value of a column beside each pair of rows."""
    if column is None:
        return [nan] * len(rows)
    return [column[some[0][0]] if len(some) == 1 else value(some, column) for some in rows]


def _names(pair: TablePair, left: TableRows, right: TableRows) -> Iterator[tuple[str, str]]:
    """The columns of an item to compare: those that are known, and those that open families have here."""
    yield from pair.columns
    known = {*pair.columns}
    for prefix in pair.prefixes:
        for name in sorted(name for name in {*left.columns, *right.columns} if name.startswith(f"{prefix}_")):
            if (name, name) not in known:
                yield name, name
