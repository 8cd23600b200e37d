"""One run of one manifest: lock, plan, work, and say how it ended."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from hume_runner import aside, events
from hume_runner.engine.download import REQUEST, remote_id_of
from hume_runner.engine.loop import Abandoned, Loop, Tools
from hume_runner.engine.mend import Mended, Mender, give_up_lost
from hume_runner.engine.reactions.base import Patience, Rules
from hume_runner.engine.rescue import take_in
from hume_runner.engine.survey import Taken, adopt_what_is_there
from hume_runner.engine.view import Ending
from hume_runner.engine.workers import Workers
from hume_runner.errors import (
    ApiError,
    AuthError,
    Discontinued,
    HumeRunnerError,
    LostAnswerNeedsDecision,
    ServiceRefused,
    ServiceUnavailable,
    UsageError,
)
from hume_runner.manifest.model import Manifest
from hume_runner.planning.model import Summary
from hume_runner.planning.prepare import NothingCached, Options, Plan, key_of, scan_sources
from hume_runner.services.base import Ended, ListingUnsupported, Pending, Service
from hume_runner.settings import mask_secrets
from hume_runner.sources.base import SourceItem
from hume_runner.state.connection import guarded
from hume_runner.state.disk import Disk
from hume_runner.state.lock import OutputsLock, StateLock
from hume_runner.state.outputs_owner import OutputsOwner
from hume_runner.state.pinned import resolved
from hume_runner.state.staging import Scan
from hume_runner.state.store import Counts, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What a run works with. `simulated`: results from this endpoint may be the emulator's; `embedded`: they are.

    `clock` is the machine's time (Unix seconds), for people and records; `monotonic` counts seconds for all waiting;
    `server_time` is the service's time as well as it is known, None before its first answer.
    """

    service: Service
    expand: Callable[[Manifest], Iterator[SourceItem]]
    disk: Disk
    workers: Workers
    clock: Callable[[], float]
    monotonic: Callable[[], float]
    random: Callable[[], float]
    new_id: Callable[[], str]
    server_time: Callable[[], float | None]
    simulated: bool
    embedded: bool
    patience: Patience
    report: events.Report
    mask: Callable[[str], str] = lambda text: text  # what a service said, before it is written anywhere
    sleep: Callable[[float], None] = lambda seconds: None  # while nothing is begun yet
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
    """What the command line asks of a run. `pay_again`: consent to what a lost answer would ask about."""

    detach: bool = False
    retry_failed: bool = False
    pay_again: bool = False
    saved_plan: SavedPlan | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
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
        scan = _scan(manifest, env, None) if not state.exists() else None
        if scan is not None:
            stack.callback(scan.close)
        for folder in (state.parent, outputs):
            with guarded(folder):
                env.disk.make_directory(folder)
        stack.enter_context(StateLock(state))
        stack.enter_context(OutputsLock(outputs))
        with guarded(outputs):
            _check_folders(state, outputs)
        # Only under the lock is it known whether another run made a state meanwhile, whose knowledge the plan needs.
        if scan is not None and state.exists():
            scan.close()
            scan = None
        store = Store.create_or_open(state, disk=env.disk, name=manifest.name, lineage=env.new_id(), mask=env.mask)
        stack.callback(store.close)
        # Until the plan is the state's, nothing was recorded: what is refused takes back the state that it made itself.
        begun = stack.enter_context(contextlib.ExitStack())
        begun.callback(store.discard)
        owner = OutputsOwner(outputs)
        owner.check(manifest=manifest.name, state=state, lineage=store.lineage)
        if env.embedded and store.any_measured():
            raise UsageError(
                "this state holds real measurements, and the endpoint is the emulator",
                hint="rehearse in another place: --endpoint emulator --output-dir DIR",
            )
        if scan is None:
            scan = _scan(manifest, env, store)
            stack.callback(scan.close)
        _check_saved_plan(options, manifest, scan, store, env.service.endpoint)
        _stay_with_the_endpoint(store, env.service.endpoint)
        store.recover(env.clock())
        take_in(store, env.clock(), env.report)
        with guarded(outputs):
            mended = mend(store, env, outputs)
        if options.pay_again:
            mended = give_up_lost(store, mended, env.clock())
        if options.retry_failed:
            for number in (*store.timed_out(), *_ended_after_all(store, env.service)):
                store.record_revived(number, env.clock())
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
        with guarded(outputs):
            owner.record(env.disk, manifest=manifest.name, state=state, lineage=store.lineage)
        env.report(
            events.Planned(
                new=summary.new,
                changed=summary.changed,
                retry=summary.retry,
                done=summary.done,
                failed=summary.failed,
                jobs=summary.jobs,
                in_flight=summary.in_flight,
                ambiguous=summary.ambiguous,
                unfinished=bool(summary.unfinished),
            )
        )
        ending = _work(manifest, outputs, store, env, options)
        if mended.error is not None and not ending:
            ending = Ending(error=mended.error)
        for kind, number in env.service.requests.items():
            store.count_request(kind, number)
        result = RunEnded(
            run_id=env.new_id(),
            started_at=started_at,
            ended_at=env.clock(),
            exit_code=_exit_code(ending, store.counts()),
            error=ending.error,
            counts=store.counts(),
            requests=dict(env.service.requests),
            plan=summary,
            harmed=mended.harmed,
        )
        with guarded(outputs):
            finish(store, result)
        return result


