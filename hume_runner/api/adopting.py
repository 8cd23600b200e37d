"""Jobs that were started elsewhere, and answers in files, brought under a manifest's state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from hume_runner.api.mending import writing
from hume_runner.api.planned import planned
from hume_runner.api.remote_state import state_of_the_whole
from hume_runner.engine.adopt import Adopted, adopt_all
from hume_runner.engine.adopt_files import FileAdopter, is_file
from hume_runner.engine.rescue import take_up
from hume_runner.errors import UsageError
from hume_runner.state.lock import OutputsLock
from hume_runner.state.outputs_owner import OutputsOwner
from hume_runner.state.shards import note_shard

if TYPE_CHECKING:
    from hume_runner.api.project import Project

__all__ = ["Adopted", "adopt"]


def adopt(project: Project, names: Sequence[str], *, simulated: bool | None = None) -> Iterator[Adopted]:
    """Bring jobs under the manifest's state, planning it first where that never happened; one by one. `names`: ids
    of jobs at the service, and files with answers, of which nobody is asked. `simulated`: whether the scores in
    files are made up; None where nobody knows. Raises: UsageError."""
    if simulated is not None and not any(is_file(name) for name in names):
        raise UsageError(
            "whether scores are made up is said of files, and none is named",
            hint="leave --measured and --simulated out: of its jobs the service tells it",
        )
    manifest, paths, machine = project.manifest, project.paths, project.machine
    for folder in (paths.state.parent, paths.outputs):
        machine.disk.make_directory(folder)
    owner = OutputsOwner(paths.outputs)
    with writing(project) as (store, kept), OutputsLock(paths.outputs), project.endpoint() as endpoint:
        owner.check(manifest=manifest.name, state=paths.state, lineage=store.lineage, home=paths.remote)
        take_up(store, kept, machine.now())
        with (
            state_of_the_whole(project, to_run=False) as whole,
            planned(
                manifest,
                store,
                endpoint,
                retry_failed=False,
                now=machine.now(),
                selection=project.selection,
                whole=whole,
            ) as plan,
        ):
            plan.apply(store)
        note_shard(store, project.selection.shard, manifest.service.api, paths.outputs)
        owner.record(machine.disk, manifest=manifest.name, state=paths.state, lineage=store.lineage, home=paths.remote)
        if endpoint.embedded:
            if simulated is False:
                raise UsageError(
                    "the manifest rehearses, and the files are said to be measured",
                    hint="name the host in service.endpoint (nobody is asked of files), or leave --measured out",
                )
            simulated = True
        files = FileAdopter(
            store=store,
            service=endpoint.service,
            disk=machine.disk,
            outputs=paths.outputs,
            simulated=simulated,
            now=machine.now,
        )
        yield from files.adopt_all([name for name in names if is_file(name)])
        yield from adopt_all(store, endpoint.service, [name for name in names if not is_file(name)], machine.now)
