"""Safeguards taken away, one at a time, in a child process that exists for nothing else.

Each takes the child's disk and returns the disk to use; some replace a class of the product in that process. They are
here to show that the checks of this folder can fail.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import IO, Any

from hume_runner.machine import Machine
from hume_runner.services.batch_v0.foreign import ForeignJobs
from hume_runner.services.batch_v0.lost import LostJobs
from hume_runner.services.batch_v0.sender import Submissions
from hume_runner.services.batch_v0.service import BatchV0Service
from hume_runner.services.expression_v1.records import Records
from hume_runner.services.expression_v1.service import ExpressionV1Service
from hume_runner.services.foreign import Foreign
from hume_runner.services.jobs import Job, Submission
from hume_runner.services.lost import Candidate, Look, LostJob
from hume_runner.state.disk import Disk
from hume_runner.state.journal import Journal
from hume_runner.state.pinned import Pinned
from hume_runner.state.reading import Reading
from tests.durability.disks import KillingDisk, PowerCutDisk


def _instead(module: ModuleType, **names: Any) -> None:
    """Other things by these names in a module. One that it does not have any more would take nothing away."""
    assert names.keys() <= vars(module).keys(), names.keys() - vars(module).keys()
    vars(module).update(names)


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

    def prepare(self: Submissions, job: Job) -> Submission:
        submission = _prepare(self, job)
        result = submission.send()
        return replace(submission, send=lambda: result)

    _prepare = Submissions.prepare
    Submissions.prepare = prepare  # type: ignore[method-assign]
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

    _instead(hume_runner.engine.run, StateLock=NoLock)
    _instead(hume_runner.engine.run, OutputsLock=NoLock)
    _instead(hume_runner.state.pinned, locks_inodes=lambda path: False)
    return disk


def without_looking(disk: Disk) -> Disk:
    """A lost submission is sent again without asking the service, then or before paying."""

    def look_for(self: LostJobs, lost: Sequence[LostJob], ours: Any) -> dict[int, Look]:
        return {one.job.number: Look(conclusive=True) for one in lost}

    def survey(self: ForeignJobs, since: float, knows: Any, ours: Any) -> Iterator[Foreign]:
        self._host.listed(limit=1)
        return iter(())

    LostJobs.look_for = look_for  # type: ignore[method-assign]
    ForeignJobs.survey = survey  # type: ignore[method-assign]
    return disk


def without_stored_positions(disk: Disk) -> Disk:
    """A member is told by its place in the list of what is left of its job."""

    def name_members(self: Journal, number: int, matches: Mapping[int, str]) -> None:
        self._db.executemany(
            "UPDATE members SET match = ? WHERE job = ? AND position = ?",
            [(matches[position], number, place) for place, position in enumerate(sorted(matches))],
        )

    Journal._name_members = name_members  # type: ignore[method-assign]
    return disk


def without_inodes(disk: Disk) -> Disk:
    """The lock goes by a file beside the state alone."""
    import hume_runner.state.lock
    import hume_runner.state.pinned

    for module in (hume_runner.state.lock, hume_runner.state.pinned):
        _instead(module, locks_inodes=lambda path: False)
    return disk


def without_removing_only_its_own(disk: Disk) -> Disk:
    """A run that is refused before it recorded anything removes the state, whoever made it."""

    def made(self: Pinned, path: Path, handle: int, *, created: bool) -> None:
        begin(self, path, handle, created=True)

    begin = Pinned.__init__
    Pinned.__init__ = made  # type: ignore[method-assign]
    return disk


def without_reading_what_was_rescued(disk: Disk) -> Disk:
    """What the state could not take lies beside it for good."""
    import hume_runner.engine.take_stock

    _instead(hume_runner.engine.take_stock, take_in=lambda *_: 0)
    return disk


def without_controls(disk: Disk) -> Disk:
    """What a list does not show is taken for not being there."""
    import hume_runner.services.batch_v0.lost

    _instead(hume_runner.services.batch_v0.lost, lacking=lambda *_: "", uncontrolled=lambda *_: "")
    return disk


def without_waiting_from_the_end(disk: Disk) -> Disk:
    """The time that a slow host has counts from when the request left."""
    from hume_runner.engine.reactions import sending

    began: dict[int, float] = {}
    sent, lost = sending.sent, sending.lost

    def noted(view: Any, job: Job, at: Any) -> Any:
        began[job.number] = time.monotonic()
        return sent(view, job, at)

    def early(view: Any, rules: Any, job: int, **named: Any) -> Any:
        view = lost(view, rules, job, **named)
        one = replace(view.lost[job], since=began.get(job, view.lost[job].since))
        return replace(view, lost={**view.lost, job: one})

    _instead(sending, sent=noted, lost=early)
    return disk


def without_own_endpoint(disk: Disk) -> Disk:
    """What was sent to one host is asked about at whichever the manifest names now."""

    class Anywhere(Reading):
        def foreign_endpoints(self, endpoint: str) -> list[tuple[str, int]]:
            return []

    Reading.foreign_endpoints = Anywhere.foreign_endpoints  # type: ignore[method-assign]
    return disk


def without_asking_first(disk: Disk) -> Disk:
    """What this key has at the service already is not looked for before it is paid for again."""
    import hume_runner.engine.ask_first
    from hume_runner.engine.survey import Taken

    _instead(hume_runner.engine.ask_first, adopt_what_is_there=lambda *_, **__: Taken(jobs=0, items=0))
    return disk


def without_comparing_loosely(disk: Disk) -> Disk:
    """What a service tells in other words than were sent is another's."""
    import hume_runner.engine.survey

    _instead(hume_runner.engine.survey, find=lambda *_: iter(()))
    return disk


