"""The runner from Python: `run`, `plan`, `validate`, `status`, `verify`, `compare`; all that the command line needs.

A manifest is a path, or a mapping with the members that the file would have; relative paths in a mapping are relative
to the working directory. What the command line says with `--output-dir`, `--state` and `--endpoint` are keywords here.
Expected errors are HumeRunnerErrors with a `hint` and the `exit_code` that the command would end with.

What only some commands need is imported inside functions: `validate` stands on this file, and its start-up is measured.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hume_runner import events, wiring
from hume_runner.errors import (
    Cancelled,
    HumeRunnerError,
    ManifestError,
    MissingExtra,
    Problem,
    SourceError,
    StateError,
    UsageError,
)
from hume_runner.manifest.document import ordered
from hume_runner.manifest.load import Examined, examine_mapping
from hume_runner.manifest.load import examine as examine_file
from hume_runner.manifest.schema import foreign_to
from hume_runner.registry import all_registered, registered
from hume_runner.regular_files import open_regular
from hume_runner.settings import mask_secrets
from hume_runner.sources import expand, expand_entries

if TYPE_CHECKING:
    from hume_runner.engine.adopt import Adopted
    from hume_runner.engine.run import RunEnded, SavedPlan
    from hume_runner.manifest.model import Manifest
    from hume_runner.planning.model import Decision, PlannedJob, Summary
    from hume_runner.planning.prepare import Plan
    from hume_runner.results.audit import RemoteSays
    from hume_runner.results.compare.base import Comparison
    from hume_runner.results.from_state import StateResults
    from hume_runner.results.verify import Checked
    from hume_runner.services.local.pull import Licence as Licence  # noqa: PLC0414 - handed on to the command line
    from hume_runner.services.local.pull import OnStep
    from hume_runner.services.local.pull import Step as Step  # noqa: PLC0414 - handed on to the command line
    from hume_runner.services.local.weights import FileStatus as FileStatus  # noqa: PLC0414 - handed on to the command line
    from hume_runner.services.local.weights import ModelStatus as ModelStatus  # noqa: PLC0414 - handed on to the command line
    from hume_runner.settings import Masker
    from hume_runner.state.lock import Holder
    from hume_runner.state.store import Counts, JobRow, Store
    from hume_runner.wiring import Machine

__all__ = [
    "Cancel",
    "Comparison",
    "JobStatus",
    "Planned",
    "RunResult",
    "Status",
    "Validated",
    "Verified",
    "compare",
    "models",
    "plan",
    "pull_models",
    "run",
    "status",
    "validate",
    "verify",
    "verify_models",
]

ManifestLike = str | PathLike[str] | Mapping[str, Any]

_MOST_WARNINGS = 100
_MOST_FILES = 1_000


# -- what the functions give ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """How a run ended. Times are Unix seconds; `exit_code` and `error` are those of the command.

    `counts.items` and `counts.jobs` are numbers by status, `requests` by kind. `summary` is the text for people.
    """

    name: str
    outputs: Path
    run_id: str
    started_at: float
    ended_at: float
    exit_code: int
    error: HumeRunnerError | None
    counts: Counts
    requests: Mapping[str, int]
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What a run would do. `upload_bytes`: of all the jobs that it would submit."""

    name: str
    api: str
    endpoint: str
    summary: Summary
    upload_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Validated:
    """What is wrong with one manifest; `items` counts what it lists by kind, as far as that is known.

    `warnings` tell of items that will fail by themselves. `exit_code`: 65 for a wrong manifest, 66 for a missing
    source.
    """

    path: str
    problems: tuple[Problem, ...]
    items: Counter[str]
    exit_code: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Where a manifest stands. `lock`: who runs it now; `items` and `jobs`: numbers by status."""

    name: str
    state: Path
    simulated: bool | None
    lock: Holder | None
    items: Mapping[str, int]
    jobs: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """One job: its name as people see it, the service's name for it, how far it is, how many sources it carries."""

    number: int
    key: str
    remote_id: str | None
    status: str
    sources: int
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """Outputs against the hashes in the state: files by verdict, and the first thousand that are not the same."""

    counts: Mapping[str, int]
    wrong: tuple[Checked, ...]
    exit_code: int
    error: HumeRunnerError | None = None  # what could not be repaired


# -- ending a run early -----------------------------------------------------------------------------------------------

