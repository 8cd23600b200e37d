"""One run of one manifest: lock, plan, work, and say how it ended."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hume_runner.engine.loop import Abandoned, Ending, Loop, Patience, Report
from hume_runner.engine.prepare import NothingCached, Options, Plan, scan_sources
from hume_runner.engine.workers import Workers
from hume_runner.errors import (
    ApiError,
    AuthError,
    Discontinued,
    HumeRunnerError,
    ServiceRefused,
    UsageError,
)
from hume_runner.manifest.model import Manifest
from hume_runner.plan.model import Summary
from hume_runner.services.base import Service
from hume_runner.sources.base import SourceItem
from hume_runner.state.connection import guarded, remove_state
from hume_runner.state.disk import Disk
from hume_runner.state.lock import StateLock
from hume_runner.state.staging import Scan
from hume_runner.state.store import Counts, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What a run works with. `simulated`: results from this endpoint may be the emulator's; `embedded`: they are."""

    service: Service
    expand: Callable[[Manifest], Iterator[SourceItem]]
    disk: Disk
    workers: Workers
    clock: Callable[[], float]
    random: Callable[[], float]
    new_id: Callable[[], str]
    clock_offset: Callable[[], float | None]
    simulated: bool
    embedded: bool
    patience: Patience
    report: Report
    mask: Callable[[str], str] = lambda text: text  # what a service said, before it is written anywhere
    on_loop: Callable[[], None] = lambda: None  # called when the loop is about to start


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedPlan:
    """What a saved plan was made from: `run --plan` does nothing unless all of it still holds."""

    endpoint: str
    retry_failed: bool
    manifest_sha256: str
    lineage: str
    serial: int
    scan: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What the command line asks of a run."""

    detach: bool = False
    retry_failed: bool = False
    saved_plan: SavedPlan | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """How a run ended."""

    run_id: str
    started_at: float
    ended_at: float
    exit_code: int
    error: HumeRunnerError | None
    counts: Counts
    requests: Mapping[str, int]
    plan: Summary


# Called with the open state while the lock is still held, to write what a run leaves behind.
Finish = Callable[[Store, "RunResult"], None]


def run(
    manifest: Manifest, state: Path, outputs: Path, *, environment: Environment, options: RunOptions, finish: Finish
) -> RunResult:
    """Plan and work until nothing is left, or nothing more can be done.

    Bad input is refused before the state exists. Raises: SourceError, ManifestError, StateError, UsageError; how the
    work itself ended is in the result.
    """
    env = environment
    started_at = env.clock()
    with contextlib.ExitStack() as stack:
        fresh = not state.exists()
        scan = _scan(manifest, env, None) if fresh else None
        if scan is not None:
            stack.callback(scan.close)
            with guarded(state.parent):
                env.disk.make_directory(state.parent)
        stack.enter_context(StateLock(state))
        begun = contextlib.ExitStack()
        if fresh:
            # Until the plan is the state's, nothing was recorded: what is refused leaves no state behind.
            begun.callback(remove_state, state)
            stack.push(begun)
        store = Store.create_or_open(state, disk=env.disk, name=manifest.name, lineage=env.new_id(), mask=env.mask)
        stack.callback(store.close)
        if env.embedded and store.any_measured():
            raise UsageError(
                "this state holds real measurements, and the endpoint is the emulator",
                hint="rehearse in another place: --endpoint emulator --output-dir DIR",
            )
        if scan is None:
            scan = _scan(manifest, env, store)
            stack.callback(scan.close)
        _check_saved_plan(options, manifest, scan, store, env.service.endpoint)
        store.recover(env.clock())
        if store.copied:
            store.suspect_planned(env.clock())
        if options.retry_failed:
            for number in store.timed_out():
                store.record_revived(number, env.clock())
            store.retry_parts(env.clock())
        plan = Plan(
            manifest,
            scan,
            store,
            env.service,
            Options(retry_failed=options.retry_failed, real_endpoint=not env.simulated, now=started_at),
        )
        with plan:
            plan.work_out()
            summary = plan.summary
            plan.apply()
        begun.pop_all()
        env.report("planned", summary=summary)
        ending = _work(manifest, outputs, store, env, options)
        for kind, number in env.service.requests.items():
            store.count_request(kind, number)
        result = RunResult(
            run_id=env.new_id(),
            started_at=started_at,
            ended_at=env.clock(),
            exit_code=_exit_code(ending, store.counts()),
            error=ending.error,
            counts=store.counts(),
            requests=dict(env.service.requests),
            plan=summary,
        )
        with guarded(outputs):
            finish(store, result)
        return result


def _scan(manifest: Manifest, env: Environment, store: Store | None) -> Scan:
    return scan_sources(manifest, env.expand(manifest), env.service, store or NothingCached())


def _check_saved_plan(options: RunOptions, manifest: Manifest, scan: Scan, store: Store, endpoint: str) -> None:
    saved = options.saved_plan
    if saved is None:
        return
    stale = (
        "the manifest changed"
        if saved.manifest_sha256 != manifest.sha256
        else "the state belongs to another history"
        if saved.lineage and saved.lineage != store.lineage
        else "another run happened since"
        if saved.serial != store.serial
        else "the sources changed"
        if saved.scan != scan.digest
        else f"it was made for {saved.endpoint}"
        if saved.endpoint != endpoint
        else f"it was made {'with' if saved.retry_failed else 'without'} --retry-failed"
        if saved.retry_failed != options.retry_failed
        else None
    )
    if stale:
        raise UsageError(
            f"the saved plan is stale: {stale}", hint="make a new one with `hume-runner plan MANIFEST --out FILE`"
        )


def _work(manifest: Manifest, outputs: Path, store: Store, env: Environment, options: RunOptions) -> Ending:
    if not store.work_left():
        return Ending()
    if store.any_planned():
        refused = _greet(env.service)
        if refused is not None:
            return Ending(error=refused)
    loop = Loop(
        store=store,
        service=env.service,
        execution=manifest.execution,
        outputs=outputs,
        artifacts=manifest.outputs.artifacts,
        disk=env.disk,
        workers=env.workers,
        clock=env.clock,
        random=env.random,
        report=env.report,
        patience=env.patience,
        clock_offset=env.clock_offset,
        detach=options.detach,
        pay_again=options.retry_failed,
    )
    env.on_loop()
    try:
        return loop.run()
    except Abandoned as left:
        return Ending(exit_code=left.exit_code)


def _greet(service: Service) -> HumeRunnerError | None:
    """Find out whether the key is good before anything is uploaded. A service that is merely busy is not an error yet:
    the submissions will be tried as often as the manifest says."""
    try:
        service.greet()
    except (AuthError, Discontinued) as error:
        return ServiceRefused(str(error), hint=error.hint)
    except ApiError:
        return None
    except ServiceRefused as error:
        return error
    return None


def _exit_code(ending: Ending, counts: Counts) -> int:
    if ending.exit_code is not None:
        return ending.exit_code
    if ending.error is not None:
        return ending.error.exit_code
    return 3 if counts.items["failed"] else 0
