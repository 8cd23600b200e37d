"""`run`, `plan`, `validate`, `status`."""

from __future__ import annotations

import contextlib
import logging
import os
from collections import Counter
from os import PathLike
from typing import TYPE_CHECKING

from hume_runner import events
from hume_runner.api.control import Cancel
from hume_runner.api.inputs import in_the_way
from hume_runner.api.opening import examine, told_closed, told_twin
from hume_runner.api.project import Project
from hume_runner.api.unready import unready
from hume_runner.api.values import ManifestLike, Planned, RunResult, Status, Validated
from hume_runner.errors import ManifestError, SourceError
from hume_runner.manifest.document import ordered
from hume_runner.manifest.load import Examined
from hume_runner.sources import expand_entries, expand_in_blocks, one_by_one
from hume_runner.sources.globbing import is_glob, twin_folders
from hume_runner.sources.inputs import Input
from hume_runner.sources.left_out import LeftOut
from hume_runner.sources.unseen import is_unseen
from hume_runner.spelling import composed
from hume_runner.state.paths import Paths
from hume_runner.stores import is_remote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor

    from hume_runner.manifest.model import Manifest

_MOST_WARNINGS = 100


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
    the run is; `cancel` ends the run early. How the work ended is in the result (`exit_code`, `error`): a service that
    refuses, a budget that is spent, items that failed. `plan` is the path of a saved plan. What is wrong with the
    outputs is logged as a warning.
    `shard` (`2/4`), `limit` and `select` (`label.wave == 2`) run a part of the manifest, see docs/shards.md. `cluster`
    does what is work for the processor, see docs/cluster.md: the address of a Dask scheduler, `module:factory`, or a
    function that gives an Executor.
    Raises: ManifestError, SourceError, UsageError, StateError, Cancelled; then nothing was sent.
    """
    from hume_runner.api.running import run_project
    from hume_runner.api.saved_plans import read_plan

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
            warn=logging.getLogger("hume_runner").warning,
            detach=detach,
            retry_failed=retry_failed,
            pay_again=pay_again,
            saved_plan=read_plan(plan) if plan is not None else None,
            cluster=cluster,
        )


@contextlib.contextmanager
def _shown(name: str, on_event: events.Report | None) -> Iterator[events.Report]:
    """Who takes the events: the caller, or where nobody asked for them a notebook's cell."""
    if on_event is not None:
        yield on_event
        return
    from hume_runner.notebook import NotebookProgress, shell

    if shell() is None:
        yield lambda event: None
        return
    progress = NotebookProgress(name)
    try:
        yield progress
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


def validate(
    manifest: ManifestLike,
    *,
    output_dir: str | PathLike[str] | None = None,
    endpoint: str | None = None,
    no_files: bool = False,
) -> Validated:
    """All that is wrong with a manifest, and with the sources that could be understood.

    `warnings` tell of what a run would meet here. `no_files`: the media are elsewhere; names and patterns are not
    looked for, and lists are read where they are there. Raises: UsageError.
    """
    examined = examine(manifest, output_dir=output_dir, endpoint=endpoint)
    items: Counter[str] = Counter()
    problems = list(examined.problems)
    wrong = bool(problems)
    warnings: list[str] = []
    if examined.manifest is not None and (told := told_closed(examined.manifest)) is not None:
        warnings.append(told)
    try:
        _count(examined, items, warnings, look=not no_files)
    except ManifestError as error:
        wrong = True
        problems += error.problems
    except SourceError as error:
        problems += error.problems
    if examined.manifest is not None and not no_files and not problems:
        warnings += unready(examined.manifest)
        warnings += filter(None, [in_the_way(examined.manifest), told_twin(Paths.of(examined.manifest, None))])
        warnings += _told_twin_folders(examined.manifest)
    exit_code = 65 if wrong else 66 if problems else 0
    if examined.problems:
        problems = ordered(problems)
    shown = str(manifest) if isinstance(manifest, str | PathLike) else str(examined.path)
    return Validated(
        path=shown,
        problems=tuple(problems),
        items=items,
        exit_code=exit_code,
        warnings=tuple(warnings),
        unseen=sum(map(is_unseen, examined.entries)) if no_files else 0,
    )


def _count(examined: Examined, items: Counter[str], warnings: list[str], *, look: bool) -> None:
    manifest, folder = examined.manifest, examined.path.parent
    seen, intervals, left_out = None, None, LeftOut()
    if manifest is not None and manifest.events:
        from hume_runner.results.event_sources import SeenIds
        from hume_runner.results.intervals import read_intervals

        intervals = read_intervals(manifest.events)
        seen = SeenIds(intervals) if look and intervals.by_item else None
    if manifest and look:
        pieces = expand_in_blocks(manifest, left_out=left_out)
    else:
        itself = Input(path=examined.path, kind="manifest")
        pieces = expand_entries(examined.entries, folder=folder, read=[itself], left_out=left_out, look=look)
    for item in one_by_one(pieces):
        items[item.kind] += 1
        if seen is not None:
            seen.add(item.id)
        if item.remote is not None and not item.remote.info.size_bytes and len(warnings) < _MOST_WARNINGS:
            place = f"{item.place.file}:{item.place.line}:{item.place.column}"
            warnings.append(f"{place}: {item.value!r} is empty: it will fail by itself")
        if look and item.path is not None and len(warnings) < _MOST_WARNINGS:
            place = f"{item.place.file}:{item.place.line}:{item.place.column}"
            with contextlib.suppress(OSError):
                if item.path.stat().st_size == 0:
                    warnings.append(f"{place}: {item.value!r} is empty: it will fail by itself")
            if not item.value.isascii() and _is_spelt_otherwise(item.value, str(item.path)):
                differ = "composed and decomposed letters"
                warnings.append(f"{place}: {item.value!r} is found, and written differently on disk ({differ})")
    if seen is not None and intervals is not None:
        warnings += seen.check(intervals)
    warnings += filter(None, [left_out.told()])


def _told_twin_folders(manifest: Manifest) -> Iterator[str]:
    """A pattern looks through all folders that read as it does, which nobody sees who reads it."""
    for entry in manifest.sources:
        if entry.kind != "file" or not entry.value or is_remote(entry.value) or not is_glob(entry.value):
            continue
        folders = twin_folders(entry.value, str(manifest.path.parent))
        if folders:
            shown = ", ".join(ascii(os.path.relpath(one, manifest.path.parent)) for one in folders)
            yield (
                f"{entry.place.file}:{entry.place.line}:{entry.place.column}: {entry.value!r} looks through "
                f"{len(folders)} folders that read the same (composed and decomposed letters): {shown}"
            )


def _is_spelt_otherwise(name: str, path: str) -> bool:
    return not path.endswith(name) and composed(path).endswith(composed(name))


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