# Takes the exit code and the name of what asks for the end.
Post = Callable[[int, str], None]


class Control(Protocol):
    """What may end a run before it is done."""

    @property
    def signalled(self) -> int | None:
        """The exit code that was asked for; None as long as nobody asked."""
        ...

    def open(self, post: Post) -> None:
        """The run's loop takes messages from here on. May raise, if something came before."""
        ...

    def finishing(self) -> None:
        """The work is over, and the outputs are written. May raise to leave without them."""
        ...


class Cancel:
    """Ends a run from another thread, or from its `on_event`: call it.

    Once: nothing more is submitted, and what is on its way is finished. Twice: the run leaves at once. Both leave a
    state that resumes, and the run's result has the exit code 130. Before anything was begun: `run` raises Cancelled.
    """

    def __init__(self) -> None:
        self.signalled: int | None = None
        self._lock = threading.Lock()
        self._post: Post | None = None

    def __call__(self) -> None:
        with self._lock:
            self.signalled = 130
            if self._post is not None:
                self._post(130, "cancel")

    def open(self, post: Post) -> None:
        with self._lock:
            if self.signalled is not None:
                raise Cancelled("cancelled before anything was sent", hint="run it again whenever you like")
            self._post = post

    def finishing(self) -> None:
        with self._lock:
            self._post = None


