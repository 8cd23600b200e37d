"""A manifest that is a mapping -> Document, as `strict_yaml.py` makes one of text: the same values, the same bounds.

No text lies between, which would have to be read again: a text is a text whatever YAML takes it for, and nobody is told
of lines that stand in no file. What surely means a text, a number, a list or a mapping is taken for it; anything else
is refused by its member's path and its type.
"""

from __future__ import annotations

import datetime
import math
import os
from collections import UserString
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, NoReturn

from hume_runner.errors import Problem, UsageError, kind_of
from hume_runner.manifest.document import Document, Node, Path, path_text
from hume_runner.manifest.scalars import MOST_DIGITS
from hume_runner.manifest.shown import quoted
from hume_runner.manifest.strict_yaml import DEEPEST, MOST_VALUES, TOO_DEEP, USE_A_LIST
from hume_runner.spelling import is_whole

FILE = "<mapping>"
"""What problems have in place of a file's name."""

# YAML can write these down, and a manifest may not hold them: wrong in a mapping as they are in a file.
_OF_YAML = (set, bytes, datetime.date)
_BYTES = (bytes, bytearray, memoryview)
_TIMES = (datetime.date, datetime.time, datetime.timedelta)
# Sequences of letters or bytes: what they mean is no list.
_NO_LISTS = (*_BYTES, UserString)
# What the dtype of an array says of numbers, truth and Python's own objects. Times are none of these: as numbers they
# would be nanoseconds, and nobody would know.
_NUMBERS_OR_OBJECTS = frozenset("biufUO")


def document_of(members: Mapping[Any, Any]) -> Document:
    """The document that is `members`; whatever is wrong with it is in `problems`.

    Raises: UsageError for a value that no YAML file could hold.
    """
    return _Reader().document(members)


class _Fatal(Exception):
    """It is too large, or too deep, to be looked at any further."""


class _Reader:
    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.values = 0

    def document(self, members: Mapping[Any, Any]) -> Document:
        try:
            root = self._node(members, ())
        except _Fatal:
            return Document(file=FILE, root=None, problems=self.problems)
        return Document(file=FILE, root=root, problems=self.problems)

    def _node(self, value: Any, path: Path, depth: int = 0) -> Node:
        """`value` with all that is in it; empty where it is refused."""
        self.values += 1
        if self.values > MOST_VALUES:
            self._fatal((), f"has more than {MOST_VALUES:,} values", USE_A_LIST)
        found = self._plain(value, path)
        if isinstance(found, Mapping | list) and depth >= DEEPEST:
            self._fatal(path[:1], *TOO_DEEP)
        if isinstance(found, Mapping):
            members = self._members(found, path)
            return _placed({key: self._node(member, (*path, key), depth + 1) for key, member in members})
        if isinstance(found, list):
            return _placed([self._node(one, (*path, index), depth + 1) for index, one in enumerate(found)])
        return _placed(found)

    def _members(self, members: Mapping[Any, Any], path: Path) -> Iterator[tuple[str, Any]]:
        seen: set[str] = set()
        for given, member in members.items():
            key = _scalar(given)
            if isinstance(key, int) and not isinstance(key, bool) and _is_short(key):
                key = str(key)
            if not isinstance(key, str):
                told = "None" if given is None else f"of the type {kind_of(given)}"
                self._report(path, f"a key must be text, and one here is {told}", "write it as text")
            elif not is_whole(key):
                self._report(path, f"the key {quoted(key)} {_HALF[0]}", _HALF[1])
            elif key in seen:
                self._report((*path, key), "stands twice, as text and as a number", "keep one of the two")
            else:
                seen.add(key)
                yield key, member

    def _plain(self, value: Any, path: Path) -> Any:
        """A text, number, truth, None, list or mapping: what `value` means. None where it is refused."""
        found = _scalar(value)
        if isinstance(found, Sequence) and not isinstance(found, (str, *_NO_LISTS)):
            return list(found)
        fault = _fault(found)
        if fault is None:
            return found
        if fault is _UNKNOWN:
            fault = f"is of the type {kind_of(value)}, and no text, number, list or mapping", _hint(value)
            if not isinstance(value, _OF_YAML):
                raise UsageError(f"{FILE}: {path_text(path)}: {fault[0]}", hint=fault[1])
        self._report(path, *fault)
        return None

    def _report(self, path: Path, message: str, hint: str) -> None:
        told = Problem(file=FILE, line=None, column=None, path=path_text(path), message=message, hint=hint)
        self.problems.append(told)

    def _fatal(self, path: Path, message: str, hint: str) -> NoReturn:
        self._report(path, message, hint)
        raise _Fatal


_HALF = (
    "has half of a surrogate pair, which is no text in UTF-8",
    "decode it anew with errors='replace'; if it is a file's name, rename the file",
)
_TOO_LONG = f"is a number of more than {MOST_DIGITS} digits", "write it as text, or a smaller number"
_FIRST_TOO_LONG: int = 10**MOST_DIGITS
_UNKNOWN = "", ""


def _fault(value: Any) -> tuple[str, str] | None:
    """What is wrong with a single value, and the next step; `_UNKNOWN` for what is none."""
    match value:
        case None | bool() | Mapping():
            return None
        case str():
            return _HALF if not is_whole(value) else None
        case int():
            return None if _is_short(value) else _TOO_LONG
        case float():
            hint = "write a finite number, or None where there is none"
            return None if math.isfinite(value) else (f"{value} is a number that is not finite", hint)
    return _UNKNOWN


def _placed(value: Any) -> Node:
    return Node(value, 0, 0)


def _is_short(number: int) -> bool:
    return -_FIRST_TOO_LONG < number < _FIRST_TOO_LONG


def _scalar(value: Any) -> Any:
    """What derives from a type of Python's, or is a path, a number or an array of numpy's, as that type's own value;
    anything else as it is."""
    match value:
        case bool():
            return value
        # Asked of the type itself: an enumeration's own `str` is its member's name.
        case str():
            return str.__str__(value)
        case int():
            return int.__int__(value)
        case float():
            return float.__float__(value)
        case os.PathLike():
            return os.fspath(value)
    # Asked of the class first: what answers for anything it does not have is no array.
    if hasattr(type(value), "dtype") and not isinstance(value, Mapping) and _is_array(value):
        found = value.tolist()
        return _scalar(found) if isinstance(found, str | int | float) else found
    return value


def _is_array(value: Any) -> bool:
    """Whether it is an array, a column of a table or a single number of numpy's, by what these have: the library itself
    may not be there."""
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    return isinstance(kind, str) and kind in _NUMBERS_OR_OBJECTS and callable(getattr(value, "tolist", None))


def _hint(value: Any) -> str:
    """The next step for a value that is refused."""
    if isinstance(value, Set):
        return "give a list, which has an order: sorted(…)"
    if isinstance(value, _BYTES):
        return "decode it to text"
    if isinstance(value, _TIMES):
        return "write it as text"
    if isinstance(value, Iterator):
        return "give a list, which can be read again: list(…)"
    return "use texts, numbers, true and false, None, lists and mappings"
