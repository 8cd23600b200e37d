"""Runs of one user on one machine tell each other what they are about to pay for: of two that have the same item under
way, neither sees at the service yet what the other sends, and both would pay.

What counts is what is measured, and where it is paid for: the items' keys, the service and its key. Not the manifest,
its name or its text, nor directories: two manifests may list the same, and two parts of one nothing in common.

A run leaves a note in each folder where such runs meet: a lock, which ends with its process, and beside it the keys. It
looks at those of others after it has left its own, and one at a time is in at the door, so that of two
that come at once one goes on. Where no note can be left, nothing is refused.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO, Self

from hume_runner import aside, small_json
from hume_runner.addresses import one_address
from hume_runner.errors import HumeRunnerError, StateLocked, UsageError
from hume_runner.frozen import frozen
from hume_runner.regular_files import open_regular
from hume_runner.scratch import temporary_folder
from hume_runner.state.lock import Holder, OsLock, command, hostname

if sys.platform != "win32":
    import pwd

# Of a key, which is a digest: of ten million beside ten million, one in 200,000 pairs of runs has two alike by chance.
KEY_BYTES = 8
_MOST_HEAD_BYTES = 4096
_CHUNK_BYTES = KEY_BYTES * 500_000
# Who is in at the door writes and reads a few bytes an item. One that stopped there keeps nobody out for good.
_DOOR_S = 10.0
_LOOPBACK = re.compile(r"(https?://)(?:localhost|127\.0\.0\.1|\[::1\])(?=[:/])")


@frozen
class Meeting:
    """A folder where runs leave their notes, private to its user. `machine` begins the names of those who meet there: a
    home may be one folder of many machines, between which no lock is sure to end with its process."""

    folder: Path
    machine: str


def meetings(named: Path | None) -> tuple[Meeting, ...]:
    """Where runs of this user meet: in the folder that is `named`, else in two at least one of which every process of
    theirs is likely to see, whatever its environment says. Raises: UsageError for one that is named and no use."""
    if named is not None:
        try:
            named.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"HUME_RUNNER_RUNS: {named}: {error.strerror or error}", hint="name a folder that can be written"
            ) from error
        return (Meeting(folder=named, machine="any"),)
    machine = hashlib.sha256(hostname().encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return tuple(Meeting(folder=one, machine=machine) for one in _usual() if is_private(one))


def _usual() -> Iterator[Path]:
    # Not as the environment has it: a job of a scheduler, a service and a shell each have one of their own.
    with contextlib.suppress(KeyError, OSError, RuntimeError):
        home = Path.home() if sys.platform == "win32" else Path(pwd.getpwuid(os.geteuid()).pw_dir)
        if home.is_dir():
            yield home / ".local" / "state" / "hume-runner"
    with contextlib.suppress(HumeRunnerError):
        memory = Path("/dev/shm")  # noqa: S108 - a folder in it, which is looked at before it is used
        user = "" if sys.platform == "win32" else f"-{os.geteuid()}"
        yield (memory if memory.is_dir() else temporary_folder()) / f"hume-runner-runs{user}"


def is_private(folder: Path) -> bool:
    """Whether it is there, or could be made, and nobody else can write in it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        seen = folder.lstat()
    except OSError:
        return False
    if sys.platform == "win32":
        return stat.S_ISDIR(seen.st_mode)
    return stat.S_ISDIR(seen.st_mode) and seen.st_uid == os.geteuid() and not seen.st_mode & 0o022


def one_service(endpoint: str, account: str) -> str:
    """What all ways of writing one service's address have in common, with who pays there: a name for files."""
    plain = _LOOPBACK.sub(r"\1localhost", one_address(endpoint)).rstrip("/")
    return hashlib.sha256(f"{plain}\0{account}".encode("utf-8", "surrogatepass")).hexdigest()[:16]


