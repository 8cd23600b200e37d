"""One writer at a time: an OS lock that dies with its process, and beside it a note of who holds it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from hume_runner.errors import StateError, StateLocked


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds the lock. `since` is Unix seconds."""

    pid: int
    host: str
    since: float
    command: str

    def __str__(self) -> str:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return f"process {self.pid} on {self.host} since {since}"


class StateLock:
    """The lock of one state file, for `with`.

    Raises: StateLocked when another process holds it, naming the process and what to do.
    """

    def __init__(self, state: Path) -> None:
        self._state = state
        self.path = state.with_name(state.name + ".lock")
        self._note = state.with_name(state.name + ".owner.json")
        self._lock = FileLock(self.path, timeout=0, mode=0o600)

    # `status` takes the lock for a moment to find out whether somebody holds it; a run must not stumble over that.
    _PATIENCE_S = 0.3

    def __enter__(self) -> StateLock:
        try:
            self._lock.acquire(timeout=self._PATIENCE_S, poll_interval=0.02)
        except Timeout:
            holder = self.holder()
            who = str(holder) if holder else "another process"
            raise StateLocked(
                f"{self._state}: another run holds the state: {who}",
                hint="wait for it, watch it (`hume-runner status --watch`), or end it: the lock goes with it",
            ) from None
        except OSError as error:
            raise StateError(
                f"{self.path}: cannot lock the state: {error.strerror or error}",
                hint="the output directory must be writable; --output-dir or --state chooses another place",
            ) from error
        # The note is information for people; whether the state is locked is decided by the OS lock alone.
        holder = Holder(pid=os.getpid(), host=socket.gethostname(), since=time.time(), command=_command())
        with contextlib.suppress(OSError):
            self._note.write_text(json.dumps(asdict(holder)), encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._note.unlink(missing_ok=True)
        self._lock.release()

    def holder(self) -> Holder | None:
        """Who says to hold it, from the note beside it; None without a readable note."""
        try:
            return Holder(**json.loads(self._note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def held(self) -> Holder | None:
        """The holder if some process holds the lock now, else None. Takes and leaves the lock to find out."""
        if not self.path.exists():
            return None
        try:
            with self._lock.acquire():
                return None
        except Timeout:
            return self.holder() or Holder(pid=0, host="unknown", since=0.0, command="")
        except OSError:
            return None

    def clear(self) -> Holder | None:
        """Remove the note of a dead holder. Raises: StateLocked if the holder lives."""
        holder = self.holder()
        with self:
            pass
        return holder


def _command() -> str:
    """The program's name alone: arguments may hold addresses that nobody else should see."""
    return Path(sys.argv[0]).name if sys.argv else ""
