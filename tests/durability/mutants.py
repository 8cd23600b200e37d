"""Safeguards taken away, one at a time, in a child process that exists for nothing else.

Each takes the child's disk and returns the disk to use; some replace a class of the product in that process. They are
here to show that the checks of this folder can fail.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from hume_runner.services.base import Foreign, Job, Look, LostJob, Submission
from hume_runner.services.batch_v0 import BatchV0Service
from hume_runner.state.disk import Disk
from tests.durability.disks import KillingDisk, PowerCutDisk


def without_file_sync(disk: Disk) -> Disk:
    """Answers get their final names without a sync."""

    class Unsynced(PowerCutDisk):
        def sync(self, file: IO[bytes]) -> None:
            file.flush()
            self._do("sync", lambda: None)

    return _same_death(Unsynced, disk)


def without_state_sync(disk: Disk) -> Disk:
    """The state's commits do not wait for the medium."""

    class Unsynced(PowerCutDisk):
        def commit(self, db: sqlite3.Connection, what: str) -> None:
            super().commit(db, what)
            db.execute("PRAGMA synchronous = OFF")

    return _same_death(Unsynced, disk)


def without_rename(disk: Disk) -> Disk:
    """Files are written where they are looked for, piece by piece."""

    class InPlace(KillingDisk):
        def replace(self, source: Path, target: Path) -> None:
            content = source.read_bytes()
            middle = len(content) // 2

            def write() -> None:
                target.write_bytes(content[:middle])

            self._do(f"replace {target.name}", write)
            target.write_bytes(content)
            source.unlink()

    return _same_death(InPlace, disk)


def without_intent(disk: Disk) -> Disk:
    """The request leaves before the intent is durable."""

    def prepare(self: BatchV0Service, job: Job) -> Submission:
        submission = _prepare(self, job)
        result = submission.send()
        return replace(submission, send=lambda: result)

    _prepare = BatchV0Service.prepare
    BatchV0Service.prepare = prepare  # type: ignore[method-assign]
    return disk


def without_lock(disk: Disk) -> Disk:
    """Nobody keeps a second runner out: neither by name nor by inode."""
    import hume_runner.engine.run
    import hume_runner.state.pinned

    class NoLock:
        def __init__(self, state: Path) -> None:
            pass

        def __enter__(self) -> None:
            pass

        def __exit__(self, *_: object) -> None:
            pass

    vars(hume_runner.engine.run)["StateLock"] = NoLock
    vars(hume_runner.engine.run)["OutputsLock"] = NoLock
    vars(hume_runner.state.pinned)["locks_inodes"] = lambda path: False
    return disk


def without_looking(disk: Disk) -> Disk:
    """A lost submission is sent again without asking the service, then or before paying."""

    def look_for(self: BatchV0Service, lost: Sequence[LostJob], ours: Any) -> dict[int, Look]:
        return {one.job.number: Look(conclusive=True) for one in lost}

    def survey(self: BatchV0Service, since: float, knows: Any) -> Iterator[Foreign]:
        self.greet()
        return iter(())

    BatchV0Service.look_for = look_for  # type: ignore[method-assign]
    BatchV0Service.survey = survey  # type: ignore[method-assign]
    return disk


def _same_death(kind: type[Any], disk: Disk) -> Disk:
    assert isinstance(disk, KillingDisk)
    return kind(disk._at, disk._moment)  # type: ignore[no-any-return]


MUTANTS: dict[str, Callable[[Disk], Disk]] = {
    "file sync": without_file_sync,
    "state sync": without_state_sync,
    "rename": without_rename,
    "intent": without_intent,
    "lock": without_lock,
    "looking": without_looking,
}
