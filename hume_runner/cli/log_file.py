"""The file of `--log-file`: everything that is said, every event and every request, with the time, in full."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import IO

from hume_runner.cli.streams import visible
from hume_runner.errors import UsageError, refuse_scarce

_ANOTHER = "choose another --log-file"


class LogFile:
    """Appends lines to a file of its owner alone. `mask` keeps secrets out. Safe to share between threads.

    A disk that takes no more costs the lines and nothing else: `broken` says so.
    """

    def __init__(self, path: str, mask: Callable[[str], str]) -> None:
        """Raises: UsageError where the file cannot be appended to."""
        self._mask = mask
        self._lock = threading.Lock()
        self.path = path
        self.broken: OSError | None = None
        self._file: IO[str] = _opened(path)

    def write(self, level: str, text: str) -> None:
        """One line; further lines of `text` are indented below it."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        lines = visible(self._mask(text)).rstrip("\n").replace("\n", "\n    ")
        with self._lock:
            if self.broken is not None or self._file.closed:
                return
            try:
                self._file.write(f"{at} {level:<7} {lines}\n")
                self._file.flush()
            except OSError as error:
                self.broken = error

    def close(self) -> None:
        with self._lock, contextlib.suppress(OSError):
            self._file.close()


def _opened(path: str) -> IO[str]:
    # Not to wait for the reader of a pipe, and to be read by nobody else from the first byte on.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0)
    try:
        handle = os.open(path, flags, 0o600)
    except OSError as error:
        refuse_scarce(error)
        raise UsageError(f"{path}: cannot write the log: {error.strerror}", hint=_ANOTHER) from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise UsageError(f"{path}: cannot write the log: it is not a regular file", hint=_ANOTHER)
    return os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace")
