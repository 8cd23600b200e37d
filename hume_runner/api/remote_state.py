"""A state whose home is an object store, from the commands' side: looked at, had here, put there, released."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hume_runner import wiring
from hume_runner.api.values import Pulled, Pushed
from hume_runner.errors import StateLocked, UsageError

if TYPE_CHECKING:
    from hume_runner.api.project import Project
    from hume_runner.state.lock import Holder
    from hume_runner.state.reader import StateReader
    from hume_runner.state.remote.protocol import Lock


@contextmanager
def opened_state(project: Project) -> Iterator[tuple[StateReader, Holder | None]]:
    """The state as it is at one moment, wherever its home is, to be read; and who holds it. An empty one where there is
    none. Raises: StateError, StoreError."""
    from hume_runner.state.lock import StateLock
    from hume_runner.state.reader import StateReader

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
    from hume_runner.scratch import Scratch
    from hume_runner.state.reader import StateReader
    from hume_runner.state.remote.copies import read_all

    with Scratch() as folder:
        copy = folder / "state.sqlite3"
        name = project.manifest.name
        remote = read_all(lambda: wiring.driver(project.paths, project.machine), copy, name)
        with StateReader.peek(copy, name=name) if remote.snapshot is not None else StateReader.empty(name) as store:
            yield store, _holder(remote.lock)


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
    from hume_runner.scratch import Scratch
    from hume_runner.state.remote.copies import read_all

    with Scratch() as folder:
        copy = folder / "state.sqlite3"
        remote = read_all(lambda: wiring.driver(whole, project.machine), copy, project.manifest.name)
        holder = _holder(remote.lock)
        if to_run and holder is not None:
            raise StateLocked(
                f"{whole.remote}: a run of everything is on: {holder}",
                hint="wait for it: the two could pay for the same; if its machine is gone, give its lock back: "
                "hume-runner state unlock MANIFEST, without --shard",
            )
        yield copy if remote.snapshot is not None else whole.state


def _holder(lock: Lock | None) -> Holder | None:
    from hume_runner.state.remote.objects import Note

    if lock is None or lock.released:
        return None
    return Note.read(lock.note).holder


def _place(project: Project, what: str) -> str:
    if project.paths.remote is None:
        raise UsageError(
            f"state {what} is for a state in an object store, and this one is {project.paths.state}",
            hint="name its place: `state: s3://bucket/name` in the manifest, or --state s3://bucket/name",
        )
    return project.paths.remote


def pull(project: Project) -> Pulled:
    """Have the state here, whoever owns it. Raises: UsageError, StateLocked while a run works with the file here,
    StateError, StoreError."""
    from hume_runner.state.lock import StateLock
    from hume_runner.state.remote.bringing import bring
    from hume_runner.state.remote.copies import Remote, reading
    from hume_runner.state.remote.drive import Driver

    place, state, machine = _place(project, "pull"), project.paths.state, project.machine
    aside: list[Path] = []
    more: list[bool] = []

    def use(driver: Driver, remote: Remote) -> Remote:
        if remote.snapshot is not None:
            more[:] = [bring(driver, remote, state, aside.append, project.manifest.name)]
        return remote

    machine.disk.make_directory(state.parent)
    with StateLock(state):
        remote = reading(lambda: wiring.driver(project.paths, machine), use)
    if remote.snapshot is None:
        raise UsageError(f"{place}: there is no state yet", hint=f"hume-runner run {project.shown}")
    return Pulled(place=place, state=state, holder=_holder(remote.lock), aside=tuple(aside), more=more == [True])


def push(project: Project) -> Pushed:
    """Put there what the state here has more. Raises: UsageError, StateLocked, StateError, StoreError."""
    from hume_runner.state.lock import StateLock
    from hume_runner.state.remote.copies import look_here
    from hume_runner.state.store import Store

    place, state, machine = _place(project, "push"), project.paths.state, project.machine
    none_here = UsageError(f"{state}: there is no state here", hint=f"hume-runner state pull {project.shown}")
    if not state.exists():
        raise none_here
    aside: list[Path] = []
    with StateLock(state):
        if look_here(state) is None:  # a file with nothing in it: a run begins one, and there is nothing to put there
            raise none_here
        with (
            wiring.keeper(project.paths, project.manifest, machine, lambda event: None, aside.append).own(
                state
            ) as kept,
            Store.create_or_open(
                state, disk=machine.disk, name=project.manifest.name, lineage="", shipper=kept.shipper
            ) as store,
        ):
            more = kept.has_more
            unsettled = kept.settle(store)
    if unsettled is not None:
        raise unsettled
    return Pushed(place=place, state=state, pushed=more, aside=tuple(aside))


def unlock(project: Project) -> Holder | None:
    """Release a lock whose owner is dead, wherever the state is at home; who that was, None if nobody holds it. Raises:
    StateLocked."""
    from hume_runner.state.lock import StateLock

    here = StateLock(project.paths.state).clear() if project.paths.state.parent.exists() else None
    return here if project.paths.remote is None else _release(project)


def _release(project: Project) -> Holder | None:
    """Give back a lock whose owner is dead; who that was. Raises: StateLocked if it moves while it is watched."""
    from hume_runner.state.remote import protocol
    from hume_runner.state.remote.keeper import held
    from hume_runner.state.remote.objects import Note

    driver = wiring.driver(project.paths, project.machine)
    seen = driver.run(protocol.look())
    if seen is None or seen.released:
        return None
    note = Note(command="state unlock", since=project.machine.now(), lease_s=project.machine.settings.lease_s)
    try:
        lock, tag = driver.run(protocol.take(project.machine.new_id(), note.text()))
        driver.run(protocol.release(lock, tag))
    except protocol.NotOurs as error:
        raise held(driver.place, error.lock) from None
    return _holder(seen)
