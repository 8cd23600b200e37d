"""What a run tells while it works: one frozen value an event, the same for progress, `--json`, logs and callers.

`document` gives an event as `--json` prints it; `schemas/events-v1.schema.json` says what each holds. Jobs are named as
people see them (`job-000001`); seconds and counts are numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, fields
from typing import Any, ClassVar

from hume_runner.frozen import frozen


@frozen
class Event:
    """Something that happened in a run. `name` is what `--json` calls it."""

    name: ClassVar[str] = ""


# Kept from `--json`: for people alone.
_QUIET = {"told": False}


@frozen
class Planned(Event):
    """The plan is made: items by what is to be done with them, and the jobs that this makes."""

    name: ClassVar[str] = "planned"
    new: int
    changed: int
    retry: int
    done: int
    failed: int
    jobs: int
    in_flight: int = field(default=0, metadata=_QUIET)
    ambiguous: int = field(default=0, metadata=_QUIET)
    unfinished: bool = field(default=True, metadata=_QUIET)
    to_finish: int = field(default=0, metadata=_QUIET)  # jobs, with those of earlier runs, once all media are prepared
    requests: int = field(default=0, metadata=_QUIET)  # of them, those of this plan: a video may be several

    @property
    def total(self) -> int:
        """All items that the plan is about."""
        return self.new + self.changed + self.retry + self.done + self.failed + self.in_flight + self.ambiguous


@frozen
class Phase(Event):
    """What a run does from now on: `reading` sources, `planning`, `asking` the service what it has, `working` on jobs,
    `writing` outputs, `telling` the callback; and of `state merge`, which tells no other: `merging` shards."""

    name: ClassVar[str] = "phase"
    phase: str


@frozen
class Writing(Event):
    """What of the outputs is being written, now and then: `results.jsonl`, `tables (parquet)`, `report.html`, the
    description of the tables, copies in a store, or a shard's answers while it is merged. `done` of `total` jobs are
    read for it, or files brought; `total` is None where nobody knows."""

    name: ClassVar[str] = "writing"
    what: str
    done: int
    total: int | None


@frozen
class SourcesRead(Event):
    """How many sources are read by now, now and then."""

    name: ClassVar[str] = "sources_read"
    items: int


@frozen
class Adopted(Event):
    """What the service has already, paid for, is fetched instead of sent."""

    name: ClassVar[str] = "adopted"
    jobs: int
    items: int


@frozen
class NoList(Event):
    """The service lists no jobs, so nobody can see what an earlier state sent."""

    name: ClassVar[str] = "no_list"
    message: str


@frozen
class Ordered(Event):
    """Somebody who talks to the run asked something of it: `pause`, `resume` or `set`."""

    name: ClassVar[str] = "ordered"
    order: str
    message: str


@frozen
class NotSettled(Event):
    """Before anything is sent: what the service has of this key is not told yet, and is waited for."""

    name: ClassVar[str] = "not_settled"
    message: str


@frozen
class Mended(Event):
    """An answer that was missing, cut or changed on disk is there again, fetched for nothing. `harm`: what it was, and
    under which name that is kept where a person may have made it."""

    name: ClassVar[str] = "mended"
    job: str
    path: str
    harm: str


@frozen
class AnswerLost(Event):
    """An answer that is harmed on disk cannot be had again."""

    name: ClassVar[str] = "answer_lost"
    job: str
    message: str


@frozen
class Rescued(Event):
    """What an earlier run could only put elsewhere is in the state now."""

    name: ClassVar[str] = "rescued"
    path: str
    job: str
    remote_id: str


@frozen
class RescueUnused(Event):
    """A file holds an answer that no job here waits for."""

    name: ClassVar[str] = "rescue_unused"
    path: str
    job: str
    remote_id: str


@frozen
class StateAwaited(Event):
    """A remote state has an owner, and it is waited whether its lock moves: for so many seconds at most."""

    name: ClassVar[str] = "state_awaited"
    place: str
    owner: str
    seconds: float


@frozen
class StatePutAside(Event):
    """A state on this disk went another way than the remote one, which counts: it is kept under another name."""

    name: ClassVar[str] = "state_put_aside"
    path: str


@frozen
class NoState(Event):
    """Answers lie in the output directory that the state knows nothing of."""

    name: ClassVar[str] = "no_state"
    message: str


@frozen
class NotTold(Event):
    """Other runs cannot see what this one has under way, nor it what they have."""

    name: ClassVar[str] = "not_told"
    message: str


@frozen
class Submitted(Event):
    """The service took a job."""

    name: ClassVar[str] = "submitted"
    job: str
    remote_id: str


@frozen
class RefusedForNow(Event):
    """The service did not take a job; it is tried again."""

    name: ClassVar[str] = "refused"
    job: str
    message: str


@frozen
class MediaPrepared(Event):
    """The media of a job are prepared: it became so many jobs, where its media's headers let expect another number."""

    name: ClassVar[str] = "prepared"
    jobs: int
    expected: int


@frozen
class Split(Event):
    """A job was refused as a whole; its halves are tried."""

    name: ClassVar[str] = "split"
    job: str
    message: str


