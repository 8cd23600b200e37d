"""A state whose home is an object store, had here, put there, and released from a dead owner."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hume_runner import wiring
from hume_runner.api.remote_state import holder_of
from hume_runner.api.values import Pulled, Pushed
from hume_runner.errors import UsageError
from hume_runner.state.lock import StateLock
from hume_runner.state.remote import protocol
from hume_runner.state.remote.bringing import bring
from hume_runner.state.remote.copies import Remote, look_here, reading
from hume_runner.state.remote.drive import Driver
from hume_runner.state.remote.keeper import held
from hume_runner.state.remote.objects import Note
from hume_runner.state.store import Store

if TYPE_CHECKING:
    from hume_runner.api.project import Project
    from hume_runner.state.lock import Holder


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
    return Pulled(place=place, state=state, holder=holder_of(remote.lock), aside=tuple(aside), more=more == [True])


def push(project: Project) -> Pushed:
    """Put there what the state here has more. Raises: UsageError, StateLocked, StateError, StoreError."""
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
    here = StateLock(project.paths.state).clear() if project.paths.state.parent.exists() else None
    return here if project.paths.remote is None else _release(project)


def _release(project: Project) -> Holder | None:
    """Give back a lock whose owner is dead; who that was. Raises: StateLocked if it moves while it is watched."""
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
    return holder_of(seen)
