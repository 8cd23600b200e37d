"""A measurement service without a network, a clock without waiting, and workers that work at once: for the engine."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from hume_runner.engine.environment import Environment
from hume_runner.engine.errands import Errand
from hume_runner.engine.reactions.base import Patience
from hume_runner.engine.run import RunEnded, RunOptions, run
from hume_runner.engine.view import Action
from hume_runner.engine.workers import Done, Failed, Interrupt, Message
from hume_runner.errors import ApiError
from hume_runner.events import document
from hume_runner.manifest.model import (
    ApiKey,
    BatchingSection,
    ExecutionSection,
    FailureBudget,
    Manifest,
    NotifySection,
    OutputsSection,
    Place,
    RetrySection,
    ServiceSection,
    SourceKind,
)
from hume_runner.manifest.model import Limits as ManifestLimits
from hume_runner.services.base import AnswerIncomplete, ByteStream, Keeper, ListingUnsupported, Witness
from hume_runner.services.foreign import Foreign, ForeignSource
from hume_runner.services.jobs import (
    Accepted,
    Draft,
    Ended,
    Job,
    Leniency,
    Limits,
    Member,
    Outcome,
    Pending,
    PlanItem,
    Progress,
    Submission,
    SubmitResult,
    Unknown,
    Waiting,
)
from hume_runner.services.lost import Candidate, Look, LostJob
from hume_runner.services.packing import pack
from hume_runner.sources.base import SourceItem
from hume_runner.state.disk import Disk
from hume_runner.state.keeping import Keeper as StateKeeper
from hume_runner.state.keeping import OnThisDisk
from hume_runner.state.reader import StateReader
from hume_runner.state.rows import JobRow
from hume_runner.state.under_way import Meeting

START = 1_800_000_000.0


def plan_item(name: str, *, kind: SourceKind = "text", size_bytes: int = 1, path: Path | None = None) -> PlanItem:
    """An item whose key and content are those of its name."""
    content = sha256(name.encode())
    return PlanItem(
        key=sha256(b"key " + name.encode()).digest(),
        id=name,
        kind=kind,
        value=name,
        path=path,
        size_bytes=size_bytes,
        content_sha256=content.hexdigest(),
    )


def source_item(name: str, *, kind: SourceKind = "url", id: str | None = None, explicit: bool = False) -> SourceItem:
    place = Place(file="manifest.yaml", line=1, column=1, path=f"sources.{kind}")
    value = f"https://example.org/{name}" if kind == "url" else name
    return SourceItem(kind=kind, id=id or name, explicit_id=explicit, value=value, place=place)


class BrokeOff(BaseException):
    """As what breaks off inside a library: no Exception."""


class FakeClock:
    """Unix seconds that pass only when somebody waits."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class InlineWorkers:
    """Does each piece of work when its result is asked for; waiting moves the clock.

    `later` holds (seconds from the start, message): posted when the clock gets there.
    """

    def __init__(self, clock: FakeClock, most_takes: int = 20_000) -> None:
        self._clock = clock
        self._todo: deque[tuple[Action, Errand]] = deque()
        self._posted: deque[Message] = deque()
        self._left = most_takes
        self.later: list[tuple[float, Message]] = []

    def start(self, action: Action, errand: Errand) -> None:
        self._todo.append((action, errand))

    def take(self, timeout_s: float) -> Message | None:
        self._left -= 1
        assert self._left > 0, "the loop does not end"
        if self._posted:
            return self._posted.popleft()
        due = [one for one in self.later if START + one[0] <= self._clock.now]
        if due:
            self.later.remove(due[0])
            return due[0][1]
        if self._todo:
            action, errand = self._todo.popleft()
            try:
                return Done(action, errand())
            except Exception as error:
                return Failed(action, error)
        until = self._clock.now + timeout_s
        self._clock.now = max(self._clock.now, min([until, *(START + at for at, _ in self.later)]))
        return None

    def post(self, message: Interrupt) -> None:
        self._posted.append(message)

    def close(self) -> None:
        self._todo.clear()


@dataclass(slots=True)
class RemoteJob:
    """What the service keeps of a job. What the next polls get is in `script`; `progress` overrides its age."""

    remote_id: str
    content: tuple[bytes, ...]
    matches: Mapping[int, str]
    created_at: float
    progress: Progress | None = None
    script: list[Progress] = field(default_factory=list)
    told: Foreign | None = None  # what a survey tells of it
    settings: Mapping[str, Any] | None = None


# What one submission does: a result to give without taking the job, or one of the words of `FakeService.script`.
Scripted = SubmitResult | str


