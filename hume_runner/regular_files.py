"""What stands at a place: a file that somebody named is opened if it is one, since a pipe would hang us and a device
might never end; and nothing is written where neither a file nor a folder of ours can be."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from hume_runner.errors import NotRegular

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


_LOOP = "a link that leads to itself"


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


def refuse_no_file(path: Path, *, links: bool = True) -> None:
    """A file that is renamed to `path` takes the place of nothing but a file, or (`links`) of a link, unless that leads
    to a device, a pipe or itself: nobody means to replace those. Raises: NotRegular; OSError where nobody may look."""
    found = _stands(path)
    if found in (None, "a file"):
        return
    if not links and path.is_symlink():
        found = found if found == _LOOP else "a link"
    elif found in ("a link to a file", "a link to a folder", "a link"):
        return
    raise NotRegular(errno.EINVAL, f"{found} is where a file should be", str(path))


def refuse_no_folder(path: Path) -> None:
    """A folder can be made at `path`, or is there; a link may lead to it, or nowhere. Raises: as `refuse_no_file`."""
    found = _stands(path)
    if found not in (None, "a folder", "a link to a folder", "a link"):
        raise NotRegular(errno.EINVAL, f"{found} is where a folder should be", str(path))


def _stands(path: Path) -> str | None:
    """What is at a path, in words, and for a link what it leads to: just a link, if to nothing; None if nothing is."""
    try:
        link = "a link to " if stat.S_ISLNK(path.lstat().st_mode) else ""
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return "a link" if link else None
    except OSError as error:
        if link and error.errno == errno.ELOOP:
            return _LOOP
        raise
    kinds = {stat.S_IFREG: "a file", stat.S_IFDIR: "a folder", **_KINDS}
    return f"{link}{kinds.get(kind, 'something else')}"


def _not_regular(path: Path, kind: str) -> NotRegular:
    return NotRegular(errno.EINVAL, f"{kind}, not a file", str(path))
