"""Open a file that somebody named, if it is one: a pipe would hang us, a device might never end."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class NotRegular(OSError):
    """Something of that name is there, and it is not a file."""


def is_zip(path: Path) -> bool:
    """Whether a file begins as a zip archive does; not if it cannot be read."""
    try:
        with open_regular(path) as file:
            return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
    except OSError:
        return False


def open_regular(path: Path) -> BinaryIO:
    """The file, for reading bytes. Raises: NotRegular, IsADirectoryError, any other OSError of opening."""
    try:
        # Without O_NONBLOCK, opening a pipe waits for somebody who writes into it.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        if error.errno == errno.ENXIO:  # what opening a socket gives
            raise _not_regular(path, "a socket") from None
        raise
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(handle, "rb")
    os.close(handle)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise _not_regular(path, _KINDS.get(stat.S_IFMT(mode), "something else"))


def _not_regular(path: Path, kind: str) -> NotRegular:
    return NotRegular(errno.EINVAL, f"{kind}, not a file", str(path))
