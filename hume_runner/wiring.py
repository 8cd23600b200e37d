"""The only place that picks concrete classes, the clock, the random source and sleep."""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hume_runner.aside import refuse_links
from hume_runner.errors import HumeRunnerError, UsageError
from hume_runner.manifest.model import Manifest
from hume_runner.settings import Masker, Secret, Settings, mask_secrets, read_key

if TYPE_CHECKING:
    from hume_runner.emulator.server import Emulator
    from hume_runner.engine.adopt import Adopted
    from hume_runner.engine.prepare import Plan
    from hume_runner.engine.run import Finish, RunOptions, RunResult
    from hume_runner.engine.workers import Workers
    from hume_runner.events import Report
    from hume_runner.results.audit import RemoteSays
    from hume_runner.results.base import ResultSet
    from hume_runner.services.base import Service
    from hume_runner.state.disk import Disk
    from hume_runner.state.store import JobRow, Store

__all__ = [
    "Endpoint",
    "Machine",
    "Paths",
    "load",
    "mark_derived",
    "mask_secrets",
    "open_results",
    "planned",
    "run_manifest",
]

EMULATOR = "emulator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a run takes from the machine; a test replaces parts of it."""

    disk: Disk
    environ: Mapping[str, str]
    settings: Settings

    @classmethod
    def this(cls) -> Machine:
        from hume_runner.state.disk import Disk

        return cls(disk=Disk(), environ=os.environ, settings=Settings.from_env(os.environ))

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def new_id(self) -> str:
        return uuid.uuid4().hex

    def random(self) -> float:
        return random.random()  # noqa: S311 - jitter, nothing secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Where a manifest's files are. Absolute, links resolved: one place has one name."""

    outputs: Path
    state: Path

    @classmethod
    def of(cls, manifest: Manifest, state: str | None) -> Paths:
        from hume_runner.state.pinned import resolved

        outputs = resolved(manifest.outputs.directory)
        return cls(outputs=outputs, state=resolved(Path(state) if state else outputs / "state.sqlite3"))


def load(path: str | Path, *, output_dir: str | None, endpoint: str | None) -> Manifest:
    """The manifest, with what the command line says in its place. Raises: ManifestError, UsageError."""
    from hume_runner.manifest.load import load_manifest

    return load_manifest(Path(path), output_dir=Path(output_dir).absolute() if output_dir else None, endpoint=endpoint)


def masker(manifest: Manifest, machine: Machine) -> Masker:
    """What keeps this manifest's secrets out of all that leaves us. One that cannot be read cannot get out either."""
    secrets = []
    places = [manifest.service.api_key]
    if manifest.notify.callback_secret is not None:
        places.append(manifest.notify.callback_secret)
    for where in places:
        with suppress(HumeRunnerError):
            secrets.append(read_key(env=where.env, file=where.file, environ=machine.environ).value)
    return Masker(secrets)


