"""What runs of one user see of each other, so that none pays for what another has under way."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from hume_runner import events
from hume_runner.engine.environment import Environment
from hume_runner.engine.evidence import Evidence
from hume_runner.engine.stamps import Stamps
from hume_runner.manifest.model import Manifest
from hume_runner.planning.prepare import Plan
from hume_runner.state.notes import KEY_BYTES
from hume_runner.state.store import Store
from hume_runner.state.under_way import Afterwards, UnderWay, one_service, one_state

_UNTOLD = (
    "no note can be left for other runs of this user on this machine: one that has some of the same items under way at "
    "the same time pays for them as well (HUME_RUNNER_RUNS names a folder for such notes)"
)


@contextlib.contextmanager
def seen_by_others(
    plan: Plan, store: Store, manifest: Manifest, env: Environment, home: Path | str
) -> Iterator[Environment]:
    """What other runs of this user may see of this one until it ends; they pay for none of it meanwhile, nor for what
    the service has from it and may not show yet. The environment knows what such runs left for this one."""

    def keys() -> Iterator[bytes]:
        return plan.under_way(KEY_BYTES)

    def planned() -> Iterator[bytes]:
        return store.planned_keys(KEY_BYTES)

    def shown(key: bytes) -> bool:
        # What has no answer to be had again is adopted by nobody: a person decides, as soon as there is some of it.
        return any(evidence.suspects(store.load_job(number)) for number in store.planned_as(key))

    stamps = Stamps(env.clock, env.monotonic)

    def unseen() -> Iterator[bytes]:
        store.check_place()  # what was put in its place knows less
        return store.unseen_keys(stamps.since(env.patience.settle_s), KEY_BYTES)

    evidence = Evidence(store, env.service, math.inf)
    service = one_service(env.service.endpoint, env.account())
    after = Afterwards(
        state=one_state(home, store.lineage),
        settle_s=env.patience.settle_s,
        settle_slow_s=env.patience.settle_slow_s,
        unseen=unseen,
        lost_slowly=store.lost_slowly,
        last_sent=store.last_sent,
        has_sent=store.has_sent,
    )
    with UnderWay(env.meetings, service, keys, what=manifest.path, after=after) as under_way:
        if not under_way.told:
            env.report(events.NotTold(message=_UNTOLD))
        store.count_sent()
        yield replace(
            env,
            clock=stamps.now,
            tell_others=under_way.tell,
            awaited_s=lambda: under_way.awaited_s(planned, shown),
        )
