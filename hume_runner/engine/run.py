"""One run of one manifest: lock, plan, work, and say how it ended."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from hume_runner import aside, events
from hume_runner.engine.apart import refuse_other_kinds, refuse_others_outputs
from hume_runner.engine.ask_first import Asked, ask_first, record_agreed
from hume_runner.engine.environment import Environment
from hume_runner.engine.incoming import Abandoned
from hume_runner.engine.loop import Loop
from hume_runner.engine.other_runs import seen_by_others
from hume_runner.engine.reactions.base import Rules
from hume_runner.engine.take_stock import take_stock
from hume_runner.engine.telling import told
from hume_runner.engine.tools import Tools
from hume_runner.engine.view import PREPARING, Ending
from hume_runner.errors import HumeRunnerError, LostAnswerNeedsDecision
from hume_runner.frozen import frozen
from hume_runner.manifest.model import Manifest
from hume_runner.planning.model import Summary
from hume_runner.planning.prepare import Options, Plan
from hume_runner.planning.recall import scan_or_recall
from hume_runner.planning.saved import SavedPlan, refuse_stale
from hume_runner.planning.selection import EVERYTHING, Selection
from hume_runner.planning.staged import Scanned
from hume_runner.sources.base import SourceItem
from hume_runner.sources.blocks import Block
from hume_runner.state.connection import guarded
from hume_runner.state.in_the_way import refuse_links
from hume_runner.state.keeping import Kept
from hume_runner.state.lifecycle import JobStatus
from hume_runner.state.lock import OutputsLock, StateLock
from hume_runner.state.outputs_owner import OutputsOwner
from hume_runner.state.pinned import resolved
from hume_runner.state.reader import StateReader
from hume_runner.state.rows import Counts
from hume_runner.state.shards import Kin, check_alone, check_shard, held_by, note_shard
from hume_runner.state.staging import Scan
from hume_runner.state.store import Store


@frozen
class RunOptions:
    """What the command line asks of a run. `pay_again`: consent to what a lost answer would ask about; `whole`: for a
    shard, the output directory that it is a part of; `whole_state`: a file that says what that has, wherever its state
    is at home. `home`: the place in a store where the run's own state is at home."""

    detach: bool = False
    retry_failed: bool = False
    pay_again: bool = False
    saved_plan: SavedPlan | None = None
    selection: Selection = EVERYTHING
    whole: Path | None = None
    whole_state: Path | None = None
    home: str | None = None


@frozen
class RunEnded:
    """How a run ended. `harmed`: answers on disk that are not what the service gave, and could not be had again."""

    run_id: str
    started_at: float
    ended_at: float
    exit_code: int
    error: HumeRunnerError | None
    counts: Counts
    requests: Mapping[str, int]
    plan: Summary
    harmed: tuple[str, ...] = ()


# Called with the open state while the lock is still held, to write what a run leaves behind.
Finish = Callable[[Store, "RunEnded"], None]


def run(
    manifest: Manifest, state: Path, outputs: Path, *, environment: Environment, options: RunOptions, finish: Finish
) -> RunEnded:
    """Plan and work until nothing is left, or nothing more can be done.

    Bad input is refused before the state exists. Raises: SourceError, ManifestError, StateError, UsageError; how the
    work itself ended is in the result.
    """
    env = environment
    started_at = env.clock()
    # One name for all that follows: a link that is turned round meanwhile leads nobody elsewhere.
    state, outputs = resolved(state), resolved(outputs)
    with contextlib.ExitStack() as stack:
        opened = _open(stack, manifest, state, outputs, env, options)
        store = opened.store
        if options.saved_plan is not None:
            refuse_stale(options.saved_plan, _basis(manifest, opened.scan, store, env, options))
        refuse_other_kinds(store, env.service.endpoint, here=env.here, machines=env.machines, outputs=outputs)
        env.on_open(store)
        _phase("planning", env, opened.lock)
        mended = take_stock(
            store, opened.kept, env, outputs, pay_again=options.pay_again, retry_failed=options.retry_failed
        )
        planning = Options(retry_failed=options.retry_failed, real_endpoint=not env.simulated, now=started_at)
        with Plan(manifest, opened.scan, store, env.service, planning) as plan:
            env = _apply(plan, stack, manifest, store, env, options, home=options.home or state)
            summary = plan.summary
        note_shard(store, options.selection.shard, manifest.service.api, outputs)
        opened.begun.pop_all()
        with guarded(outputs):
            opened.owner.record(env.disk, manifest=manifest.name, state=state, lineage=store.lineage, home=options.home)
        env.report(_planned(summary, store))
        opened.kept.ready(store)
        ending = _work(manifest, outputs, opened, env, options)
        if mended.error is not None and not ending:
            ending = Ending(error=mended.error)
        for kind, number in env.service.requests.items():
            store.count_request(kind, number)
        if (unsettled := opened.kept.settle(store)) is not None and not ending:
            ending = Ending(error=unsettled)
        result = RunEnded(
            run_id=env.new_id(),
            started_at=started_at,
            ended_at=env.clock(),
            exit_code=_exit_code(ending, store),
            error=ending.error,
            counts=store.counts(),
            requests=dict(env.service.requests),
            plan=summary,
            harmed=mended.harmed,
        )
        env.report(events.Counted(items=result.counts.items, jobs=result.counts.jobs, final=True))
        _phase("writing", env, opened.lock)
        with guarded(outputs):
            finish(store, result)
        opened.kept.settle(store)  # what was made of it; the next run makes it again where this does not get there
        return result


