"""The elements of a large JSON array, one after another, without holding the array.

msgspec finds where an element ends by trying to decode it as the whole document: it reads over it at the speed of
memory, then complains about what follows and says where. A release that words this differently is noticed, and the
standard library's slower scanner takes over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from hume_runner.errors import ResultsError

_CHUNK_BYTES = 1 << 20
_TRAILING = re.compile(r"trailing characters \(byte (\d+)\)")
_AT_BYTE = re.compile(r"\(byte (\d+)\)")
_LONGEST_TOKEN = 64
_SPACE = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"

# Every escape, so that a backslash that is itself escaped is stepped over; a whole pair comes first.
_ESCAPE = re.compile(rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|u[dD][89a-fA-F]..|.)", re.DOTALL)

_skim = msgspec.json.Decoder(msgspec.Raw)


def iter_elements(path: Path, member: str | None = None) -> Iterator[bytes]:
    """Yield the bytes of each element of the array in `path`; memory holds one element and a chunk.

    If the document is an object instead, it is read whole: the elements of its member `member` if that is an array,
    else the object itself as the only element.
    Raises: ResultsError, naming the file, for anything that is not such a document.
    """
    with path.open("rb") as stream:
        reader = _Reader(stream, path)
        first = reader.first_byte()
        if first == b"[":
            yield from reader.elements()
        elif first == b"{":
            yield from _of_object(reader.rest(), member, path)
        else:
            raise ResultsError(f"{path}: not a JSON array of answers", hint="check the file, or fetch it again")


def _of_object(document: bytes, member: str | None, path: Path) -> Iterator[bytes]:
    try:
        members = msgspec.json.decode(document, type=dict[str, msgspec.Raw])
        inner = members.get(member) if member else None
        if inner is not None and bytes(inner).startswith(b"["):
            for element in msgspec.json.decode(inner, type=list[msgspec.Raw]):
                yield _without_half_characters(bytes(element))
        else:
            yield _without_half_characters(document)
    except msgspec.DecodeError as error:
        raise _damaged(path, error) from error


class _Reader:
    """A window over the file that starts at the next byte to look at."""

    def __init__(self, stream: BinaryIO, path: Path) -> None:
        self._stream = stream
        self._path = path
        self._window = b""
        self._start = 0

    def first_byte(self) -> bytes:
        """The first byte that is no space, kept in the window."""
        self._grow()
        if self._window.startswith(_BOM):
            self._start = len(_BOM)
        return self._peek()

    def rest(self) -> bytes:
        return self._window[self._start :] + self._stream.read()

    def elements(self) -> Iterator[bytes]:
        """The elements of the array whose bracket is next."""
        self._start += 1
        if self._peek() == b"]":
            return
        while True:
            self._peek()
            yield _without_half_characters(self._element())
            after = self._peek()
            self._start += 1
            if after == b"]":
                return
            if after != b",":
                raise _damaged(self._path, "the array does not end")

    def _element(self) -> bytes:
        while True:
            end = self._end_of_value()
            if end is not None:
                element = self._window[self._start : end]
                self._start = end
                return element
            # Doubling the window keeps the bytes that are skimmed again below twice the element.
            if not self._grow(max(_CHUNK_BYTES, len(self._window) - self._start)):
                return self._odd_element()

    def _odd_element(self) -> bytes:
        """An element that msgspec takes for cut off: it is, or it holds half of a surrogate pair."""
        end = self._slow_end("the last element is not JSON")
        if end is None:
            raise _damaged(self._path, "the last element is cut off")
        element = self._window[self._start : end]
        self._start = end
        return element

    def _end_of_value(self) -> int | None:
        """Where the value at the start of the window ends; None if it does not end in the window."""
        try:
            _skim.decode(memoryview(self._window)[self._start :])
        except msgspec.DecodeError as error:
            if found := _TRAILING.search(str(error)):
                # The number counts from 1. Checked, because it is known from the message alone.
                end = self._start + int(found[1]) - 1
                if self._window[end : end + 1] in (b",", b"]"):
                    return end
            elif "truncated" in str(error) or self._near_the_end(str(error)):
                return None
            return self._slow_end(error)
        # The whole window is one value: only what follows it tells whether it ended.
        return len(self._window) if not self._grow() else self._end_of_value()

    def _near_the_end(self, message: str) -> bool:
        """Whether the document breaks so close to the window's end that a number or a word may be cut there."""
        at = _AT_BYTE.search(message)
        return at is not None and int(at[1]) >= len(self._window) - self._start - _LONGEST_TOKEN

    def _slow_end(self, error: object) -> int | None:
        text = self._window[self._start :].decode("utf-8", "surrogateescape")
        try:
            _, end = json.JSONDecoder().raw_decode(text)
        except json.JSONDecodeError as problem:
            # Cut inside a number or a word, a document is malformed a few characters before the window's end.
            if problem.msg.startswith("Unterminated") or problem.pos >= len(text) - _LONGEST_TOKEN:
                return None
            raise _damaged(self._path, error) from problem
        return self._start + len(text[:end].encode("utf-8", "surrogateescape"))

    def _peek(self) -> bytes:
        """The next byte that is no space, not taken; empty at the end of the file."""
        while True:
            while self._start < len(self._window) and self._window[self._start] in _SPACE:
                self._start += 1
            if self._start < len(self._window):
                return self._window[self._start : self._start + 1]
            if not self._grow():
                return b""

    def _grow(self, size_bytes: int = _CHUNK_BYTES) -> bool:
        more = self._stream.read(size_bytes)
        self._window = self._window[self._start :] + more
        self._start = 0
        return bool(more)


def _without_half_characters(element: bytes) -> bytes:
    """A lone half of a surrogate pair becomes the replacement character: it is no text, and no table can hold it."""
    if b"\\ud" in element or b"\\uD" in element:
        return _ESCAPE.sub(_mended, element)
    return element


def _mended(escape: re.Match[bytes]) -> bytes:
    half = len(escape[0]) == 6 and escape[0][1:2] == b"u"
    return rb"\ufffd" if half else escape[0]


def _damaged(path: Path, why: object) -> ResultsError:
    return ResultsError(f"{path}: not a complete answer: {why}", hint="run the manifest again; `verify` finds others")
