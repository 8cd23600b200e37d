"""Standard output and standard error, as streams that never raise.

A run must not break because nobody reads what it says: a reader goes away (`run --json | head -1`), a disk behind a
redirection is full, a stream was closed before we began. What cannot be written is dropped, and whoever asked to be
told is told once.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import re
import select
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Protocol, TextIO

from hume_runner.guests import GUESTS

# A pipe that is ready takes so many bytes at once, so that no write blocks where a signal could not end it.
_AT_ONCE = getattr(select, "PIPE_BUF", 512)
_BUFFERED = 32 * 1024
_LOOK_AGAIN_MS = 200
_COLUMNS = 80  # of a terminal that does not tell
# Nobody is left at the other end; anything else is a fault of what lies behind the stream.
_GONE = frozenset({errno.EPIPE, errno.ECONNRESET, errno.ESHUTDOWN, errno.ENOTCONN})


# What every command needs of a place to write to: a `SafeStream` or an open file.
class Writer(Protocol):
    def write(self, text: str, /) -> int: ...

    def writelines(self, lines: Iterable[str], /) -> None: ...


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """A letter that the stream's encoding does not have, as JSON writes it: what is JSON stays JSON."""
    assert isinstance(error, UnicodeEncodeError)
    missing = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    units = (missing[at : at + 2].hex() for at in range(0, len(missing), 2))
    return "".join(f"\\u{unit}" for unit in units), error.end


codecs.register_error("hume_runner.escaped", _escaped)


# What moves a terminal's cursor, colours or hides what follows, or turns its direction; line breaks and tabs stay.
_CONTROLS = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]|\r(?!\n)")


def visible(text: str) -> str:
    """`text` with control characters as JSON writes them."""
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class SafeStream:
    """Text to a file descriptor, for as long as it takes any; afterwards to nowhere.

    `on_broken` is called once, by whichever thread writes, when the stream fails. `gives_up` is asked while a reader
    does not read: True ends the waiting and counts as broken.
    """

    def __init__(
        self,
        stream: TextIO | None,
        *,
        on_broken: Callable[[SafeStream], None] = lambda stream: None,
        gives_up: Callable[[], bool] = lambda: False,
        mask: Callable[[str], str] = lambda text: text,
    ) -> None:
        self._stream = stream
        self.on_broken = on_broken
        self.gives_up = gives_up
        self.mask = mask
        self.encoding = getattr(stream, "encoding", None) or "utf-8"
        self._encode = codecs.getincrementalencoder(self.encoding)("hume_runner.escaped").encode
        self._handle = _handle_of(stream)
        self._terminal = self.isatty()
        if self._handle is None and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="hume_runner.escaped")
        self._waiting: list[str] = []
        self._size = 0
        self._lock = threading.RLock()
        self.broken: OSError | None = None

    @property
    def reader_is_gone(self) -> bool:
        """Whether the stream broke because nobody reads it any more."""
        gone = _GONE | {errno.EIO} if self._terminal else _GONE  # EIO: the terminal's window was closed
        return self.broken is not None and self.broken.errno in gone

    def write(self, text: str, /) -> int:
        """Add `text`; it goes out with the next `flush`, or when much has gathered.

        Names and messages come from anywhere: a control character is shown as JSON writes it, and JSON stays JSON.
        """
        self.draw(visible(text))
        return len(text)

    def draw(self, text: str, /) -> int:
        """`write` for what moves the cursor on purpose, and for a manifest, which stays as it is."""
        with self._lock:
            self._waiting.append(text)
            self._size += len(text)
        if self._size >= _BUFFERED:
            self.flush()
        return len(text)

    def writelines(self, lines: Iterable[str], /) -> None:
        for line in lines:
            self.write(line)

    def isatty(self) -> bool:
        try:
            return self._stream is not None and self._stream.isatty()
        except (OSError, ValueError):
            return False

    @property
    def columns(self) -> int:
        """How broad a terminal is."""
        try:
            return os.get_terminal_size(self.fileno()).columns or _COLUMNS
        except OSError:
            return _COLUMNS

    def fileno(self) -> int:
        if self._handle is None:
            raise io.UnsupportedOperation("fileno")
        return self._handle

    def flush(self) -> None:
        """Hand on what has gathered. Never raises."""
        with self._lock:
            text, self._waiting, self._size = "".join(self._waiting), [], 0
            if not text or self._stream is None or self.broken is not None:
                return
            try:
                self._put(self.mask(text))
            except (OSError, ValueError) as error:  # ValueError: the stream object was closed
                self.broken = error if isinstance(error, OSError) else OSError(errno.EBADF, os.strerror(errno.EBADF))
            else:
                return
        self.on_broken(self)

    def _put(self, text: str) -> None:
        if self._handle is None:
            assert self._stream is not None
            self._stream.write(text)
            self._stream.flush()
            return
        waiting = memoryview(self._encode(text))
        ready = select.poll()
        ready.register(self._handle, select.POLLOUT)
        while waiting:
            # Also for a descriptor that does not block, which says EAGAIN while its pipe is full.
            if not ready.poll(_LOOK_AGAIN_MS):
                if self.gives_up():
                    raise OSError(errno.ETIMEDOUT, "nobody reads it")
                continue
            try:
                waiting = waiting[os.write(self._handle, waiting[:_AT_ONCE]) :]
            except BlockingIOError:
                continue


class Canvas:
    """A stream for whoever draws on the terminal: what a progress bar writes is ours, and passes as it is."""

    def __init__(self, stream: SafeStream) -> None:
        self._stream = stream
        self.encoding = stream.encoding
        self.write = stream.draw
        self.flush = stream.flush
        self.isatty = stream.isatty
        self.fileno = stream.fileno


def _handle_of(stream: TextIO | None) -> int | None:
    """The descriptor behind a stream; None for one that lives in memory, or where descriptors cannot be waited for."""
    if stream is None or not hasattr(select, "poll"):
        return None
    try:
        return stream.fileno()
    except (OSError, ValueError, AttributeError):
        return None


def result_stream() -> TextIO | None:
    """Standard output for the result alone: a copy, where code of others that comes into this process may write to the
    descriptor itself."""
    out = sys.stdout
    if _handle_of(out) != 1:
        return out
    return os.fdopen(GUESTS.copied_output(), "w", encoding=out.encoding, errors=out.errors)


def fill_closed_descriptors() -> None:
    """Put nothing where standard input, output or error were closed before we began.

    Otherwise the next file that is opened gets their number, and whatever some library prints goes into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is given out, so this one.
            os.open(os.devnull, os.O_RDWR)
