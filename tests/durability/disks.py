"""Disks that die, fail or forget at a chosen operation. They replace the one seam of durable operations."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from hume_runner.state.disk import Disk

Moment = Literal["before", "after"]


@dataclass(frozen=True, slots=True)
class Named:
    """The operation whose name begins like this, for the `nth` time."""

    name: str
    nth: int = 1


class CountedDisk(Disk):
    """Numbers every durable operation from 1 and keeps their names. `_do` is where a descendant interferes."""

    def __init__(self, at: int | Named = 0) -> None:
        self.operations: list[str] = []
        self._at = at
        self._counting = threading.Lock()

    def _do(self, what: str, act: Callable[[], None]) -> None:
        self._number(what)
        act()

    def _number(self, what: str) -> int:
        """Its number; `at` becomes that number where it is the one that was named."""
        with self._counting:
            self.operations.append(what)
            number = len(self.operations)
            if isinstance(self._at, Named) and what.startswith(self._at.name):
                self._at = number if self._at.nth == 1 else Named(self._at.name, self._at.nth - 1)
            return number

    def commit(self, db: sqlite3.Connection, what: str) -> None:
        self._do(f"commit {what}", lambda: super(CountedDisk, self).commit(db, what))

    def sync(self, file: IO[bytes]) -> None:
        self._do("sync", lambda: super(CountedDisk, self).sync(file))

    def replace(self, source: Path, target: Path) -> None:
        self._do(f"replace {target.name}", lambda: super(CountedDisk, self).replace(source, target))

    def make_directory(self, path: Path) -> None:
        self._do("make_directory", lambda: super(CountedDisk, self).make_directory(path))


class KillingDisk(CountedDisk):
    """The process gets SIGKILL right before or right after operation number `at`."""

    def __init__(self, at: int | Named, moment: Moment) -> None:
        super().__init__(at)
        self._moment = moment

    def _do(self, what: str, act: Callable[[], None]) -> None:
        mine = self._number(what) == self._at
        if mine and self._moment == "before":
            self._die()
        act()
        if mine:
            self._die()

    def _die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class SignallingDisk(CountedDisk):
    """The process gets a signal right before or right after operation number `at`, `times` times."""

    def __init__(self, at: int | Named, moment: Moment, number: int, times: int) -> None:
        super().__init__(at)
        self._moment = moment
        self._signal = number
        self._times = times

    def _do(self, what: str, act: Callable[[], None]) -> None:
        mine = self._number(what) == self._at
        if mine and self._moment == "before":
            self._send()
        act()
        if mine and self._moment == "after":
            self._send()

    def _send(self) -> None:
        for _ in range(self._times):
            os.kill(os.getpid(), self._signal)
            if threading.current_thread() is not threading.main_thread():
                time.sleep(0.01)  # two of a kind that nobody has looked at yet are one to the system


class FailingDisk(CountedDisk):
    """Operation `at` (and with `for_good` all after it) fails as a full or broken disk does."""

    def __init__(self, at: int | Named, kind: Literal["full", "quota", "broken"], *, for_good: bool) -> None:
        super().__init__(at)
        self._kind = kind
        self._for_good = for_good

    def _do(self, what: str, act: Callable[[], None]) -> None:
        number = self._number(what)
        if number == self._at or (self._for_good and isinstance(self._at, int) and number > self._at > 0):
            raise self._error(what)
        act()

    def _error(self, what: str) -> Exception:
        if what.startswith("commit"):
            # SQLite has no words of its own for a quota.
            return sqlite3.OperationalError("database or disk is full" if self._kind == "full" else "disk I/O error")
        code = {"full": errno.ENOSPC, "quota": errno.EDQUOT, "broken": errno.EIO}[self._kind]
        return OSError(code, os.strerror(code))


class PowerCutDisk(KillingDisk):
    """A kill that takes with it all that was never synced, as a power cut does.

    The model: a file that was given its final name without a sync of its bytes is found empty; commits on a connection
    that does not sync (`PRAGMA synchronous` below FULL, asked of the connection itself) are gone from the log. A
    rename is kept: what a disk may do to names is not modelled.
    """

    def __init__(self, at: int | Named, moment: Moment) -> None:
        super().__init__(at, moment)
        self._synced: set[str] = set()
        self._volatile: set[Path] = set()
        self._log_size: dict[Path, int] = {}  # what of each write-ahead log is on the medium

    def sync(self, file: IO[bytes]) -> None:
        super().sync(file)
        self._synced.add(str(file.name))

    def replace(self, source: Path, target: Path) -> None:
        (self._volatile.discard if str(source) in self._synced else self._volatile.add)(target)
        self._synced.discard(str(source))
        super().replace(source, target)

    def commit(self, db: sqlite3.Connection, what: str) -> None:
        (_, _, name) = db.execute("PRAGMA database_list").fetchone()
        log = Path(name + "-wal")
        (level,) = db.execute("PRAGMA synchronous").fetchone()
        self._log_size.setdefault(log, 0)

        def act() -> None:
            Disk.commit(self, db, what)
            if level >= 2:
                self._log_size[log] = log.stat().st_size

        self._do(f"commit {what}", act)

    def _die(self) -> None:
        for path in self._volatile:
            if path.exists():
                os.truncate(path, 0)
        for log, size in self._log_size.items():
            if log.exists():
                os.truncate(log, min(size, log.stat().st_size))
        super()._die()


class HeldDisk(CountedDisk):
    """Operation `at` waits until there is a file at `until`."""

    def __init__(self, at: int | Named, until: Path) -> None:
        super().__init__(at)
        self._until = until

    def _do(self, what: str, act: Callable[[], None]) -> None:
        if self._number(what) == self._at:
            while not self._until.exists():
                time.sleep(0.005)
        act()


def make_disk(wanted: Mapping[str, Any] | None) -> Disk:
    """A disk from its description as JSON: `{"kind": "kill", "at": 3, "moment": "before"}`.

    `at` is a number, or `{"name": "commit submitting", "nth": 2}`: with a service that takes its time, that is while
    the first upload is on its way.
    """
    if wanted is None:
        return CountedDisk()
    where = wanted["at"]
    at = Named(where["name"], where.get("nth", 1)) if isinstance(where, Mapping) else int(where)
    match wanted:
        case {"kind": "kill", "moment": moment}:
            return KillingDisk(at, moment)
        case {"kind": "signal", "moment": moment, "number": number, "times": times}:
            return SignallingDisk(at, moment, number, times)
        case {"kind": "hold", "until": until}:
            return HeldDisk(at, Path(until))
        case {"kind": "power", "moment": moment}:
            return PowerCutDisk(at, moment)
        case {"kind": "fail", "error": error, "for_good": for_good}:
            return FailingDisk(at, error, for_good=for_good)
        case _:
            raise ValueError(f"no such disk: {wanted}")
