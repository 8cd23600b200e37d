"""JSON of which a part cannot be relied on: that part alone is given up, and the reading goes on behind it.

Where a value ends is told by quotes and brackets alone, so that NaN, an endless integer or bytes that are no UTF-8 are
wrong where they stand and nowhere else. What passes here can be read with the standard library and for tables alike.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from io import BytesIO
from typing import Any, NoReturn

from hume_runner.errors import UnexpectedResponse
from hume_runner.http.json_stream import JsonReader, Shape, project

_TOKEN = re.compile(r'"(?:[^"\\]++|\\.|\\\Z)*+(?:"|\Z)|[\[\]{}]', re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_SCALAR = re.compile(r'[^\s,\[\]{}"]++')
# What both readers take; nothing measures with a thousand digits.
_LONGEST_INTEGER = 1_000


def end_of_value(text: str, at: int, *, ended: bool) -> int | None:
    """Where the value that begins at `at` ends, whatever stands in it; None if it does not end in `text`.

    `ended`: nothing follows `text`, so that a word or number may end with it.
    """
    first = text[at : at + 1]
    if first == '"':
        string = _STRING.match(text, at)
        return string.end() if string else None
    if first not in ("[", "{"):
        scalar = _SCALAR.match(text, at)
        return scalar.end() if scalar and (ended or scalar.end() < len(text)) else None
    depth = 0
    for token in _TOKEN.finditer(text, at):
        found = token[0]
        if found in ("[", "{"):
            depth += 1
        elif found in ("]", "}"):
            depth -= 1
            if not depth:
                return token.end()
    return None


class _NotReliable(ValueError):
    """Well-formed to the standard library, and nothing that two readers take for the same."""


def _constant(name: str) -> NoReturn:
    raise _NotReliable(f"{name} is not JSON")


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _NotReliable(f"the number {text[:40]} is out of range")
    return number


def _integer(text: str) -> int:
    if len(text) > _LONGEST_INTEGER:
        raise _NotReliable(f"an integer has {len(text):,} digits")
    return int(text)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise _NotReliable(_twice(next(name for name in names if names.count(name) > 1)))
    return found


def _twice(name: str) -> str:
    return f"the member {name[:60]!r} stands there more than once"


_STRICT = json.JSONDecoder(
    parse_constant=_constant, parse_float=_float, parse_int=_integer, object_pairs_hook=_members
).raw_decode


class LenientReader(JsonReader):
    """A `JsonReader` that notes what is wrong inside a value and goes on behind it; None stands in its place.

    What is wrong around values (a list that does not end, something behind it) is complained about as ever.
    """

    _problem: str | None = None

    def take_problem(self) -> str | None:
        """What was wrong since the last call, in words; None if nothing was."""
        problem, self._problem = self._problem, None
        return problem

    def object(self) -> Iterator[str]:
        """See `JsonReader.object`; a name that comes again is noted."""
        seen: set[str] = set()
        for name in super().object():
            if not name:  # damaged, which is noted already
                yield ""
                continue
            if name in seen:
                self._note(_twice(name))
            seen.add(name)
            yield name

    def _note(self, problem: str) -> None:
        self._problem = self._problem or problem[:200]

    def _find_end(self) -> int | None:
        if self._text is None:
            self._text = self._window.decode("latin-1")  # a character a byte
        text = self._text
        try:
            self._scanned, end = _STRICT(text, self._at)
        except RecursionError:
            problem = "it is nested too deeply"
        except ValueError as error:
            problem = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        else:
            if self._is_whole(end):
                return end
            problem = "a number is damaged"
        found = end_of_value(text, self._at, ended=self._ended)
        if found is not None and found > self._at:
            self._note(problem)
            self._scanned = None
            return found
        if self._ended:
            self.fail("it is cut off", len(self._window))
        return None

    def decoded(self, piece: bytes) -> Any:
        """The value of the piece that was just read by `raw_within`."""
        return self._decoded(piece)

    def _decoded(self, piece: bytes) -> Any:
        if piece.isascii() or self._scanned is None:
            return self._scanned
        try:
            text = piece.decode()
        except UnicodeDecodeError:
            return None  # noted when its characters were checked
        return json.loads(text)

    def _check_characters(self, piece: bytes) -> None:
        if not piece.isascii():
            try:
                piece.decode()
            except UnicodeDecodeError:
                self._note("it is not UTF-8")


def kept_of(document: bytes, shape: Shape) -> Any:
    """What `shape` keeps of a small document that cannot be relied on; None if not even its frame can be told, or if
    something follows it."""
    reader = LenientReader(BytesIO(document))
    try:
        kept = project(reader, shape)
        return None if reader.peek() else kept
    except (UnexpectedResponse, RecursionError, ValueError):
        return None


def plain(text: str) -> str:
    """Text as it can be stored and shown: halves of characters are replaced."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
