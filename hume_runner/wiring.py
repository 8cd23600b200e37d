"""The only place that picks concrete classes, the clock, the random source and sleep.

What only a run needs is imported where it is picked: `validate` need not wait for it, and its start-up is measured.
"""

from __future__ import annotations

import hashlib
import os
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from hume_runner.aside import folder_below
from hume_runner.errors import HumeRunnerError, MissingExtra, UsageError
from hume_runner.frozen import frozen
from hume_runner.hosts import is_loopback
from hume_runner.manifest.model import Manifest
from hume_runner.registry import all_registered, load, registered
from hume_runner.settings import Masker, ModelSettings, Secret, Settings, read_key
from hume_runner.sources import expand_in_blocks
from hume_runner.sources.left_out import LeftOut
from hume_runner.stores.base import Patience
from hume_runner.stores.opening import open_store

if TYPE_CHECKING:
    from hume_runner.computing.base import Pool
    from hume_runner.computing.remote import Place
    from hume_runner.emulator.server import Emulator
    from hume_runner.engine.environment import Environment
    from hume_runner.engine.workers import Workers
    from hume_runner.events import Report
    from hume_runner.http.access import Access
    from hume_runner.planning.prepare import Plan
    from hume_runner.planning.selection import Selection
    from hume_runner.services.base import Computes, Service
    from hume_runner.state.disk import Disk
    from hume_runner.state.keeping import Keeper
    from hume_runner.state.paths import Paths
    from hume_runner.state.reader import StateReader
    from hume_runner.state.remote.drive import Driver
    from hume_runner.state.remote.protocol import Lock

__all__ = ["EMULATOR", "Endpoint", "Machine", "callback", "environment", "machines", "masker", "planned"]

EMULATOR = "emulator"
# So many pieces of work are at a cluster at least, or twice as many as it works on: no worker waits for us, and those
# that join later find some.
_LEAST_ROOM = 16


@frozen
class Machine:
    """What a run takes from the machine; a test replaces parts of it."""

    disk: Disk
    environ: Mapping[str, str]
    settings: Settings

    @classmethod
    def this(cls) -> Machine:
        from hume_runner.state.disk import Disk

        return cls(disk=Disk(), environ=os.environ, settings=Settings.from_env(os.environ))

    @property
    def models(self) -> ModelSettings:
        """Where models lie, and where they may come from."""
        return ModelSettings.from_env(self.environ)

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


