"""What a reaction wants recorded: facts as values, and the one place that hands them to the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Protocol, assert_never

from hume_runner.engine.intent import halves
from hume_runner.engine.rescue import Rescued, rescue_answer, rescue_remote_id
from hume_runner.errors import StateError
from hume_runner.frozen import frozen
from hume_runner.services.base import HasEndpoint, Packer
from hume_runner.services.jobs import Draft, Outcome
from hume_runner.services.lost import Candidate
from hume_runner.state.rows import StoredAnswer
from hume_runner.state.store import Store


@frozen
class Accepted:
    """The service's name for a job, and its whole answer where that came at once. Times are Unix seconds."""

    job: int
    remote_id: str
    created_at: float
    simulated: bool
    answer: bytes | None = None
    carry: str | None = None
    billed_seconds: float | None = None


@frozen
class Refused:
    """Surely not accepted; it may be sent again."""

    job: int
    message: str


@frozen
class Rejected:
    """Surely not accepted, and it would not be another time."""

    job: int
    reason: str
    message: str


@frozen
class Unsent:
    """Never sent: its only source cannot be read."""

    job: int
    reason: str
    message: str


@frozen
class Replaced:
    """What a job carries goes as these jobs: its media are prepared, or not all of it goes, or not together. `failed`:
    (the member's position, reason, message) of what cannot be sent. `given_up`: jobs that carried a part of it, and
    whose answers say nothing about it any more."""

    job: int
    drafts: tuple[Draft, ...]
    failed: tuple[tuple[int, str, str], ...] = ()
    given_up: tuple[int, ...] = ()


@frozen
class Halved:
    """Refused as a whole: its halves are planned in its place."""

    job: int
    message: str


@frozen
class Lost:
    """No answer. `slow`: the request ended by a time-out. `took_s`: for how long it was on its way; somebody may have
    set the machine's time meanwhile."""

    job: int
    message: str
    slow: bool
    took_s: float


@frozen
class Misled:
    """Taken, and answered with the id of another job."""

    job: int
    message: str


@frozen
class Found:
    """A lost submission that the service has; `others` carry the same and were paid for as well."""

    job: int
    chosen: Candidate
    others: tuple[str, ...]


@frozen
class Renamed:
    """A job that the service took, under another name than it told."""

    job: int
    chosen: Candidate


@frozen
class Gone:
    """A lost submission that was measured and billed, and whose answer cannot be had. `agreed`: a person wants it sent
    again, whatever the manifest says."""

    job: int
    chosen: Candidate
    agreed: bool = False


@frozen
class Billed:
    """A lost submission that was measured and billed, and about which a person has to decide."""

    job: int
    chosen: Candidate


@frozen
class Missed:
    """A lost submission that the service does not show; or that a person wants sent again, although (`doubt`) nothing
    proves that it was not taken."""

    job: int
    doubt: str | None = None


@frozen
class Waited:
    """So long was waited for a lost submission, by the run's clock, and nothing told: a person has to decide."""

    job: int
    seconds: float


@frozen
class Unlisted:
    """A lost submission of which nobody can tell what became of it, and that nothing that is listed waits for."""

    job: int


@frozen
class Agreed:
    """A person wants a job paid for although one of these at the service may be it. `doubt`: why, where that is not
    recorded already."""

    job: int
    remote_ids: tuple[str, ...]
    doubt: str | None = None


@frozen
class Duplicate:
    """What the service took as well, and was paid for."""

    job: int
    found: Candidate


@frozen
class Broken:
    """The service gave a job up, or its time is over."""

    job: int
    reason: str
    message: str
    times: Mapping[str, float | None] = field(default_factory=dict)


@frozen
class Finished:
    """Answers that are on disk, and what they say about each member."""

    job: int
    answers: tuple[StoredAnswer, ...]
    outcomes: tuple[Outcome, ...]
    times: Mapping[str, float | None]
    simulated: bool


Fact = (
    Accepted
    | Refused
    | Rejected
    | Unsent
    | Replaced
    | Halved
    | Lost
    | Misled
    | Found
    | Renamed
    | Gone
    | Billed
    | Missed
    | Waited
    | Unlisted
    | Agreed
    | Duplicate
    | Broken
    | Finished
)


