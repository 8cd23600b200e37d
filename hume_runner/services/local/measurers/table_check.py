"""Whether a table can be one of ours, and whether a row is one of its table. Pure.

What a measurer gives is kept for good and read by everybody after, so that it is looked at once, where it becomes part
of an answer: whoever reads answers may rely on it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, get_args

from hume_runner.services.local.measurers.base import NUMBERED, TIMES, Row
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
_LARGEST: Final = 1.7976931348623157e308
_WHOLE: Final = 2**63  # what a column of whole numbers holds
_COUNTED: Final = 2**31  # of what goes on from piece to piece
# Seconds of a time: it is kept in ms, which are counted one by one up to here.
_LATEST_S: Final = 2**53 / 1000
_SHOWN: Final = 40


class Nonsense(ValueError):
    """What a measurer gave is no row of a table of its."""


def stems(layout: Layout) -> frozenset[str]:
    """The names of files that a table may become, without their endings."""
    return frozenset({layout.name, f"{layout.name}_long", f"{layout.name}_scores"})


# -- tables ------------------------------------------------------------------------------------------------------------


def layout_fault(layout: object) -> str | None:
    """Why something is no table that could be written; None where it is."""
    if not isinstance(layout, Layout):
        return f"a table is {_a(layout)}, and no Layout"
    if not is_word(layout.name):
        return f"a table is called {_shown(layout.name)}, which is no word"
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
        yield f"its signals are {_a(signals)}"
    elif signals is not None:
        told = (*told, *signals.columns, signals.lane)
    for name in told:
        if name is not None and name not in known:
            yield f"it speaks of a column {_shown(name)} that it has not"
    if layout.time is not None and len(layout.time) != 2:
        yield "its time is not two columns"
    for words in (layout.row, layout.unscored, layout.unsure):
        if not _is_text(words):
            yield f"where words belong there is {_a(words)}"


def _columns(layout: Any) -> Iterator[tuple[str, str | None]]:
    """(name of a column of the table, what is wrong with it)."""
    for column in layout.columns:
        if not isinstance(column, Column) or not is_word(column.name):
            yield "", f"{_shown(getattr(column, 'name', column))} is no column"
            continue
        yield column.name, _column_fault(column)
    for family in layout.families:
        if not isinstance(family, Family) or not is_word(family.prefix) or not isinstance(family.names, tuple | list):
            yield "", f"{_shown(getattr(family, 'prefix', family))} is no family of scores"
            continue
        fault = _bounds_fault(family)
        if not family.names or not all(_is_text(name) and name for name in family.names):
            yield "", f"the scores of {family.prefix} have no names"
            continue
        for name in family.columns:
            yield name, fault or (None if name != f"{family.prefix}_" else f"a score of {family.prefix} has no letters")
    for one in layout.open_families:
        if not isinstance(one, OpenFamily) or not is_word(one.name) or not is_word(one.prefix):
            yield "", f"{_shown(getattr(one, 'name', one))} is no open family of scores"
            continue
        yield one.name, _bounds_fault(one) or (None if _is_text(one.meaning) else f"{one.name} has no meaning")


def _column_fault(column: Column) -> str | None:
    if column.type not in get_args(ColumnType):
        return f"the column {column.name} is of the type {_shown(column.type)}, and there is none"
    if column.joined not in get_args(Joined):
        return f"the column {column.name} is joined as {_shown(column.joined)}, which says nothing"
    if not _is_text(column.meaning):
        return f"the column {column.name} has no meaning"
    wanted = "integer" if column.name in NUMBERED else "number" if column.name in TIMES else column.type
    return None if column.type == wanted else f"a column of the name {column.name} has to be of the type {wanted}"


def _bounds_fault(family: Family | OpenFamily) -> str | None:
    if family.bounds is None:
        return None
    if len(family.bounds) == 2 and all(_number_fault(one) is None for one in family.bounds):
        return None
    return f"the scores of {family.prefix} lie between {_shown(family.bounds)}, which are no two numbers"


# -- rows --------------------------------------------------------------------------------------------------------------


class Rows:
    """Judges rows of these tables."""

    def __init__(self, layouts: Iterable[Layout]) -> None:
        self._tables = {layout.name: _Table(layout) for layout in layouts}

    def checked(self, row: object) -> tuple[str, dict[str, Any]]:
        """(table, values by column), all of which can be kept and read. Raises: Nonsense."""
        if not isinstance(row, Row):
            raise Nonsense(f"gave {_a(row)} for a Row")
        table = self._tables.get(row.layout) if isinstance(row.layout, str) else None
        if table is None:
            told = ", ".join(self._tables) or "none"
            raise Nonsense(f"gave a row of the table {_shown(row.layout)}, and declares {told}")
        if not isinstance(row.values, Mapping):
            raise Nonsense(f"gave {_a(row.values)} for the values of a row")
        return row.layout, table.checked(row.values)


class _Table:
    def __init__(self, layout: Layout) -> None:
        self._name = layout.name
        self._types = {**dict.fromkeys(TIMES, "number"), **{column.name: column.type for column in layout.columns}}
        # (lowest, highest) of the scores under a name, and how they may be called: None where that is open.
        self._scores: dict[str, tuple[float, float, frozenset[str] | None]] = {}
        for family in layout.families:
            self._scores[family.prefix] = (*_bounds(family), frozenset(family.names))
        for one in layout.open_families:
            self._scores[one.name] = (*_bounds(one), None)

    def checked(self, values: Mapping[Any, Any]) -> dict[str, Any]:
        for name, value in values.items():
            scores = self._scores.get(name)
            if value is None and isinstance(name, str):
                fault = None
            elif scores is not None:
                fault = _scores_fault(value, *scores)
            elif (kind := self._types.get(name)) is not None:
                fault = _FAULTS[kind](value)
                if fault is None and name in NUMBERED and not 0 <= value < _COUNTED:
                    fault = f"{_shown(value)}, which counts nothing"
                elif fault is None and name in TIMES and not -_LATEST_S <= value <= _LATEST_S:
                    fault = f"{_shown(value)}, which is no time of a recording"
            elif not _is_text(name) or name == MEASURED_BY:
                raise Nonsense(f"gave a value under {_shown(name)}, which is no column for it to fill")
            else:
                fault = _json_fault(value)  # it is kept beside the columns
            if fault is not None:
                raise Nonsense(f"gave for {name} of the table {self._name} {fault}")
        return dict(values)


def _bounds(family: Family | OpenFamily) -> tuple[float, float]:
    return family.bounds or (-_LARGEST, _LARGEST)


def _scores_fault(scores: Any, low: float, high: float, names: frozenset[str] | None) -> str | None:
    if not isinstance(scores, Mapping):
        return f"{_a(scores)}, and no scores by name"
    if names is None:
        strange = next((name for name in scores if not _is_text(name)), None)
    else:
        strange = next((name for name in scores if name not in names), None)
    if strange is not None:
        return f"a score {_shown(strange)}, and there is none of that name"
    for name, score in scores.items():
        if type(score) is float and low <= score <= high:  # most are
            continue
        if score is None:
            continue
        fault = _number_fault(score)
        if fault is None and not low <= score <= high:
            fault = f"{_shown(score)}, which is not between {low:g} and {high:g}"
        if fault is not None:
            return f"as {_shown(name)} {fault}"
    return None


def _number_fault(value: Any) -> str | None:
    # A float of a library that derives from Python's is one; what does not can be kept by nobody.
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"{_a(value)}, and no number"
    return None if -_LARGEST <= value <= _LARGEST else f"{_shown(value)}, which no number with a decimal point holds"


def _integer_fault(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return f"{_a(value)}, and no whole number"
    return None if -_WHOLE <= value < _WHOLE else "a whole number that is larger than 64 bits hold"


def _boolean_fault(value: Any) -> str | None:
    return None if isinstance(value, bool) else f"{_a(value)}, and neither true nor false"


def _string_fault(value: Any) -> str | None:
    if not isinstance(value, str):
        return f"{_a(value)}, and no text"
    return None if _is_text(value) else f"{_shown(value)}, which has half a character"


def _strings_fault(value: Any) -> str | None:
    if not isinstance(value, list | tuple):
        return f"{_a(value)}, and no list of texts"
    return next((fault for one in value if (fault := _string_fault(one)) is not None), None)


def _json_fault(value: Any) -> str | None:
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        return f"what cannot be kept as JSON: {error}"
    return None


_FAULTS = {
    "number": _number_fault,
    "integer": _integer_fault,
    "boolean": _boolean_fault,
    "string": _string_fault,
    "strings": _strings_fault,
    "json": _json_fault,
}


def _is_text(value: object) -> bool:
    """A text that can be kept: half a character, of which two make one, cannot."""
    if not isinstance(value, str):
        return False
    try:
        value.isascii() or value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _a(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__} ({_shown(value)})"


def _shown(value: object) -> str:
    try:
        said = repr(value)
    except Exception:  # also of whole numbers that have too many digits to be told
        return f"a {type(value).__name__}"
    said = said.encode("utf-8", "backslashreplace").decode()
    return said if len(said) <= _SHOWN else f"{said[:_SHOWN]}…"
