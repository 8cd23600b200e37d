"""What earlier runs left: taken up, and made whole where that costs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from hume_runner import events
from hume_runner.engine.environment import Environment
from hume_runner.engine.mend import Mended, Mender, clear_away, give_up_lost, take_back
from hume_runner.engine.rescue import take_up
from hume_runner.errors import ApiError, AuthError, Discontinued, ServiceRefused, ServiceUnavailable
from hume_runner.services.base import Host, Records
from hume_runner.services.jobs import Ended, Pending, job_name
from hume_runner.state.answers import MISSING
from hume_runner.state.connection import guarded
from hume_runner.state.keeping import Kept
from hume_runner.state.reader import StateReader
from hume_runner.state.store import Store

# Jobs that are asked about at a time.
_ASKED_AT_ONCE = 50


def take_stock(
    store: Store, kept: Kept, env: Environment, outputs: Path, *, pay_again: bool, retry_failed: bool
) -> Mended:
    """What earlier runs left is made whole before it is planned with."""
    take_up(store, kept, env.clock(), env.report)
    with guarded(outputs):
        have_back(store, kept, env.service, outputs, env.report)
        take_back(store, outputs, env.report, env.clock())
        mender = Mender(store, env.service, env.disk, outputs, report=env.report, clock=env.clock, here=env.here)
        mended = mender.mend()
    if env.here:
        with guarded(outputs):
            clear_away(store, mended.lost, outputs, env.report)
    if pay_again or env.here:
        mended = give_up_lost(store, mended, env.clock(), pays=not env.here)
    if retry_failed:
        for number in (*store.timed_out(), *_ended_after_all(store, env.service)):
            store.record_revived(number, env.clock())
    return mended


def have_back(
    store: StateReader, kept: Kept, service: Host, outputs: Path, report: events.Report, *, thorough: bool = False
) -> None:
    """What nobody gives again and lies with the state is on this disk. What was harmed here is told; what is missing,
    as all is on a new disk, only where somebody looks for harm (`thorough`). Raises: StoreError, StateError, OSError.
    """
    for one in kept.restore(store, outputs, every=service.keeper is None, thorough=thorough):
        if thorough or one.harm != MISSING:
            report(events.Mended(job=job_name(one.job), path=one.path, harm=one.harm))


class _Asked(Host, Records, Protocol):
    """Whether it keeps answers, and what it tells of its jobs."""


def _ended_after_all(store: StateReader, service: _Asked) -> Iterator[int]:
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