# -- one manifest -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """One manifest, where its files are, and the machine that it runs on."""

    manifest: Manifest
    paths: wiring.Paths
    machine: Machine = field(repr=False)
    shown: str  # the manifest as the caller named it

    @classmethod
    def open(
        cls,
        manifest: ManifestLike,
        *,
        output_dir: str | PathLike[str] | None = None,
        state: str | PathLike[str] | None = None,
        endpoint: str | None = None,
        machine: Machine | None = None,
    ) -> Project:
        """Raises: ManifestError with every problem; UsageError."""
        examined = examine(manifest, output_dir=output_dir, endpoint=endpoint)
        if examined.manifest is None:
            raise ManifestError(examined.problems)
        return cls(
            manifest=examined.manifest,
            paths=wiring.Paths.of(examined.manifest, state),
            machine=machine or wiring.Machine.this(),
            shown=str(manifest) if isinstance(manifest, str | PathLike) else "MANIFEST",
        )

    @property
    def masker(self) -> Masker:
        return wiring.masker(self.manifest, self.machine)

    @property
    def keeps_answers(self) -> bool:
        """Whether what was measured can be fetched again."""

        found = registered(self.manifest.service.api)
        return found is not None and found.keeps_answers

    @property
    def here(self) -> bool:
        """Whether this machine measures, so that what is lost is measured again for nothing."""
        found = registered(self.manifest.service.api)
        return found is not None and found.here

    def endpoint(self) -> wiring.Endpoint:
        """The service; nothing is connected before its first request."""
        return wiring.Endpoint(self.manifest, self.paths, self.machine)

    def with_bill(self, max_billable_seconds: float) -> Project:
        """The same with a cap on its bill. Raises: UsageError where the API bills nothing by the second: such a cap
        would protect nobody."""

        manifest = self.manifest
        fault = foreign_to(manifest.service.api, "execution", "max_billable_seconds")
        if fault is not None:
            raise UsageError(
                f"{manifest.path.name}: --max-billable-seconds: {fault[0]}",
                hint="leave --max-billable-seconds out, or set service.api: "
                + " or ".join(one.api for one in all_registered() if one.bills),
            )
        execution = replace(manifest.execution, max_billable_seconds=max_billable_seconds)
        return replace(self, manifest=replace(manifest, execution=execution))

    def need_extras(self) -> None:
        """What the outputs need is missed before anything is sent, not after everything was paid. Raises:
        MissingExtra."""
        outputs = self.manifest.outputs
        needed = {"tables": ("pyarrow", "msgspec")} if outputs.tables else {}
        if outputs.report:
            needed["report"] = ("jinja2", "msgspec")
        for extra, modules in needed.items():
            if any(find_spec(module) is None for module in modules):
                raise MissingExtra(extra, f"outputs.{extra} in {self.manifest.path.name}")

    # -- running

    def run(
        self,
        *,
        on_event: events.Report,
        control: Control,
        warn: Callable[[str], None],
        detach: bool = False,
        retry_failed: bool = False,
        pay_again: bool = False,
        saved_plan: SavedPlan | None = None,
    ) -> RunResult:
        """Run to the end; see `run` below."""
        from hume_runner.engine.run import RunOptions, run
        from hume_runner.engine.workers import Interrupt, ThreadWorkers
        from hume_runner.results.finish import Finisher

        manifest, paths, machine = self.manifest, self.paths, self.machine
        finisher = Finisher(manifest, paths.outputs, machine.disk, warn=warn, tell=wiring.callback(manifest, machine))

        def finish(store: Store, ended: RunEnded) -> None:
            """Write the outputs, and again what they say of the run if a signal came meanwhile."""
            control.finishing()
            written = None
            while written is None or (control.signalled or written) != written:
                written = control.signalled or ended.exit_code
                finisher(store, replace(ended, exit_code=written))

        # Polls, searches and what is done on this machine must not wait behind transfers.
        workers = ThreadWorkers(manifest.execution.transfer_workers + 6)

        def post(exit_code: int, name: str) -> None:
            workers.post(Interrupt(exit_code, name))

        try:
            with self.endpoint() as endpoint:
                ended = run(
                    manifest,
                    paths.state,
                    paths.outputs,
                    environment=wiring.environment(
                        endpoint,
                        machine,
                        workers=workers,
                        report=on_event,
                        mask=self.masker.keys,
                        on_loop=lambda: control.open(post),
                    ),
                    options=RunOptions(
                        detach=detach, retry_failed=retry_failed, pay_again=pay_again, saved_plan=saved_plan
                    ),
                    finish=finish,
                )
        finally:
            workers.close()
        return self._result(ended, control.signalled or ended.exit_code, finisher.summary_text())

    def _result(self, ended: RunEnded, exit_code: int, summary: str) -> RunResult:
        return RunResult(
            name=self.manifest.name,
            outputs=self.paths.outputs,
            run_id=ended.run_id,
            started_at=ended.started_at,
            ended_at=ended.ended_at,
            exit_code=exit_code,
            error=ended.error,
            counts=ended.counts,
            requests=ended.requests,
            summary=summary,
        )

    @contextmanager
    def planning(self, *, retry_failed: bool = False) -> Iterator[OpenPlan]:
        """The plan against the state as it is now, for as long as the block lasts; jobs and items are streamed."""
        from hume_runner.state.store import Store

        with self.endpoint() as endpoint:
            try:
                store = Store.peek(self.paths.state, name=self.manifest.name)
            except FileNotFoundError:
                store = Store.empty(self.manifest.name)
            with (
                store,
                wiring.planned(
                    self.manifest, store, endpoint, retry_failed=retry_failed, now=self.machine.now()
                ) as plan,
            ):
                plan.count()
                yield OpenPlan(self.manifest, endpoint.name, plan, store)

    # -- looking

    @contextmanager
    def look(self) -> Iterator[Seen]:
        """The state as it is at one moment, for as long as the block lasts; works while a run goes on."""
        from hume_runner.state.lock import StateLock
        from hume_runner.state.store import Store

        # Before the state is open here: to look at the lock opens and closes the file, see `state.pinned`.
        holder = StateLock(self.paths.state).held()
        try:
            store = Store.peek(self.paths.state, name=self.manifest.name)
        except FileNotFoundError:
            store = Store.empty(self.manifest.name)
        with store:
            yield Seen(self, store, holder)

    def need_state(self, what: str) -> None:
        """Raises: UsageError if nothing ever ran."""
        if not self.paths.state.exists():
            raise UsageError(f"{self.paths.state}: {what}", hint=f"hume-runner run {self.shown}")

    def check_files(self) -> Iterator[Checked]:
        """Every output beside the hash in the state, streamed."""
        from hume_runner.results.verify import verify as verify_files
        from hume_runner.state.store import Store

        with Store.peek(self.paths.state, name=self.manifest.name) as store:
            yield from verify_files(store, self.paths.outputs, self.paths.state)

    def stale(self) -> list[str]:
        """The groups of derived files that were made from an earlier state than this one."""
        from hume_runner.results.derived import marks
        from hume_runner.state.store import Store

        with Store.peek(self.paths.state, name=self.manifest.name) as store:
            return sorted(group for group, mark in marks(store).items() if mark.serial != store.serial)

    def check_remote(self) -> Iterator[tuple[JobRow, RemoteSays]]:
        """Every job that the service took, beside the service's word on it, streamed."""
        from hume_runner.results.audit import compare_remote
        from hume_runner.state.store import Store

        if self.here:
            return  # nobody else knows of them
        with Store.peek(self.paths.state, name=self.manifest.name) as store, self.endpoint() as endpoint:
            yield from compare_remote(store, endpoint.service)

    def results(self) -> StateResults:
        """The results, from the state and the raw answers. Raises: UsageError if it never ran."""
        from hume_runner.results.from_state import StateResults
        from hume_runner.state.store import Store

        manifest, paths = self.manifest, self.paths
        try:
            store = Store.peek(paths.state, name=manifest.name)
        except FileNotFoundError:
            raise UsageError(f"{paths.state}: there are no results yet", hint=f"hume-runner run {self.shown}") from None
        return StateResults(
            store, paths.outputs, api=manifest.service.api, name=manifest.name, settings=manifest.settings
        )

    # -- mending

    @contextmanager
    def _writing(self) -> Iterator[Store]:
        from hume_runner.state.lock import StateLock
        from hume_runner.state.store import Store

        with (
            StateLock(self.paths.state),
            Store.create_or_open(
                self.paths.state,
                disk=self.machine.disk,
                name=self.manifest.name,
                lineage=self.machine.new_id(),
                mask=self.masker.keys,
            ) as store,
        ):
            yield store

    def repair(self, *, on_event: events.Report, warn: Callable[[str], None]) -> HumeRunnerError | None:
        """Fetch again what is harmed and costs nothing, and make again what is derived; what could not be is returned.

        Raises: StateError.
        """
        from hume_runner.engine.mend import Mender
        from hume_runner.results.finish import Finisher
        from hume_runner.state.connection import guarded

        outputs, machine = self.paths.outputs, self.machine
        with self._writing() as store, self.endpoint() as endpoint, guarded(outputs):
            mender = Mender(
                store, endpoint.service, machine.disk, outputs, report=on_event, clock=machine.now, here=self.here
            )
            mended = mender.mend(thorough=True)
            finisher = Finisher(self.manifest, outputs, machine.disk, warn=warn)
            finisher.rebuild(store, mended.harmed, machine.now())
            return mended.error

    def adopt(self, remote_ids: Sequence[str]) -> Iterator[Adopted]:
        """Bring jobs under the manifest's state, planning it first where that never happened; one by one."""
        from hume_runner.engine.adopt import adopt_all
        from hume_runner.engine.rescue import take_in
        from hume_runner.state.lock import OutputsLock
        from hume_runner.state.outputs_owner import OutputsOwner

        manifest, paths, machine = self.manifest, self.paths, self.machine
        for folder in (paths.state.parent, paths.outputs):
            machine.disk.make_directory(folder)
        owner = OutputsOwner(paths.outputs)
        with self._writing() as store, OutputsLock(paths.outputs), self.endpoint() as endpoint:
            owner.check(manifest=manifest.name, state=paths.state, lineage=store.lineage)
            store.recover(machine.now())
            take_in(store, machine.now())
            with wiring.planned(manifest, store, endpoint, retry_failed=False, now=machine.now()) as plan:
                plan.apply()
            owner.record(machine.disk, manifest=manifest.name, state=paths.state, lineage=store.lineage)
            yield from adopt_all(store, endpoint.service, remote_ids, machine.now)

    def unlock(self) -> Holder | None:
        """Release a lock whose owner is dead; who that was, None if nobody holds it. Raises: StateLocked."""
        from hume_runner.state.lock import StateLock

        return StateLock(self.paths.state).clear()

    def mark_derived(self, group: str, paths: Iterable[Path], *, serial: int, long: bool = False) -> None:
        """Record outputs that were made by hand as a run does, so that runs keep them and `verify` knows them.

        Without a word where the state cannot be written now: the files are good, and nobody waits for a lock for them.
        """
        from hume_runner.results import derived
        from hume_runner.state.answers import harmed_answers
        from hume_runner.state.lock import StateLock
        from hume_runner.state.store import Store

        manifest, where = self.manifest, self.paths
        with contextlib.suppress(StateError, OSError), StateLock(where.state):
            if not where.state.exists():
                return
            with Store.create_or_open(where.state, disk=self.machine.disk, name=manifest.name, lineage="") as store:
                harmed = [one.answer.path for one in harmed_answers(store, where.outputs)]
                by = derived.maker(manifest.settings, harmed)
                now = self.machine.now()
                derived.record(store, where.outputs, group, tuple(paths), serial=serial, by=by, now=now, long=long)


