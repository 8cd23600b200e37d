"""JSON read piece by piece, in memory for one piece; about as fast as json.load.

The standard library's own scanner reads each piece in a window over the bytes; only what is larger than a window is
opened here, member by member. A piece that is not complete yet is scanned again once the window has at least doubled,
so the total stays linear. `project` keeps of a value only what a shape names, so that a document of any size is read,
and checked, in the memory of what is kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, BinaryIO, Final, NoReturn

from hume_runner.errors import UnexpectedResponse

CHUNK_BYTES: Final = 256 * 1024
# What is kept whole of a large document: names, messages, one row. A text or a number of this length is none of ours.
MAX_PIECE_BYTES: Final = 64 * 1024 * 1024
# What is larger is opened when it is passed over.
WINDOW_BYTES: Final = 1024 * 1024

_SPACE = re.compile(rb"[ \t\n\r]*")
_BOM = b"\xef\xbb\xbf"
_NUMBER_START = frozenset(b"-0123456789")
_AFTER_VALUE = frozenset(b",]} \t\n\r")
# How far before the end of the window an error may be noticed that only means "there is more to come": a part of a
# literal, a number or an escape.
_SLACK = 16
# As deep as a value is opened; the library's scanner has a bound of its own.
_DEEPEST = 100


class _TooLarge:
    def __repr__(self) -> str:
        return "TOO_LARGE"


TOO_LARGE: Final = _TooLarge()


class JsonReader:
    """A place in a JSON document that moves on as values are read: `value`, `skip`, or into one by `array`, `object`.

    `position` counts bytes from the start of the document, `start` for the first byte of `stream`.
    Raises: what `complain` makes of a problem in words, UnexpectedResponse by default.
    """

    def __init__(
        self,
        stream: BinaryIO | Iterable[bytes],
        *,
        where: str = "the answer",
        complain: Callable[[str], Exception] | None = None,
        start: int = 0,
    ) -> None:
        chunks = iter(lambda: stream.read(CHUNK_BYTES), b"") if hasattr(stream, "read") else iter(stream)
        self._chunks = _pieces(chunks)
        self._complain = complain or (
            lambda problem: UnexpectedResponse(f"{where} is not the JSON list that is due: {problem}")
        )
        self._scan = json.JSONDecoder(parse_constant=self._refuse_constant).raw_decode
        self._window = b""
        self._text: str | None = None
        self._scanned: Any = None
        self._at = 0
        self._before = start  # bytes before the window
        self._ended = False

    @property
    def position(self) -> int:
        return self._before + self._at

    def peek(self) -> bytes:
        """The next byte that is no white space, not taken; empty at the end of the document."""
        while True:
            match = _SPACE.match(self._window, self._at)
            assert match is not None
            self._at = match.end()
            if self._at < len(self._window):
                return self._window[self._at : self._at + 1]
            if not self._grow(1):
                return b""

    def whole_array(self) -> Iterator[None]:
        """`array` for a document that is one array and nothing else."""
        self.skip_mark()
        if self.peek() != b"[":
            self.fail("it is not a JSON list" if self._window else "it is empty")
        yield from self.array()
        if self.peek():
            self.fail("something follows the list")

    def skip_mark(self) -> None:
        """Pass over a byte order mark at the start of the document. Safe to call twice."""
        if self.position:
            return
        while len(self._window) < len(_BOM) and _BOM.startswith(self._window) and self._grow(1):
            pass
        if self._window.startswith(_BOM):
            self._at = len(_BOM)

    def array(self) -> Iterator[None]:
        """Stand at each element of the array here in turn; each has to be read before the next is asked for."""
        if self.peek() != b"[":
            self.fail("a list is missing")
        self._at += 1
        if self.peek() == b"]":
            self._at += 1
            return
        while True:
            self.peek()
            yield
            if not self._goes_on(b"]"):
                return

    def object(self) -> Iterator[str]:
        """The names of the members of the object here; each one's value has to be read before the next is asked for."""
        if self.peek() != b"{":
            self.fail("an object is missing")
        self._at += 1
        if self.peek() == b"}":
            self._at += 1
            return
        while True:
            if (first := self.peek()) != b'"':
                self.fail("a member's name is missing" if first else "it is cut off")
            name = self.value()
            if (colon := self.peek()) != b":":
                self.fail("a colon is missing" if colon else "it is cut off")
            self._at += 1
            self.peek()
            yield name
            if not self._goes_on(b"}"):
                return

    def _goes_on(self, end: bytes) -> bool:
        after = self.peek()
        if after not in (b",", end):
            self.fail("a comma is missing" if after else "it is cut off")
        self._at += 1
        return after == b","

    def value(self, limit: int = MAX_PIECE_BYTES, expected: int = 0) -> Any:
        """The value here, of at most `limit` bytes; `expected` is a guess of its size."""
        return self._decoded(self.raw(limit, expected))

    def value_within(self, limit: int) -> Any:
        """The value here; TOO_LARGE, and nothing is taken, if it has more than `limit` bytes."""
        piece = self.raw_within(limit)
        return TOO_LARGE if piece is None else self._decoded(piece)

    def raw(self, limit: int = MAX_PIECE_BYTES, expected: int = 0) -> bytes:
        """The bytes of the value here."""
        piece = self.raw_within(limit, expected)
        if piece is None:
            self.fail(f"one element has more than {limit:,} bytes")
        return piece

    def raw_within(self, limit: int, expected: int = 0) -> bytes | None:
        """The bytes of the value here; None, and nothing is taken, if it has more than `limit`."""
        end = self._end_within(limit, expected)
        if end is None:
            return None
        piece = self._window[self._at : end]
        self._check_characters(piece)
        self._at = end
        return piece

    def skip(self, depth: int = 0) -> None:
        """Pass over the value here, whatever its size; what it holds is checked all the same."""
        if self.raw_within(WINDOW_BYTES) is not None:
            return
        if depth >= _DEEPEST:
            self.fail("it is nested too deeply")
        match self.peek():
            case b"[":
                for _ in self.array():
                    self.skip(depth + 1)
            case b"{":
                for _ in self.object():
                    self.skip(depth + 1)
            case _:
                self.raw()

    def fail(self, problem: str, at: int | None = None) -> NoReturn:
        place = self._before + (self._at if at is None else at)
        raise self._complain(f"{problem} (byte {place:,})")

    # -- the window -------------------------------------------------------------------------------------------------

    def _end_within(self, limit: int, expected: int = 0) -> int | None:
        """Where in the window the value here ends, reading on as needed; None if it is longer than `limit`."""
        if len(self._window) - self._at < expected:
            self._grow(expected - (len(self._window) - self._at))
        while (end := self._find_end()) is None:
            have = len(self._window) - self._at
            if have > limit:
                return None
            self._grow(max(1, min(have, limit + 1 - have)))
        return end if end - self._at <= limit else None

    def _find_end(self) -> int | None:
        """Where the value here ends; None if there is more of it to come."""
        if self._text is None:
            self._text = self._window.decode("latin-1")  # a character a byte
        text = self._text
        try:
            self._scanned, end = self._scan(text, self._at)
        except json.JSONDecodeError as error:
            problem, noticed_at = error.msg, error.pos
            if error.msg.startswith("Unterminated string"):  # reported where the string starts
                noticed_at = len(text)
        except RecursionError:
            self.fail("it is nested too deeply")
        except ValueError as error:  # an integer without end
            problem, noticed_at = str(error)[:80], self._at - _SLACK - 1
        else:
            if self._is_whole(end):
                return end
            problem, noticed_at = "a number is damaged", end if end < len(text) else len(text)
        if self._ended and noticed_at >= len(text):
            self.fail("it is cut off", len(text))
        if self._ended or noticed_at < len(text) - _SLACK:
            self.fail(problem, noticed_at)
        return None

    def _is_whole(self, end: int) -> bool:
        """A number may go on in the next chunk: `12` of `123`, `1` of `1.5`. Everything else says where it ends."""
        if self._window[self._at] not in _NUMBER_START or self._ended:
            return True
        return end < len(self._window) and self._window[end] in _AFTER_VALUE

    def _decoded(self, piece: bytes) -> Any:
        """The value of the piece that was just found."""
        # The scanner saw bytes as characters, which gives other texts where they are not ASCII.
        return self._scanned if piece.isascii() else json.loads(piece.decode())

    def _check_characters(self, piece: bytes) -> None:
        if not piece.isascii():
            try:
                piece.decode()
            except UnicodeDecodeError:
                self.fail("it is not UTF-8")

    def _grow(self, wanted: int) -> bool:
        """Read `wanted` bytes more, or to the end of the stream; what was taken is let go. False at the end."""
        if self._ended:
            return False
        parts = [self._window[self._at :]]
        self._before += self._at
        self._at = 0
        self._text = None
        while wanted > 0 and not self._ended:
            chunk = next(self._chunks, None)
            self._ended = chunk is None
            parts.append(chunk or b"")
            wanted -= len(chunk or b"")
        self._window = b"".join(parts)
        return not self._ended or len(self._window) > len(parts[0])

    def _refuse_constant(self, name: str) -> Any:
        self.fail(f"{name} is not JSON")


