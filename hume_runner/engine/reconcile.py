"""Settle a submission whose answer was lost, by asking the service what it has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hume_runner.services.base import Candidate, Job, Service
from hume_runner.state.store import JobRow

# The Date header has a resolution of one second, and a proxy may hold a request back for a while.
_MARGIN_S = 5.0
# Without any answer seen yet, our clock is all there is.
_MARGIN_WITHOUT_CLOCK_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The earliest job that carries what was lost; `others` carry the same and were paid for as well."""

    chosen: Candidate
    others: tuple[str, ...]


def since(row: JobRow) -> float:
    """The earliest time, by the service's clock, at which it can have created the job."""
    sent = row.submitting_at or 0.0
    if row.clock_offset is None:
        return sent - _MARGIN_WITHOUT_CLOCK_S
    return sent + row.clock_offset - _MARGIN_S


def look(service: Service, job: Job, row: JobRow) -> tuple[Candidate, ...]:
    """Every job at the service that carries what `job` carries and may be its submission."""
    return service.find(job, since=since(row))


def choose(candidates: tuple[Candidate, ...], known: Callable[[str], bool]) -> Match | None:
    """The match among candidates that no other job of ours holds already; None without one. Pure."""
    free = [candidate for candidate in candidates if not known(candidate.remote_id)]
    if not free:
        return None
    free.sort(key=lambda candidate: (candidate.created_at or 0.0, candidate.remote_id))
    return Match(chosen=free[0], others=tuple(candidate.remote_id for candidate in free[1:]))