class OpenPlan:
    """A plan while it is open: `summary`, and jobs and items as streams."""

    def __init__(self, manifest: Manifest, endpoint: str, plan: Plan, store: Store) -> None:
        self.manifest = manifest
        self.endpoint = endpoint
        self._plan = plan
        self._store = store

    @property
    def summary(self) -> Summary:
        return self._plan.summary

    @property
    def upload_bytes(self) -> int:
        return self._plan.upload_bytes

    @property
    def basis(self) -> Mapping[str, Any]:
        """What `run --plan` compares, to refuse a plan whose ground has moved."""
        return {
            "lineage": self._store.lineage,
            "serial": self._store.serial,
            "scan": self._plan.scan.digest,
            "retry_failed": self._plan.retry_failed,
        }

    def jobs(self) -> Iterator[PlannedJob]:
        """The jobs that a run would submit, streamed."""
        return self._plan.jobs()

    def items(self) -> Iterator[tuple[str, str, Decision]]:
        """(id, kind, decision) of every item, then of the removed ones, streamed."""
        return self._plan.items()


class Seen:
    """A state while it is looked at."""

    def __init__(self, project: Project, store: Store, holder: Holder | None) -> None:
        self._project = project
        self._store = store
        self._holder = holder

    @property
    def status(self) -> Status:
        counts = self._store.counts()
        return Status(
            name=self._project.manifest.name,
            state=self._project.paths.state,
            simulated=self._store.any_simulated(),
            lock=self._holder,
            items=dict(counts.items),
            jobs=dict(counts.jobs),
        )

    def jobs(self) -> Iterator[JobStatus]:
        """Every job, streamed."""
        for row in self._store.jobs():
            yield JobStatus(
                number=row.number,
                key=row.key,
                remote_id=row.remote_id,
                status=str(row.status),
                sources=row.sources,
                error=mask_secrets(row.error) if row.error else None,
            )

    def failures(self) -> Mapping[str, int]:
        """Failed items by reason, the most frequent first."""
        return self._store.failures()

    def duplicates(self) -> Iterable[tuple[str, int]]:
        """(remote id, number of the job that it duplicates) of what was paid twice."""
        return self._store.duplicates()

    def perhaps_paid_twice(self) -> Iterable[tuple[str, int]]:
        """(remote id, number of the job that it may be) of what may have been paid twice, as somebody agreed."""
        return self._store.perhaps_paid_twice()

    def export(self) -> Iterator[tuple[str, Iterator[Mapping[str, Any]]]]:
        """(table, rows as JSON values) of the whole state, streamed."""
        return self._store.export()


