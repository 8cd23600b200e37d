"""A state that is written without a run, and what is harmed made whole again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hume_runner import events, wiring
from hume_runner.engine.mend import Mender
from hume_runner.engine.take_stock import have_back
from hume_runner.errors import HumeRunnerError
from hume_runner.results.finish import Finisher
from hume_runner.state.connection import guarded
from hume_runner.state.keeping import Kept
from hume_runner.state.lock import OutputsLock, StateLock
from hume_runner.state.outputs_owner import OutputsOwner
from hume_runner.state.store import Store

if TYPE_CHECKING:
    from hume_runner.api.project import Project


@contextmanager
def writing(project: Project) -> Iterator[tuple[Store, Kept]]:
    """The state, made if there is none, locked and written for as long as the block lasts, wherever its home is.
    Raises: StateLocked, StateError, StoreError."""
    manifest, paths, machine = project.manifest, project.paths, project.machine
    keeper = wiring.keeper(paths, manifest, machine, lambda event: None)
    with StateLock(paths.state), keeper.own(paths.state) as kept:
        with Store.create_or_open(
            paths.state,
            disk=machine.disk,
            name=manifest.name,
            lineage=machine.new_id(),
            mask=project.masker.keys,
            shipper=kept.shipper,
        ) as store:
            yield store, kept
            unsettled = kept.settle(store)
        if unsettled is not None:
            raise unsettled


def repair(project: Project, *, on_event: events.Report) -> HumeRunnerError | None:
    """Fetch again what is harmed and costs nothing, and make again what is derived; what could not be is returned.

    Raises: StateError.
    """
    manifest, paths, machine = project.manifest, project.paths, project.machine
    outputs = paths.outputs
    owner = OutputsOwner(outputs)
    with guarded(outputs):
        machine.disk.make_directory(outputs)
    with writing(project) as (store, kept), OutputsLock(outputs), project.endpoint() as endpoint, guarded(outputs):
        name, state, home = manifest.name, paths.state, paths.remote
        owner.check(manifest=name, state=state, lineage=store.lineage, home=home)
        mender = Mender(
            store, endpoint.service, machine.disk, outputs, report=on_event, clock=machine.now, here=project.here
        )
        mirror = project.mirror()
        if mirror is not None:
            mirror.check(store.lineage)
            mirror.restore(store, machine.disk)
        have_back(store, kept, endpoint.service, outputs, on_event, thorough=True)
        mended = mender.mend(thorough=True)
        finisher = Finisher(manifest, outputs, machine.disk, report=on_event)
        finisher.rebuild(store, mended.harmed, machine.now())
        # Only now is it known that no file of a person's is there.
        owner.record(machine.disk, manifest=name, state=state, lineage=store.lineage, home=home)
        if mirror is not None:
            mirror.repair(store)
        return mended.error
