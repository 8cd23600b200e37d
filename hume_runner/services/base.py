"""One measurement API, as a run sees it: the protocols. What crosses them is in `jobs.py`, `lost.py`, `foreign.py`.

The engine plans, submits, waits and fetches through these names alone and never asks which API it is talking to. Each
caller takes the parts that it needs (`Planner`, `Sender`, `Records`, `Reader`, …); `Service` is all of them. An
API that works in jobs answers a submission with `Accepted` and is polled; one that measures at once answers `Answered`,
and where it is asked for nothing besides and bills nothing, `at_once.AtOnce` is all of it but planning, sending and
reading.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from hume_runner.computing.base import Needs, Pool
from hume_runner.errors import UnexpectedResponse
from hume_runner.manifest.model import Manifest, SourceKind
from hume_runner.services.foreign import Foreign, ForeignSource
from hume_runner.services.jobs import (
    Draft,
    Inside,
    Job,
    Leniency,
    Member,
    Outcome,
    PlanItem,
    Prepared,
    Progress,
    Submission,
    Waiting,
)
from hume_runner.services.lost import Candidate, Look, LostJob
from hume_runner.services.packing import PlainJobs

if TYPE_CHECKING:
    from hume_runner.http.access import Access
    from hume_runner.services.remote_files import RemoteFiles


class ByteStream(Protocol):
    """An answer's body: complete, or reading it raises."""

    def iter_bytes(self) -> Iterator[bytes]: ...

    def without_secrets(self, path: Path) -> IO[bytes] | None:
        """What was written to `path` from here, without secrets that could not be left out on the way; None where there
        are none. Raises: OSError."""
        ...


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


class Relevant(HasApi, Protocol):
    """Tells what two measurements of the same content may differ by."""

    def relevant(self, kind: SourceKind, facts: Mapping[str, Any], settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """The part of `settings` that changes the result of an item of this kind, of which a look told `facts`. Pure.

        `settings` are those of a manifest: "models", "transcription", "batching". What a manifest says beyond this part
        is nothing to the item: it is not measured again for it.
        """
        ...


class Planner(Relevant, Packer, Protocol):
    """Turns items into jobs. Pure: nothing here reads a file or talks to anybody."""

    @property
    def plain_jobs(self) -> PlainJobs | None:
        """How it packs what only its size matters of; None where it does not pack so."""
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

    def outcomes(
        self, job: Job, name: str, path: Path, announced: Mapping[str, int], leniency: Leniency
    ) -> tuple[Outcome, ...]:
        """Check a downloaded answer as a whole and say what it tells about each member. `announced`: what the service
        told of it when the job had ended (`Ended`).

        Raises: UnexpectedResponse if it is damaged; unless `leniency` takes that, AnswerIncomplete if the service has
        not written all of it yet and AnswerUnreadable if some source's part cannot be read.
        """
        ...


class Scanning(Relevant, Protocol):
    """What a scan of the sources needs of a service: how it looks into files, and what tells two items apart."""

    @property
    def matches_by_md5(self) -> bool:
        """Whether the service tells the MD5 of the files that it has, so that a plan has to know theirs."""
        ...

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


class Service(Scanning, Planner, Sender, Records, Reader, Host, Protocol):
    """One API and endpoint: what every API does, and the parts that only some have.

    Named only where one is made and held (`Build`, `endpoint`, `engine.environment`): whoever is given one names the
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
