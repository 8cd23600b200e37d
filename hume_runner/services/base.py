"""One measurement API, as a run sees it: the protocol and the values that cross it.

The engine plans, submits, waits and fetches through these names alone and never asks which API it is talking to. Each
caller takes the parts that it needs (`Planner`, `Sender`, `Records`, `Reader`, …); `Service` is all of them. An
API that works in jobs answers a submission with `Accepted` and is polled; one that measures at once answers `Answered`,
and where it is asked for nothing besides and bills nothing, `at_once.AtOnce` is all of it but planning, sending and
reading.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from hume_runner.computing.base import Needs, Pool
from hume_runner.errors import HumeRunnerError, UnexpectedResponse
from hume_runner.frozen import frozen
from hume_runner.manifest.model import Manifest, SourceKind

if TYPE_CHECKING:
    from hume_runner.http.access import Access
    from hume_runner.services.remote_files import RemoteFiles


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
class Candidate:
    """A job at the service that carries what a lost submission carried, under the names in `matches` (by the members'
    positions).

    `gone`: it was measured and billed, and its answer cannot be had any more. `running`: it is not known yet whether it
    will be billed. `maybe`: it can neither be taken for ours nor be excluded. `shut`: this key cannot open it, so that
    any other comes first. `named`: `remote_id` is its id, and not words for an entry that has none.
    """

    remote_id: str
    matches: Mapping[int, str]
    created_at: float | None
    simulated: bool = False
    gone: bool = False
    running: bool = False
    maybe: bool = False
    named: bool = True
    shut: bool = False
    billed_seconds: float | None = None


@frozen
class LostJob:
    """A submission whose answer was lost: the job as it was sent, and from when to when at the widest, in Unix seconds
    by the service's clock as well as that is known: its own answers may be hours off.

    -inf to inf where it is not known at all. The machine's time does not stand for it: anybody may set that.

    What follows is told by the order in which the state recorded it, whatever any clock says, and is only what lies
    next. `before`: remote ids of jobs of ours that the service had surely taken before, the last one first; `after`: of
    those that it took since this one was sent, and how many seconds after that, at the most; `later`: those of them
    that were sent only after this one's end.
    """

    job: Job
    sent_at: float
    ended_at: float
    before: Sequence[str] = ()
    after: Mapping[str, float] = field(default_factory=dict)
    later: frozenset[str] = frozenset()
    # Some of those before and after as they were sent, by remote id: how the service tells of what it surely has.
    controls: Mapping[str, Job] = field(default_factory=dict)


@frozen
class Look:
    """What one look at the service showed of one lost job.

    `conclusive`: had the service taken the job by then, this look would have shown it, so that no candidate means that
    it did not. `why`: what the look lacked for that, in words. `most`: how many of the candidates can be ours, where it
    is only their size that tells; more of them cannot be told apart. `final`: nothing can show later either.
    """

    candidates: tuple[Candidate, ...] = ()
    conclusive: bool = False
    why: str = ""
    most: int | None = None
    final: bool = False


@frozen
class ForeignSource:
    """A source of a job that was started elsewhere: its name there, and its content as `value` or `md5`."""

    kind: SourceKind
    match: str
    value: str | None = None
    md5: str | None = None


@frozen
class Foreign:
    """A job that was started elsewhere. `same_settings`: it measures as the manifest would, as far as is known, and
    `differences` say in which settings it does not;
    `alike(kind, facts)`: it does so for such an item, which not every setting touches; None where nobody can tell.
    `lacks(kind, facts)`: the models that the manifest asks for and that did not measure such an item.
    `silent`: kinds of sources of which nothing tells whether, or which, it carries; `unordered`: kinds of which it
    carries several, and neither its echo nor its answer will tell which is which. `given_up`: why the service gave it
    up, so that it measured nothing; empty where it did not.

    `simulated` is None where nobody can know.
    """

    remote_id: str
    sources: tuple[ForeignSource, ...]
    same_settings: bool
    differences: tuple[str, ...] = ()
    lacks: Callable[[SourceKind, Mapping[str, Any]], tuple[str, ...]] = lambda kind, facts: ()
    alike: Callable[[SourceKind, Mapping[str, Any]], bool | None] = lambda kind, facts: True
    silent: frozenset[SourceKind] = frozenset()
    unordered: frozenset[SourceKind] = frozenset()
    given_up: str = ""
    created_at: float | None
    simulated: bool | None


@frozen
class Limits:
    """What the service takes in one submission. None: no limit known."""

    upload_bytes: int
    sources_per_job: int
    job_bytes: int


@frozen
class Inside:
    """A member of an archive that is an item of its own: its path inside, its SHA-256 (32 bytes), what a look told."""

    name: str
    digest: bytes
    size_bytes: int
    facts: Mapping[str, Any]


class ByteStream(Protocol):
    """An answer's body: complete, or reading it raises."""

    def iter_bytes(self) -> Iterator[bytes]: ...

    def without_secrets(self, path: Path) -> IO[bytes] | None:
        """What was written to `path` from here, without secrets that could not be left out on the way; None where there
        are none. Raises: OSError."""
        ...


