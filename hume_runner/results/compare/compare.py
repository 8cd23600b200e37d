"""Two results, item by item: both listings side by side, the rows of both put aside, then each item with its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hume_runner.errors import UsageError
from hume_runner.planning.fingerprint import changed_settings
from hume_runner.results.compare import base
from hume_runner.results.compare.columns import Wanted, table_pairs, wanted
from hume_runner.results.compare.packing import packed
from hume_runner.results.compare.together import Together
from hume_runner.results.from_state import StateResults
from hume_runner.results.rows import ItemError, all_rows, layouts_of
from hume_runner.state.side_by_side import ListedItem, Side, SideBySide

MOST_UNMATCHED = 1_000
MOST_UNREAD = 100
_MOST_MEASURERS = 50


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
    if not even_simulated:
        _refuse_simulated_beside_measured(a, b)
    layouts = {side: layouts_of(one) for side, one in results.items()}
    tables = table_pairs(layouts["a"], layouts["b"], pairs)
    kept = dict(zip(("a", "b"), wanted(tables), strict=True))
    with SideBySide() as beside:
        numbers = dict.fromkeys(results, 0)
        for side, one in results.items():
            beside.list_items(side, _counted(_listed(one), numbers, side))
        beside.match()
        seen = {side: _keep_rows(beside, side, one, kept[side]) for side, one in results.items()}
        together = Together(beside, tables)
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
            simulated=any(one.simulated for one in results.values()),
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


def _refuse_simulated_beside_measured(a: tuple[str, StateResults], b: tuple[str, StateResults]) -> None:
    simulated_a, simulated_b = a[1].simulated, b[1].simulated
    # Of kept answers nobody may know: they are compared with measured ones, as what most of them are.
    if bool(simulated_a) == bool(simulated_b):
        return
    (which, _), other = (a, simulated_b) if simulated_a else (b, simulated_a)
    others = "the others are" if other is False else "the others may be one"
    raise UsageError(
        f"{which}: simulated scores are no measurement, and {others}",
        hint="compare two measured results; --even-simulated compares them all the same, to rehearse",
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
