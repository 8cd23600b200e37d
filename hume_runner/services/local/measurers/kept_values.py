"""Values of rows, as they are kept.

Each function takes what was given and gives what is kept of it, of Python's own type exactly. A value of a type that
derives from such a one is what the one it derives from holds, whatever it says of itself. All raise Nonsense, which
says what came in place of what belongs there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from operator import itemgetter
from typing import Any, Final

from hume_runner.services.local.measurers.base import NUMBERED, TIMES
from hume_runner.spelling import is_whole

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


def kept_number(value: Any) -> int | float:
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
        raise Nonsense(f"{described(value)}, and no number")
    if not -_LARGEST <= kept <= _LARGEST:
        raise Nonsense(f"{shown(kept)}, which no number with a decimal point holds")
    return kept


def _integer(value: Any) -> int:
    kind = type(value)
    if kind is bool or not issubclass(kind, int):
        raise Nonsense(f"{described(value)}, and no whole number")
    kept = int.__int__(value)
    if not -_WHOLE <= kept < _WHOLE:
        raise Nonsense("a whole number that is larger than 64 bits hold")
    return kept


def _count(value: Any) -> int:
    kept = _integer(value)
    if not 0 <= kept < _COUNTED:
        raise Nonsense(f"{shown(kept)}, which counts nothing")
    return kept


def _time(value: Any) -> int | float:
    kept = kept_number(value)
    if not -_LATEST_S <= kept <= _LATEST_S:
        raise Nonsense(f"{shown(kept)}, which is no time of a recording")
    return kept


def _boolean(value: Any) -> bool:
    if value is True or value is False:
        return bool(value)
    raise Nonsense(f"{described(value)}, and neither true nor false")


def _string(value: Any) -> str:
    kept = value if type(value) is str else own_text(value)
    if kept is None:
        raise Nonsense(f"{described(value)}, and no text")
    if not is_text(kept):
        raise Nonsense(f"{shown(kept)}, which has half a character")
    return kept


def _strings(value: Any) -> list[str]:
    listed = _listed(value)
    if listed is None:
        raise Nonsense(f"{described(value)}, and no list of texts")
    return [_string(one) for one in listed]


def kept_json(value: Any) -> Any:
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
            raise Nonsense(f"{shown(number)}, which is no number of JSON")
        return number
    if not deep:
        raise Nonsense(f"lists and objects in each other, more than {_DEEPEST} deep")
    if (listed := _listed(value)) is not None:
        return [_plain(one, deep - 1) for one in listed]
    if is_mapping(value):
        return {_member(name): _plain(one, deep - 1) for name, one in pairs(value)}
    raise Nonsense(described(value))


def _member(name: Any) -> str:
    """The name of a member, as JSON spells what is no text."""
    if issubclass(type(name), str):
        return _string(name)
    if not (name is None or issubclass(type(name), bool | int | float)):
        raise Nonsense(f"{described(name)} for the name of a member")
    return json.dumps(_plain(name, 0))


class Scores:
    """Keeps the scores of a family: `names` are all that there are, None where that is open."""

    def __init__(self, bounds: tuple[float, float] | None, names: tuple[str, ...] | None) -> None:
        self._low, self._high = map(kept_number, bounds or (-_LARGEST, _LARGEST))
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
        if not is_mapping(given):
            raise Nonsense(f"{described(given)}, and no scores by name")
        return self._each(given)

    def _each(self, given: Any) -> dict[str, Any]:
        low, high, known = self._low, self._high, None if self._names is None else self._known
        kept: dict[str, Any] = {}
        for label, score in pairs(given):
            name = label if type(label) is str else own_text(label)
            if name is None or name in kept or not (is_text(name) if known is None else name in known):
                raise Nonsense(f"a score {shown(label)}, and there is none of that name")
            if score is None or (type(score) is float and low <= score <= high):
                kept[name] = score
                continue
            try:
                kept[name] = number = kept_number(score)
            except Nonsense as fault:
                raise Nonsense(f"as {shown(name)} {fault}") from None
            if not low <= number <= high:
                raise Nonsense(f"as {shown(name)} {shown(number)}, which is not between {low:g} and {high:g}")
        return kept


KEPT: Final[Mapping[str, Callable[[Any], Any]]] = {
    "number": kept_number,
    "integer": _integer,
    "boolean": _boolean,
    "string": _string,
    "strings": _strings,
    "json": kept_json,
}


# A column of such a name means the same in every table.
KEPT_UNDER: Final[Mapping[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(NUMBERED, _count),
    **dict.fromkeys(TIMES, _time),
}


def is_mapping(value: Any) -> bool:
    return type(value) is dict or isinstance(value, Mapping)


def pairs(given: Any) -> Iterable[tuple[Any, Any]]:
    """What a mapping holds; of one that derives from dict what a dict holds."""
    if type(given) is dict:
        return given.items()
    return dict.items(given) if issubclass(type(given), dict) else [(name, given[name]) for name in given]


def _listed(value: Any) -> Iterable[Any] | None:
    """What a list or tuple holds; None where it is none."""
    if issubclass(type(value), list):
        return list.__iter__(value)
    return tuple.__iter__(value) if issubclass(type(value), tuple) else None


def own_text(value: object) -> str | None:
    """A text as one of Python's own type; None where it is none."""
    if type(value) is str:
        return value
    return str.__str__(value) if issubclass(type(value), str) else None


def is_text(value: object) -> bool:
    """A text that can be kept: half a character, of which two make one, cannot."""
    return isinstance(value, str) and is_whole(value)


def described(value: object) -> str:
    return "nothing" if value is None else f"a {_in_a_line(type(value).__name__)} ({shown(value)})"


def shown(value: object) -> str:
    try:
        said = repr(value)
    except Exception:  # also of whole numbers that have too many digits to be told
        return f"a {_in_a_line(type(value).__name__)}"
    return _in_a_line(said)


def _in_a_line(said: str) -> str:
    """Others' words, as they can be kept and printed."""
    plain = " ".join(str.split(said)).encode("utf-8", "backslashreplace").decode()
    return plain if len(plain) <= _SHOWN else f"{plain[:_SHOWN]}…"
