"""A state wherever its home is, looked at: on this disk, or as a copy of what an object store has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hume_runner.errors import StateLocked
from hume_runner.scratch import Scratch
from hume_runner.state.lock import StateLock
from hume_runner.state.reader import StateReader

if TYPE_CHECKING:
    from hume_runner.api.project import Project
    from hume_runner.state.lock import Holder
    from hume_runner.state.remote.protocol import Lock


@contextmanager
def opened_state(project: Project) -> Iterator[tuple[StateReader, Holder | None]]:
    """The state as it is at one moment, wherever its home is, to be read; and who holds it. An empty one where there is
    none. Raises: StateError, StoreError."""
    paths, name = project.paths, project.manifest.name
    if paths.remote is not None:
        with _read(project) as found:
            yield found
        return
    # Before the state is open here: to look at the lock opens and closes the file, see `state.pinned`.
    holder = StateLock(paths.state).held()
    try:
        store = StateReader.peek(paths.state, name=name)
    except FileNotFoundError:
        store = StateReader.empty(name)
    with store:
        yield store, holder


@contextmanager
def _read(project: Project) -> Iterator[tuple[StateReader, Holder | None]]:
    from hume_runner import wiring
    from hume_runner.state.remote.copies import read_all

    with Scratch() as folder:
        copy = folder / "state.sqlite3"
        name = project.manifest.name
        remote = read_all(lambda: wiring.driver(project.paths, project.machine), copy, name)
        with StateReader.peek(copy, name=name) if remote.snapshot is not None else StateReader.empty(name) as store:
            yield store, holder_of(remote.lock)


@contextmanager
def state_of_the_whole(project: Project, *, to_run: bool) -> Iterator[Path | None]:
    """For a shard, a file that says what the whole has, wherever its home is; there may be none. Raises: StateLocked,
    `to_run`, where the whole runs on another machine; StateError, StoreError."""
    shard, paths = project.selection.shard, project.paths
    if shard is None or paths.whole is None:
        yield None
        return
    whole = paths.of_the_whole(shard)
    if whole.remote is None:
        yield whole.state
        return
    from hume_runner import wiring
    from hume_runner.state.remote.copies import read_all

    with Scratch() as folder:
        copy = folder / "state.sqlite3"
        remote = read_all(lambda: wiring.driver(whole, project.machine), copy, project.manifest.name)
        holder = holder_of(remote.lock)
        if to_run and holder is not None:
            raise StateLocked(
                f"{whole.remote}: a run of everything is on: {holder}",
                hint="wait for it: the two could pay for the same; if its machine is gone, give its lock back: "
                "hume-runner state unlock MANIFEST, without --shard",
            )
        yield copy if remote.snapshot is not None else whole.state


def holder_of(lock: Lock | None) -> Holder | None:
    """Who owns a remote state; None where nobody does."""
    from hume_runner.state.remote.objects import Note

    if lock is None or lock.released:
        return None
    return Note.read(lock.note).holder
