"""Whether a table can be one of ours, and whether a row is one of its table. Pure.

What a measurer gives is kept for good and read by everybody after, so that it is looked at once, where it becomes part
of an answer: whoever reads answers may rely on it. It is read once as well, into values of Python's own types, and
these are what is looked at and kept: others' objects have no other say in it, and may become something else later.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import isfinite
from operator import itemgetter
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
_DEEPEST: Final = 200  # whoever reads an answer has a stack of some size
_LONGEST_BITS: Final = 14_000  # of a whole number that Python prints


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
    if len(family.bounds) == 2 and all(map(_is_number, family.bounds)):
        return None
    return f"the scores of {family.prefix} lie between {_shown(family.bounds)}, which are no two numbers"


def _is_number(value: object) -> bool:
    try:
        _number(value)
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
            raise Nonsense(f"gave {_a(row)} for a Row")
        layout, values = row.layout, row.values
        name = _own_text(layout)
        table = self._tables.get(name) if name is not None else None
        if name is None or table is None:
            told = ", ".join(self._tables) or "none"
            raise Nonsense(f"gave a row of the table {_shown(layout)}, and declares {told}")
        if not _is_mapping(values):
            raise Nonsense(f"gave {_a(values)} for the values of a row")
        return name, table.checked(values)


class _Table:
    def __init__(self, layout: Layout) -> None:
        self._name = layout.name
        types = {**dict.fromkeys(TIMES, "number"), **{column.name: column.type for column in layout.columns}}
        self._keep = {name: _KEPT_UNDER.get(name, _KEPT[kind]) for name, kind in types.items()}
        for family in layout.families:
            self._keep[family.prefix] = _Scores(family.bounds, tuple(family.names))
        for one in layout.open_families:
            self._keep[one.name] = _Scores(one.bounds, None)

    def checked(self, values: Any) -> dict[str, Any]:
        """The values of a row, read from a mapping. Raises: Nonsense."""
        kept: dict[str, Any] = {}
        for given, value in _pairs(values):
            name = given if type(given) is str else _own_text(given)
            keep = self._keep.get(name) if name is not None else None
            if name is None or name in kept or (keep is None and (name == MEASURED_BY or not _is_text(name))):
                raise Nonsense(f"gave a value under {_shown(given)}, which is no column for it to fill")
            try:
                # What has no column is kept beside them.
                kept[name] = None if value is None else _json(value) if keep is None else keep(value)
            except Nonsense as fault:
                raise Nonsense(f"gave for {name} of the table {self._name} {fault}") from None
        return kept


# -- values, as they are kept ------------------------------------------------------------------------------------------
#
# Each takes what was given and gives what is kept of it, of Python's own type exactly. A value of a type that derives
# from such a one is what the one it derives from holds, whatever it says of itself. All raise Nonsense, which says what
# came in place of what belongs there.


def _number(value: Any) -> int | float:
    kind = type(value)
    kept: int | float
    # A float of a library that derives from Python's is one; what does not can be kept by nobody.
    if kind is float:
        kept = value
    elif issubclass(kind, float):
        kept = float.__float__(value)
    elif issubclass(kind, int) and kind is not bool:
        kept = int.__int__(value)
    else:
        raise Nonsense(f"{_a(value)}, and no number")
    if not -_LARGEST <= kept <= _LARGEST:
        raise Nonsense(f"{_shown(kept)}, which no number with a decimal point holds")
    return kept


def _integer(value: Any) -> int:
    kind = type(value)
    if kind is bool or not issubclass(kind, int):
        raise Nonsense(f"{_a(value)}, and no whole number")
    kept = int.__int__(value)
    if not -_WHOLE <= kept < _WHOLE:
        raise Nonsense("a whole number that is larger than 64 bits hold")
    return kept


def _count(value: Any) -> int:
    kept = _integer(value)
    if not 0 <= kept < _COUNTED:
        raise Nonsense(f"{_shown(kept)}, which counts nothing")
    return kept


def _time(value: Any) -> int | float:
    kept = _number(value)
    if not -_LATEST_S <= kept <= _LATEST_S:
        raise Nonsense(f"{_shown(kept)}, which is no time of a recording")
    return kept


def _boolean(value: Any) -> bool:
    if value is True or value is False:
        return bool(value)
    raise Nonsense(f"{_a(value)}, and neither true nor false")


def _string(value: Any) -> str:
    kept = value if type(value) is str else _own_text(value)
    if kept is None:
        raise Nonsense(f"{_a(value)}, and no text")
    if not _is_text(kept):
        raise Nonsense(f"{_shown(kept)}, which has half a character")
    return kept


def _strings(value: Any) -> list[str]:
    listed = _listed(value)
    if listed is None:
        raise Nonsense(f"{_a(value)}, and no list of texts")
    return [_string(one) for one in listed]


def _json(value: Any) -> Any:
    try:
        return _plain(value, _DEEPEST)
    except Nonsense as fault:
        raise Nonsense(f"what cannot be kept as JSON: {fault}") from None


def _plain(value: Any, deep: int) -> Any:
    kind = type(value)
    if value is None or kind is bool or (kind is float and isfinite(value)):
        return value
    if issubclass(kind, str):
        return _string(value)
    if issubclass(kind, int):
        kept = int.__int__(value)
        if kept.bit_length() > _LONGEST_BITS:
            raise Nonsense("a whole number of thousands of digits")
        return kept
    if issubclass(kind, float):
        if not isfinite(number := float.__float__(value)):
            raise Nonsense(f"{_shown(number)}, which is no number of JSON")
        return number
    if not deep:
        raise Nonsense(f"lists and objects in each other, more than {_DEEPEST} deep")
    if (listed := _listed(value)) is not None:
        return [_plain(one, deep - 1) for one in listed]
    if _is_mapping(value):
        return {_member(name): _plain(one, deep - 1) for name, one in _pairs(value)}
    raise Nonsense(_a(value))


def _member(name: Any) -> str:
    """The name of a member, as JSON spells what is no text."""
    if issubclass(type(name), str):
        return _string(name)
    if not (name is None or issubclass(type(name), bool | int | float)):
        raise Nonsense(f"{_a(name)} for the name of a member")
    return json.dumps(_plain(name, 0))


class _Scores:
    """Keeps the scores of a family: `names` are all that there are, None where that is open."""

    def __init__(self, bounds: tuple[float, float] | None, names: tuple[str, ...] | None) -> None:
        self._low, self._high = map(_number, bounds or (-_LARGEST, _LARGEST))
        self._names = None if names is None else tuple(dict.fromkeys(map(_string, names)))
        self._known = frozenset(self._names or ())
        self._blank: dict[str, Any] = dict.fromkeys(self._names or ())
        self._all = itemgetter(*self._names) if self._names is not None and len(self._names) > 1 else None

    def __call__(self, given: Any) -> dict[str, Any]:
        low, high = self._low, self._high
        # Nearly every row has all of them, and a number for each.
        if self._all is not None and self._names is not None and type(given) is dict and len(given) == len(self._names):
            try:
                scores = self._all(given)
            except KeyError:
                scores = (None,)
            for score in scores:
                if type(score) is not float or not low <= score <= high:
                    break
            else:
                kept = self._blank.copy()  # which is quicker than to let one grow
                kept.update(zip(self._names, scores, strict=True))
                return kept
        if not _is_mapping(given):
            raise Nonsense(f"{_a(given)}, and no scores by name")
        return self._each(given)

    def _each(self, given: Any) -> dict[str, Any]:
        low, high, known = self._low, self._high, None if self._names is None else self._known
        kept: dict[str, Any] = {}
        for label, score in _pairs(given):
            name = label if type(label) is str else _own_text(label)
            if name is None or name in kept or not (_is_text(name) if known is None else name in known):
                raise Nonsense(f"a score {_shown(label)}, and there is none of that name")
            if score is None or (type(score) is float and low <= score <= high):
                kept[name] = score
                continue
            try:
                kept[name] = number = _number(score)
            except Nonsense as fault:
                raise Nonsense(f"as {_shown(name)} {fault}") from None
            if not low <= number <= high:
                raise Nonsense(f"as {_shown(name)} {_shown(number)}, which is not between {low:g} and {high:g}")
        return kept


_KEPT: Final[Mapping[str, Callable[[Any], Any]]] = {
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
    "string": _string,
    "strings": _strings,
    "json": _json,
}


# A column of such a name means the same in every table.
_KEPT_UNDER: Final[Mapping[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(NUMBERED, _count),
    **dict.fromkeys(TIMES, _time),
}


def _is_mapping(value: Any) -> bool:
    return type(value) is dict or isinstance(value, Mapping)


def _pairs(given: Any) -> Iterable[tuple[Any, Any]]:
    """What a mapping holds; of one that derives from dict what a dict holds."""
    if type(given) is dict:
        return given.items()
    return dict.items(given) if issubclass(type(given), dict) else [(name, given[name]) for name in given]


def _listed(value: Any) -> Iterable[Any] | None:
    """What a list or tuple holds; None where it is none."""
    if issubclass(type(value), list):
        return list.__iter__(value)
    return tuple.__iter__(value) if issubclass(type(value), tuple) else None


def _own_text(value: object) -> str | None:
    """A text as one of Python's own type; None where it is none."""
    if type(value) is str:
        return value
    return str.__str__(value) if issubclass(type(value), str) else None


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
    return "nothing" if value is None else f"a {_in_a_line(type(value).__name__)} ({_shown(value)})"


def _shown(value: object) -> str:
    try:
        said = repr(value)
    except Exception:  # also of whole numbers that have too many digits to be told
        return f"a {_in_a_line(type(value).__name__)}"
    return _in_a_line(said)


def _in_a_line(said: str) -> str:
    """Others' words, as they can be kept and printed."""
    plain = " ".join(str.split(said)).encode("utf-8", "backslashreplace").decode()
    return plain if len(plain) <= _SHOWN else f"{plain[:_SHOWN]}…"
