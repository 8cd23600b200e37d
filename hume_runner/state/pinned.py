"""A state file by what it is, not by what it is called: its inode, locked and watched for as long as it is written.

A name can be a link, can be spelt in many ways, and can be given to another file at any moment; an inode is the file.
So a writer keeps a descriptor of its own on the state, and an OS lock on that:

- `flock` locks belong to the open descriptor. On Linux's own filesystems they know nothing of the `fcntl` locks with
  which SQLite works on the same file, and neither kind is in the other's way.
- Closing *any* descriptor of a file drops the `fcntl` locks that this process holds on it, SQLite's among them. So the
  descriptor stays open until the database is closed, and nothing else here opens a file that this process writes
  (`written_here`).
- On network filesystems `flock` is made of `fcntl` locks at the server: there ours would shut SQLite out of its own
  file. There, and on other systems, the lock beside the file decides alone, which is watched as well.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Self

from hume_runner.errors import StateError, StateLocked
from hume_runner.frozen import frozen

if sys.platform != "win32":
    import fcntl

# What two descriptors of one file share on them, if anything, is decided far away.
_NOT_LOCAL = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "gpfs", "beegfs", "ocfs2", "gfs2"}
)

# What is in that log is whole, and SQLite writes it into the file when it closes it.
PARTED = "parted from its write-ahead log"

# Inodes that this process writes; nothing else can tell, since it is the process that locks of SQLite belong to.
_WRITTEN_HERE: set[Identity] = set()


@frozen(kw_only=False)
class Identity:
    """Which file it is, on this machine and while it exists."""

    device: int
    inode: int

    @classmethod
    def of(cls, facts: os.stat_result) -> Identity:
        return cls(facts.st_dev, facts.st_ino)

    @classmethod
    def at(cls, path: Path) -> Identity | None:
        """What is at a path, links not followed; None if nothing is, or nobody may look."""
        try:
            return cls.of(path.lstat())
        except OSError:
            return None


def resolved(path: Path) -> Path:
    """The one path of a file or folder, whatever links lead to it; it need not exist yet."""
    return Path(os.path.realpath(path))


def written_here(path: Path) -> bool:
    """Whether this process has the file at `path` open for writing, by whatever name."""
    return Identity.at(resolved(path)) in _WRITTEN_HERE


def locks_inodes(path: Path) -> bool:
    """Whether an OS lock on a file itself is of any use, where `path` is."""
    return sys.platform == "linux" and not _filesystem_of(path).startswith(("fuse", *_NOT_LOCAL))


def _filesystem_of(path: Path) -> str:
    """The kind of filesystem, as Linux names it; empty if it does not tell (which local ones may do)."""
    try:
        device = path.stat().st_dev
        wanted = f"{os.major(device)}:{os.minor(device)}"
        for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            before, _, after = line.partition(" - ")
            if before.split(" ")[2] == wanted:
                return after.split(" ")[0]
    except (OSError, IndexError):
        pass
    return ""


def lock_now(handle: int) -> bool:
    """Lock an open file for its descriptor alone; False if another has it. Raises: OSError where that is not to be."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def held_elsewhere(path: Path) -> bool:
    """Whether somebody has the file or folder at `path` locked by its inode."""
    if not locks_inodes(path) or not path.exists():
        return False
    if written_here(path):
        return True
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False  # the name's lock decides
    try:
        return not lock_now(handle)
    except OSError:
        return False
    finally:
        os.close(handle)


