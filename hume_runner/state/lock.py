"""One writer at a time: OS locks that die with their process, and beside each a note of who holds it.

A lock is a small file beside what it guards, locked by the system. It is found by the resolved path, so that links and
other spellings lead to the same one; and since a file can be removed, or its place given to another, it only counts
while it is still the one at its path. What it guards is locked by its inode as well: a state when it is opened for
writing (`pinned`), an output directory here.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeGuard

from hume_runner import aside, small_json
from hume_runner.errors import NotRegular, StateError, StateLocked, is_scarce, of_disk, of_place
from hume_runner.frozen import frozen
from hume_runner.regular_files import refuse_no_file
from hume_runner.state.pinned import Identity, held_elsewhere, lock_now, locks_inodes, resolved


@frozen
class Holder:
    """Who holds the lock. `since` is Unix seconds; `phase`: what a run does at the moment, as `events.Phase` has it,
    empty where nothing tells."""

    pid: int
    host: str
    since: float
    command: str
    phase: str = ""

    @classmethod
    def told(cls, found: Any) -> Holder:
        """What a note says, if a runner can have written it: whoever may write beside the lock may have, and what it
        says stands in messages. Raises: ValueError."""
        if not isinstance(found, dict) or not found.keys() <= cls.__dataclass_fields__.keys():
            raise ValueError("no note of a holder")
        pid, since = found.get("pid"), found.get("since")
        words = [found.get("host"), found.get("command"), found.get("phase", "")]
        if not (
            is_whole(pid)
            and 0 <= pid <= _LAST_PID
            and (is_whole(since) or isinstance(since, float))
            and 0 <= since < _LAST_TIME
            and all(isinstance(one, str) and len(one) <= _MOST_CHARACTERS and one.isprintable() for one in words)
        ):
            raise ValueError("no note of a holder")
        return cls(**found)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {when(self.since)}" if self.pid else "another process"


def is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


_LAST_PID = 2**32 - 1
_LAST_TIME = 253_402_300_800.0  # the year 10000
_MOST_CHARACTERS = 255  # of a host's name, and of a program's
_MOST_NOTE_BYTES = 4096


def when(since: float) -> str:
    """A time as people read it. A note may say any number."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(since))
    except (OverflowError, ValueError, OSError):
        return "nobody knows when"


_UNKNOWN = Holder(pid=0, host="unknown", since=0.0, command="")
# `status` takes a lock for a moment to find out whether somebody holds it; a run must not stumble over that.
_PATIENCE_S = 0.3
_POLL_S = 0.02


if sys.platform == "win32":
    from filelock import FileLock, Timeout

    class OsLock:
        """The OS lock on the file at `path`. A file that is open cannot be removed here."""

        def __init__(self, path: Path) -> None:
            self.path = path
            self._lock = FileLock(path)

        def acquire(self, patience_s: float) -> bool:
            try:
                self._lock.acquire(timeout=patience_s, poll_interval=_POLL_S)
            except Timeout:
                return False
            return True

        def release(self) -> None:
            self._lock.release()
else:

    class OsLock:
        """The OS lock on the file at `path`.

        Not `filelock`'s, which does not show what it has locked: only who has the descriptor can compare.
        """

        def __init__(self, path: Path) -> None:
            self.path = path
            self._handle = -1

        def acquire(self, patience_s: float) -> bool:
            """Whether it is ours now. Raises: OSError."""
            until = time.monotonic() + patience_s
            while True:
                # Links are not followed: whoever can plant one here could have us make a file elsewhere.
                handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
                try:
                    got = lock_now(handle)
                    if got and Identity.at(self.path) == Identity.of(os.fstat(handle)):
                        self._handle, handle = handle, -1
                        return True
                finally:
                    if handle >= 0:
                        os.close(handle)
                if got:
                    continue  # the file was removed meanwhile: a lock on it would keep nobody out
                if time.monotonic() >= until:
                    return False
                time.sleep(_POLL_S)

        def release(self) -> None:
            """Let go. The file stays: another process may wait at it, and a new one would be another lock."""
            if self._handle >= 0:
                os.close(self._handle)
                self._handle = -1


