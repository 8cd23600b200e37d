"""`run`, `plan`, `status`."""

from __future__ import annotations

import contextlib
from os import PathLike
from typing import TYPE_CHECKING

from hume_runner import events
from hume_runner.api.control import Cancel
from hume_runner.api.project import Project
from hume_runner.api.reporting import logged
from hume_runner.api.running import run_project
from hume_runner.api.saved_plans import read_plan
from hume_runner.api.values import ManifestLike, Planned, RunResult, Status
from hume_runner.notebook import NotebookProgress, shell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor


def run(
    manifest: ManifestLike,
    *,
    on_event: events.Report | None = None,
    cancel: Cancel | None = None,
    output_dir: str | PathLike[str] | None = None,
    state: str | PathLike[str] | None = None,
    endpoint: str | None = None,
    detach: bool = False,
    retry_failed: bool = False,
    pay_again: bool = False,
    max_billable_seconds: float | None = None,
    plan: str | PathLike[str] | None = None,
    shard: str | None = None,
    limit: int | None = None,
    select: str | None = None,
    cluster: str | Callable[[], Executor] | None = None,
) -> RunResult:
    """Validate, plan, submit, poll, fetch and write the outputs; resumes by itself.

    `on_event` gets what happens, in the calling thread (see `hume_runner.events`), without it a notebook shows how far
    the run is; what it raises ends the run and comes out as it is, and the state resumes. `cancel` ends the run early:
    Cancelled while the run starts up, from then on a result with the exit code 130. How the work ended is in the result
    (`exit_code`, `error`): a service that refuses, a budget that is spent, items that failed. `plan` is the path of a
    saved plan. What is wrong with the outputs, or else worth knowing, is told as `Warned`; without `on_event` it is
    logged as a warning.
    `shard` (`2/4`), `limit` and `select` (`label.wave == 2`) run a part of the manifest, see docs/shards.md. `cluster`
    does what is work for the processor, see docs/cluster.md: the address of a Dask scheduler, `module:factory`, or a
    function that gives an Executor.
    Raises: ManifestError, SourceError, UsageError, StateError, Cancelled; then nothing was sent.
    """
    project = Project.open(
        manifest, output_dir=output_dir, state=state, endpoint=endpoint, shard=shard, limit=limit, select=select
    )
    if max_billable_seconds is not None:
        project = project.with_bill(max_billable_seconds)
    project.need_extras(to_run=True)
    with _shown(project.manifest.name, on_event) as report:
        return run_project(
            project,
            on_event=report,
            control=cancel or Cancel(),
            detach=detach,
            retry_failed=retry_failed,
            pay_again=pay_again,
            saved_plan=read_plan(plan) if plan is not None else None,
            cluster=cluster,
        )


@contextlib.contextmanager
def _shown(name: str, on_event: events.Report | None) -> Iterator[events.Report]:
    """Who takes the events: the caller; where nobody asked for them the log, and a notebook's cell."""
    if on_event is not None:
        yield on_event
        return
    if shell() is None:
        yield logged
        return
    progress = NotebookProgress(name)

    def report(event: events.Event) -> None:
        logged(event)
        progress(event)

    try:
        yield report
    finally:
        progress.draw()


def plan(
    manifest: ManifestLike,
    *,
    output_dir: str | PathLike[str] | None = None,
    state: str | PathLike[str] | None = None,
    endpoint: str | None = None,
    retry_failed: bool = False,
    shard: str | None = None,
    limit: int | None = None,
    select: str | None = None,
) -> Planned:
    """What a run would do; sends nothing that costs. Raises what the run would be refused for: ManifestError,
    SourceError, UsageError, MissingExtra, MissingWeights, StateError."""
    project = Project.open(
        manifest, output_dir=output_dir, state=state, endpoint=endpoint, shard=shard, limit=limit, select=select
    )
    with project.planning(retry_failed=retry_failed) as opened:
        if opened.refusal is not None:
            raise opened.refusal
        return Planned(
            name=opened.manifest.name,
            api=opened.manifest.service.api,
            endpoint=opened.endpoint,
            summary=opened.summary,
            upload_bytes=opened.upload_bytes,
            reasons=tuple(opened.reasons()),
        )


def status(
    manifest: ManifestLike,
    *,
    output_dir: str | PathLike[str] | None = None,
    state: str | PathLike[str] | None = None,
    shard: str | None = None,
) -> Status:
    """Where a manifest stands, from its state file alone; works while a run goes on. Raises: ManifestError,
    StateError."""
    with Project.open(manifest, output_dir=output_dir, state=state, shard=shard).look() as seen:
        return seen.status
