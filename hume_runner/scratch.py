"""Private folders below the system's temporary one, which the next process of the same user removes after a kill.

A folder is 0700, has a name that nobody can guess and that we know again, and is locked by who made it: a lock ends
with its process, so a folder that can be locked belongs to nobody any more.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import stat
import tempfile
import weakref
from pathlib import Path
from types import TracebackType

from hume_runner.aside import lock_now
from hume_runner.errors import HumeRunnerError, NoRoom, UsageError, is_scarce, next_step

RUNNER, EMULATOR = "hume-runner-", "hume-emulator-"
_NAME = re.compile(f"(?:{RUNNER}|{EMULATOR})[0-9a-f]{{16}}")
_TRIES = 20
_PLACES = ("/tmp", "/var/tmp", "/usr/tmp")  # noqa: S108 - where the system looks when nothing else is named
_TMPDIR = "let TMPDIR name one that can be written and has room, as in `TMPDIR=/path/to/folder hume-runner …`"
_FLAGS = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)


class Scratch:
    """A folder for one use, for `with`; `close` removes it. What killed processes left is removed before it is made.

    Raises: what `temporary_folder` raises.
    """

    def __init__(self, kind: str = RUNNER) -> None:
        base = temporary_folder()
        remove_abandoned(base)
        try:
            self.path, handle = _make(base, kind)
        except OSError as error:
            raise refused(base, error) from error
        # Also when somebody forgets to close it, as the interpreter ends.
        self._end = weakref.finalize(self, _remove, self.path, handle)

    def close(self) -> None:
        self._end()

    def __enter__(self) -> Path:
        return self.path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def temporary_folder() -> Path:
    """The folder for temporary files. Raises: UsageError where there is none that can be written, NoRoom where those
    that there are take nothing more."""
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        lack = next(filter(None, map(_lack, _PLACES)), None)
        if lack is not None:
            said = f"no folder for temporary files takes a file: {lack.strerror}"
            raise NoRoom(said, hint=next_step(lack)) from error
        raise UsageError(
            "no folder for temporary files can be written: neither TMPDIR, /tmp nor /var/tmp",
            hint=_TMPDIR,
        ) from error


def refused(base: Path, error: OSError) -> HumeRunnerError:
    """Why the folder for temporary files takes none, though it was found before: it went away, or others' code in this
    process named another one."""
    said = f"{base}, which is the folder for temporary files, takes none: {error.strerror or error}"
    if is_scarce(error):
        return NoRoom(said, hint=next_step(error))
    return UsageError(said, hint=_TMPDIR + ", and let no package set another one (`tempfile.tempdir`)")


def _lack(folder: str) -> OSError | None:
    """What this machine lacks for a file there, if that is why there is none."""
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            file.write(b"x")
    except OSError as error:
        return error if is_scarce(error) else None
    return None


def remove_abandoned(base: Path) -> None:
    """Remove this user's folders whose makers are dead. Links are neither followed nor removed."""
    if os.name == "nt":  # there, nothing tells who is alive
        return
    with contextlib.suppress(OSError), os.scandir(base) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name):
                with contextlib.suppress(OSError):
                    _remove_if_abandoned(Path(entry.path))


def _remove_if_abandoned(path: Path) -> None:
    handle = os.open(path, _FLAGS)
    try:
        seen = os.fstat(handle)
        if seen.st_uid == os.geteuid() and stat.S_ISDIR(seen.st_mode) and lock_now(handle):
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(handle)


def _make(base: Path, kind: str) -> tuple[Path, int | None]:
    tries = 0
    while True:
        path = base / f"{kind}{secrets.token_hex(8)}"
        try:
            path.mkdir(0o700)
        except FileExistsError:
            continue
        if os.name == "nt":
            return path, None
        try:
            handle = os.open(path, _FLAGS)
        except FileNotFoundError:
            continue  # another process found it before it was locked, and took it for a dead one's
        # Without the lock, another process holds it and is about to remove the folder; a file system without such locks
        # gives it to nobody, so that after some tries the folder is taken as it is.
        tries += 1
        if lock_now(handle) or tries > _TRIES:
            with contextlib.suppress(FileNotFoundError):
                seen, there = os.fstat(handle), path.lstat()
                if (seen.st_dev, seen.st_ino) == (there.st_dev, there.st_ino):
                    return path, handle
        os.close(handle)


def _remove(path: Path, handle: int | None) -> None:
    shutil.rmtree(path, ignore_errors=True)
    if handle is not None:
        os.close(handle)
