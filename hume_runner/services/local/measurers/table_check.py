"""Whether a table can be one of ours, and whether a row is one of its table. Pure.

What a measurer gives is kept for good and read by everybody after, so that it is looked at once, where it becomes part
of an answer: whoever reads answers may rely on it. It is read once as well, into values of Python's own types, and
these are what is looked at and kept: others' objects have no other say in it, and may become something else later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, get_args

from hume_runner.services.local.measurers.base import NUMBERED, TIMES, Row
from hume_runner.services.local.measurers.kept_values import (
    KEPT,
    KEPT_UNDER,
    Nonsense,
    Scores,
    described,
    is_mapping,
    is_text,
    kept_json,
    kept_number,
    own_text,
    pairs,
    shown,
)
from hume_runner.services.signals import Signals
from hume_runner.services.table_shapes import Column, ColumnType, Family, Joined, Layout, OpenFamily, is_word

MEASURED_BY: Final = "measured_by"
# What a run writes beside the tables of models, and what every one of these has by itself (`results.columns`).
OWN_TABLES: Final = frozenset({"items", "errors", "sources", "events"})
OWN_COLUMNS: Final = frozenset(
    "item_id source labels job remote_id simulated file file_type group_id row extra event".split()
) | {MEASURED_BY}
# What the long forms of a table have besides, a row a score.
OF_SCORES: Final = frozenset({"family", "name", "score"})


def stems(layout: Layout) -> frozenset[str]:
    """The names of files that a table may become, without their endings."""
    return frozenset({layout.name, f"{layout.name}_long", f"{layout.name}_scores"})


# -- tables ------------------------------------------------------------------------------------------------------------


def layout_fault(layout: object) -> str | None:
    """Why something is no table that could be written; None where it is."""
    if not isinstance(layout, Layout):
        return f"a table is {described(layout)}, and no Layout"
    if not is_word(layout.name):
        return f"a table is called {shown(layout.name)}, which is no word"
    try:
        why = next(_faults(layout), None)
    except (TypeError, AttributeError, ValueError) as error:  # members that are of another type than they must be
        why = str(error)
    return None if why is None else f"the table {layout.name}: {why}"


def _faults(layout: Any) -> Iterator[str]:
    names = [name for name, _ in _columns(layout)]
    yield from (fault for _, fault in _columns(layout) if fault)
    twice = {name for name in names if names.count(name) > 1}
    taken = (OWN_COLUMNS | OF_SCORES if layout.families or layout.open_families else OWN_COLUMNS) & set(names)
    for name in sorted(twice | taken):
        yield f"a column {name} is there already"
    known = {column.name for column in layout.columns}
    told = (*(layout.time or ()), layout.text, layout.cut, *layout.confidence)
    signals = layout.signals
    if not (signals is None or isinstance(signals, Signals)):
        yield f"its signals are {described(signals)}"
    elif signals is not None:
        told = (*told, *signals.columns, signals.lane)
    for name in told:
        if name is not None and name not in known:
            yield f"it speaks of a column {shown(name)} that it has not"
    if layout.time is not None and len(layout.time) != 2:
        yield "its time is not two columns"
    for words in (layout.row, layout.unscored, layout.unsure):
        if not is_text(words):
            yield f"where words belong there is {described(words)}"


def _columns(layout: Any) -> Iterator[tuple[str, str | None]]:
    """(name of a column of the table, what is wrong with it)."""
    for column in layout.columns:
        if not isinstance(column, Column) or not is_word(column.name):
            yield "", f"{shown(getattr(column, 'name', column))} is no column"
            continue
        yield column.name, _column_fault(column)
    for family in layout.families:
        if not isinstance(family, Family) or not is_word(family.prefix) or not isinstance(family.names, tuple | list):
            yield "", f"{shown(getattr(family, 'prefix', family))} is no family of scores"
            continue
        fault = _bounds_fault(family)
        if not family.names or not all(is_text(name) and name for name in family.names):
            yield "", f"the scores of {family.prefix} have no names"
            continue
        for name in family.columns:
            yield name, fault or (None if name != f"{family.prefix}_" else f"a score of {family.prefix} has no letters")
    for one in layout.open_families:
        if not isinstance(one, OpenFamily) or not is_word(one.name) or not is_word(one.prefix):
            yield "", f"{shown(getattr(one, 'name', one))} is no open family of scores"
            continue
        yield one.name, _bounds_fault(one) or (None if is_text(one.meaning) else f"{one.name} has no meaning")


def _column_fault(column: Column) -> str | None:
    if column.type not in get_args(ColumnType):
        return f"the column {column.name} is of the type {shown(column.type)}, and there is none"
    if column.joined not in get_args(Joined):
        return f"the column {column.name} is joined as {shown(column.joined)}, which says nothing"
    if not is_text(column.meaning):
        return f"the column {column.name} has no meaning"
    wanted = "integer" if column.name in NUMBERED else "number" if column.name in TIMES else column.type
    return None if column.type == wanted else f"a column of the name {column.name} has to be of the type {wanted}"


def _bounds_fault(family: Family | OpenFamily) -> str | None:
    if family.bounds is None:
        return None
    if len(family.bounds) == 2 and all(map(_is_number, family.bounds)):
        return None
    return f"the scores of {family.prefix} lie between {shown(family.bounds)}, which are no two numbers"


def _is_number(value: object) -> bool:
    try:
        kept_number(value)
    except Nonsense:
        return False
    return True


# -- rows --------------------------------------------------------------------------------------------------------------


class Rows:
    """Judges rows of these tables."""

    def __init__(self, layouts: Iterable[Layout]) -> None:
        self._tables = {layout.name: _Table(layout) for layout in layouts}

    def checked(self, row: object) -> tuple[str, dict[str, Any]]:
        """(table, values by column), all of which can be kept and read: dicts, lists, texts, numbers, true, false and
        None that nobody else holds. Raises: Nonsense; what reading others' mappings raises."""
        if not isinstance(row, Row):
            raise Nonsense(f"gave {described(row)} for a Row")
        layout, values = row.layout, row.values
        name = own_text(layout)
        table = self._tables.get(name) if name is not None else None
        if name is None or table is None:
            told = ", ".join(self._tables) or "none"
            raise Nonsense(f"gave a row of the table {shown(layout)}, and declares {told}")
        if not is_mapping(values):
            raise Nonsense(f"gave {described(values)} for the values of a row")
        return name, table.checked(values)


class _Table:
    def __init__(self, layout: Layout) -> None:
        self._name = layout.name
        types = {**dict.fromkeys(TIMES, "number"), **{column.name: column.type for column in layout.columns}}
        self._keep = {name: KEPT_UNDER.get(name, KEPT[kind]) for name, kind in types.items()}
        for family in layout.families:
            self._keep[family.prefix] = Scores(family.bounds, tuple(family.names))
        for one in layout.open_families:
            self._keep[one.name] = Scores(one.bounds, None)

    def checked(self, values: Any) -> dict[str, Any]:
        """The values of a row, read from a mapping. Raises: Nonsense."""
        kept: dict[str, Any] = {}
        for given, value in pairs(values):
            name = given if type(given) is str else own_text(given)
            keep = self._keep.get(name) if name is not None else None
            if name is None or name in kept or (keep is None and (name == MEASURED_BY or not is_text(name))):
                raise Nonsense(f"gave a value under {shown(given)}, which is no column for it to fill")
            try:
                # What has no column is kept beside them.
                kept[name] = None if value is None else kept_json(value) if keep is None else keep(value)
            except Nonsense as fault:
                raise Nonsense(f"gave for {name} of the table {self._name} {fault}") from None
        return kept