@dataclass(slots=True)
class FakeService:
    """Takes jobs, works on each for `processing_s`, and answers with one element a member.

    `script`: what the next submissions get, one each; then all are accepted. A result is given as it is, and the job
    not taken; "accept" takes it, "lose answer" takes it and gives `Unknown` ("take twice" takes it two times), "lose
    request" gives `Unknown` alone.
    `fetches`: errors for the next fetches, None for a good one. `polls`: the same for polls.
    `fails`: item ids whose outcome is bad; `late`: item id -> when its part of an answer is there.
    """

    clock: FakeClock
    processing_s: float = 3.0
    most: int = 100
    script: list[Scripted] = field(default_factory=list)
    polls: list[BaseException | None] = field(default_factory=list)
    fetches: list[BaseException | None] = field(default_factory=list)
    greeting: BaseException | None = None
    fails: set[str] = field(default_factory=set)
    late: dict[str, float] = field(default_factory=dict)
    vanished: set[str] = field(default_factory=set)
    no_handles: set[str] = field(default_factory=set)  # items whose files this machine cannot open just now
    lists: bool = True
    shown_from: float = 0.0  # before that time the list shows nothing
    cost_s: float | None = None  # of each member
    remote: dict[str, RemoteJob] = field(default_factory=dict)
    submitted: list[tuple[str, ...]] = field(default_factory=list)
    submitted_at: list[float] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)
    api: str = "fake-v0"
    endpoint: str = "https://fake.example.org"
    keeps_answers: bool = True
    simulated: bool | None = None
    conclusive: bool = True  # whether a look that shows nothing proves anything
    settings: Mapping[str, Any] | None = None  # of the manifest that runs
    meanwhile: Callable[[str], None] = lambda what: None  # called before each submission ("send") and poll ("check")
    suspected: dict[str, tuple[Candidate, ...]] = field(default_factory=dict)  # id of a job's first item -> suspects
    matches_by_md5: bool = False
    reminded: list[Job] = field(default_factory=list)
    packed: int = 0  # how often it was asked for the jobs of a plan

    looker = archives = preparer = shelf = stopper = objects = plain_jobs = None

    @property
    def keeper(self) -> Keeper | None:
        return self if self.keeps_answers else None

    @property
    def witness(self) -> Witness:
        return self

    @property
    def limits(self) -> Limits:
        return Limits(upload_bytes=1000, sources_per_job=self.most, job_bytes=10_000)

    @property
    def requests(self) -> Mapping[str, int]:
        return dict(self.counted)

    def relevant(self, kind: SourceKind, facts: Mapping[str, Any], settings: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"models": settings["models"]}

    def hopeless(self, item: PlanItem) -> None:
        del item

    def refuse(self, item: PlanItem, now: float) -> tuple[str, str] | None:
        return None

    def compile(self, items: Iterable[PlanItem]) -> Iterator[Draft]:
        self.packed += 1
        return self._pack(Member(item=item) for item in items)

    def recompile(self, members: Sequence[Member]) -> Iterator[Draft]:
        return self._pack(members)

    def _pack(self, members: Iterable[Member]) -> Iterator[Draft]:
        for draft in pack(members, most=self.most, most_bytes=10_000):
            cost = None if self.cost_s is None else self.cost_s * len(draft.members)
            yield replace(draft, billable_seconds=cost)

    def greet(self) -> None:
        self.counted["greet"] += 1
        if self.greeting is not None:
            raise self.greeting

    def prepare(self, job: Job) -> Submission:
        for member in job.members:
            if member.item.id in self.vanished:
                raise FileNotFoundError(2, "No such file or directory", member.item.value)
            if member.item.id in self.no_handles:
                raise OSError(24, "Too many open files", member.item.value)
        matches = {member.position: f"{job.nonce}-{member.item.id}" for member in job.members}
        return Submission(
            request={"models": {}}, sha256=job.key, matches=matches, send=lambda: self._send(job, matches)
        )

    def _send(self, job: Job, matches: Mapping[int, str]) -> SubmitResult:
        self.counted["submit"] += 1
        self.meanwhile("send")
        self.submitted.append(tuple(member.item.id for member in job.members))
        self.submitted_at.append(self.clock.now)
        what = self.script.pop(0) if self.script else "accept"
        match what:
            case "accept":
                remote = self.take(job, matches)
                return Accepted(remote_id=remote.remote_id, server_time_s=self.clock.now, simulated=True)
            case "lose answer":
                self.take(job, matches)
                return Unknown(message="the connection broke")
            case "take twice":
                self.take(job, matches)
                self.take(job, matches)
                return Unknown(message="the connection broke")
            case "lose request":
                return Unknown(message="the connection broke")
            case str():
                raise AssertionError(what)
            case _:
                return what

    def take(self, job: Job, matches: Mapping[int, str]) -> RemoteJob:
        """The job is at the service from now on."""
        name = f"remote-{len(self.remote) + 1}"
        remote = RemoteJob(name, tuple(m.item.key for m in job.members), matches, self.clock.now)
        remote.told = Foreign(
            remote_id=name,
            sources=tuple(
                ForeignSource(kind=member.item.kind, match=match, value=member.item.value)
                for member, match in ((one, matches[one.position]) for one in job.members)
            ),
            same_settings=True,
            created_at=self.clock.now,
            simulated=True,
        )
        remote.settings = self.settings
        self.remote[remote.remote_id] = remote
        return remote

    def check_each(self, waiting: Sequence[Waiting]) -> Mapping[str, Progress]:
        return self.check(waiting)

    def check(self, waiting: Sequence[Waiting]) -> Mapping[str, Progress]:
        self.counted["poll"] += 1
        self.meanwhile("check")
        error = self.polls.pop(0) if self.polls else None
        if error is not None:
            raise error
        return {job.remote_id: self._progress(self.remote[job.remote_id]) for job in waiting}

    def _progress(self, job: RemoteJob) -> Progress:
        if job.script:
            return job.script.pop(0)
        if job.progress is not None:
            return job.progress
        ends = job.created_at + self.processing_s
        if self.clock.now < ends:
            return Pending(started=True)
        return Ended(created_at=job.created_at, started_at=job.created_at, ended_at=ends)

    def answer_names(self, *, artifacts: bool) -> tuple[str, ...]:
        return ("predictions.json", "artifacts.zip") if artifacts else ("predictions.json",)

    @contextmanager
    def open_answer(self, remote_id: str, name: str) -> Iterator[ByteStream]:
        self.counted["fetch"] += 1
        error = self.fetches.pop(0) if self.fetches else None
        if error is not None:
            raise error
        yield _Body(json.dumps(list(self.remote[remote_id].matches.values())).encode())

    def outcomes(
        self, job: Job, name: str, path: Path, announced: Mapping[str, int], leniency: Leniency
    ) -> tuple[Outcome, ...]:
        if name != "predictions.json":
            return ()
        assert set(job.matches.values()) <= set(json.loads(path.read_bytes()))
        outcomes = []
        for member in job.members:
            position, item = member.position, member.item.id
            if self.late.get(item, 0) > self.clock.now:
                if not leniency.missing:
                    raise AnswerIncomplete(f"{item} is not there yet")
                outcomes.append(Outcome(position=position, ok=False, reason="not_in_answer", message="never came"))
            elif item in self.fails:
                outcomes.append(Outcome(position=position, ok=False, reason="bad_medium", message=f"{item} is bad"))
            else:
                outcomes.append(Outcome(position=position, ok=True))
        return tuple(outcomes)

    def survey(self, since: float, knows: Callable[[str], bool], ours: Mapping[str, float]) -> Iterator[Foreign]:
        self.greet()
        for one in self.remote.values():
            if one.created_at >= since and not knows(one.remote_id) and one.told is not None:
                same = one.settings == self.settings
                yield replace(one.told, same_settings=same, alike=lambda kind, facts, same=same: same)

    def remind(self, job: Job) -> None:
        self.reminded.append(job)

    def suspects(self, job: Job) -> tuple[Candidate, ...]:
        return self.suspected.get(job.members[0].item.id, ())

    def look_for(self, lost: Sequence[LostJob], ours: Mapping[str, float]) -> Mapping[int, Look]:
        self.counted["find"] += 1
        if not self.lists:
            raise ListingUnsupported
        return {one.job.number: self._look_for(one, ours) for one in lost}

    def _look_for(self, lost: LostJob, ours: Mapping[str, float]) -> Look:
        wanted = tuple(member.item.key for member in lost.job.members)
        candidates = tuple(
            Candidate(remote_id=one.remote_id, matches=one.matches, created_at=one.created_at, simulated=True)
            for one in self.remote.values()
            if one.content == wanted
            and one.created_at >= lost.sent_at
            and one.remote_id not in ours
            and self.clock.now >= self.shown_from
        )
        why = "" if self.conclusive else "its list proves nothing"
        return Look(candidates=candidates, conclusive=not why, why=why)

    def measured(self, remote_id: str) -> None:
        return None

    def carried(self, remote_id: str, texts: Iterable[str]) -> None:
        return None

    def recognise(self, remote_id: str) -> Foreign:
        one = self.remote[remote_id]
        assert one.told is not None
        same = one.settings == self.settings
        return replace(one.told, same_settings=same, alike=lambda kind, facts: same)


