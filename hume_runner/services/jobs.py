"""What is measured, and what became of it: the values that cross between a run and a service.

From a plan's items to jobs, a submission and its answer, how far a job is, and what an answer says of each member.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hume_runner.errors import HumeRunnerError
from hume_runner.frozen import frozen
from hume_runner.manifest.model import SourceKind


# Nobody changes one, or a `Member`. They are not frozen, as a frozen one takes twice the time to make, and a plan makes
# millions.
@dataclass(slots=True, kw_only=True)
class PlanItem:
    """One thing that has to be measured: `key` is its 32-byte identity, `value` the URL, the text, or a file's name.

    `remote` is set instead of `path` for an object in a store: its URI. `inside` is the member's path where the file is
    an archive whose members are items.

    `content_md5` is set for files where the service matches by it, if the file was read since.

    `facts` holds what a cheap look at the medium told (JSON values), empty for what nobody looked at. `carried`: for an
    item that is planned, the details of its parts that are measured or at the service, so that they are not sent again.
    """

    key: bytes
    id: str
    kind: SourceKind
    value: str
    path: Path | None
    remote: str | None = None
    inside: str | None = None
    size_bytes: int
    content_sha256: str
    content_md5: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    carried: tuple[Mapping[str, Any], ...] = ()


@frozen
class Inside:
    """A member of an archive that is an item of its own: its path inside, its SHA-256 (32 bytes), what a look told."""

    name: str
    digest: bytes
    size_bytes: int
    facts: Mapping[str, Any]


@frozen
class Carried:
    """A part of an item that a job carries already: measured (`done`), or at the service. `detail` says which."""

    job: int
    detail: Mapping[str, Any]
    done: bool


@dataclass(slots=True, kw_only=True)
class Member:
    """An item's part in a job. `detail` says which part where an item is spread over several jobs (JSON values).

    `position` is the place that the state keeps for it in its job; a draft has none to give. It is what outcomes, names
    and answers refer to: a planned job may give members up, so that a place in `Job.members` says nothing. `carried`:
    for a job whose media have to be prepared, the parts that need not be sent any more.
    """

    item: PlanItem
    position: int = -1
    detail: Mapping[str, Any] = field(default_factory=dict)
    carried: tuple[Carried, ...] = ()


@frozen
class Draft:
    """A job that is not planned yet.

    `after`: it may only go out when the draft that many places before it is done; `behind`: when that job is.
    `prepare`: its media have to be prepared first, and then it becomes the jobs that are sent, in `requests` requests
    as far as is known. `unmeasured`: so many of its members are not in its bill, since nobody knows how long they are.
    """

    members: tuple[Member, ...]
    size_bytes: int
    billable_seconds: float | None = None
    unpacked_seconds: float | None = None
    unmeasured: int = 0
    requests: int = 1
    prepare: bool = False
    after: int | None = None
    behind: int | None = None


@frozen
class Job:
    """A planned job with all that a submission needs. `carry` is what the job before it left for it, `carry_age_s` ago.

    `matches` (by the members' positions) and `request` are those of its last submission, empty before one. A member
    that the manifest does not list any more has an empty id and value.
    """

    number: int
    key: str
    nonce: str
    members: tuple[Member, ...]
    size_bytes: int
    billable_seconds: float | None = None
    prepare: bool = False
    carry: str | None = None
    carry_age_s: float | None = None
    matches: Mapping[int, str] = field(default_factory=dict)
    request: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The job's name as people see it."""
        return job_name(self.number)


def job_name(number: int) -> str:
    """`job-000001`: the name under which outputs and messages speak of a job."""
    return f"job-{number:06d}"


@frozen
class Submission:
    """One request, ready to be sent. `matches` tells for each member's position by what the answer will name it.

    `request` is the body as it may be written down (no secret), `sha256` the hash of what identifies the request.
    `send` performs the one POST. `again`: where the same `sha256` has the same answer whoever asks, and nothing is paid
    for one, what such an answer of an earlier request gives; None for an answer that does not do.
    """

    request: Mapping[str, Any]
    sha256: str
    matches: Mapping[int, str]
    send: Callable[[], SubmitResult]
    again: Callable[[bytes], SubmitResult | None] | None = None


@frozen
class Prepared:
    """What preparing a job's media gave: the jobs to send, and the members that cannot be sent, with the reason.

    `failed`: (the member's position in the prepared job, reason, message). `given_up`: jobs that carried a part of what
    its source held before, and whose answers say nothing about what it holds now. `notes`: what people should know of
    media that are sent. `expected`: how many jobs the plan counted for these media; None where it does not count so.
    """

    drafts: tuple[Draft, ...]
    failed: tuple[tuple[int, str, str], ...] = ()
    given_up: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    expected: int | None = None


@frozen
class Accepted:
    """The service took the job and gave it a name."""

    remote_id: str
    server_time_s: float | None
    simulated: bool


@frozen
class Answered:
    """The service measured at once: `body` is its whole answer, `carry` what the next job of the chain needs."""

    remote_id: str
    body: bytes
    server_time_s: float | None
    simulated: bool
    carry: str | None = None
    billed_seconds: float | None = None


@frozen
class Refused:
    """The service surely did not take the job.

    `temporary`: the same request may pass later. `stops_run`: no request can pass (key, permission, API closed).
    `divisible`: one member may be the cause, so that halves may pass. `retry_after_s`: what the service asked for.
    """

    reason: str
    message: str
    temporary: bool
    stops_run: bool = False
    divisible: bool = False
    retry_after_s: float | None = None
    hint: str = ""
    error: HumeRunnerError | None = None  # that the run ends with where it stops


@frozen
class Unknown:
    """Nobody can tell whether the service took the job: only asking it settles that.

    `slow`: the request ended by a time-out and not by a cut, so that the service may take the job long after.
    """

    message: str
    slow: bool = False


SubmitResult = Accepted | Answered | Refused | Unknown


@frozen
class Waiting:
    """A job at the service. Times are Unix seconds by the service's clock, as well as known."""

    number: int
    remote_id: str
    created_at: float


@frozen
class Pending:
    """Not finished yet; `started` once the service works on it."""

    started: bool = False


@frozen
class Ended:
    """Finished, with an answer to fetch. Times are Unix seconds by the service's clock."""

    created_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    announced: Mapping[str, int] = field(default_factory=dict)


@frozen
class Broken:
    """The service gave the whole job up."""

    message: str
    created_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None


@frozen
class Leniency:
    """What an answer may lack and is taken all the same: sources that it does not speak of, or what cannot be read of
    one. Those have failed then."""

    missing: bool = False
    unreadable: bool = False


STRICT = Leniency()
ALL_THERE_IS = Leniency(missing=True, unreadable=True)  # nobody can be asked again for what is not in it


@frozen
class Unseen:
    """The service does not know this job (any more), or not under this key."""


@frozen
class Mistaken:
    """What the service has under this id is another job, surely: what was sent is to be looked for."""

    message: str


Progress = Pending | Ended | Broken | Unseen | Mistaken


@frozen
class Outcome:
    """What an answer says about one member: the one whose stored `position` this is.

    `match`: by what the answer names it, where that is not by what it was sent. `notes`: what people should know of a
    measurement that is there.
    """

    position: int
    ok: bool
    reason: str | None = None
    message: str | None = None
    match: str | None = None
    notes: tuple[str, ...] = ()


@frozen
class Limits:
    """What the service takes in one submission. None: no limit known."""

    upload_bytes: int
    sources_per_job: int
    job_bytes: int