class Recorded(HasEndpoint, Packer, Protocol):
    """What recording needs of a service: where its jobs are, and the halves of one."""


def record(store: Store, service: Recorded, fact: Fact, now: float) -> Sequence[int]:
    """Make a fact about a job at this service durable; the numbers of the jobs that can be sent in its place. `now` is
    Unix seconds.

    Raises: StateError. A remote id or an answer that cannot be recorded is noted elsewhere first: it was paid for.
    """
    endpoint = service.endpoint
    match fact:
        case Accepted():
            _record_accepted(store, fact, endpoint, now)
        case Refused(job=job, message=message):
            store.record_refused(job, message, now)
        case Rejected(job=job, reason=reason, message=message):
            store.record_rejected(job, reason, message, now)
        case Unsent(job=job, reason=reason, message=message):
            store.record_rejected_unsent(job, reason, message, now)
        case Replaced(job=job, drafts=drafts, failed=failed, given_up=given_up):
            return store.record_prepared(job, drafts, failed, now, given_up=given_up)
        case Halved(job=job, message=message):
            store.record_split(job, message, halves(store, service, job), now)
        case Lost(job=job, message=message, slow=slow, took_s=took_s):
            store.record_lost(job, message, now, slow=slow, took_s=took_s)
        case Misled(job=job, message=message):
            store.record_misled(job, message, now)
        case Found(job=job, chosen=chosen, others=others):
            store.record_found(
                job,
                chosen.remote_id,
                endpoint=endpoint,
                matches=chosen.matches,
                created_at=chosen.created_at,
                simulated=chosen.simulated,
                others=others,
                now=now,
            )
        case Renamed(job=job, chosen=chosen):
            store.record_renamed(job, chosen.remote_id, matches=chosen.matches, created_at=chosen.created_at, now=now)
        case Gone(job=job, chosen=chosen, agreed=agreed):
            store.record_gone(job, chosen.remote_id, chosen.billed_seconds, now, agreed=agreed)
        case Billed(job=job, chosen=chosen):
            store.record_billed(job, chosen.remote_id, chosen.billed_seconds, now)
        case Missed(job=job, doubt=doubt):
            store.record_missed(job, now, doubt=doubt)
        case Waited(job=job, seconds=seconds):
            store.record_waited(job, seconds)
        case Unlisted(job=job):
            store.record_unlisted(job)
        case Agreed(job=job, remote_ids=remote_ids, doubt=doubt):
            store.record_agreed(job, endpoint, remote_ids, now, doubt=doubt)
        case Duplicate(job=job, found=found):
            store.record_duplicate(job, endpoint, found, now)
        case Broken(job=job, reason=reason, message=message, times=times):
            store.record_broken(job, reason, message, now, times)
        case Finished(job=job, answers=answers, outcomes=outcomes, times=times, simulated=simulated):
            store.record_finished(job, answers=answers, outcomes=outcomes, times=times, simulated=simulated, now=now)
        case _:
            assert_never(fact)
    return ()


def _record_accepted(store: Store, fact: Accepted, endpoint: str, now: float) -> None:
    try:
        store.record_accepted(
            fact.job,
            fact.remote_id,
            created_at=fact.created_at,
            simulated=fact.simulated,
            now=now,
            answer=fact.answer,
            carry=fact.carry,
            billed_seconds=fact.billed_seconds,
        )
    except StateError as error:
        try:
            row, lineage, asked = store.job(fact.job), store.lineage, store.request_sha256(fact.job)
        except StateError:  # it can still be read as a rule, whatever keeps it from being written
            raise rescue_remote_id(error, store.path, fact.job, fact.remote_id) from error
        rescued = Rescued(
            lineage=lineage,
            number=fact.job,
            nonce=row.nonce or "",
            asked=asked,
            endpoint=endpoint,
            remote_id=fact.remote_id,
            created_at=fact.created_at,
            simulated=fact.simulated,
            at=now,
            carry=fact.carry,
            billed_seconds=fact.billed_seconds,
            answer=fact.answer,
        )
        if fact.answer is None:
            raise rescue_remote_id(error, store.path, fact.job, fact.remote_id, rescued) from error
        raise rescue_answer(error, store.path, rescued) from error
