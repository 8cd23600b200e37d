"""A top-level JSON array, element by element, in memory for the largest element; about as fast as json.load.

The standard library's own scanner does the work on a growing text. An element that is not complete yet is scanned
again once the text has at least doubled, so the total stays linear, and the size of the last element is the first guess
for the next, so that it is rarely scanned twice.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, Final, NoReturn

from hume_runner.errors import UnexpectedResponse

CHUNK_BYTES: Final = 256 * 1024
MAX_ELEMENT_BYTES: Final = 512 * 1024 * 1024

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER_START = frozenset("-0123456789")
_AFTER_ELEMENT = frozenset(",] \t\n\r")
# How far before the end of the text an error may be noticed that only means "there is more to come": a part of a
# literal, a number or an escape.
_SLACK = 16


def iter_array(
    stream: BinaryIO | Iterable[bytes], *, max_element_bytes: int = MAX_ELEMENT_BYTES, where: str = "the answer"
) -> Iterator[Any]:
    """The elements of the array that `stream` holds, in order.

    Raises: UnexpectedResponse for anything but one complete array: cut off, something after it, not an array, NaN or
    Infinity, not UTF-8, nested too deeply, or an element of more than `max_element_bytes`. `where` is for the message.
    What the stream itself raises passes through.
    """
    chunks = iter(lambda: stream.read(CHUNK_BYTES), b"") if hasattr(stream, "read") else iter(stream)
    return _Scanner(chunks, max_element_bytes, where).elements()


class _Scanner:
    def __init__(self, chunks: Iterator[bytes], max_element_bytes: int, where: str) -> None:
        self._chunks = chunks
        self._max = max_element_bytes
        self._where = where
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._scan = json.JSONDecoder(parse_constant=self._refuse_constant).raw_decode
        self._text = ""
        self._at = 0
        self._ended = False
        self._offset = 0  # characters before `_text`, for messages

    def elements(self) -> Iterator[Any]:
        self._fill(1)
        if self._peek() != "[":
            self._fail("it is not a JSON list" if self._text else "it is empty")
        self._at += 1
        if self._peek() == "]":
            self._at += 1
        else:
            yield from self._members()
        if self._peek():
            self._fail("something follows the list")

    def _members(self) -> Iterator[Any]:
        expected = 0
        while True:
            self._peek()  # to the start of the element
            self._fill(expected)
            start = self._offset + self._at
            value = self._element()
            expected = self._offset + self._at + 1 - start
            yield value
            match self._peek():
                case ",":
                    self._at += 1
                case "]":
                    self._at += 1
                    return
                case "":
                    self._fail("it is cut off")
                case _:
                    self._fail("a comma is missing")

    def _element(self) -> Any:
        while True:
            try:
                value, end = self._scan(self._text, self._at)
            except json.JSONDecodeError as error:
                problem, noticed_at = error.msg, error.pos
                if error.msg.startswith("Unterminated string"):  # reported where the string starts
                    noticed_at = len(self._text)
            except RecursionError:
                self._fail("it is nested too deeply")
            except ValueError as error:  # an integer without end
                problem, noticed_at = str(error)[:80], self._at - _SLACK - 1
            else:
                if self._is_whole(end):
                    self._at = end
                    return value
                problem, noticed_at = "a number is damaged", len(self._text)
            if self._ended and noticed_at >= len(self._text):
                self._fail("it is cut off")
            if self._ended or noticed_at < len(self._text) - _SLACK:
                self._fail(problem, noticed_at)
            if len(self._text) - self._at > self._max:
                self._fail(f"one element has more than {self._max:,} bytes")
            self._fill(2 * (len(self._text) - self._at))

    def _is_whole(self, end: int) -> bool:
        """A number may go on in the next chunk: `12` of `123`, `1` of `1.5`. Everything else says where it ends."""
        if self._text[self._at] not in _NUMBER_START or self._ended:
            return True
        return end < len(self._text) and self._text[end] in _AFTER_ELEMENT

    def _peek(self) -> str:
        """The next character that is not white space, not consumed; "" at the end of the stream."""
        while True:
            match = _SPACE.match(self._text, self._at)
            assert match is not None
            self._at = match.end()
            if self._at < len(self._text):
                return self._text[self._at]
            if self._ended:
                return ""
            self._fill(1)

    def _fill(self, wanted: int) -> None:
        """Read until `wanted` characters are waiting, or the stream ends; what was consumed is let go."""
        have = len(self._text) - self._at
        if have >= wanted or self._ended:
            return
        parts = [self._text[self._at :]]
        self._offset += self._at
        self._at = 0
        try:
            while have < wanted and not self._ended:
                chunk = next(self._chunks, None)
                self._ended = chunk is None
                part = self._decode(chunk or b"", self._ended)
                parts.append(part)
                have += len(part)
        except UnicodeDecodeError:
            self._fail("it is not UTF-8")
        self._text = "".join(parts)

    def _refuse_constant(self, name: str) -> NoReturn:
        self._fail(f"{name} is not JSON")

    def _fail(self, problem: str, at: int | None = None) -> NoReturn:
        place = self._offset + (self._at if at is None else at)
        raise UnexpectedResponse(f"{self._where} is not the JSON list that is due: {problem} (character {place:,})")
