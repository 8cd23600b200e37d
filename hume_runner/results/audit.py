"""Ask the service about jobs that it took from us, and compare with what the state says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Protocol

from hume_runner.amounts import seconds_text
from hume_runner.frozen import frozen
from hume_runner.registry import load, registered
from hume_runner.services.base import HasApi, Records
from hume_runner.services.jobs import Broken, Ended, Pending, Waiting
from hume_runner.state.lifecycle import JobStatus
from hume_runner.state.reader import StateReader
from hume_runner.state.rows import JobRow

_AT_ONCE = 1_000


@frozen
class RemoteSays:
    """What the service says of one job, in words, and whether the state says the same."""

    agrees: bool
    words: str


class Audited(HasApi, Records, Protocol):
    """What is asked, and by which API's words."""


def compare_remote(store: StateReader, service: Audited) -> Iterator[tuple[JobRow, RemoteSays]]:
    """Every job with a remote id, beside the service's word on it."""
    held = (row for row in store.jobs(JobStatus.DONE, JobStatus.FAILED, JobStatus.SUBMITTED) if row.remote_id)
    while rows := list(islice(held, _AT_ONCE)):
        waiting = [
            Waiting(number=row.number, remote_id=row.remote_id or "", created_at=row.created_at or 0.0) for row in rows
        ]
        found = dict(service.check(waiting))
        # What a list does not show is asked for job by job, once: asking for the list again would tell the same.
        found |= service.check_each([job for job in waiting if job.remote_id not in found])
        for row in rows:
            yield row, _says(row, found.get(row.remote_id or ""), service.api)


def _metered(api: str, announced: Mapping[str, int]) -> tuple[float, float] | None:
    """(seconds that the service metered, how far from them is no difference); None where it tells none."""
    found = registered(api)
    return load(found.metered)(announced) if found and found.metered else None


def _bill(row: JobRow, metered_s: float, apart_s: float) -> RemoteSays:
    expected_s = row.billed_seconds if row.billed_seconds is not None else row.billable_seconds or 0.0
    difference = metered_s - expected_s
    words = f"finished, {seconds_text(metered_s)} s metered"
    if abs(difference) > apart_s:
        sign = "+" if difference > 0 else ""
        words += f", {sign}{seconds_text(difference)} s against the {seconds_text(expected_s)} s expected"
    return RemoteSays(agrees=abs(difference) <= apart_s, words=words)


def _says(row: JobRow, progress: object, api: str) -> RemoteSays:
    match progress:
        case Ended(announced=announced):
            if (metered := _metered(api, announced)) is not None:
                return _bill(row, *metered)
            return RemoteSays(agrees=row.status is not JobStatus.FAILED, words="finished")
        case Broken(message=message):
            return RemoteSays(agrees=row.status is JobStatus.FAILED, words=f"given up: {message}")
        case Pending():
            return RemoteSays(agrees=row.status is JobStatus.SUBMITTED, words="not finished yet")
        case _:
            return RemoteSays(agrees=False, words="not known under this key")