# -- the functions ----------------------------------------------------------------------------------------------------


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
) -> RunResult:
    """Validate, plan, submit, poll, fetch and write the outputs; resumes by itself.

    `on_event` gets what happens, in the calling thread (see `hume_runner.events`); `cancel` ends the run early. How the
    work ended is in the result (`exit_code`, `error`): a service that refuses, a budget that is spent, items that
    failed. `plan` is the path of a saved plan. What is wrong with the outputs is logged as a warning.
    Raises: ManifestError, SourceError, UsageError, StateError, Cancelled; then nothing was sent.
    """
    project = Project.open(manifest, output_dir=output_dir, state=state, endpoint=endpoint)
    if max_billable_seconds is not None:
        project = project.with_bill(max_billable_seconds)
    project.need_extras()
    return project.run(
        on_event=on_event or (lambda event: None),
        control=cancel or Cancel(),
        warn=logging.getLogger("hume_runner").warning,
        detach=detach,
        retry_failed=retry_failed,
        pay_again=pay_again,
        saved_plan=read_plan(plan) if plan is not None else None,
    )


def plan(
    manifest: ManifestLike,
    *,
    output_dir: str | PathLike[str] | None = None,
    state: str | PathLike[str] | None = None,
    endpoint: str | None = None,
    retry_failed: bool = False,
) -> Planned:
    """What a run would do; sends nothing that costs. Raises: ManifestError, SourceError, UsageError, StateError."""
    project = Project.open(manifest, output_dir=output_dir, state=state, endpoint=endpoint)
    with project.planning(retry_failed=retry_failed) as opened:
        return Planned(
            name=opened.manifest.name,
            api=opened.manifest.service.api,
            endpoint=opened.endpoint,
            summary=opened.summary,
            upload_bytes=opened.upload_bytes,
        )


