"""Shards into one, wherever their states and the whole's are at home."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from hume_runner import events, wiring
from hume_runner.api.planned import planned
from hume_runner.api.reporting import logged
from hume_runner.api.values import Merged
from hume_runner.engine.merge import Desk, merged, unmeasured
from hume_runner.engine.take_stock import have_back
from hume_runner.errors import StateLocked
from hume_runner.frozen import frozen
from hume_runner.results.finish import Finisher
from hume_runner.results.telling import Telling
from hume_runner.state.connection import guarded
from hume_runner.state.paths import Paths
from hume_runner.state.remote.bringing import bring
from hume_runner.state.remote.copies import Remote, reading
from hume_runner.state.remote.drive import Driver
from hume_runner.state.remote.objects import Note

if TYPE_CHECKING:
    from hume_runner.api.project import Project
    from hume_runner.planning.selection import Shard
    from hume_runner.state.keeping import Keeper


@frozen(kw_only=False)
class _Homes:
    project: Project
    report: events.Report

    def _paths(self, shard: Shard | None) -> Paths:
        return self.project.paths if shard is None else self.project.paths.with_remote_of(shard)

    def keeper(self, shard: Shard | None) -> Keeper:
        manifest, machine = self.project.manifest, self.project.machine
        return wiring.keeper(self._paths(shard), manifest, machine, lambda event: None, self._put_aside)

    def _put_aside(self, path: Path) -> None:
        told = f"{path}: another state of this folder; the remote one went on without it, and counts"
        self.report(events.Warned(message=told))

    def renew(self, shard: Shard, state: Path) -> None:
        paths = replace(self._paths(shard), state=state)
        if paths.remote is None:
            return

        def use(driver: Driver, remote: Remote) -> None:
            if remote.lock is not None and not remote.lock.released:
                raise StateLocked(
                    f"{paths.remote}: another run holds the state: {Note.read(remote.lock.note)}",
                    hint=f"wait for it; if its machine is gone, run that part again, or give its lock back: "
                    f"`hume-runner state unlock MANIFEST --shard {shard}`",
                )
            bring(driver, remote, state, self._put_aside, self.project.manifest.name)

        reading(lambda: wiring.driver(paths, self.project.machine), use)


def merge_shards(
    project: Project,
    states: Sequence[str | PathLike[str]],
    *,
    take_over: bool,
    on_event: events.Report = logged,
) -> Merged:
    """Bring shards into the one state and output directory of the whole, and make what is derived. Sends nothing.

    Raises: UsageError, StateLocked, StateError, StoreError; then nothing was merged, or the same command goes on.
    """
    manifest, paths, machine = project.manifest, project.paths, project.machine
    telling = Telling(on_event, machine.monotonic)
    desk = Desk(
        disk=machine.disk,
        now=machine.now,
        new_id=machine.new_id,
        mask=project.masker.keys,
        homes=_Homes(project, on_event),
        home=paths.remote,
        begin=telling.begin,
        step=telling.step,
    )
    on_event(events.Phase(phase="merging"))
    places = [Path(state) for state in states]
    with merged(manifest, paths.state, paths.outputs, places, desk=desk, take_over=take_over) as (store, shards, kept):
        on_event(events.Phase(phase="planning"))
        with (
            project.endpoint() as endpoint,
            planned(manifest, store, endpoint, retry_failed=False, now=machine.now()) as plan,
        ):
            plan.apply(store)
            with guarded(paths.outputs):
                have_back(store, kept, endpoint.service, paths.outputs, on_event)
        on_event(events.Phase(phase="writing"))
        with guarded(paths.outputs):
            finisher = Finisher(manifest, paths.outputs, machine.disk, report=on_event, telling=telling)
            finisher.rebuild(store, (), machine.now())
        unsettled = kept.settle(store)
        told = Merged(
            state=paths.state,
            outputs=paths.outputs,
            shards=tuple(shards),
            unmeasured=tuple(unmeasured(store, shards)),
            items=store.counts().items,
        )
    if unsettled is not None:
        raise unsettled
    return told