def _unheard(lock: Lock, seconds: float) -> None:
    del lock, seconds


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

    def __init__(self, manifest: Manifest, paths: Paths, machine: Machine, place: Place | None = None) -> None:
        """`place`: where the processor's work is done; None: on this machine."""
        from hume_runner.engine.pacing import Pacer
        from hume_runner.http.traffic import Traffic

        found = registered(manifest.service.api)
        if found is None:
            known = " or ".join(one.api for one in all_registered())
            raise UsageError(f"service.api: nobody knows {manifest.service.api} any more", hint=f"use {known}")
        self.name = manifest.service.endpoint or found.host
        if paths.whole is not None:
            # What a shard prepares lies in its own place: others, which run at the same time, tidy up theirs.
            manifest = replace(manifest, outputs=replace(manifest.outputs, directory=paths.outputs))
        self._manifest = manifest
        self._paths = paths
        self._machine = machine
        self._stack = ExitStack()
        self.here = found.here
        self._needs_key = found.needs_key
        self._emulator: Emulator | None = None
        self._server_ahead_s: float | None = None  # the service's Unix time minus our monotonic clock
        self._lock = threading.Lock()
        self.traffic = Traffic()
        execution = manifest.execution
        self.pacer = Pacer(
            execution.requests_per_second,
            # Ten seconds' worth at once: a short run is not held up, and a long one keeps to the rate. How many go out
            # together is bounded by the transfer workers all the same.
            burst=max(10 * execution.requests_per_second, execution.transfer_workers),
            clock=time.monotonic,
            sleep=time.sleep,
        )
        self.service: Service = load(found.build)(manifest, self.name, self._access, self._saw_server_time)
        self._pool = None if place is None else self._pool_at(place)

    def _pool_at(self, place: Place) -> Pool:
        from hume_runner.computing.remote import RemotePool

        service = cast("Computes", self.service)
        timeout_s = self._manifest.execution.job_timeout_s
        pool = RemotePool(place, self._paths.outputs, service.needs, timeout_s=timeout_s)
        service.compute_on(pool)
        return pool

    def room(self) -> int | None:
        """How many pieces of work a cluster takes at one time, once it is connected; None without one."""
        return None if self._pool is None else max(_LEAST_ROOM, 2 * self._pool.width)

    @property
    def simulated(self) -> bool:
        """Whether results from here may be the emulator's: it is embedded, or somebody's on this machine."""
        return self.name == EMULATOR or is_loopback(urlsplit(self.name).hostname or "")

    def server_time(self) -> float | None:
        """The service's time, Unix seconds, as its last answer told it; None before one. It goes on with the monotonic
        clock, so that it does not move when somebody sets the machine's time."""
        return None if self._server_ahead_s is None else self._server_ahead_s + self._machine.monotonic()

    def _access(self) -> Access:
        from hume_runner.http.access import Access
        from hume_runner.http.retry import RetryPolicy

        with self._lock:
            url, key = self._address()
            retry = self._manifest.execution.retry
            return Access(
                url=url,
                key=key,
                retry=RetryPolicy(attempts=retry.attempts, max_wait_s=retry.max_wait_s),
                pacer=self.pacer,
                timeout_s=self._manifest.service.timeout_s,
                stack=self._stack,
                max_answer_bytes=self._machine.settings.max_answer_bytes,
                traffic=self.traffic,
            )

    def _saw_server_time(self, server_time_s: float) -> None:
        self._server_ahead_s = server_time_s - self._machine.monotonic()

    def _address(self) -> tuple[str, str]:
        if self.name != EMULATOR:
            return self.name, self._key().value if self._needs_key else ""
        emulator = self._start_emulator()
        return emulator.url, emulator.api_key

    def account(self) -> str:
        """Who pays, as a digest; empty where no key can be read."""
        with suppress(HumeRunnerError):
            return hashlib.sha256(self._key().value.encode()).hexdigest() if self._needs_key else ""
        return ""

    def _key(self) -> Secret:
        where = self._manifest.service.api_key
        return read_key(env=where.env, file=where.file, environ=self._machine.environ)

    def _start_emulator(self) -> Emulator:
        if self._emulator is None:
            try:
                from hume_runner.emulator.server import Emulator
            except ImportError:
                raise MissingExtra("emulator", "service.endpoint: emulator") from None
            data = folder_below(self._paths.outputs, "emulator")
            data.mkdir(parents=True, exist_ok=True)
            self._emulator = Emulator(data=data, api_keys=["rehearsal"])
            self._emulator.start()
            self._stack.callback(self._emulator.stop)
        return self._emulator

    def close(self) -> None:
        if self.service.shelf is not None:
            self.service.shelf.close()
        if self.service.objects is not None:
            self.service.objects.close()
        self._stack.close()

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def planned(
    manifest: Manifest,
    store: StateReader,
    endpoint: Endpoint,
    *,
    retry_failed: bool,
    now: float,
    selection: Selection | None = None,
    whole: Path | None = None,
    left_out: LeftOut | None = None,
) -> Iterator[Plan]:
    """What a manifest means to an open state, decided and not packed yet, for as long as the block lasts.

    `whole`: for a shard, the state of which it is a part. `left_out` is told what patterns meet that is no source.
    """
    from hume_runner.planning.prepare import Options, Plan
    from hume_runner.planning.recall import scan_or_recall
    from hume_runner.planning.selection import EVERYTHING
    from hume_runner.state.shards import check_shard, held_by
    from hume_runner.state.staging import Scan

    chosen = selection or EVERYTHING
    check_shard(store, chosen.shard)
    with held_by(whole, store) as held:
        expand = partial(expand_in_blocks, left_out=left_out)
        scan = scan_or_recall(manifest, expand, endpoint.service, store, Scan, selection=chosen, held=held)
    options = Options(retry_failed=retry_failed, real_endpoint=not endpoint.simulated, now=now)
    with Plan(manifest, scan, store, endpoint.service, options) as plan:
        yield plan.decide()


def machines() -> frozenset[str]:
    """The endpoints that are this machine."""
    return frozenset(one.host for one in all_registered() if one.here)