def _apply(
    plan: Plan,
    stack: contextlib.ExitStack,
    manifest: Manifest,
    store: Store,
    env: Environment,
    options: RunOptions,
    *,
    home: Path | str,
) -> Environment:
    """Decide, and make the plan the state's. Others see what is under way until `stack` ends; the environment has what
    is known of theirs."""
    plan.decide()
    if not env.here and not env.embedded:  # something may be paid for
        env = stack.enter_context(seen_by_others(plan, store, manifest, env, home))
    if not options.selection.flags:
        env.on_plan(plan)
    plan.apply(store)
    return env


@frozen
class _Opened:
    """What a run holds: its state and its lock, the scan of its sources, the mark on its outputs. `begun` takes back a
    state that this run made, until the plan is the state's."""

    store: Store
    scan: Scanned
    owner: OutputsOwner
    lock: StateLock
    kept: Kept
    begun: contextlib.ExitStack


def _open(
    stack: contextlib.ExitStack, manifest: Manifest, state: Path, outputs: Path, env: Environment, options: RunOptions
) -> _Opened:
    """Lock, and open or make the state. Bad sources are refused before anything exists."""
    scan = _scan(manifest, env, None, options) if not state.exists() else None
    if scan is not None:
        stack.callback(scan.close)
    for folder in (state.parent, outputs):
        with guarded(folder):
            env.disk.make_directory(folder)
    lock = stack.enter_context(StateLock(state))
    stack.enter_context(OutputsLock(outputs))
    with guarded(outputs):
        _check_folders(state, outputs)
    kept = stack.enter_context(env.keeper.own(state))
    with guarded(outputs):
        # Only now is the state here what its home holds: another machine may have merged what lies beside it.
        whole = options.whole / "state.sqlite3" if options.whole is not None else state
        check_alone(options.whole or outputs, whole, options.selection.shard, knows=options.whole_state or whole)
    # Only under the lock is it known whether another run made a state meanwhile, whose knowledge the plan needs.
    if scan is not None and state.exists():
        scan.close()
        scan = None
    store = Store.create_or_open(
        state, disk=env.disk, name=manifest.name, lineage=env.new_id(), mask=env.mask, shipper=kept.shipper
    )
    stack.callback(store.close)
    # Until the plan is the state's, nothing was recorded: what is refused takes back the state that it made itself.
    begun = stack.enter_context(contextlib.ExitStack())
    begun.callback(store.discard)
    check_shard(store, options.selection.shard)
    if options.whole is not None:
        kin = Kin(options.whole, state)
        stack.callback(kin.close)
        store.kin = kin.knows
    owner = refuse_others_outputs(
        store, state, outputs, manifest=manifest.name, embedded=env.embedded, home=options.home
    )
    if scan is None:
        lock.tell("reading")
        scan = _scan(manifest, env, store, options)
        stack.callback(scan.close)
    return _Opened(store=store, scan=scan, owner=owner, lock=lock, kept=kept, begun=begun)


def _phase(phase: str, env: Environment, lock: StateLock) -> None:
    """What the run does from here on, for who hears it and for who looks at it from outside."""
    lock.tell(phase)
    env.report(events.Phase(phase=phase))