@frozen
class Lost(Event):
    """The answer to a submission was lost; the service is asked whether it has the job."""

    name: ClassVar[str] = "lost"
    job: str
    message: str


@frozen
class Found(Event):
    """The service has a job whose answer was lost. `duplicates`: how many more carry the same, paid for as well."""

    name: ClassVar[str] = "found"
    job: str
    remote_id: str
    duplicates: int


@frozen
class NotThere(Event):
    """The service does not show a job whose answer was lost, and would have; it is sent again."""

    name: ClassVar[str] = "not_there"
    job: str


@frozen
class Gone(Event):
    """A job was measured and billed, and its answer cannot be had; it is sent again."""

    name: ClassVar[str] = "gone"
    job: str
    remote_id: str
    message: str


@frozen
class Agreed(Event):
    """A job is sent because somebody agreed to pay for it, although it may be at the service, paid for."""

    name: ClassVar[str] = "agreed"
    job: str
    message: str


@frozen
class Undecided(Event):
    """Nothing proves whether the service has a job whose answer was lost: a person decides."""

    name: ClassVar[str] = "undecided"
    job: str
    message: str


@frozen
class PaidTwice(Event):
    """The service took a job once more than was wanted."""

    name: ClassVar[str] = "paid_twice"
    job: str
    remote_id: str


@frozen
class JobEnded(Event):
    """The service finished a job; its answer is fetched."""

    name: ClassVar[str] = "ended"
    job: str


@frozen
class JobFinished(Event):
    """A job's answers are on disk: of so many sources, so many failed. `items`: those that are measured, as far as the
    job carried the whole of them."""

    name: ClassVar[str] = "finished"
    job: str
    sources: int
    failed: int
    items: int = 0


@frozen
class JobFailed(Event):
    """A job was given up, by the service or for its time."""

    name: ClassVar[str] = "job_failed"
    job: str
    message: str


@frozen
class ItemFailed(Event):
    """An item cannot be sent. `reason` is a word for programs."""

    name: ClassVar[str] = "item_failed"
    item: str
    reason: str
    message: str


@frozen
class NotMeasured(Event):
    """An item was sent and came back without a measurement. `reason` is a word for programs."""

    name: ClassVar[str] = "not_measured"
    job: str
    item: str
    reason: str
    message: str


@frozen
class MediumNoted(Event):
    """A medium is not measured quite as one would think: a part of it cannot be, or was chosen among several."""

    name: ClassVar[str] = "medium_noted"
    item: str
    message: str


@frozen
class Early(Event):
    """A job has ended, and its answer does not speak of every source yet."""

    name: ClassVar[str] = "early"
    job: str
    message: str


@frozen
class NoArtifacts(Event):
    """The service keeps no artifacts of a job; its predictions are fetched without."""

    name: ClassVar[str] = "no_artifacts"
    job: str


@frozen
class FetchFailed(Event):
    """An answer could not be fetched; it is tried again."""

    name: ClassVar[str] = "fetch_failed"
    job: str
    message: str


@frozen
class PollFailed(Event):
    """The service did not tell how far the jobs are; it is asked again."""

    name: ClassVar[str] = "poll_failed"
    message: str


@frozen
class Counted(Event):
    """How far a run is, now and then: items and jobs by state."""

    name: ClassVar[str] = "counted"
    items: Mapping[str, int]
    jobs: Mapping[str, int]
    # Once, when the work is over: those of the result. `--json` has them in `done`.
    final: bool = field(default=False, metadata=_QUIET)


@frozen
class Working(Event):
    """What goes on just now, now and then: jobs by what is done with them, and the bytes of files and answers since the
    run began. `asked_about`: submissions without an answer, which the service is asked about; `certain_in_s`: when that
    is known at the latest, None where there are none."""

    name: ClassVar[str] = "working"
    preparing: int
    uploading: int
    measuring: int
    fetching: int
    sent_bytes: int
    received_bytes: int
    asked_about: int = 0
    certain_in_s: float | None = None


@frozen
class Stopping(Event):
    """Nothing more is submitted, for this reason."""

    name: ClassVar[str] = "stopping"
    message: str


@frozen
class Interrupted(Event):
    """A signal: what is on its way is finished. `requests` are, and would cost `billable_seconds` once more."""

    name: ClassVar[str] = "interrupted"
    signal: str
    requests: int
    billable_seconds: float


@frozen
class Warned(Event):
    """Something that is worth knowing and ends nothing."""

    name: ClassVar[str] = "warning"
    message: str


@frozen
class Abandoned(Event):
    """A second signal: left at once, with `requests` on their way that cost `billable_seconds` once more."""

    name: ClassVar[str] = "abandoned"
    signal: str
    requests: int
    billable_seconds: float


# What is told of a run goes here.
Report = Callable[[Event], None]


def document(event: Event) -> dict[str, Any]:
    """The members of an event as `--json` prints them, its name apart."""
    return {one.name: getattr(event, one.name) for one in fields(event) if one.metadata.get("told", True)}