@frozen
class _Note:
    lock: OsLock
    keys: Path

    @classmethod
    def at(cls, lock: Path) -> _Note:
        return cls(lock=OsLock(lock), keys=lock.with_suffix(".keys"))

    def remove(self) -> None:
        """Take it away; the lock is ours."""
        with contextlib.suppress(OSError):
            self.keys.unlink(missing_ok=True)
        self.lock.release()
        # Whoever waits at the file that is removed sees that it is not the one at its path any more.
        with contextlib.suppress(OSError):
            self.lock.path.unlink(missing_ok=True)


class UnderWay:
    """What a run has under way, for others to see for as long as the block lasts.

    `keys` gives the first `KEY_BYTES` of each item's key, and is asked more than once.
    `what`: whose run it is, for the message. Raises: StateLocked where another run has one of them under way.
    """

    def __init__(
        self, places: Sequence[Meeting], service: str, keys: Callable[[], Iterator[bytes]], *, what: object
    ) -> None:
        self._places = places
        self._service = service
        self._keys = keys
        self._what = what
        self._left: list[_Note] = []
        self._written: Path | None = None

    def __enter__(self) -> Self:
        if not self._places or next(self._keys(), None) is None:  # nothing that could be paid for
            return self
        try:
            with contextlib.ExitStack() as doors:
                for place in self._places:
                    self._meet(place, doors)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        while self._left:
            self._left.pop().remove()

    def _meet(self, place: Meeting, doors: contextlib.ExitStack) -> None:
        door = OsLock(place.folder / f"{place.machine}.door")
        with contextlib.suppress(OSError):
            if door.acquire(_DOOR_S):
                doors.callback(door.release)
        aside.remove_leftovers(place.folder)  # of who was killed while it wrote
        before = f"{place.machine}-{self._service}-"
        own = _Note.at(place.folder / f"{before}{secrets.token_hex(8)}.lock")
        with contextlib.suppress(OSError):
            if own.lock.acquire(0.0):
                self._left.append(own)
                self._write(own.keys)
        for lock in place.folder.glob(f"{place.machine}-*.lock"):
            if lock != own.lock.path:
                with contextlib.suppress(OSError):
                    self._look_at(_Note.at(lock), same_service=lock.name.startswith(before))

    def _write(self, path: Path) -> None:
        holder = Holder(pid=os.getpid(), host=hostname(), since=time.time(), command=command())
        # Nobody needs it after a crash.
        with aside.written(path, private=True, durable=False) as file:
            if self._written is not None:  # quicker than to ask for a million again
                with open_regular(self._written) as first:
                    shutil.copyfileobj(first, file)
            else:
                file.write(json.dumps(asdict(holder)).encode() + b"\n")
                file.writelines(self._keys())
        self._written = path

    def _look_at(self, other: _Note, *, same_service: bool) -> None:
        if other.lock.acquire(0.0):  # its process is gone
            other.remove()
            return
        if not same_service:
            return
        with open_regular(other.keys) as file:
            head = file.readline(_MOST_HEAD_BYTES)
            shared = sum(_shared(self._keys(), some) for some in _keys_in(file))
        if shared:
            raise self._refusal(head, shared)

    def _refusal(self, head: bytes, shared: int) -> StateLocked:
        try:
            who = str(Holder.told(small_json.parsed(head)))
        except ValueError:
            who = "another process"
        own = sum(1 for _ in self._keys())
        number = f"{shared:,} of this one's {own:,} unfinished items" if own > 1 else "this one's item"
        return StateLocked(
            f"{self._what}: another run has {number} under way at the same service: {who}",
            hint="wait for it, whatever directory either writes to: both would pay. What has nothing in common may run "
            "together, as the parts of one split do (`--shard I/N`)",
        )


def _keys_in(file: BinaryIO) -> Iterator[frozenset[bytes]]:
    """All of them, so many at a time as there is memory for."""
    while chunk := file.read(_CHUNK_BYTES):
        yield frozenset(chunk[at : at + KEY_BYTES] for at in range(0, len(chunk), KEY_BYTES))


def _shared(mine: Iterator[bytes], theirs: frozenset[bytes]) -> int:
    return sum(key in theirs for key in mine)