class Pinned:
    """The state file that this process writes. `created`: it is our own making; `release` it after the database."""

    def __init__(self, path: Path, handle: int, *, created: bool) -> None:
        self.path = path
        self.created = created
        self.identity = Identity.of(os.fstat(handle))
        self._handle = handle
        self._local = locks_inodes(path)
        self._log = path.with_name(path.name + "-wal")
        self._log_handle = -1
        self._last: tuple[int, int] | None = None  # size and time; None while we may be writing ourselves
        _WRITTEN_HERE.add(self.identity)

    @classmethod
    def take(cls, path: Path) -> Self:
        """The file at a resolved path, made if there is none, and nobody else's from now on.

        Raises: StateLocked; StateError if the file has more names than one; OSError.
        """
        if written_here(path):
            raise locked(path, "this process")
        while True:
            handle, created = _open(path)
            try:
                if locks_inodes(path) and not _locked(handle):
                    raise locked(path, "another process")
                facts = os.fstat(handle)
                if Identity.at(path) == Identity.of(facts):
                    if facts.st_nlink > 1:
                        raise _several_names(path, facts.st_nlink)
                    pinned = cls(path, handle, created=created)
                    handle = -1
                    return pinned
                # Given to another file between opening and locking: what we have is not the state.
            finally:
                if handle >= 0:
                    os.close(handle)

    def stir(self) -> None:
        """Our own write begins: until it settles, nothing can be told by the file's size and time."""
        self._last = None

    def settle(self) -> None:
        """Remember how our own last write left it: whatever differs later is somebody else's doing."""
        facts = os.fstat(self._handle)
        self._last = (facts.st_size, facts.st_mtime_ns)
        if self._log_handle < 0:
            with contextlib.suppress(OSError):  # another journal mode, where there can be no log
                self._log_handle = os.open(self._log, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))

    def in_place(self) -> bool:
        """Whether the path still leads to this file."""
        return Identity.at(self.path) == self.identity

    def check(self, *, bytes_too: bool = True) -> None:
        """Raises: StateError if the path is not this file any more, or (`bytes_too`) somebody else wrote into it."""
        trouble = self.trouble(bytes_too=bytes_too)
        if trouble is not None:
            raise StateError(
                f"{self.path}: the state was {trouble} while this run worked; nothing more was sent",
                hint="look at what is there now (`hume-runner status MANIFEST`), then run the same command again: it "
                "goes on from there and asks the service for what it does not know",
            )

    def trouble(self, *, bytes_too: bool = True) -> str | None:
        """What somebody did to the file meanwhile, as a past participle; None if nothing.

        In WAL mode nobody but ourselves writes into the main file, and we only while we commit: so a copy that is
        written over it, which keeps the inode, shows by size and time.
        """
        try:
            facts = self.path.lstat()
        except FileNotFoundError:
            return "removed"
        except OSError:
            return "made unreachable"
        if Identity.of(facts) != self.identity:
            return "replaced"
        # On network filesystems times change when the server has its say.
        if bytes_too and self._local and self._last is not None and self._last != (facts.st_size, facts.st_mtime_ns):
            return "written over"
        if self._log_handle >= 0 and Identity.at(self._log) != Identity.of(os.fstat(self._log_handle)):
            return PARTED
        return None

    def forsake_log(self) -> None:
        """Another file is in the place of ours, or another's bytes: SQLite must not write our log into them, neither
        now nor when they are next opened, since half of each is neither. An emptied log was never written."""
        if self._log_handle >= 0:
            with contextlib.suppress(OSError):
                os.ftruncate(self._log_handle, 0)

    def removes(self) -> bool:
        """Remove a file of our own making, by what it is: a file of its name that somebody put there stays. Whether it
        was removed."""
        if not (self.created and self.in_place()):
            return False
        self.path.unlink(missing_ok=True)
        for ending in ("-wal", "-shm"):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)
        return True

    def release(self) -> None:
        """Let go. Only once the database is closed, see above."""
        if self._handle >= 0:
            _WRITTEN_HERE.discard(self.identity)
            os.close(self._handle)
            self._handle = -1
        if self._log_handle >= 0:
            os.close(self._log_handle)
            self._log_handle = -1


def locked(what: Path, who: str) -> StateLocked:
    return StateLocked(
        f"{what}: another run holds the state: {who}",
        hint="wait for it, watch it (`hume-runner status MANIFEST --watch`), or end it: the lock goes with it",
    )


def _open(path: Path) -> tuple[int, bool]:
    """A descriptor, and whether the file was made for it. Raises: OSError."""
    flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    while True:
        try:
            # SQLite would create it with the umask's rights; it holds signed URLs.
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | flags, 0o600), True
        except FileExistsError:
            try:
                return os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | flags), False
            except FileNotFoundError:
                continue


def _locked(handle: int) -> bool:
    try:
        return lock_now(handle)
    except OSError:
        return True  # a filesystem without such locks: the name's lock decides


def _several_names(path: Path, number: int) -> StateError:
    return StateError(
        f"{path}: this file has {number} names (hard links), and the write-ahead log lies beside one of them only",
        hint=f"give it a file of its own: `cp -p {path.name} {path.name}.own && mv {path.name}.own {path.name}` in its "
        "folder",
    )
