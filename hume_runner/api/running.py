"""Running one project to its end: what stands around the engine's run, and what is written when it is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hume_runner import events, installing, wiring
from hume_runner.api.commanding import Commands, listening
from hume_runner.api.control import Control
from hume_runner.api.inputs import refuse_obstacles
from hume_runner.api.opening import told_closed, told_twin
from hume_runner.api.remote_state import state_of_the_whole
from hume_runner.api.reporting import InOneThread
from hume_runner.api.values import RunResult
from hume_runner.computing.base import FOLDER
from hume_runner.engine.run import RunEnded, RunOptions, run
from hume_runner.engine.workers import Interrupt, ThreadWorkers
from hume_runner.errors import HumeRunnerError, StoreError, UsageError
from hume_runner.planning.saved import SavedPlan
from hume_runner.planning.selection import Selection
from hume_runner.results.due import refuse_others_due
from hume_runner.results.finish import Finisher, OfRun
from hume_runner.results.telling import Telling
from hume_runner.settings import traceparent
from hume_runner.state.in_the_way import refuse_for_answers
from hume_runner.state.reader import StateReader
from hume_runner.state.store import Store

if TYPE_CHECKING:
    from hume_runner.api.project import Project
    from hume_runner.computing.choose import Cluster
    from hume_runner.control.listener import Listener
    from hume_runner.endpoint import Endpoint
    from hume_runner.engine.environment import Environment
    from hume_runner.manifest.model import Manifest
    from hume_runner.results.mirror import Mirror

_MOST_AT_CLUSTER = 1_000  # pieces of work at one time


def run_project(
    project: Project,
    *,
    on_event: events.Report,
    control: Control,
    detach: bool,
    retry_failed: bool,
    pay_again: bool,
    saved_plan: SavedPlan | None,
    cluster: Cluster | None,
) -> RunResult:
    """Run to the end; see `hume_runner.run`."""
    manifest, paths, machine = project.manifest, project.paths, project.machine
    began = machine.monotonic()
    report = InOneThread(on_event)
    for told in filter(None, (told_closed(manifest), told_twin(paths))):
        report(events.Warned(message=told))
    refuse_obstacles(manifest, paths)
    selection = _selection(project, saved_plan)
    lacking = project.lacking_extras()
    telling = Telling(report, machine.monotonic)
    finisher = _finisher(project, selection, lacking, report=report, telling=telling)
    around = _Around(
        project=project, control=control, report=report, finisher=finisher, mirror=project.mirror(), copies=telling
    )
    place = None if cluster is None else project.place(cluster, warn=report.warn)
    # Polls, searches and what is done on this machine must not wait behind transfers. One waits for each piece of work
    # at a cluster, too.
    workers = ThreadWorkers(manifest.execution.transfer_workers + 6 + (_MOST_AT_CLUSTER if place else 0))
    try:
        with project.endpoint(place) as endpoint, state_of_the_whole(project, to_run=True) as whole:
            ended = run(
                manifest,
                paths.state,
                paths.outputs,
                environment=_environment(around, endpoint, workers, report),
                options=RunOptions(
                    detach=detach,
                    retry_failed=retry_failed,
                    pay_again=pay_again,
                    saved_plan=saved_plan,
                    selection=selection,
                    whole=paths.whole,
                    whole_state=whole,
                    home=paths.remote,
                ),
                finish=around.finish,
            )
    finally:
        around.close()
        workers.close()
        report.catch_up()
    for error in around.failed:
        ended = _with_failed_copies(ended, error)
    if lacking and ended.error is None:
        report(events.Warned(message=_not_written(lacking)))
    took_s = machine.monotonic() - began
    return _result(project, ended, control.signalled or ended.exit_code, finisher, took_s)


def _finisher(
    project: Project,
    selection: Selection,
    lacking: Sequence[str],
    *,
    report: events.Report,
    telling: Telling,
) -> Finisher:
    """Who writes the outputs, but for those that need what is `lacking`."""
    manifest, machine = project.manifest, project.machine
    of_run = OfRun(
        tell=wiring.callback(manifest, machine, report),
        selection=selection.document(),
        traceparent=traceparent(machine.environ),
        clock=machine.now,
    )
    return Finisher(
        _writable(manifest, lacking),
        project.paths.outputs,
        machine.disk,
        report=report,
        telling=telling,
        of_run=of_run,
    )


def _environment(around: _Around, endpoint: Endpoint, workers: ThreadWorkers, report: events.Report) -> Environment:
    """What the work is done with, and who is called in the course of it."""
    project = around.project
    commands = Commands(project.manifest.service.api, workers, endpoint.pacer)
    return wiring.environment(
        endpoint,
        project.machine,
        workers=workers,
        report=report,
        mask=project.masker.keys,
        on_open=around.opened,
        on_plan=around.finisher.check,
        on_loop=lambda: around.working(workers, commands),
        keeper=wiring.keeper(project.paths, project.manifest, project.machine, report),
    )


@dataclass(slots=True, kw_only=True)
class _Around:
    """What happens around the work: who may talk to the run, and what is written when it is over."""

    project: Project
    control: Control
    report: events.Report
    finisher: Finisher
    mirror: Mirror | None
    copies: Telling
    listeners: list[Listener] = field(default_factory=list)
    failed: list[HumeRunnerError] = field(default_factory=list)  # of the copies in a store

    def opened(self, store: StateReader) -> None:
        """The state is open, and nothing is decided yet."""
        outputs = self.project.paths.outputs
        refuse_for_answers(outputs, store.is_recorded)
        refuse_others_due(store, outputs, self.finisher.manifest)
        if (outputs / FOLDER).is_dir():
            from hume_runner.computing.shared_folder import remove_abandoned

            remove_abandoned(outputs)  # of a run that was killed while it had a cluster: this one may have none
        if self.mirror is not None:
            self.mirror.check(store.lineage)
            self.mirror.restore(store, self.project.machine.disk)

    def working(self, workers: ThreadWorkers, commands: Commands) -> None:
        """The loop takes messages from here on, and the state is locked."""
        self.control.open(lambda exit_code, name: workers.post(Interrupt(exit_code, name)))
        if (listener := listening(self.project.paths.state, commands, self.report)) is not None:
            self.listeners.append(listener)

    def close(self) -> None:
        """Nobody may talk to the run any more."""
        for listener in self.listeners:
            listener.close()

    def finish(self, store: Store, ended: RunEnded) -> None:
        """Write the outputs, and again what they say of the run if a signal came meanwhile."""
        self.close()
        control, finisher = self.control, self.finisher
        control.finishing()
        written = None
        while written is None or (control.signalled or written) != written:
            written = control.signalled or ended.exit_code
            finisher(store, replace(ended, exit_code=written))
        if self.mirror is None or written != ended.exit_code:
            return
        try:
            self.copies.begin(f"copies in {self.project.manifest.outputs.remote}")
            self.mirror.upload(store, go_on=lambda: not control.signalled, on_copied=self.copies.step)
        except (StoreError, UsageError) as error:
            self.failed.append(error)
            place = self.project.manifest.outputs.remote
            self.report(events.Warned(message=f"not all outputs are in {place}: {error}; the next run copies the rest"))
            finisher(store, _with_failed_copies(ended, error))
        if control.signalled:
            finisher(store, replace(ended, exit_code=control.signalled))


def _selection(project: Project, saved_plan: SavedPlan | None) -> Selection:
    """What the run is about. What a saved plan is about is written in it."""
    if saved_plan is not None and not project.selection.partial:
        return replace(saved_plan.selection, shard=project.selection.shard)
    return project.selection


def _writable(manifest: Manifest, lacking: Sequence[str]) -> Manifest:
    """The manifest with the outputs that can be written without these extras."""
    outputs = manifest.outputs
    tables = () if "tables" in lacking else outputs.tables
    return replace(manifest, outputs=replace(outputs, tables=tables, report=outputs.report and "report" not in lacking))


def _not_written(lacking: Sequence[str]) -> str:
    return (
        f"not written: {' and '.join(f'outputs.{extra}' for extra in lacking)}, for want of what "
        f"{installing.extras(*lacking)} brings; then the same command writes "
        f"{'it' if len(lacking) == 1 else 'them'} and measures nothing again"
    )


def _with_failed_copies(ended: RunEnded, error: HumeRunnerError) -> RunEnded:
    """All that was measured is here, and not all of it where it should be. What ended the run before is told first."""
    if ended.exit_code not in (0, 3):
        return ended
    return replace(ended, exit_code=error.exit_code, error=error)


def _result(project: Project, ended: RunEnded, exit_code: int, finisher: Finisher, took_s: float) -> RunResult:
    return RunResult(
        name=project.manifest.name,
        outputs=project.paths.outputs,
        run_id=ended.run_id,
        started_at=ended.started_at,
        ended_at=max(ended.ended_at, finisher.ended_at),
        exit_code=exit_code,
        error=ended.error,
        counts=ended.counts,
        requests=ended.requests,
        summary=finisher.summary_text(took_s),
        billed_seconds=finisher.billed_seconds,
    )