def _pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks, large ones in pieces: what is in the window is scanned at once."""
    for chunk in chunks:
        if len(chunk) <= WINDOW_BYTES:
            yield chunk
        else:
            for start in range(0, len(chunk), CHUNK_BYTES):
                yield chunk[start : start + CHUNK_BYTES]


# -- keeping a part ----------------------------------------------------------------------------------------------------

# What to keep of a value. A mapping: an object's members by name, "*" for all others; members that it does not name are
# checked and let go. A tuple of one: an array, each element so. A function reads the value here and gives what is kept.
Shape = Callable[[JsonReader], Any] | Mapping[str, "Shape"] | tuple["Shape"]


def project(reader: JsonReader, shape: Shape) -> Any:
    """What `shape` keeps of the value here; where that is no such container, `kind` of it."""
    if isinstance(shape, Mapping):
        if reader.peek() != b"{":
            return kind(reader)
        kept: dict[str, Any] = {}
        for name in reader.object():
            part = shape.get(name, shape.get("*"))
            if part is None:
                reader.skip()
            else:
                kept[name] = project(reader, part)
        return kept
    if isinstance(shape, tuple):
        if reader.peek() != b"[":
            return kind(reader)
        return [project(reader, shape[0]) for _ in reader.array()]
    return shape(reader)


def whole(reader: JsonReader) -> Any:
    """All of a value."""
    return reader.value()


def kind(reader: JsonReader) -> Any:
    """A value without what it holds: an empty object or array for one; all of anything else."""
    match reader.peek():
        case b"{":
            reader.skip()
            return {}
        case b"[":
            reader.skip()
            return []
        case _:
            return reader.value()