@dataclass(frozen=True, slots=True)
class _Body:
    body: bytes

    def without_secrets(self, path: Path) -> None:
        del path

    def iter_bytes(self) -> Iterator[bytes]:
        yield self.body


def make_manifest(folder: Path, *, settings: Mapping[str, Any] | None = None, **execution: Any) -> Manifest:
    """A manifest for the fake service; `execution` are members of that section."""
    retry = RetrySection(attempts=execution.pop("attempts", 5), max_wait_s=execution.pop("max_wait_s", 60.0))
    failures = execution.pop("max_failures", None)
    settings = settings if settings is not None else {"models": {"face": {}}}
    return Manifest(
        version=1,
        name="fake",
        description="",
        path=folder / "manifest.yaml",
        sha256=sha256(json.dumps(settings).encode()).hexdigest(),
        service=ServiceSection(api="batch-v0", endpoint=None, api_key=ApiKey(env="NO"), limits=ManifestLimits()),
        sources=(),
        settings=settings,
        notify=NotifySection(),
        batching=BatchingSection(max_sources=100, max_bytes=10_000),
        execution=ExecutionSection(retry=retry, max_failures=FailureBudget(count=failures), **execution),
        outputs=OutputsSection(directory=folder / "out"),
        source_of={},
    )


class World:
    """A folder, a clock, a service, and runs of one manifest; `sources` may be changed between runs."""

    def __init__(self, folder: Path, sources: Iterable[str | SourceItem] = ("a", "b", "c")) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.service = FakeService(self.clock)
        self.sources: list[str | SourceItem] = list(sources)
        self.state = folder / "out" / "state.sqlite3"
        self.stepped_s = 0.0
        self.patience = Patience(settle_s=20.0, settle_slow_s=150.0)
        self.disk = Disk()
        self.keeper: StateKeeper = OnThisDisk()
        self.meetings: tuple[Meeting, ...] = ()
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._runs = 0

    def run(
        self,
        *,
        settings: Mapping[str, Any] | None = None,
        interrupts: Sequence[float] = (),
        options: RunOptions = RunOptions(),  # noqa: B008 - frozen
        simulated: bool = True,
        name: str = "fake",
        **execution: Any,
    ) -> RunEnded:
        """One run from its own start to its end. `interrupts`: seconds after the very first start."""
        workers = InlineWorkers(self.clock)
        workers.later = [(at, Interrupt(130, "SIGINT")) for at in interrupts]
        manifest = replace(make_manifest(self.folder, settings=settings, **execution), name=name)
        self.service.settings = manifest.settings
        return run(
            manifest,
            self.state,
            self.folder / "out",
            environment=Environment(
                service=self.service,
                expand=lambda _: iter([source_item(s) if isinstance(s, str) else s for s in self.sources]),
                disk=self.disk,
                workers=workers,
                clock=self.wall,
                monotonic=self.clock,
                random=lambda: 0.0,
                new_id=self._new_id,
                server_time=self.clock,
                simulated=simulated,
                embedded=False,
                patience=self.patience,
                keeper=self.keeper,
                meetings=self.meetings,
                report=lambda event: self.events.append((event.name, document(event))),
            ),
            options=options,
            finish=lambda store, result: None,
        )

    def wall(self) -> float:
        """The machine's time: `stepped_s` is how far somebody has set it."""
        return self.clock.now + self.stepped_s

    def _new_id(self) -> str:
        self._runs += 1
        return f"id-{self._runs}"

    def said(self, event: str) -> list[dict[str, Any]]:
        return [facts for name, facts in self.events if name == event]

    def jobs(self) -> list[JobRow]:
        with StateReader.peek(self.state) as store:
            return list(store.jobs())

    def items(self) -> dict[str, str]:
        with StateReader.peek(self.state) as store:
            return {item.id: str(item.status) for item in store.items()}

    def errors(self) -> dict[str, tuple[str | None, str | None]]:
        """(reason, message) of every failed item."""
        with StateReader.peek(self.state) as store:
            return {item.id: (item.reason, item.error) for item in store.items() if item.status == "failed"}


def unavailable(status: int = 503, *, retry_after_s: float | None = None) -> ApiError:
    return ApiError(f"the service failed ({status})", status=status, retry_after_s=retry_after_s)