def validate(
    manifest: ManifestLike, *, output_dir: str | PathLike[str] | None = None, endpoint: str | None = None
) -> Validated:
    """All that is wrong with a manifest, and with the sources that could be understood. Raises: UsageError."""
    examined = examine(manifest, output_dir=output_dir, endpoint=endpoint)
    items: Counter[str] = Counter()
    problems = list(examined.problems)
    wrong = bool(problems)
    warnings: list[str] = []
    try:
        _count(examined, items, warnings)
    except ManifestError as error:
        wrong = True
        problems += error.problems
    except SourceError as error:
        problems += error.problems
    exit_code = 65 if wrong else 66 if problems else 0
    if examined.problems:
        problems = ordered(problems)
    shown = str(manifest) if isinstance(manifest, str | PathLike) else str(examined.path)
    return Validated(path=shown, problems=tuple(problems), items=items, exit_code=exit_code, warnings=tuple(warnings))


def _count(examined: Examined, items: Counter[str], warnings: list[str]) -> None:

    manifest = examined.manifest
    found = expand(manifest) if manifest else expand_entries(examined.entries, folder=examined.path.parent)
    for item in found:
        items[item.kind] += 1
        if item.path is not None and len(warnings) < _MOST_WARNINGS:
            place = f"{item.place.file}:{item.place.line}:{item.place.column}"
            with contextlib.suppress(OSError):
                if item.path.stat().st_size == 0:
                    warnings.append(f"{place}: {item.value!r} is empty: it will fail by itself")
            if not item.value.isascii() and _is_spelt_otherwise(item.value, str(item.path)):
                differ = "composed and decomposed letters"
                warnings.append(f"{place}: {item.value!r} is found, and written differently on disk ({differ})")


def _is_spelt_otherwise(name: str, path: str) -> bool:
    from hume_runner.sources.spelling import composed

    return not path.endswith(name) and composed(path).endswith(composed(name))


def status(
    manifest: ManifestLike,
    *,
    output_dir: str | PathLike[str] | None = None,
    state: str | PathLike[str] | None = None,
) -> Status:
    """Where a manifest stands, from its state file alone; works while a run goes on. Raises: ManifestError,
    StateError."""
    with Project.open(manifest, output_dir=output_dir, state=state).look() as seen:
        return seen.status


def verify(
    manifest: ManifestLike,
    *,
    on_event: events.Report | None = None,
    output_dir: str | PathLike[str] | None = None,
    state: str | PathLike[str] | None = None,
    endpoint: str | None = None,
    repair: bool = False,
) -> Verified:
    """Compare outputs with the hashes in the state; with `repair`, fetch again first what costs nothing to have, and
    make again what is derived. Raises: ManifestError, UsageError if nothing ever ran, StateError."""
    from hume_runner.results.verify import Verdict, exit_code_of

    project = Project.open(manifest, output_dir=output_dir, state=state, endpoint=endpoint)
    project.need_state("there is nothing to verify yet")
    failed = None
    if repair:
        warn = logging.getLogger("hume_runner").warning
        failed = project.repair(on_event=on_event or (lambda event: None), warn=warn)
    counts: Counter[str] = Counter()
    wrong: list[Checked] = []
    for checked in project.check_files():
        counts[checked.verdict.name.lower()] += 1
        if checked.verdict is not Verdict.SAME and len(wrong) < _MOST_FILES:
            wrong.append(checked)
    code = failed.exit_code if failed else exit_code_of(counts)
    return Verified(counts=dict(counts), wrong=tuple(wrong), exit_code=code, error=failed)


def models(*names: str, machine: Machine | None = None) -> tuple[ModelStatus, ...]:
    """The models of these names, without any all, and what of them is on this machine; hashes nothing. Raises:
    UsageError."""
    from hume_runner.services.local import catalogue
    from hume_runner.services.local.weights import Weights

    settings = (machine or wiring.Machine.this()).models
    return Weights(settings.root).status(catalogue.named(names))


