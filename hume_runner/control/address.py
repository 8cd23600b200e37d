"""Where a run listens: `state.sqlite3.ctl` beside the state, with a way round the shortness of such names.

A Unix socket's path has 108 bytes at most, and a study's folder may be deeper. There the folder is opened, and the
socket named through its descriptor (`/proc/self/fd/N/…`), which is short whatever the folder is called.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

_MOST_BYTES = 107  # 108 with the end
_DESCRIPTORS = Path("/proc/self/fd")


class TooLong(OSError):
    """The path is too long for a socket here, and this system has no way round."""


def socket_of(state: Path) -> Path:
    """The socket of the run that holds this state (its resolved path)."""
    return state.with_name(state.name + ".ctl")


@contextlib.contextmanager
def short_name(path: Path) -> Iterator[str]:
    """A name for `path` that a socket takes, for as long as the block lasts. Raises: TooLong, OSError."""
    if len(os.fsencode(path)) <= _MOST_BYTES:
        yield str(path)
        return
    if not _DESCRIPTORS.is_dir():
        raise TooLong(f"{path}: longer than {_MOST_BYTES} bytes")
    folder = os.open(path.parent, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        name = f"{_DESCRIPTORS}/{folder}/{path.name}"
        if len(os.fsencode(name)) > _MOST_BYTES:
            raise TooLong(f"{path.name}: longer than {_MOST_BYTES} bytes")
        yield name
    finally:
        os.close(folder)


def is_socket(path: Path) -> bool:
    """Whether a socket is there; what a link leads to does not count."""
    try:
        return stat.S_ISSOCK(path.lstat().st_mode)
    except OSError:
        return False
