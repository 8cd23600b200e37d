"""Files that appear whole or not at all: written aside under a name that nobody can guess, then renamed.

Whoever can write into a folder of ours could put a link where we are about to write, and so have us overwrite a file
elsewhere. A name that exists already is never opened here: what is written aside is created (`O_EXCL`, which follows no
link), and the rename replaces a link at the final name instead of following it.

A writer locks what it writes for as long as it lives, so that what a killed one left is told from what another one is
writing; the lock ends with the process, whatever ended it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, BinaryIO

from hume_runner.errors import NotRegular
from hume_runner.regular_files import refuse_no_file, refuse_no_folder

if sys.platform != "win32":
    import fcntl

_PART = re.compile(r"\.(?P<name>.+)\.(?P<random>[0-9a-f]{10})(?P<check>[0-9a-f]{6})\.part", re.DOTALL)
_NAME_BYTES = 200  # of the final name; most file systems take 255 in all
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)


class LinkInTheWay(OSError):
    """A link where something of our own should be: what we write would land elsewhere."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            errno.ELOOP, "a link where something of our own should be; nothing was written through it", str(path)
        )


class Part:
    """A file being written aside of `target`: `commit` gives it its name, `discard` removes it. `file` is for bytes.

    `private`: nobody else may read it. What earlier writers of `target` left is removed, unless `fresh`: the folder is
    new, and may hold thousands of files. Raises: as `refuse_no_file` of the final name; OSError.
    """

    def __init__(self, target: Path, *, private: bool = False, fresh: bool = False) -> None:
        refuse_no_file(target)
        if not fresh:
            remove_leftovers(target.parent, target.name)
        self.target = target
        self.path = part_path(target)
        try:
            self.file: BinaryIO = open_new(self.path, private=private)
        except OSError as error:
            error.filename = str(target)  # nobody knows the name that was about to be made
            raise
        self._over = False
        _lock(self.file.fileno())

    def commit(
        self, *, sync: Callable[[IO[bytes]], None] | None = None, replace: Callable[[Path, Path], None] | None = None
    ) -> Path:
        """Make it durable and give it its name; what is passed does it instead of `os`. On failure it is removed."""
        try:
            (sync or _sync)(self.file)
            # Closed first, since some systems rename no open file; what is complete needs no lock.
            self.file.close()
            (replace or _replace)(self.path, self.target)
        except BaseException:
            self.discard()
            raise
        self._over = True
        return self.target

    def discard(self) -> None:
        """Remove it, unless it has its name already."""
        if self._over:
            return
        self._over = True
        with contextlib.suppress(OSError, ValueError):  # what is still buffered may not fit on a full disk
            self.file.close()
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)


@contextlib.contextmanager
def written(
    target: Path,
    *,
    private: bool = False,
    durable: bool = True,
    sync: Callable[[IO[bytes]], None] | None = None,
    replace: Callable[[Path, Path], None] | None = None,
) -> Iterator[BinaryIO]:
    """A file for bytes that becomes `target` when the block ends, and nothing when it raises.

    Not `durable`: in a new folder that is synced as a whole later, or never needed again after a crash.
    """
    part = Part(target, private=private, fresh=not durable)
    if not durable:
        sync, replace = _flush, _rename
    try:
        yield part.file
        part.commit(sync=sync, replace=replace)
    finally:
        part.discard()


def write(target: Path, content: bytes, *, private: bool = False, durable: bool = True) -> None:
    """A whole small file, durable under its name."""
    with written(target, private=private, durable=durable) as file:
        file.write(content)


def part_path(target: Path) -> Path:
    """A name beside `target` that nobody can guess and that `remove_leftovers` knows again, by digits that follow from
    the others: what a person calls much the same is not taken for a leftover."""
    stem, random = _stem(target.name), secrets.token_hex(5)
    return target.with_name(f".{stem}.{random}{_check(stem, random)}.part")


def is_part(name: str, of: str | None = None) -> bool:
    """Whether a file of this name is one written aside (of the final name `of`)."""
    match = _PART.fullmatch(name)
    if match is None or (of is not None and match["name"] != _stem(of)):
        return False
    return match["check"] == _check(match["name"], match["random"])


def open_new(path: Path, *, private: bool = False) -> BinaryIO:
    """A file that was not there, for writing and reading. Raises: FileExistsError also for a link, even a dangling
    one."""
    return open(path, "xb+", opener=lambda name, flags: os.open(name, flags | _NOFOLLOW, 0o600 if private else 0o666))


def open_to_append(path: Path) -> BinaryIO:
    """A private file of our own, made if it is not there. Raises: OSError for a link, and for what is not our file."""

    def opener(name: str, flags: int) -> int:
        handle = os.open(name, flags | _NOFOLLOW | getattr(os, "O_NONBLOCK", 0), 0o600)
        seen = os.fstat(handle)
        if stat.S_ISREG(seen.st_mode) and seen.st_nlink == 1 and _is_ours(seen):
            return handle
        os.close(handle)
        raise NotRegular(errno.EINVAL, "not a file of our own", str(path))

    return open(path, "ab", opener=opener)


def remove_leftovers(folder: Path, name: str | None = None) -> None:
    """Remove what killed writers left in a folder of ours (of one final name, else all), and nothing else.

    A link of such a name is removed, not followed. What somebody is writing stays.
    """
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if is_part(entry.name, name):
                with contextlib.suppress(OSError):
                    _remove_dead(Path(entry.path), entry.stat(follow_symlinks=False))


def refuse_links(root: Path, *below: str) -> Path:
    """`root` with these folders below it, none of which is a link. `root` itself may be one: that is a person's choice.

    Raises: LinkInTheWay.
    """
    path = root
    for one in Path(*below).parts:
        path = path / one
        if path.is_symlink():
            raise LinkInTheWay(path)
    return path


def folder_below(root: Path, *below: str) -> Path:
    """The same, and each of them is a folder or can be made one. Raises: LinkInTheWay; NotRegular for what is no folder
    and leads to none."""
    path = root
    for one in Path(*below).parts:
        path = path / one
        refuse_no_folder(path)
        refuse_links(path.parent, one)
    return path


def lock_now(handle: int) -> bool:
    """Lock an open file or folder for as long as its descriptor lives; False if another has it, or nothing can tell."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove_dead(path: Path, seen: os.stat_result) -> None:
    if stat.S_ISLNK(seen.st_mode):
        path.unlink()
    elif stat.S_ISREG(seen.st_mode):
        handle = os.open(path, os.O_RDONLY | _NOFOLLOW | getattr(os, "O_NONBLOCK", 0))
        try:
            if lock_now(handle):
                path.unlink()
        finally:
            os.close(handle)


def _lock(handle: int) -> None:
    lock_now(handle)  # without such locks nothing of the kind is ever removed


def _is_ours(seen: os.stat_result) -> bool:
    return not hasattr(os, "geteuid") or seen.st_uid == os.geteuid()


def _check(stem: str, random: str) -> str:
    return hashlib.sha256(os.fsencode(f"hume_runner {random} {stem}")).hexdigest()[:6]


def _stem(name: str) -> str:
    return os.fsdecode(os.fsencode(name)[:_NAME_BYTES]) if len(os.fsencode(name)) > _NAME_BYTES else name


def _rename(source: Path, target: Path) -> None:
    source.replace(target)


def _flush(file: IO[bytes]) -> None:
    file.flush()


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _replace(source: Path, target: Path) -> None:
    source.replace(target)
    sync_directory(target.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a folder durable."""
    if os.name == "nt":  # a directory cannot be opened there, and a rename is journalled
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