def _planned(summary: Summary, store: StateReader) -> events.Planned:
    # What earlier runs sent finishes in this one, too.
    jobs = store.counts().jobs if summary.unfinished else {}
    open_jobs = sum(jobs.get(status, 0) for status in _OPEN)
    return events.Planned(
        new=summary.new,
        changed=summary.changed,
        retry=summary.retry,
        done=summary.done,
        failed=summary.failed,
        jobs=summary.jobs,
        in_flight=summary.in_flight,
        ambiguous=summary.ambiguous,
        unfinished=bool(summary.unfinished),
        to_finish=summary.requests + open_jobs,
        requests=summary.requests,
    )


_OPEN = (JobStatus.SUBMITTING, JobStatus.SUBMITTED, JobStatus.AMBIGUOUS)


def _check_folders(state: Path, outputs: Path) -> None:
    """Before anything is sent: nothing that will be written goes elsewhere by a link; and what a killed run left half
    written is removed. Raises: LinkInTheWay, NotRegular."""
    refuse_links(outputs)
    for written in ("results.jsonl", "run.json", "report.html"):
        aside.remove_leftovers(outputs, written)
    for ending in (".seal", ".owner.json"):
        aside.remove_leftovers(state.parent, state.name + ending)
    aside.remove_leftovers(outputs / "tables")


def _scan(manifest: Manifest, env: Environment, store: StateReader | None, options: RunOptions) -> Scanned:
    env.report(events.Phase(phase="reading"))

    def expand(manifest: Manifest) -> Iterator[SourceItem | Block]:
        return told(env.expand(manifest), manifest, env.report, env.monotonic)

    with held_by(options.whole_state, store) as held:
        return scan_or_recall(manifest, expand, env.service, store, Scan, selection=options.selection, held=held)


def _basis(manifest: Manifest, scan: Scanned, store: StateReader, env: Environment, options: RunOptions) -> SavedPlan:
    """What this run's plan is made from."""
    return SavedPlan(
        endpoint=env.service.endpoint,
        retry_failed=options.retry_failed,
        manifest_sha256=manifest.sha256,
        lineage=store.lineage,
        serial=store.serial,
        scan=scan.digest,
        selection=options.selection,
    )


def _work(manifest: Manifest, outputs: Path, opened: _Opened, env: Environment, options: RunOptions) -> Ending:
    store = opened.store
    if not store.work_left():
        return Ending()
    hold: LostAnswerNeedsDecision | None = None
    asked = Asked()
    if store.any_planned():
        if not env.here:  # there is nobody to ask
            _phase("asking", env, opened.lock)
        asked = ask_first(manifest, outputs, store, env, pay_again=options.pay_again)
        if isinstance(asked.error, LostAnswerNeedsDecision):
            hold = asked.error
        elif asked.error is not None:
            return Ending(error=asked.error)
        record_agreed(asked, store, env, partial=options.selection.partial)
    execution, room = manifest.execution, env.room()
    if room is not None and env.here:  # what is sent is measured there
        execution = replace(
            execution,
            transfer_workers=max(execution.transfer_workers, room),
            max_jobs_in_flight=max(execution.max_jobs_in_flight, room),
        )
    loop = Loop(
        _tools(opened, env),
        env.service,
        Rules(
            execution=execution,
            preparing=room or PREPARING,
            patience=env.patience,
            artifacts=manifest.outputs.artifacts,
            pay_again=options.pay_again,
            keeps_answers=env.service.keeper is not None,
        ),
        outputs,
        detach=options.detach,
        hold=hold,
    )
    env.on_loop()
    _phase("working", env, opened.lock)
    try:
        ending = loop.run()
    except Abandoned as left:
        return Ending(exit_code=left.exit_code)
    return ending


def _tools(opened: _Opened, env: Environment) -> Tools:
    return Tools(
        store=opened.store,
        disk=env.disk,
        workers=env.workers,
        clock=env.monotonic,
        wall=env.clock,
        server_time=env.server_time,
        random=env.random,
        report=env.report,
        traffic=env.traffic,
        here=env.here,
        kept=opened.kept,
        end_soon=env.end_soon,
        tell_others=env.tell_others,
    )


def _exit_code(ending: Ending, store: StateReader) -> int:
    if ending.exit_code is not None:
        return ending.exit_code
    if ending.error is not None:
        return ending.error.exit_code
    return 3 if store.failed_items()[0] else 0