def verify_models(*names: str, machine: Machine | None = None) -> tuple[ModelStatus, ...]:
    """The same, with every file hashed. Raises: UsageError."""
    from hume_runner.services.local import catalogue
    from hume_runner.services.local.weights import Weights

    settings = (machine or wiring.Machine.this()).models
    return Weights(settings.root).status(catalogue.named(names), read=True)


def pull_models(
    *names: str,
    agree: bool | Callable[[Sequence[Licence]], bool],
    manifest: ManifestLike | None = None,
    folder: str | PathLike[str] | None = None,
    on_step: OnStep | None = None,
    machine: Machine | None = None,
) -> None:
    """Get the models of these names and what a manifest needs; without either, those that measurers use if their
    options say nothing else. What is here and right stays.

    `agree`: whether you do, to the licences that nobody agreed to here yet; or a function that is asked. `folder` is
    looked into first.
    Raises: UsageError (also for a no), ManifestError, ServiceUnavailable for what no place has, NoRoom.
    """
    from hume_runner.services.local import catalogue
    from hume_runner.services.local.needs import needed
    from hume_runner.services.local.pull import pull_agreed

    wanted = catalogue.named(names) if names else catalogue.usual() if manifest is None else ()
    files = [file for model in wanted for file in model.files]
    hosts: tuple[str, ...] = ()
    if manifest is not None:
        found = Project.open(manifest, machine=machine).manifest
        files += needed(found)
        hosts = tuple(found.service.allow_hosts)
    here = machine or wiring.Machine.this()
    pull_agreed(
        files,
        here.models,
        agree=agree,
        environ=here.environ,
        folder=Path(folder).absolute() if folder else None,
        allow_hosts=hosts,
        tell=on_step or (lambda step: None),
    )


def compare(
    a: ManifestLike,
    b: ManifestLike,
    *,
    pairs: Iterable[str] = (),
    even_simulated: bool = False,
) -> Comparison:
    """Two results of the same sources side by side: what matched, and how far their numbers agree.

    Each is the output directory of a run, or its manifest. Columns of the same name are compared; `pairs` names others,
    as `face.prob=video.confidence` (A's, then B's). Simulated scores are not compared with measured ones, unless
    `even_simulated`. Raises: UsageError, ManifestError, StateError, MissingExtra, ResultsError.
    """
    from hume_runner.results.compare import compare_results

    with contextlib.ExitStack() as stack:
        found = []
        for place in (a, b):
            results = _results_at(place)
            stack.callback(results.close)
            found.append((str(place) if isinstance(place, str | PathLike) else results.name, results))
        return compare_results(found[0], found[1], pairs=pairs, even_simulated=even_simulated)


def _results_at(place: ManifestLike) -> StateResults:
    """The results in an output directory, or those of a manifest."""
    from hume_runner.results.from_state import open_directory

    if isinstance(place, str | PathLike):
        path = Path(place)
        if path.is_dir():
            return open_directory(path)
        if not path.exists():
            raise UsageError(
                f"{place}: there is no such thing", hint="name the output directory of a run, or a manifest"
            )
    return Project.open(place).results()


def examine(
    manifest: ManifestLike, *, output_dir: str | PathLike[str] | None = None, endpoint: str | None = None
) -> Examined:
    """A manifest as far as it can be understood. Raises: UsageError."""

    directory = Path(output_dir).absolute() if output_dir else None
    if isinstance(manifest, Mapping):
        return examine_mapping(manifest, folder=Path.cwd(), output_dir=directory, endpoint=endpoint)
    return examine_file(Path(manifest), output_dir=directory, endpoint=endpoint)


def read_plan(path: str | PathLike[str]) -> SavedPlan:
    """A plan that `hume-runner plan --out` saved. Raises: UsageError."""
    from hume_runner.engine.run import SavedPlan

    hint = "hume-runner plan MANIFEST --out FILE writes one"
    try:
        with open_regular(Path(path)) as file:
            saved = json.loads(file.read())
        basis = saved["basis"]
        return SavedPlan(
            manifest_sha256=saved["manifest"]["sha256"],
            lineage=basis["lineage"],
            serial=int(basis["serial"]),
            scan=basis["scan"],
            endpoint=saved["service"]["endpoint"],
            retry_failed=basis["retry_failed"],
        )
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", hint=hint) from None
    except (ValueError, KeyError, TypeError):
        raise UsageError(f"{path}: this is not a saved plan", hint=hint) from None