@frozen
class PlainJobs:
    """How `Planner.compile` packs texts and links without a query, none of which it refuses or bills: in order, with so
    many members and so many bytes of them at most.

    With this, a plan that only looks need not consider every item.
    """

    most: int
    most_bytes: int


class HasApi(Protocol):
    """Speaks an API that a manifest may name."""

    @property
    def api(self) -> str: ...


class HasEndpoint(Protocol):
    """Talks to one endpoint: jobs are known by it and their remote id."""

    @property
    def endpoint(self) -> str: ...


class Packer(Protocol):
    """Packs items into jobs. Pure."""

    def compile(self, items: Iterable[PlanItem]) -> Iterator[Draft]:
        """Jobs for these items, in order, packed to the limits. Pure: the same items give the same drafts."""
        ...

    def recompile(self, members: Sequence[Member]) -> Iterator[Draft]:
        """Jobs for the members of a job that was refused as a whole."""
        ...


class Planner(HasApi, Packer, Protocol):
    """Turns items into jobs. Pure: nothing here reads a file or talks to anybody."""

    @property
    def matches_by_md5(self) -> bool:
        """Whether the service tells the MD5 of the files that it has, so that a plan has to know theirs."""
        ...

    @property
    def plain_jobs(self) -> PlainJobs | None:
        """How it packs what only its size matters of; None where it does not pack so."""
        ...

    def relevant(self, kind: SourceKind, facts: Mapping[str, Any], settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """The part of `settings` that changes the result of an item of this kind, of which a look told `facts`. Pure.

        `settings` are those of a manifest: "models", "transcription", "batching". What a manifest says beyond this part
        is nothing to the item: it is not measured again for it.
        """
        ...

    def refuse(self, item: PlanItem, now: float) -> tuple[str, str] | None:
        """(message, hint) if this item cannot be sent as it is: too large, an expired link. Pure; reads nothing."""
        ...

    def hopeless(self, item: PlanItem) -> tuple[str, str] | None:
        """(reason, message) if this item will fail by itself for what it holds. Pure; its facts tell where this does
        not."""
        ...


class Looker(Protocol):
    """Looks into files before they are planned."""

    def look(self, path: Path, content: bytes) -> Mapping[str, Any]:
        """What a cheap look at a file tells that a plan needs (JSON values)."""
        ...

    def recall(self, facts: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """What an earlier look at this content tells under this manifest; None where it has to be repeated. Pure."""
        ...

    def apart(self, facts: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """(name, facts) of each item that a medium is, of which a look told `facts`: most are one, without a name of
        its own. Pure."""
        ...


class Archives(Protocol):
    """Opens files whose members are items of their own."""

    def inside(self, path: Path) -> Iterator[Inside] | None:
        """The members of an archive that are items of their own; None for a file that is one item."""
        ...


class Preparer(Protocol):
    """Makes what is sent of a job's media."""

    def media(self, job: Job) -> Prepared:
        """Prepare the media of a job that asks for it: slow, reads and writes files, sends nothing. Safe to repeat."""
        ...


class Shelf(Protocol):
    """Holds what was prepared until it is measured."""

    def release(self, job: Job) -> None:
        """The job is done: what was prepared for it is not needed any more."""
        ...

    def close(self) -> None:
        """The run is over: remove what was prepared."""
        ...


class Stopper(Protocol):
    """Gives up what is on its way, where that costs nothing."""

    def stop(self) -> None:
        """End at once whatever is being measured or prepared: each `send` comes back with `Refused`, temporary, and
        what is prepared raises Stopped."""
        ...


class Sender(HasEndpoint, Protocol):
    """Submits jobs."""

    @property
    def requests(self) -> Mapping[str, int]:
        """Requests sent so far, by kind."""
        ...

    @property
    def simulated(self) -> bool | None:
        """Whether the latest answer came from an emulator; None before one."""
        ...

    def greet(self) -> None:
        """A cheap first request: is the key good, what time is it there. Raises: ApiError."""
        ...

    def prepare(self, job: Job) -> Submission:
        """The one request of a job, not sent yet."""
        ...


class Records(Protocol):
    """What a service tells of the jobs that it took."""

    def check(self, waiting: Sequence[Waiting]) -> Mapping[str, Progress]:
        """How far all these jobs are, by remote id, with as few requests as the service allows."""
        ...

    def check_each(self, waiting: Sequence[Waiting]) -> Mapping[str, Progress]:
        """The same, with a request a job: what it is worth where nothing else tells."""
        ...

    def survey(self, since: float, knows: Callable[[str], bool], ours: Mapping[str, float]) -> Iterator[Foreign]:
        """What this key has at the service since then (Unix seconds by its clock), but for the jobs that `knows` has.
        It is asked of each job since then, and of none before.

        `ours`: remote id -> time of creation (the service's clock) of what it took from this state since then.

        Streamed, before anything is submitted: what is there is paid already. A service whose answers cannot be had
        again yields nothing and remembers what it saw for `suspects`. Raises: ApiError; ListingUnsupported; at the end
        ListingIncomplete.
        """
        ...

    def look_for(self, lost: Sequence[LostJob], ours: Mapping[str, float]) -> Mapping[int, Look]:
        """One look for all lost jobs, by job number.

        `ours`: remote id -> time of creation (the service's clock) of jobs that it surely took from this state, from
        before the first lost job on. They are never candidates, and a look that does not show them shows little.
        Raises: ApiError; ListingUnsupported.
        """
        ...


class Keeper(Protocol):
    """Gives answers again, for as long as it keeps them."""

    def open_answer(self, remote_id: str, name: str) -> AbstractContextManager[ByteStream]:
        """Start fetching one answer."""
        ...

    def remind(self, job: Job) -> None:
        """A job that an earlier run sent, as it was sent: what the service shows under its id has to be that."""
        ...

    def recognise(self, remote_id: str) -> Foreign:
        """What a job that was started elsewhere carries, for `adopt`. Raises: NotFound."""
        ...

    def recognise_file(self, path: Path, texts: Iterable[str]) -> Foreign:
        """What an answer carries that somebody kept as a file; nobody is asked. `texts`: those that it may be about.

        Raises: UnexpectedResponse for what is no whole answer of this API; OSError.
        """
        ...

    def carried(self, remote_id: str, texts: Iterable[str]) -> tuple[ForeignSource, ...] | None:
        """What a job carries by the word of its answer, however the job itself is told: texts have their `value` where
        it tells which of `texts` they are. None where there is no answer that tells."""
        ...

    def measured(self, remote_id: str) -> Mapping[SourceKind, int] | None:
        """How many sources of each kind a job's answer speaks of; None where there is no answer that tells."""
        ...


class Host(HasEndpoint, Protocol):
    """Where jobs were started, and what gives their answers again."""

    @property
    def keeper(self) -> Keeper | None:
        """None where an answer comes once, with the submission: what was measured before costs again."""
        ...


class Witness(Protocol):
    """Saw what was measured and cannot be had again."""

    def suspects(self, job: Job) -> tuple[Candidate, ...]:
        """What the survey saw that may be this job, measured before and paid, with an answer that cannot be had again.

        Pure; empty where `survey` yields what is there.
        """
        ...


class Reader(Protocol):
    """Reads answers."""

    def answer_names(self, *, artifacts: bool) -> tuple[str, ...]:
        """File names of the answers to fetch once a job has ended; the first is the one that `outcomes` reads."""
        ...

    def outcomes(self, job: Job, name: str, path: Path, announced: Mapping[str, int]) -> tuple[Outcome, ...]:
        """Check a downloaded answer as a whole and say what it tells about each member.

        Raises: UnexpectedResponse if it is damaged; AnswerIncomplete if the service has not written all of it yet.
        """
        ...


class Planning(Planner, Protocol):
    """What a plan needs of a service."""

    @property
    def looker(self) -> Looker | None:
        """None where a file's name and size are enough for a plan."""
        ...

    @property
    def archives(self) -> Archives | None:
        """None where every file is one item."""
        ...

    @property
    def objects(self) -> RemoteFiles | None:
        """Gives objects of stores as files; None where none are taken."""
        ...


class Service(Planning, Sender, Records, Reader, Host, Protocol):
    """One API and endpoint: what every API does, and the parts that only some have.

    Named only where one is made and held (`Build`, `wiring`, `engine.environment`): whoever is given one names the
    parts that he needs.
    """

    @property
    def preparer(self) -> Preparer | None:
        """None where media are sent as they are; then no draft asks for preparation."""
        ...

    @property
    def shelf(self) -> Shelf | None:
        """None where nothing that was prepared lies about."""
        ...

    @property
    def stopper(self) -> Stopper | None:
        """None where what is on its way is waited for, since it is paid."""
        ...

    @property
    def witness(self) -> Witness | None:
        """None where all that the survey shows can be had."""
        ...


class Computes(Protocol):
    """A service that has work for the processor, which can be done elsewhere."""

    @property
    def needs(self) -> Needs:
        """What each process has to have that works for it."""
        ...

    def compute_on(self, pool: Pool) -> None:
        """Have it done there, and nowhere else. The service closes the pool."""
        ...


class Build(Protocol):
    """Makes a service of a manifest, at an endpoint."""

    def __call__(
        self,
        manifest: Manifest,
        endpoint: str,
        access: Callable[[], Access],
        on_server_time: Callable[[float], None],
    ) -> Service:
        """`access` tells how to reach it, and is asked before the first request; `on_server_time` takes the service's
        time (Unix seconds) whenever an answer tells it."""
        ...


class ListingIncomplete(Exception):
    """This host's list does not show all that it has, so nobody can tell what is there already."""


class NotSettled(ListingIncomplete):
    """What is there is not told yet, and looking again may tell. `slow`: it takes as long as a measurement; `missing`:
    what the list must show of ours and does not."""

    def __init__(self, why: str, *, slow: bool = False, missing: Sequence[str] = ()) -> None:
        super().__init__(why)
        self.slow, self.missing = slow, tuple(missing)


class ListingUnsupported(Exception):
    """This host cannot list jobs, so a lost submission cannot be looked for."""


class AnswerUnreadable(UnexpectedResponse):
    """Some source's part of an answer cannot be read. It may have been harmed on the way: what stays so is the
    service's word."""


class AnswerIncomplete(Exception):
    """The job has ended, and its answer does not speak of every source yet; asking again later may help."""