def mend(store: Store, env: Environment, outputs: Path) -> Mended:
    """Have again what is harmed of the answers on disk, and say what is not."""
    return Mender(store, env.service, env.disk, outputs, report=env.report, clock=env.clock).mend()


# A header tells whole seconds, and an answer takes its time.
_CLOCKS_AGREE_S = 10.0
# How soon it is looked again at what was not settled at the start, and how seldom in the end.
_LOOK_AGAIN_S, _LOOK_AGAIN_MOST_S = 0.5, 10.0
# What a run makes below the output directory.
_OWN_FOLDERS = ("raw", "tables", "prepared", "emulator")


def _check_folders(state: Path, outputs: Path) -> None:
    """Before anything is sent: nothing that will be written goes elsewhere by a link; and what a killed run left half
    written is removed. Raises: LinkInTheWay."""
    for name in _OWN_FOLDERS:
        aside.refuse_links(outputs, name)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(outputs / "raw") as answers:
        for entry in answers:
            if entry.is_symlink():
                raise aside.LinkInTheWay(Path(entry.path))
    for written in ("results.jsonl", "run.json", "report.html"):
        aside.remove_leftovers(outputs, written)
    for ending in (".seal", ".owner.json"):
        aside.remove_leftovers(state.parent, state.name + ending)
    aside.remove_leftovers(outputs / "tables")


# Jobs that are asked about at a time.
_ASKED_AT_ONCE = 50


def _ended_after_all(store: Store, service: Service) -> Iterator[int]:
    """The jobs that the service gave up and by now tells otherwise of: what they measured is fetched, not paid for
    again. Raises: ServiceRefused, ServiceUnavailable where it does not tell."""
    given_up = store.given_up(service.endpoint) if service.keeper is not None else []
    try:
        for first in range(0, len(given_up), _ASKED_AT_ONCE):
            some = given_up[first : first + _ASKED_AT_ONCE]
            told = service.check_each(some)
            yield from (job.number for job in some if isinstance(told.get(job.remote_id), Ended | Pending))
    except (AuthError, Discontinued) as error:
        raise ServiceRefused(str(error), hint=error.hint) from error
    except ApiError as error:
        raise ServiceUnavailable(
            f"the service does not tell whether the jobs that it gave up have ended after all: {error}",
            hint="nothing was sent; run the same command again later",
        ) from error


def _scan(manifest: Manifest, env: Environment, store: Store | None) -> Scan:
    return scan_sources(manifest, env.expand(manifest), env.service, store or NothingCached(), Scan())


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


