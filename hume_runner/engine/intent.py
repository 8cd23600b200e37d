"""A submission is recorded before it is sent: what was meant is known even if nobody hears of it again."""

from __future__ import annotations

from dataclasses import replace

from hume_runner.services.base import HasEndpoint, Packer
from hume_runner.services.jobs import Draft, Job, Submission
from hume_runner.state.reader import StateReader
from hume_runner.state.rows import nonce_of
from hume_runner.state.store import Store


def for_this_try(store: StateReader, job: Job) -> Job:
    """The job with a nonce that no other try has."""
    tries = store.job(job.number).tries
    return replace(job, nonce=nonce_of(store.lineage, job.number, tries + 1, job.key))


def record(
    store: Store, service: HasEndpoint, job: Job, submission: Submission, *, server_time: float | None, wall: float
) -> None:
    """This is about to leave. Times are Unix seconds, by the service's clock and by ours. Raises: StateError."""
    store.record_submitting(
        job.number,
        nonce=job.nonce,
        sha256=submission.sha256,
        request=submission.request,
        matches=submission.matches,
        endpoint=service.endpoint,
        clock_offset=None if server_time is None else server_time - wall,
        now=wall,
    )


def halves(store: StateReader, service: Packer, number: int) -> list[Draft]:
    """What takes the place of a job of which one member is at fault."""
    members = store.load_job(number).members
    middle = len(members) // 2
    return [draft for part in (members[:middle], members[middle:]) for draft in service.recompile(part)]