def without_suspecting(disk: Disk) -> Disk:
    """What was measured and cannot be had again is no reason to ask."""

    def suspects(self: Records, job: Job) -> tuple[Candidate, ...]:
        return ()

    Records.suspects = suspects  # type: ignore[method-assign]
    return disk


def without_parts(disk: Disk) -> Disk:
    """Which parts of a medium are measured already is forgotten when it is prepared again."""
    Reading._carried = lambda self, number: {}  # type: ignore[method-assign]
    return disk


def without_draining(disk: Disk) -> Disk:
    """What breaks the run ends it at once."""
    from hume_runner.engine.board import Board

    Board.guard = lambda self, act, *what: act(*what)  # type: ignore[method-assign]
    return disk


def without_monotonic_waiting(disk: Disk) -> Disk:
    """All waiting is by the clock that people set."""
    Machine.monotonic = lambda self: self.now()  # type: ignore[method-assign]
    return disk


def without_relevance(disk: Disk) -> Disk:
    """Every setting touches every item."""

    def relevant(kind: Any, facts: Any, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        return dict(settings)

    for service in (BatchV0Service, ExpressionV1Service):
        service.relevant = staticmethod(relevant)  # type: ignore[assignment]
    return disk


def without_telling_simulated(disk: Disk) -> Disk:
    """Nobody looks whether it is an emulator that answers."""
    BatchV0Service.simulated = None  # type: ignore[assignment]
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
    "stored positions": without_stored_positions,
    "inodes": without_inodes,
    "removing only its own": without_removing_only_its_own,
    "reading what was rescued": without_reading_what_was_rescued,
    "controls": without_controls,
    "waiting from the end": without_waiting_from_the_end,
    "own endpoint": without_own_endpoint,
    "asking first": without_asking_first,
    "comparing loosely": without_comparing_loosely,
    "suspecting": without_suspecting,
    "parts": without_parts,
    "draining": without_draining,
    "monotonic waiting": without_monotonic_waiting,
    "relevance": without_relevance,
    "telling simulated": without_telling_simulated,
}