class Endpoint:
    """The service of one manifest. Nothing is connected, and no emulator started, before the first request."""

    def __init__(self, manifest: Manifest, paths: Paths, machine: Machine) -> None:
        from hume_runner.engine.pacing import Pacer
        from hume_runner.services.registry import registered

        found = registered(manifest.service.api)
        if found is None:
            raise UsageError(
                f"service.api: {manifest.service.api} cannot be run yet by this version",
                hint="use service.api: batch-v0",
            )
        self.name = manifest.service.endpoint or found.host
        self._manifest = manifest
        self._paths = paths
        self._machine = machine
        self._stack = ExitStack()
        self._emulator: Emulator | None = None
        self._server_ahead_s: float | None = None  # the service's Unix time minus our monotonic clock
        self._lock = threading.Lock()
        execution = manifest.execution
        self.pacer = Pacer(
            execution.requests_per_second,
            # Ten seconds' worth at once: a short run is not held up, and a long one keeps to the rate. How many go out
            # together is bounded by the transfer workers all the same.
            burst=max(10 * execution.requests_per_second, execution.transfer_workers),
            clock=time.monotonic,
            sleep=time.sleep,
        )
        self.service: Service = found.build(manifest, self.name, self._connect, self._saw_server_time)

    @property
    def simulated(self) -> bool:
        """Whether results from here may be the emulator's: it is embedded, or somebody's on this machine."""
        from hume_runner.manifest.addresses import is_loopback

        return self.name == EMULATOR or is_loopback(urlsplit(self.name).hostname or "")

    def server_time(self) -> float | None:
        """The service's time, Unix seconds, as its last answer told it; None before one. It goes on with the monotonic
        clock, so that it does not move when somebody sets the machine's time."""
        return None if self._server_ahead_s is None else self._server_ahead_s + self._machine.monotonic()

    def _connect(self) -> Any:
        from hume_runner.http.retry import RetryPolicy
        from hume_runner.services.registry import registered

        with self._lock:
            url, key = self._address()
            retry = self._manifest.execution.retry
            policy = RetryPolicy(attempts=retry.attempts, max_wait_s=retry.max_wait_s)
            found = registered(self._manifest.service.api)
            assert found is not None
            return found.connect(
                url,
                key,
                policy,
                pacer=self.pacer,
                timeout_s=self._manifest.service.timeout_s,
                stack=self._stack,
                max_answer_bytes=self._machine.settings.max_answer_bytes,
            )

    def _saw_server_time(self, server_time_s: float) -> None:
        self._server_ahead_s = server_time_s - self._machine.monotonic()

    def _address(self) -> tuple[str, str]:
        if self.name != EMULATOR:
            return self.name, self._key().value
        emulator = self._start_emulator()
        return emulator.url, emulator.api_key

    def _key(self) -> Secret:
        where = self._manifest.service.api_key
        return read_key(env=where.env, file=where.file, environ=self._machine.environ)

    def _start_emulator(self) -> Emulator:
        if self._emulator is None:
            try:
                from hume_runner.emulator.server import Emulator
            except ImportError:
                from hume_runner.errors import MissingExtra

                raise MissingExtra("emulator", "service.endpoint: emulator") from None
            data = refuse_links(self._paths.outputs, "emulator")
            data.mkdir(parents=True, exist_ok=True)
            self._emulator = Emulator(data=data, api_keys=["rehearsal"])
            self._emulator.start()
            self._stack.callback(self._emulator.stop)
        return self._emulator

    def compare_remote(self, store: Store) -> Iterator[tuple[JobRow, RemoteSays]]:
        """What the service says of every job that it took from us, beside what the state says."""
        from hume_runner.results.audit import compare_remote

        return compare_remote(store, self.service)

    def close(self) -> None:
        self.service.close()
        self._stack.close()

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def planned(manifest: Manifest, store: Store, endpoint: Endpoint, *, retry_failed: bool, now: float) -> Iterator[Plan]:
    """The plan of a manifest against an open state, for as long as the block lasts."""
    from hume_runner.engine.prepare import Options, Plan, scan_sources
    from hume_runner.sources import expand

    scan = scan_sources(manifest, expand(manifest), endpoint.service, store)
    options = Options(retry_failed=retry_failed, real_endpoint=not endpoint.simulated, now=now)
    with Plan(manifest, scan, store, endpoint.service, options) as plan:
        yield plan.work_out()


def peek(paths: Paths, manifest: Manifest) -> Store:
    """The state for reading; an empty one if there is none yet."""
    from hume_runner.state.store import Store

    try:
        return Store.peek(paths.state, name=manifest.name)
    except FileNotFoundError:
        return Store.empty(manifest.name)


def open_results(path: str | Path, args: Any) -> ResultSet:
    """The results of a manifest, from its state and raw answers. Raises: UsageError if it never ran."""
    from hume_runner.results.from_state import StateResults
    from hume_runner.state.store import Store

    manifest = load(path, output_dir=args.output_dir, endpoint=args.endpoint)
    paths = Paths.of(manifest, args.state)
    try:
        store = Store.peek(paths.state, name=manifest.name)
    except FileNotFoundError:
        raise UsageError(f"{paths.state}: there are no results yet", hint=f"hume-runner run {path}") from None
    return StateResults(store, paths.outputs, api=manifest.service.api, name=manifest.name, settings=manifest.settings)


def mark_derived(args: Any, group: str, paths: Sequence[Path], *, serial: int, long: bool = False) -> None:
    """Record outputs that were made by hand as a run does, so that runs keep them and `verify` knows them.

    Without a word where the state cannot be written now: the files are good, and nobody waits for a lock for them.
    """
    from hume_runner.errors import StateError
    from hume_runner.results import derived
    from hume_runner.state.answers import harmed_answers
    from hume_runner.state.disk import Disk
    from hume_runner.state.lock import StateLock
    from hume_runner.state.store import Store

    manifest = load(args.manifest, output_dir=args.output_dir, endpoint=args.endpoint)
    where = Paths.of(manifest, args.state)
    with contextlib.suppress(StateError, OSError), StateLock(where.state):
        if not where.state.exists():
            return
        with Store.create_or_open(where.state, disk=Disk(), name=manifest.name, lineage="") as store:
            harmed = [one.answer.path for one in harmed_answers(store, where.outputs)]
            by = derived.maker(manifest.settings, harmed)
            derived.record(store, where.outputs, group, paths, serial=serial, by=by, now=time.time(), long=long)