def callback(manifest: Manifest, machine: Machine, report: Report) -> Callable[[bytes], None] | None:
    """What tells the manifest's callback that it is finished; None where the service itself does, or nobody asked.

    `report` hears that it begins: a receiver that does not answer is asked again for a while.
    """
    notify, found = manifest.notify, registered(manifest.service.api)
    if notify.callback_url is None or found is None or found.calls_back:
        return None
    url, where = notify.callback_url, notify.callback_secret
    secret = None
    if where is not None:
        secret = read_key(env=where.env, file=where.file, environ=machine.environ).value
    retry = manifest.execution.retry

    def tell(body: bytes) -> None:
        from hume_runner import events
        from hume_runner.http.callback import post_callback
        from hume_runner.http.retry import RetryPolicy

        report(events.Phase(phase="telling"))
        policy = RetryPolicy(attempts=retry.attempts, max_wait_s=retry.max_wait_s)
        post_callback(url, body, secret=secret, retry=policy)

    return tell


def driver(paths: Paths, machine: Machine, on_watch: Callable[[Lock, float], None] = _unheard) -> Driver:
    """The remote state's place. Raises: UsageError, MissingExtra, StoreError."""
    from hume_runner.state.remote.drive import Clock, Driver, Timing

    assert paths.remote is not None
    settings = machine.settings
    timing = Timing(
        lease_s=settings.lease_s,
        heartbeat_s=settings.beat_s,
        half_open_s=settings.half_open_s,
        patience_s=settings.store_patience_s,
    )
    request_s = min(30.0, max(1.0, settings.lease_s / 2))
    # Every write is judged by what is read back, and tried again here.
    store, prefix = open_store(paths.remote, Patience(connect_s=5.0, request_s=request_s, retries=0, total_s=request_s))
    return Driver(store, prefix, timing, Clock(monotonic=machine.monotonic, wait=machine.sleep), on_watch)


def keeper(
    paths: Paths,
    manifest: Manifest,
    machine: Machine,
    report: Report,
    aside: Callable[[Path], None] = lambda path: None,
) -> Keeper:
    """What makes the state of this manifest ours for a run: on this disk alone, or where its home is. `aside` is told
    of a file here that was put aside, as `report` is."""
    from hume_runner import events
    from hume_runner.state.keeping import OnThisDisk

    if paths.remote is None:
        return OnThisDisk()
    from hume_runner.state.lock import command, hostname
    from hume_runner.state.remote.keeper import RemoteKeeper
    from hume_runner.state.remote.objects import Note

    def waiting(lock: Lock, seconds: float) -> None:
        report(events.StateAwaited(place=place.place, owner=str(Note.read(lock.note)), seconds=seconds))

    def put_aside(path: Path) -> None:
        aside(path)
        report(events.StatePutAside(path=str(path)))

    place = driver(paths, machine, waiting)
    note = Note(
        pid=os.getpid(),
        host=hostname(),
        since=machine.now(),
        command=command(),
        lease_s=machine.settings.lease_s,
    )
    found = registered(manifest.service.api)
    once = found is not None and not found.keeps_answers
    return RemoteKeeper(place, note, manifest.name, once=once, now=machine.now, aside=put_aside)


def environment(
    endpoint: Endpoint,
    machine: Machine,
    *,
    workers: Workers,
    report: Report,
    mask: Callable[[str], str],
    on_loop: Callable[[], None],
    keeper: Keeper,
    on_open: Callable[[StateReader], None] = lambda store: None,
    on_plan: Callable[[Plan], None] = lambda plan: None,
) -> Environment:
    """What a run of this endpoint's manifest works with. `on_open` is called with the open state before it is planned
    with, `on_plan` before the plan of a whole manifest is kept, `on_loop` once the planning is over."""
    from hume_runner.engine.environment import Environment
    from hume_runner.engine.reactions.base import Patience
    from hume_runner.state.under_way import meetings

    settings = machine.settings
    return Environment(
        service=endpoint.service,
        expand=expand_in_blocks,
        disk=machine.disk,
        workers=workers,
        clock=machine.now,
        monotonic=machine.monotonic,
        random=machine.random,
        sleep=machine.sleep,
        new_id=machine.new_id,
        server_time=endpoint.server_time,
        traffic=endpoint.traffic,
        simulated=endpoint.simulated,
        embedded=endpoint.name == EMULATOR,
        here=endpoint.here,
        room=endpoint.room,
        machines=machines(),
        account=endpoint.account,
        meetings=() if endpoint.here or endpoint.name == EMULATOR else meetings(settings.runs),
        patience=Patience(settle_s=settings.settle_s, settle_slow_s=settings.slow_s, late_s=settings.late_s),
        report=report,
        mask=mask,
        on_open=on_open,
        on_plan=on_plan,
        on_loop=on_loop,
        end_soon=endpoint.pacer.end_soon,
        keeper=keeper,
    )