def _stay_with_the_endpoint(store: Store, endpoint: str) -> None:
    """What was sent to one host is asked about and fetched there, and nowhere else. Raises: LostAnswerNeedsDecision."""
    elsewhere = store.foreign_endpoints(endpoint)
    if elsewhere:
        told = ", ".join(f"{jobs} at {mask_secrets(where)}" for where, jobs in elsewhere)
        raise LostAnswerNeedsDecision(
            f"the manifest names the endpoint {mask_secrets(endpoint)}, and jobs are open elsewhere: {told}",
            hint=f"set service.endpoint (or --endpoint) to {mask_secrets(elsewhere[0][0])} and run until they are "
            "fetched; or measure at the new endpoint with another --output-dir, which pays for all of it there",
        )


def _work(manifest: Manifest, outputs: Path, store: Store, env: Environment, options: RunOptions) -> Ending:
    if not store.work_left():
        return Ending()
    hold: LostAnswerNeedsDecision | None = None
    if store.any_planned():
        refused = _ask_first(manifest, outputs, store, env, options)
        if isinstance(refused, LostAnswerNeedsDecision):
            hold = refused
        elif refused is not None:
            return Ending(error=refused)
    loop = Loop(
        Tools(
            store=store,
            service=env.service,
            disk=env.disk,
            workers=env.workers,
            clock=env.monotonic,
            wall=env.clock,
            server_time=env.server_time,
            random=env.random,
            report=env.report,
        ),
        Rules(
            execution=manifest.execution,
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
    try:
        return loop.run()
    except Abandoned as left:
        return Ending(exit_code=left.exit_code)


def _ask_first(
    manifest: Manifest, outputs: Path, store: Store, env: Environment, options: RunOptions
) -> HumeRunnerError | None:
    """Before anything is submitted: is the key good, and is some of it at the service already, paid for?

    Returns why the run cannot go on, if so; a decision that a person has to take holds back only what is planned.
    Raises: StateError.
    """
    stray = _stray_answer(outputs, store, env.service.endpoint)
    if stray is not None:
        env.report(events.NoState(message=f"{outputs / stray}: an answer that this state knows nothing of"))
    look_back_s = manifest.execution.look_back_s
    try:
        if look_back_s > 0:
            taken = _survey(manifest, store, env, pay_again=options.pay_again)
            if taken.jobs:
                env.report(events.Adopted(jobs=taken.jobs, items=taken.items))
            unsettled = taken.unsettled
            unsure = taken.unsure or (str(unsettled) if unsettled is not None and not unsettled.slow else "")
            doubt = f"what this key has paid for already cannot be told for sure: {unsure}"
            if unsure and store.any_planned() and options.pay_again:
                env.report(events.Agreed(job="", message=f"{doubt}; all that is left is sent as agreed"))
                missing = unsettled.missing if unsettled is not None else ()
                store.record_agreed(0, env.service.endpoint, missing, env.clock())
            elif unsure and store.any_planned():
                return LostAnswerNeedsDecision(
                    doubt,
                    hint=(
                        "`hume-runner adopt MANIFEST REMOTE_ID` brings a job here; "
                        if env.service.keeper is not None
                        else ""
                    )
                    + "`--pay-again` measures what is left; execution.look_back: 0 never asks",
                )
        else:
            env.service.greet()
    except ListingUnsupported as none:
        if env.service.keeper is None and look_back_s > 0 and not options.pay_again:
            # What was measured before is paid for once more for good, and nothing else would tell of it.
            return LostAnswerNeedsDecision(
                f"the service lists no runs, so what this key has paid for already cannot be told: {none}",
                hint="check service.endpoint; `--pay-again` measures what is left all the same; execution.look_back: 0 "
                "never asks",
            )
        if stray is not None and not options.pay_again:
            name = shlex.quote(remote_id_of(outputs / stray))
            return LostAnswerNeedsDecision(
                f"{outputs / stray} holds an answer that this state knows nothing of, and the service lists no jobs: "
                "what an earlier state sent cannot be seen",
                hint=(
                    f"`hume-runner adopt MANIFEST {name}` (and its neighbours) brings them back; "
                    if env.service.keeper is not None
                    else "put the state back from a backup: these answers are in no other place; "
                )
                + "`--pay-again` measures all of it again",
            )
        env.report(events.NoList(message="the service lists no jobs: what an earlier state sent cannot be seen"))
    except (AuthError, Discontinued) as error:
        return ServiceRefused(str(error), hint=error.hint)
    except ServiceRefused as error:
        return error
    except ApiError as error:
        return ServiceUnavailable(
            f"the service does not tell what it has already: {error}",
            hint="nothing was sent; run the same command again later",
        )
    if env.service.simulated and store.any_measured():
        return UsageError(
            "this state holds real measurements, and the endpoint is an emulator",
            hint="rehearse in another place: --endpoint emulator --output-dir DIR",
        )
    return None


def _survey(manifest: Manifest, store: Store, env: Environment, *, pay_again: bool) -> Taken:
    """See `adopt_what_is_there`. Where the service's time, which its first answer tells, is behind the machine's, it is
    looked at once more what the service has, as far back as was meant."""
    look_back_s = manifest.execution.look_back_s

    def once(since: float) -> Taken:
        key = key_of(manifest, env.service)
        return adopt_what_is_there(store, env.service, since=since, key_of=key, clock=env.clock)

    def look(since: float) -> Taken:
        return once(since) if pay_again else _once_settled(lambda: once(since), env)

    since = _look_from(store, env, look_back_s)
    taken = look(since)
    meant = _look_from(store, env, look_back_s)
    if meant < since - _CLOCKS_AGREE_S:
        more = look(meant)
        taken = replace(more, jobs=taken.jobs + more.jobs, items=taken.items + more.items)
    return taken


def _once_settled(look: Callable[[], Taken], env: Environment) -> Taken:
    """What a look tells as soon as looking again tells nothing more, or nothing can be waited for any longer: then what
    still runs is for each job to be asked about, and a list that hides what is ours proves nothing at all."""
    began, wait_s, told = env.monotonic(), _LOOK_AGAIN_S, False
    jobs = items = 0
    while True:
        taken = look()
        jobs, items = jobs + taken.jobs, items + taken.items
        unsettled = taken.unsettled
        patience = env.patience
        most = 0.0 if unsettled is None else patience.settle_slow_s if unsettled.slow else patience.settle_s
        left = most - (env.monotonic() - began)
        if unsettled is None or left <= 0:
            return replace(taken, jobs=jobs, items=items)
        if not told:
            env.report(events.NotSettled(message=f"{unsettled}: waiting until it shows what it is"))
            told = True
        env.sleep(min(wait_s, left))
        wait_s = min(2 * wait_s, _LOOK_AGAIN_MOST_S)


def _stray_answer(outputs: Path, store: Store, endpoint: str) -> Path | None:
    """An answer on disk that the state knows nothing of: it was lost, or put back as it was earlier."""
    with contextlib.suppress(OSError):
        for folder in (outputs / "raw").iterdir():
            if store.knows_remote(endpoint, folder.name) or not (folder / REQUEST).exists():
                continue
            if not store.knows_remote(endpoint, remote_id_of(folder)):
                return Path("raw", folder.name)
    return None


def _look_from(store: Store, env: Environment, look_back_s: float) -> float:
    """Since when to look, by the service's clock as well as it is known.

    Nothing moves the moment on: what this state sent last says nothing of what an earlier life of it sent before. (An
    earlier version took consent for all that was measured until then.)
    """
    server_time = env.server_time()
    now = server_time if server_time is not None else env.clock()
    if env.service.keeper is not None:
        return now - look_back_s
    agreed = store.meta("agreed_until")
    return max(now - look_back_s, float(agreed) if agreed is not None else now - look_back_s)


def _exit_code(ending: Ending, counts: Counts) -> int:
    if ending.exit_code is not None:
        return ending.exit_code
    if ending.error is not None:
        return ending.error.exit_code
    return 3 if counts.items["failed"] else 0