def run_manifest(
    manifest: Manifest,
    paths: Paths,
    *,
    machine: Machine,
    masker: Masker,
    report: Report,
    options: RunOptions,
    finish: Finish,
    on_workers: Callable[[Workers], None] = lambda workers: None,
) -> RunResult:
    """Run one manifest to its end; see `engine.run`.

    `on_workers` gets the mailbox that signals go to, once the planning is over and somebody reads it.
    """
    from hume_runner.engine.reactions import Patience
    from hume_runner.engine.run import Environment, run
    from hume_runner.engine.workers import ThreadWorkers
    from hume_runner.sources import expand

    # Polls, searches and what is done on this machine must not wait behind transfers.
    workers = ThreadWorkers(manifest.execution.transfer_workers + 6)
    try:
        with Endpoint(manifest, paths, machine) as endpoint:
            return run(
                manifest,
                paths.state,
                paths.outputs,
                environment=Environment(
                    service=endpoint.service,
                    expand=expand,
                    disk=machine.disk,
                    workers=workers,
                    clock=machine.now,
                    monotonic=machine.monotonic,
                    random=machine.random,
                    sleep=machine.sleep,
                    new_id=machine.new_id,
                    server_time=endpoint.server_time,
                    simulated=endpoint.simulated,
                    embedded=endpoint.name == EMULATOR,
                    patience=Patience(
                        settle_s=machine.settings.settle_s,
                        settle_slow_s=machine.settings.slow_s,
                        late_s=machine.settings.late_s,
                    ),
                    report=report,
                    mask=masker.keys,
                    on_loop=lambda: on_workers(workers),
                ),
                options=options,
                finish=finish,
            )
    finally:
        workers.close()


def callback(manifest: Manifest, machine: Machine) -> Callable[[bytes], None] | None:
    """What tells the manifest's callback that it is finished; None where the service itself does, or nobody asked."""
    from hume_runner.services.registry import registered

    notify, found = manifest.notify, registered(manifest.service.api)
    if notify.callback_url is None or found is None or found.calls_back:
        return None
    url, where = notify.callback_url, notify.callback_secret
    secret = None
    if where is not None:
        secret = read_key(env=where.env, file=where.file, environ=machine.environ).value
    retry = manifest.execution.retry

    def tell(body: bytes) -> None:
        from hume_runner.http.callback import post_callback
        from hume_runner.http.retry import RetryPolicy

        policy = RetryPolicy(attempts=retry.attempts, max_wait_s=retry.max_wait_s)
        post_callback(url, body, secret=secret, retry=policy)

    return tell


def repair(
    manifest: Manifest, paths: Paths, *, machine: Machine, report: Report, warn: Callable[[str], None]
) -> HumeRunnerError | None:
    """Fetch again what is harmed and costs nothing, and make again what is derived; what could not be is returned.

    Raises: StateError.
    """
    from hume_runner.engine.mend import Mender
    from hume_runner.results.finish import Finisher
    from hume_runner.state.connection import guarded
    from hume_runner.state.lock import StateLock
    from hume_runner.state.store import Store

    with (
        StateLock(paths.state),
        Store.create_or_open(
            paths.state,
            disk=machine.disk,
            name=manifest.name,
            lineage=machine.new_id(),
            mask=masker(manifest, machine).keys,
        ) as store,
        Endpoint(manifest, paths, machine) as endpoint,
        guarded(paths.outputs),
    ):
        mender = Mender(store, endpoint.service, machine.disk, paths.outputs, report=report, clock=machine.now)
        mended = mender.mend(thorough=True)
        finisher = Finisher(manifest, paths.outputs, machine.disk, warn=warn)
        finisher.rebuild(store, mended.harmed, machine.now())
        return mended.error


def adopt_jobs(manifest: Manifest, paths: Paths, remote_ids: Sequence[str], *, machine: Machine) -> Iterator[Adopted]:
    """Bring jobs under the manifest's state, planning it first where that never happened; one at a time, as asked."""
    from hume_runner.engine.adopt import adopt_all
    from hume_runner.engine.rescue import take_in
    from hume_runner.state.lock import OutputsLock, StateLock
    from hume_runner.state.outputs_owner import OutputsOwner
    from hume_runner.state.store import Store

    for folder in (paths.state.parent, paths.outputs):
        machine.disk.make_directory(folder)
    owner = OutputsOwner(paths.outputs)
    with (
        StateLock(paths.state),
        OutputsLock(paths.outputs),
        Store.create_or_open(
            paths.state,
            disk=machine.disk,
            name=manifest.name,
            lineage=machine.new_id(),
            mask=masker(manifest, machine).keys,
        ) as store,
        Endpoint(manifest, paths, machine) as endpoint,
    ):
        owner.check(manifest=manifest.name, state=paths.state, lineage=store.lineage)
        store.recover(machine.now())
        take_in(store, machine.now())
        with planned(manifest, store, endpoint, retry_failed=False, now=machine.now()) as plan:
            plan.apply()
        owner.record(machine.disk, manifest=manifest.name, state=paths.state, lineage=store.lineage)
        yield from adopt_all(store, endpoint.service, remote_ids, machine.now)
