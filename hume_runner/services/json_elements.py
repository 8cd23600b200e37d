"""The elements of a large JSON array, one after another, without holding the array; large ones without holding them.

`http.json_stream` reads them; here msgspec finds where a value ends by trying to decode it as the whole document: it
reads over it at the speed of memory, then complains about what follows and says where. A release that words this
differently is noticed, and the standard library's slower scanner takes over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from hume_runner.errors import ResultsError
from hume_runner.frozen import frozen
from hume_runner.http.json_lenient import LenientReader
from hume_runner.http.json_stream import JsonReader, kind, project
from hume_runner.regular_files import is_zip
from hume_runner.services.unreadable import ARTIFACTS_ARE_NOT_READ

_CHUNK_BYTES = 1 << 20
_TRAILING = re.compile(r"trailing characters \(byte (\d+)\)")
_AT_BYTE = re.compile(r"\(byte (\d+)\)")
_LONGEST_TOKEN = 64

# Every escape, so that a backslash that is itself escaped is stepped over; a whole pair comes first.
_ESCAPE = re.compile(rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|u[dD][89a-fA-F]..|.)", re.DOTALL)

_skim = msgspec.json.Decoder(msgspec.Raw)


class ElementReader(LenientReader):
    """A place in an answer on disk. Raises: ResultsError, naming the file."""

    def __init__(self, stream: BinaryIO, path: Path, *, start: int = 0) -> None:
        stream.seek(start)
        chunks = iter(lambda: stream.read(_CHUNK_BYTES), b"")
        super().__init__(chunks, complain=lambda problem: _damaged(path, problem), start=start)
        self.path = path

    def raise_problem(self) -> None:
        """Raises: msgspec.DecodeError if a value that was decoded since the last call is no value for a table."""
        problem = self.take_problem()
        if problem is not None:
            raise msgspec.DecodeError(problem)

    def raw_within(self, limit: int, expected: int = 0) -> bytes | None:
        piece = super().raw_within(limit, expected)
        return piece if piece is None else _without_half_characters(piece)

    def _decoded(self, piece: bytes) -> Any:
        try:
            return msgspec.json.decode(piece)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            self._note(str(error))  # what is around it is read on: the sources after this one are not to blame
            return None

    def _find_end(self) -> int | None:
        try:
            _skim.decode(memoryview(self._window)[self._at :])
        except msgspec.DecodeError as error:
            message = str(error)
            if found := _TRAILING.search(message):
                # The number counts from 1. Checked, because it is known from the message alone.
                end = self._at + int(found[1]) - 1
                if self._window[end : end + 1] in (b",", b"]", b"}", b":"):
                    return end
            elif not self._ended and ("truncated" in message or self._near_the_end(message)):
                return None
            # Damaged, cut off, or half of a surrogate pair, which msgspec does not take.
            return super()._find_end()
        except RecursionError:
            return super()._find_end()
        # The whole window is one value: only what follows it tells whether it ended.
        return len(self._window) if self._ended else None

    def _near_the_end(self, message: str) -> bool:
        """Whether the document breaks so close to the window's end that a number or a word may be cut there."""
        at = _AT_BYTE.search(message)
        return at is not None and int(at[1]) >= len(self._window) - self._at - _LONGEST_TOKEN

    def _check_characters(self, piece: bytes) -> None:
        """Whoever decodes a piece notices."""


@frozen(kw_only=False)
class Rows:
    """The elements of an array somewhere in a file: read anew each time they are asked for, one in memory."""

    path: Path
    start: int

    def __iter__(self) -> Iterator[bytes]:
        with self.path.open("rb") as stream:
            reader = ElementReader(stream, self.path, start=self.start)
            for _ in reader.array():
                yield reader.raw()


def rows(reader: JsonReader) -> Any:
    """What to keep of an array of any size, for `project`: where it is, as Rows. Of anything else: `kind`."""
    if reader.peek() != b"[" or not isinstance(reader, ElementReader):
        return kind(reader)
    found = Rows(reader.path, reader.position)
    reader.skip()
    return found


def elements(path: Path, member: str | None = None) -> Iterator[ElementReader]:
    """Stand at each element of the array in `path` in turn; each has to be read before the next is asked for.

    If the document is an object instead: at the elements of its member `member` if that is an array, else at the
    object itself as the only element.
    Raises: ResultsError, naming the file, for anything that is not such a document.
    """
    with path.open("rb") as stream:
        reader = ElementReader(stream, path)
        reader.skip_mark()
        first = reader.peek()
        if first == b"{":
            start = reader.position
            found = project(reader, {member: rows} if member else {}).get(member)
            _end(reader, "object")
            inside = isinstance(found, Rows)
            reader = ElementReader(stream, path, start=found.start if isinstance(found, Rows) else start)
            if not inside:
                yield reader
                return
        elif first != b"[":
            if is_zip(path):
                raise ResultsError(f"{path}: a zip archive and no predictions", hint=ARTIFACTS_ARE_NOT_READ)
            raise ResultsError(f"{path}: not a JSON array of answers", hint="check the file, or fetch it again")
        for _ in reader.array():
            yield reader
        if first == b"[":
            _end(reader, "list")


def _end(reader: ElementReader, what: str) -> None:
    """Two answers in one file, a line each or one behind the other, would be read as if the first were all."""
    if reader.peek():
        reader.fail(f"something follows the {what}")


def _without_half_characters(element: bytes) -> bytes:
    """A lone half of a surrogate pair becomes the replacement character: it is no text, and no table can hold it."""
    # The first question is one of a single byte, which is answered twenty times as fast; most answers escape nothing.
    if b"\\" in element and (b"\\ud" in element or b"\\uD" in element):
        return _ESCAPE.sub(_mended, element)
    return element


def _mended(escape: re.Match[bytes]) -> bytes:
    half = len(escape[0]) == 6 and escape[0][1:2] == b"u"
    return rb"\ufffd" if half else escape[0]


def _damaged(path: Path, why: object) -> ResultsError:
    return ResultsError(f"{path}: not a complete answer: {why}", hint="run the manifest again; `verify` finds others")