class _Guard:
    """A lock beside what it guards, found by its resolved path, and the note of who holds it; for `with`."""

    _what = ""
    _hint = ""
    _elsewhere = ""

    def __init__(self, guarded: Path, lock: Path, note: Path) -> None:
        self._guarded = guarded
        self.path = lock
        self._note = note
        self._lock = OsLock(lock)

    def __enter__(self) -> Self:
        try:
            refuse_no_file(self.path, links=False)
            got = self._lock.acquire(_PATIENCE_S)
        except NotRegular as error:
            raise of_place(self.path, error) from error
        except OSError as error:
            said = f"{self.path}: cannot lock {self._what}: {error.strerror or error}"
            if is_scarce(error):
                raise of_disk(said, error) from error
            raise StateError(said, hint=self._elsewhere) from error
        try:
            if not got or self._taken_by_inode():
                raise self._refusal()
            # The note is information for people; whether it is locked is decided by the OS locks alone.
            holder = Holder(pid=os.getpid(), host=socket.gethostname(), since=time.time(), command=command())
            self._tell(holder)
        except BaseException:
            self._lock.release()
            raise
        return self

    def _tell(self, holder: Holder, *, durable: bool = True) -> None:
        with contextlib.suppress(OSError):
            aside.write(self._note, json.dumps(asdict(holder)).encode(), private=True, durable=durable)

    def tell(self, phase: str) -> None:
        """Say what the holder does from now on, to whoever looks meanwhile."""
        holder = self.holder()
        if holder is not None and holder.pid == os.getpid():
            self._tell(replace(holder, phase=phase), durable=False)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._note.unlink(missing_ok=True)
        self._let_go()
        self._lock.release()

    def holder(self) -> Holder | None:
        """Who says to hold it, from the note beside it; None without a readable note."""
        try:
            return Holder.told(small_json.read(self._note, most_bytes=_MOST_NOTE_BYTES))
        except (OSError, ValueError):
            return None

    def held(self, *, patience_s: float = 0.0) -> Holder | None:
        """The holder if some process holds it now, else None. Takes and leaves the lock to find out; `patience_s`:
        where many look at once, who only looks is gone after that.

        To be asked while this process does not have the state open: looking opens and closes the file (`pinned`).
        """
        try:
            if self.path.exists():
                if not self._lock.acquire(patience_s):
                    return self.holder() or _UNKNOWN
                self._lock.release()
        except OSError:
            # A folder that we may only read: a lock can be asked for all the same.
            if held_elsewhere(self.path):
                return self.holder() or _UNKNOWN
        return (self.holder() or _UNKNOWN) if held_elsewhere(self._guarded) else None

    def clear(self) -> Holder | None:
        """Remove the note of a dead holder. Raises: StateLocked if the holder lives."""
        holder = self.holder()
        with self:
            pass
        return holder

    def _taken_by_inode(self) -> bool:
        """Whether what is guarded is locked although the file beside it is not: it has another name, or that file is
        not the one that was locked. Asked with some patience, as that of the lock."""
        until = time.monotonic() + _PATIENCE_S
        while held_elsewhere(self._guarded):
            if time.monotonic() >= until:
                return True
            time.sleep(_POLL_S)
        return False

    def _let_go(self) -> None:
        """What is held besides the lock."""

    def _refusal(self) -> StateLocked:
        holder = self.holder()
        who = str(holder) if holder else "another process"
        return StateLocked(f"{self._guarded}: another run holds {self._what}: {who}", hint=self._hint)


class StateLock(_Guard):
    """The lock of one state file, whatever it is called.

    Raises: StateLocked when another process holds it, naming the process and what to do.
    """

    _what = "the state"
    _hint = "wait for it, watch it (`hume-runner status MANIFEST --watch`), or end it: the lock goes with it"
    _elsewhere = "the output directory must be writable; --output-dir or --state chooses another place"

    def __init__(self, state: Path) -> None:
        state = resolved(state)
        super().__init__(state, state.with_name(state.name + ".lock"), state.with_name(state.name + ".owner.json"))


class OutputsLock(_Guard):
    """The lock of one output directory, which must exist. Two manifests in one would overwrite each other's results.

    Raises: StateLocked when another process holds it.
    """

    _what = "the output directory"
    _hint = "give each manifest an outputs.directory of its own (or --output-dir), or wait for that run"
    _elsewhere = "the output directory must be writable; --output-dir chooses another place"

    def __init__(self, outputs: Path) -> None:
        outputs = resolved(outputs)
        super().__init__(outputs, outputs / "state.sqlite3.outputs.lock", outputs / "state.sqlite3.outputs.owner.json")
        self._handle = -1

    def __enter__(self) -> Self:
        super().__enter__()
        # The directory itself as well, so that nobody gets in where the file is removed.
        try:
            if locks_inodes(self._guarded):
                self._handle = os.open(self._guarded, os.O_RDONLY)
                with contextlib.suppress(OSError):
                    if not lock_now(self._handle):
                        raise self._refusal()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _let_go(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def hostname() -> str:
    return socket.gethostname()


def command() -> str:
    """The program's name alone: arguments may hold addresses that nobody else should see."""
    return Path(sys.argv[0]).name if sys.argv else ""
