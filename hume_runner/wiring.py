"""The only place that picks concrete classes; it hands them what they work with, and does nothing with them.

Who makes a plan imports this, too. What a plan does without is imported where it is picked: what a run is made of, an
extra, a cluster, a state in an object store.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hume_runner.endpoint import Endpoint
from hume_runner.engine.pacer import Pacer
from hume_runner.errors import MissingExtra, UsageError
from hume_runner.http.retry import RetryPolicy
from hume_runner.machine import Machine
from hume_runner.manifest.model import Manifest
from hume_runner.registry import all_registered, machines, registered
from hume_runner.settings import read_key
from hume_runner.sources import expand_in_blocks
from hume_runner.state.keeping import OnThisDisk
from hume_runner.state.lock import command, hostname
from hume_runner.stores.base import Patience as StorePatience

if TYPE_CHECKING:
    from hume_runner.computing.base import Needs, Pool
    from hume_runner.computing.remote import Place
    from hume_runner.emulator.server import Emulator
    from hume_runner.engine.environment import Environment
    from hume_runner.engine.workers import Workers
    from hume_runner.events import Report
    from hume_runner.planning.prepare import Plan
    from hume_runner.results.telling import Callback
    from hume_runner.state.keeping import Keeper
    from hume_runner.state.paths import Paths
    from hume_runner.state.reader import StateReader
    from hume_runner.state.remote.drive import Driver
    from hume_runner.state.remote.protocol import Lock

__all__ = ["callback", "driver", "endpoint", "environment", "keeper"]


def endpoint(manifest: Manifest, paths: Paths, machine: Machine, place: Place | None = None) -> Endpoint:
    """The service of one manifest. `place`: where the processor's work is done; None: on this machine. Raises:
    UsageError for an API that nobody knows any more."""
    api = registered(manifest.service.api)
    if api is None:
        known = " or ".join(one.api for one in all_registered())
        raise UsageError(f"service.api: nobody knows {manifest.service.api} any more", hint=f"use {known}")
    if paths.whole is not None:
        # What a shard prepares lies in its own place: others, which run at the same time, tidy up theirs.
        manifest = replace(manifest, outputs=replace(manifest.outputs, directory=paths.outputs))
    execution = manifest.execution
    pacer = Pacer(
        execution.requests_per_second,
        # Ten seconds' worth at once: a short run is not held up, and a long one keeps to the rate. How many go out
        # together is bounded by the transfer workers all the same.
        burst=max(10 * execution.requests_per_second, execution.transfer_workers),
        clock=machine.monotonic,
        sleep=machine.sleep,
    )
    pool = None if place is None else partial(_pool, place, paths.outputs, execution.job_timeout_s)
    return Endpoint(manifest, paths.outputs, machine, api, pacer=pacer, rehearsal=_emulator, pool=pool)


def _pool(place: Place, outputs: Path, timeout_s: float, needs: Needs) -> Pool:
    from hume_runner.computing.remote import RemotePool

    return RemotePool(place, outputs, needs, timeout_s=timeout_s)


def _emulator(data: Path, key: str) -> Emulator:
    try:
        from hume_runner.emulator.server import Emulator
    except ImportError:
        raise MissingExtra("emulator", "service.endpoint: emulator") from None
    return Emulator(data=data, api_keys=[key])


def callback(manifest: Manifest, machine: Machine, report: Report) -> Callback | None:
    """What tells the manifest's callback that it is finished; None where the service itself does, or nobody asked.
    Raises: HumeRunnerError for a secret that cannot be read."""
    notify, api = manifest.notify, registered(manifest.service.api)
    if notify.callback_url is None or api is None or api.calls_back:
        return None
    from hume_runner.http.callback import post_callback
    from hume_runner.results.telling import Callback

    where, retry = notify.callback_secret, manifest.execution.retry
    secret = None if where is None else read_key(env=where.env, file=where.file, environ=machine.environ).value
    policy = RetryPolicy(attempts=retry.attempts, max_wait_s=retry.max_wait_s)
    return Callback(partial(post_callback, notify.callback_url, secret=secret, retry=policy), report)


def driver(
    paths: Paths, machine: Machine, on_watch: Callable[[str, Lock, float], None] = lambda place, lock, seconds: None
) -> Driver:
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
    patience = StorePatience(connect_s=5.0, request_s=request_s, retries=0, total_s=request_s)
    store, prefix = machine.open_store(paths.remote, patience)
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
    if paths.remote is None:
        return OnThisDisk()
    from hume_runner.state.remote.keeper import RemoteKeeper, awaited
    from hume_runner.state.remote.objects import Note

    note = Note(
        pid=os.getpid(),
        host=hostname(),
        since=machine.now(),
        command=command(),
        lease_s=machine.settings.lease_s,
    )
    found = registered(manifest.service.api)
    once = found is not None and not found.keeps_answers
    place = driver(paths, machine, partial(awaited, report))
    return RemoteKeeper(place, note, manifest.name, once=once, now=machine.now, report=report, aside=aside)


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
        embedded=endpoint.embedded,
        here=endpoint.here,
        room=endpoint.room,
        machines=machines(),
        account=endpoint.account,
        meetings=() if endpoint.here or endpoint.embedded else meetings(settings.runs),
        patience=Patience(settle_s=settings.settle_s, settle_slow_s=settings.slow_s, late_s=settings.late_s),
        report=report,
        mask=mask,
        on_open=on_open,
        on_plan=on_plan,
        on_loop=on_loop,
        end_soon=endpoint.pacer.end_soon,
        keeper=keeper,
    )
