"""The batch API as a run sees it: jobs of up to 100 sources, submitted, listed, fetched.

Facts and their sources are in docs/apis/batch_v0.md. What is unverified there is handled leniently here: a host without
a list is polled job by job, an answer's unknown members are ignored, and sources are matched by name, never by order.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hume_runner.errors import (
    ApiError,
    AuthError,
    Discontinued,
    NotFound,
    RateLimited,
    RequestRejected,
    ServerError,
    TransportError,
    UnexpectedResponse,
)
from hume_runner.http.json_lenient import plain
from hume_runner.manifest.model import Manifest, SourceKind
from hume_runner.services.base import (
    Accepted,
    AnswerIncomplete,
    AnswerUnreadable,
    Broken,
    ByteStream,
    Candidate,
    Draft,
    Ended,
    Foreign,
    ForeignSource,
    Job,
    Keeper,
    Limits,
    ListingIncomplete,
    ListingUnsupported,
    Look,
    Looker,
    LostJob,
    Member,
    Mistaken,
    Outcome,
    Pending,
    PlanItem,
    Prepared,
    Preparer,
    Progress,
    Refused,
    Submission,
    SubmitResult,
    Unknown,
    Unseen,
    Waiting,
)
from hume_runner.services.batch_v0.matching import (
    Confirmed,
    Listing,
    Sent,
    SourceFinder,
    Verdict,
    agreement,
    another_s,
    confirmed,
    content_of,
    contradicts,
    familiar,
    in_order,
    judge,
    lacking,
    names_in,
    other_bytes,
    same_settings,
    sent_by,
    silenced,
)
from hume_runner.services.batch_v0.readable import iter_checked, words_of
from hume_runner.services.batch_v0.repeats import CONFLICT, Mentions, named_texts
from hume_runner.services.batch_v0.settings import relevant
from hume_runner.services.evidence import uncontrolled
from hume_runner.services.links import refuse_expired
from hume_runner.services.packing import pack
from hume_runner.services.unreadable import UNEXPECTED
from hume_runner.services.unreadable import message as told_of
from hume_runner.settings import masked_url

if TYPE_CHECKING:
    from hume_runner.http.access import Access
    from hume_runner.services.batch_v0.client import BatchV0Api, JobView, SourceResultView

API = "batch-v0"
HOST = "https://api.hume.ai"
UPLOAD_BYTES = 100_000_000
SOURCES_PER_JOB = 100
PREDICTIONS = "predictions.json"
ARTIFACTS = "artifacts.zip"

# The largest page asked for. The service's own bound is unknown: a shorter page is followed by another.
_PAGE = 500
# A submission's upload may take long; a slow link of 1 Mbit/s moves 100 MB in 14 minutes.
_SUBMIT_DEADLINE_S = 1_800.0
# Statuses of a list that is not there: the jobs are then asked about one by one.
_NO_LIST = frozenset({400, 404, 405, 410, 501})
# Statuses of a job that this key cannot open.
_NOT_OURS = frozenset({400, 403, 404, 410})
# So many jobs that all seem to be the lost one are opened to see which is.
_MOST_OPENED = 20
# After so many lists in a row that leave out a job which the host has, its list is not relied on.
_MISSES = 3
# So many jobs of one single moment may be a page's end and not the list's: no later page can be asked for.
_ONE_MOMENT = 5
# How far apart our idea of the service's time and the times in its list may be.
_CLOCKS_APART_S = 7_200.0
_NAMELESS = "the list has entries without an id"
_NO_USE = "nothing of it can be fetched from there: ask the host's people"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(slots=True)
class _Learned:
    """What this host has shown so far.

    `lists`: it has a list of jobs at all. `misses`: how many lists in a row left a job out that the host has all the
    same; `partial`: its list cannot be relied on for polling. `margin_s`: how much earlier than we think jobs may have
    been created, by the times that its list gives.
    """

    lists: bool = True
    partial: bool = False
    misses: Counter[str] = field(default_factory=Counter)
    doubted: Counter[str] = field(default_factory=Counter)  # how often details did not tell whether a job failed
    margin_s: float = 5.0
    opened: bool = False  # it has details of jobs
    nameless: int = 0  # entries of lists without an id, so far
    nameless_as: str = _NAMELESS  # the same in words
    simulated: bool | None = None
    requests: Counter[str] = field(default_factory=Counter)
    sent: dict[int, Sent] = field(default_factory=dict)  # what the jobs carry that this run sent and that are not done


@dataclass(slots=True)
class _Walk:
    """What a walk through the whole list found: the job ids that were `seen`, the first page of the `newest`, and in
    `gap` why it may not be all. `torn`: ids under which it tells different contents, so that it tells none."""

    seen: dict[str, int] = field(default_factory=dict)  # each with what it is said to carry
    torn: set[str] = field(default_factory=set)
    newest: tuple[JobView, ...] = ()
    gap: str = ""
    nameless: bool = False  # some entries have no id: they may be anything

    def news(self, view: JobView) -> bool:
        """Whether an entry tells what was not told before: a job, or another content of one."""
        carries = hash(content_of(view))
        if self.seen.setdefault(view.job_id, carries) == carries:
            return False
        if view.job_id in self.torn:
            return False
        self.torn.add(view.job_id)
        return True


class BatchV0Service:
    """batch-v0 at one endpoint. `connect` opens the client when the first request is due: a plan needs no key."""

    api = API
    matches_by_md5 = True
    archives = None  # the service opens them
    shelf = None
    witness = None

    def __init__(
        self,
        manifest: Manifest,
        endpoint: str,
        connect: Callable[[], BatchV0Api],
        on_server_time: Callable[[float], None],
    ) -> None:
        limits = manifest.service.limits
        upload_bytes = limits.upload_bytes or UPLOAD_BYTES
        self.endpoint = endpoint
        self.limits = Limits(
            upload_bytes=upload_bytes,
            sources_per_job=min(manifest.batching.max_sources, limits.sources_per_job or SOURCES_PER_JOB),
            job_bytes=max(manifest.batching.max_bytes, 1),
        )
        self._manifest = manifest
        self._connect = connect
        self._on_server_time = on_server_time
        self._client: BatchV0Api | None = None
        self._learned = _Learned()

    @property
    def looker(self) -> Looker:
        return self

    @property
    def preparer(self) -> Preparer:
        return self

    @property
    def keeper(self) -> Keeper:
        return self

    @property
    def _http(self) -> BatchV0Api:
        if self._client is None:
            self._client = self._connect()
        return self._client

    @property
    def requests(self) -> Mapping[str, int]:
        """See `Service.requests`; a try again counts with its first."""
        return dict(self._learned.requests)

    # -- planning: pure ---------------------------------------------------------------------------------------------

    def look(self, path: Path, content: bytes) -> Mapping[str, Any]:
        """See `Service.look`. The service takes files as they are; their first bytes tell which models can apply."""
        from hume_runner.media.problems import MediaProblem
        from hume_runner.media.sniff import HEAD_BYTES, Kind, sniff_path

        del content
        try:
            kind = sniff_path(path)
        except MediaProblem as problem:
            raise problem.__cause__ or problem from None
        facts: dict[str, Any] = {"format": kind.value}
        if kind is Kind.PNG:
            with path.open("rb") as file:
                # The chunk that announces an animation comes before the pictures.
                if b"acTL" in file.read(HEAD_BYTES):
                    facts["moving"] = True
        return facts

    def recall(self, facts: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """See `Service.recall`."""
        return facts if "format" in facts else None

    def relevant(self, kind: SourceKind, facts: Mapping[str, Any], settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """See `Service.relevant`."""
        return relevant(kind, facts, settings)

    def refuse(self, item: PlanItem, now: float) -> tuple[str, str] | None:
        """See `Service.refuse`."""
        if item.kind == "file" and item.size_bytes > self.limits.upload_bytes:
            return (
                f"{item.value!r} has {item.size_bytes:,} bytes; the service takes {self.limits.upload_bytes:,} at most",
                "cut or compress the file, give it by URL, or set service.limits.upload_bytes if your host takes more",
            )
        if item.kind == "url":
            return refuse_expired(item.value, now)
        return None

    def compile(self, items: Iterable[PlanItem]) -> Iterator[Draft]:
        """See `Service.compile`."""
        hopeless: list[Member] = []

        def sendable() -> Iterator[Member]:
            for item in items:
                if self.hopeless(item) is None:
                    yield Member(item=item)
                else:
                    hopeless.append(Member(item=item))

        yield from pack(sendable(), most=self.limits.sources_per_job, most_bytes=self.limits.job_bytes)
        if hopeless:
            # Never sent: what prepares the job gives them up, each with its reason.
            yield Draft(members=tuple(hopeless), size_bytes=0, prepare=True)

    def hopeless(self, item: PlanItem) -> tuple[str, str] | None:
        """See `Service.hopeless`."""
        return ("empty", f"{item.value!r} is empty") if item.kind == "file" and item.size_bytes == 0 else None

    def media(self, job: Job) -> Prepared:
        """See `Service.media`. The service takes files as they are: only what cannot be sent asks for this."""
        told = ((member, self.hopeless(member.item)) for member in job.members)
        failed = tuple((member.position, *why) for member, why in told if why is not None)
        good = [member for member in job.members if self.hopeless(member.item) is None]
        return Prepared(drafts=tuple(self.recompile(good)), failed=failed)

    def recompile(self, members: Sequence[Member]) -> Iterator[Draft]:
        """See `Service.recompile`."""
        return pack(members, most=self.limits.sources_per_job, most_bytes=self.limits.job_bytes)

    @property
    def simulated(self) -> bool | None:
        """See `Service.simulated`."""
        return self._learned.simulated

    def greet(self) -> None:
        """See `Service.greet`: one short list tells whether the key is good and what time it is there."""
        with suppress(ListingUnsupported):
            self._list(limit=1)

    def survey(self, since: float, knows: Callable[[str], bool], ours: Mapping[str, float]) -> Iterator[Foreign]:
        """See `Service.survey`. Of a job that the service gave up the details have to say so too.

        Whether the list shows what it must is seen from its two orders: a host may have forgotten old jobs of ours.
        """
        del ours
        walk = _Walk()
        for view in self._walk(int((since - _CLOCKS_APART_S) * 1000), walk):
            if not knows(view.job_id):
                yield self._foreign(view)
        if walk.gap:
            raise ListingIncomplete(walk.gap)

    def _list(self, **filters: Any) -> list[JobView]:
        """One page, see `_page`."""
        return list(self._page(**filters))

    def _page(self, **filters: Any) -> Iterator[JobView]:
        """One page, entry by entry. Raises: ListingUnsupported for a host that has no list, ApiError."""
        from hume_runner.services.batch_v0.client import read_job
        from hume_runner.services.batch_v0.reading import unusable_id

        if not self._learned.lists:
            raise ListingUnsupported
        self._learned.requests["list"] += 1
        try:
            listed = self._http.list_jobs(**filters)
        except ApiError as error:
            if error.status in _NO_LIST:
                self._learned.lists = False
                raise ListingUnsupported from error
            raise
        self._learned.simulated = listed.simulated
        if listed.server_date_s is not None:
            self._on_server_time(listed.server_date_s)
        sound = False
        for raw in listed.jobs:
            try:
                view = read_job(raw)
            except UnexpectedResponse as error:
                if unusable_id(raw.get("job_id")):
                    self._learned.nameless_as = f"{error}; {_NO_USE}"
                # An entry without an id is nothing that could be asked about; the details of our own jobs tell of them.
                # An empty one is no job at all.
                self._learned.nameless += bool(raw)
                continue
            sound = True
            yield view
        if listed.holds_others and not sound:
            # Beside jobs a word or a number is nothing; alone they may be the names of jobs.
            self._learned.nameless += 1

    def _detailed(self, view: JobView) -> JobView:
        """The same job as its details tell it; the entry as it is where there are none."""
        self._learned.requests["details"] += 1
        try:
            return self._details(view.job_id)
        except (NotFound, RequestRejected, UnexpectedResponse):
            return view

    # -- submitting -------------------------------------------------------------------------------------------------

    def prepare(self, job: Job) -> Submission:
        """See `Service.prepare`. Raises: OSError for a file that cannot be read any more."""
        from hume_runner.http.upload import Upload

        body = self._body(job)
        matches = _matches(job)
        uploads = []
        for member in job.members:
            if member.item.kind == "file":
                assert member.item.path is not None
                name = matches[member.position]
                uploads.append(Upload.of(member.item.path, filename=name, sha256=member.item.content_sha256))
        digest = hashlib.sha256(job.key.encode())
        digest.update(job.nonce.encode())
        self._learned.sent[job.number] = sent_by(job, matches, self._manifest.settings)
        return Submission(
            request=_shown(body),
            sha256=digest.hexdigest(),
            matches=matches,
            send=lambda: self._send(body, uploads),
        )

    def _body(self, job: Job) -> dict[str, Any]:
        manifest = self._manifest
        body: dict[str, Any] = dict(manifest.settings)
        urls = [member.item.value for member in job.members if member.item.kind == "url"]
        texts = [member.item.value for member in job.members if member.item.kind == "text"]
        if urls:
            body["urls"] = urls
        if texts:
            body["text"] = texts
        if manifest.notify.email:
            body["notify"] = True
        if manifest.notify.callback_url:
            body["callback_url"] = manifest.notify.callback_url
        return body

    def _send(self, body: Mapping[str, Any], uploads: Sequence[Any]) -> SubmitResult:
        self._learned.requests["submit"] += 1
        try:
            started = self._http.start_job(body, uploads, deadline_s=_SUBMIT_DEADLINE_S)
        except ApiError as error:
            return judge_submission(error)
        if started.server_date_s is not None:
            self._on_server_time(started.server_date_s)
        return Accepted(remote_id=started.job_id, server_time_s=started.server_date_s, simulated=started.simulated)

    # -- waiting ----------------------------------------------------------------------------------------------------

    def check(self, waiting: Sequence[Waiting]) -> Mapping[str, Progress]:
        """See `Service.check`: one list for all jobs, and the details of single ones only where a list cannot help."""
        if not waiting:
            return {}
        learned = self._learned
        found: dict[str, Progress] = {}
        with suppress(ListingUnsupported):
            found = self._check_by_list(waiting)
        missing = [job for job in waiting if job.remote_id not in found]
        # A list that leaves a job out may be slow to show it, or this key may not own it: the details tell. They are
        # asked for few jobs at a time, so that a strange host costs a request a poll and not one a job; unless its list
        # goes on leaving out what it has.
        for job in missing if not learned.lists or learned.partial else missing[:2]:
            progress = found[job.remote_id] = self._check_details(job)
            if not isinstance(progress, Unseen):
                learned.margin_s = _CLOCKS_APART_S
                learned.misses[job.remote_id] += 1
                learned.partial = learned.partial or learned.misses[job.remote_id] >= _MISSES
        return found

    def check_each(self, waiting: Sequence[Waiting]) -> Mapping[str, Progress]:
        """See `Service.check_each`."""
        return {job.remote_id: self._check_details(job) for job in waiting}

    def _check_by_list(self, waiting: Sequence[Waiting]) -> dict[str, Progress]:
        wanted = {job.remote_id: job for job in waiting}
        # The service's times have whole milliseconds and its clock is only estimated.
        since = int((min(job.created_at for job in waiting) - self._learned.margin_s) * 1000)
        found: dict[str, Progress] = {}
        for view in self._jobs_since(since, enough=lambda: len(found) == len(wanted)):
            if view.job_id in wanted and view.status:
                job = wanted[view.job_id]
                given_up = view.status == "FAILED"
                found[view.job_id] = self._given_up(view, job) if given_up else self._progress(view, job.number)
                self._learned.misses.pop(view.job_id, None)
        return found

    def _jobs_since(
        self,
        since_ms: int,
        *,
        enough: Callable[[], bool] = lambda: False,
        again: Callable[[JobView], bool] = lambda view: False,
    ) -> Iterator[JobView]:
        """Every job created at or after a moment (Unix ms by the service's clock), oldest first, through all pages;
        once more where `again` says so of an entry about one that was there before."""
        seen: set[str] = set()
        pivot, limit = since_ms, _PAGE
        while True:
            known, count, last = len(seen), 0, 0
            for view in self._page(
                limit=limit, when="created_after", timestamp_ms=pivot, sort_by="created", direction="asc"
            ):
                count, last = count + 1, max(last, view.created_ms or pivot)
                if view.job_id not in seen:
                    seen.add(view.job_id)
                    yield view
                elif again(view):
                    yield view
            if len(seen) == known or enough():
                return
            # Whether the moment itself is included is unknown, so the next page starts one earlier and overlaps. A page
            # that is one single moment would never move on: then a longer one is asked for.
            if last - 1 <= pivot:
                if count < limit:
                    return
                limit *= 2
            pivot = max(pivot, last - 1)

    def _walk(self, since_ms: int, walk: _Walk) -> Iterator[JobView]:
        """Every job since then, and in `walk` whether that is all.

        The host is asked in both orders: where both are kept and meet, nothing lies between. A host that keeps only
        the newest first must keep the filter as well, page by page, down to the end.
        """
        nameless = self._learned.nameless
        times: list[int | None] = []
        for view in self._jobs_since(since_ms, again=walk.news):
            if view.job_id not in walk.torn:
                times.append(view.created_ms)
                walk.news(view)
            yield view
        rising, oldest_first = None not in times and times == sorted(times, key=lambda at: at or 0), set(walk.seen)
        # A page of one moment cannot be followed by another.
        stuck = len(times) >= _ONE_MOMENT and len(set(times[-_ONE_MOMENT:])) == 1
        page = walk.newest = self._newest(when="created_after", timestamp_ms=since_ms)
        whole = not page and not times
        while page and not whole and in_order(page, newest_first=True):
            for view in page:
                known = view.job_id in walk.seen
                if walk.news(view) or not known:
                    yield view
            oldest = min(view.created_ms or 0 for view in page)
            whole = oldest < since_ms or (rising and any(view.job_id in oldest_first for view in page))
            if not whole:
                page = self._newest(when="created_before", timestamp_ms=oldest + 1)
                if any((view.created_ms or 0) > oldest for view in page):
                    break  # it does not keep the filter
                whole = all(view.job_id in walk.seen for view in page)
        if stuck or not whole:
            walk.gap = "the list is not shown whole: the host keeps neither order nor filter from end to end"
        if self._learned.nameless > nameless:
            walk.nameless = True
            walk.gap = self._learned.nameless_as

    def _newest(self, **since: Any) -> tuple[JobView, ...]:
        return tuple(self._list(limit=_PAGE, sort_by="created", direction="desc", **since))

    def _details(self, remote_id: str) -> JobView:
        """Raises: NotFound, ApiError."""
        from hume_runner.services.batch_v0.client import read_job

        answer = self._http.ask_details(remote_id)
        self._learned.simulated = answer.simulated
        self._learned.opened = True
        return read_job(answer.job)

    def _check_details(self, job: Waiting) -> Progress:
        self._learned.requests["details"] += 1
        try:
            return self._progress(self._details(job.remote_id), job.number)
        except NotFound:
            return Unseen()

    def _given_up(self, view: JobView, job: Waiting) -> Progress:
        """How far a job is that a list says has failed. Not believed of a list alone, since its sources would be paid
        for once more; but of one whose host has no details, or goes on not giving them."""
        from hume_runner.http.retry import is_temporary

        try:
            told = self._check_details(job)
        except ApiError as error:
            self._learned.doubted[job.remote_id] += 1
            if is_temporary(error) and self._learned.doubted[job.remote_id] < _MISSES:
                return Pending()
            told = Unseen()
        return self._progress(view, job.number) if isinstance(told, Unseen) else told

    def _progress(self, view: JobView, number: int) -> Progress:
        """How far a job is. Where its echo surely speaks of another one, the id that came with the answer to the
        submission was not its own."""
        sent = self._learned.sent.get(number)
        if sent is not None and contradicts(sent, view) and contradicts(sent, self._detailed(view)):
            return Mistaken(message=f"what the service has as {view.job_id} is another job")
        progress = progress_of(view)
        if not isinstance(progress, Pending):
            self._learned.sent.pop(number, None)
        return progress

    def remind(self, job: Job) -> None:
        """See `Service.remind`."""
        names = {position: job.matches.get(position) or name for position, name in _matches(job).items()}
        self._learned.sent[job.number] = sent_by(job, names, job.request)

    # -- fetching ---------------------------------------------------------------------------------------------------

    def answer_names(self, *, artifacts: bool) -> tuple[str, ...]:
        """See `Service.answer_names`."""
        return (PREDICTIONS, ARTIFACTS) if artifacts else (PREDICTIONS,)

    def open_answer(self, remote_id: str, name: str) -> AbstractContextManager[ByteStream]:
        """See `Service.open_answer`."""
        self._learned.requests[name.partition(".")[0]] += 1
        if name == PREDICTIONS:
            return self._http.open_predictions(remote_id)
        return self._http.open_artifacts(remote_id)

    def outcomes(self, job: Job, name: str, path: Path, announced: Mapping[str, int]) -> tuple[Outcome, ...]:
        """See `Service.outcomes`."""
        if name == ARTIFACTS:
            check_archive(path)
            return ()
        return read_outcomes(job, path, announced)

    # -- lost and foreign jobs --------------------------------------------------------------------------------------

    def look_for(self, lost: Sequence[LostJob], ours: Mapping[str, float]) -> Mapping[int, Look]:
        """See `Service.look_for`. Uploads are told by their names, which carry the nonce, or by MD5."""
        first = min([*(one.sent_at for one in lost), *ours.values()])
        since_ms = int(max(0.0, first - _CLOCKS_APART_S) * 1000)
        walk = _Walk()
        views = list(self._walk(since_ms, walk))
        detailed: dict[str, JobView] = {}
        shown = _times((*views, *walk.newest))
        lacks = {one.job.number: uncontrolled(one, shown) for one in lost}
        if any(lacks.values()):
            # What is older than was asked for shows how far back a list reaches, if it shows the others as well.
            nameless = self._learned.nameless
            page = self._list(limit=_PAGE, sort_by="created", direction="desc")
            walk.nameless = walk.nameless or self._learned.nameless > nameless
            views += [view for view in page if view.job_id not in shown]
            lacks = {one.job.number: lacks[one.job.number] and uncontrolled(one, _times(page)) for one in lost}
        gap = walk.gap or (self._learned.nameless_as if walk.nameless else "")
        listing = Listing(views=views, newest=walk.newest, gap=gap, nameless=walk.nameless)
        unknown = [self._whole(view, walk, detailed) for view in views if view.job_id not in ours]
        for one in lost:
            lacks[one.job.number] = lacks[one.job.number] or self._misread(one, (*views, *walk.newest), walk, detailed)
        return {
            one.job.number: self._look_for(one, listing, unknown, ours, detailed, lacks=lacks[one.job.number])
            for one in lost
        }

    def _whole(self, view: JobView, walk: _Walk, detailed: dict[str, JobView]) -> JobView:
        """An entry as it is; of a job of which the list tells different contents, its details, or nothing."""
        if view.job_id not in walk.torn:
            return view
        if view.job_id not in detailed:
            told = self._detailed(view)
            detailed[view.job_id] = silenced(view) if told is view else told
        return detailed[view.job_id]

    def _misread(self, lost: LostJob, views: Sequence[JobView], walk: _Walk, detailed: dict[str, JobView]) -> str:
        """Why this list may show the lost job and nobody would know it: jobs of ours with such sources are not known
        again in it, or in their details, by what they carry. "" where they are, or there is none."""
        shown = {view.job_id: view for view in views}
        for remote_id, job in lost.controls.items():
            view = shown.get(remote_id)
            if view is None or not {m.item.kind for m in job.members} & {m.item.kind for m in lost.job.members}:
                continue
            names = {position: job.matches.get(position) or name for position, name in _matches(job).items()}
            sent = sent_by(job, names, job.request)
            verdict = judge(sent, self._whole(view, walk, detailed))
            if verdict is Verdict.MAYBE:
                # Where it is silent, the details of what may be the lost job are asked for as well.
                if remote_id not in detailed:
                    detailed[remote_id] = self._detailed(view)
                verdict = judge(sent, detailed[remote_id])
            if verdict is not Verdict.OURS:
                return (
                    f"the list does not tell what {remote_id} carries as it was sent, so it may hide what this one does"
                )
        return ""

    def _look_for(
        self,
        lost: LostJob,
        listing: Listing,
        unknown: Sequence[JobView],
        ours: Mapping[str, float],
        detailed: dict[str, JobView],
        *,
        lacks: str,
    ) -> Look:
        job = lost.job
        # By what was sent, not by what the manifest says now: a link may be signed anew since, an item removed.
        names = {position: job.matches.get(position) or name for position, name in _matches(job).items()}
        sent = sent_by(job, names, job.request or self._manifest.settings)
        candidates = []
        why = ""
        for entry in unknown:
            view = entry
            verdict = judge(sent, view)
            if verdict is Verdict.MAYBE:
                if view.job_id not in detailed:
                    detailed[view.job_id] = self._detailed(view)
                view = detailed[view.job_id]
                verdict = judge(sent, view)
            if verdict is Verdict.MAYBE:
                why = f"the list and the details do not say whether {view.job_id} carries it"
            if verdict is not Verdict.FOREIGN:
                candidates.append(
                    Candidate(
                        remote_id=view.job_id,
                        matches=names_in(job, sent, view, names),
                        created_at=_seconds(view.created_ms),
                        simulated=bool(self._learned.simulated),
                        maybe=verdict is Verdict.MAYBE,
                    )
                )
        sure = [one for one in candidates if not one.maybe]
        # Entries of others, or of nothing at all: this key has to be able to open what is taken for ours.
        shut = {one.remote_id for one in sure[:_MOST_OPENED] if not self._opens(one.remote_id, detailed)}
        candidates = [replace(one, shut=one.remote_id in shut and self._learned.opened) for one in candidates]
        why = why or lacking(listing, ours, lost.sent_at, lost.ended_at) or lacks
        return Look(candidates=tuple(candidates), conclusive=not why, why=why)

    def _opens(self, remote_id: str, detailed: dict[str, JobView]) -> bool:
        """Whether this key can open a job, asked once a look; of one that could not be asked it is believed."""
        if remote_id in detailed:
            return True
        self._learned.requests["details"] += 1
        try:
            detailed[remote_id] = self._details(remote_id)
        except UnexpectedResponse:
            return True
        except ApiError as error:
            return not (isinstance(error, NotFound) or error.status in _NOT_OURS)
        return True

    def recognise(self, remote_id: str) -> Foreign:
        """See `Service.recognise`."""
        self._learned.requests["details"] += 1
        return self._foreign(self._details(remote_id))

    def measured(self, remote_id: str) -> Mapping[SourceKind, int] | None:
        """See `Keeper.measured`."""
        from hume_runner.services.batch_v0.reading import read_source_result

        named: set[tuple[str, str]] = set()
        try:
            with self.open_answer(remote_id, PREDICTIONS) as stream:
                for checked in iter_checked(stream.iter_bytes()):
                    view = read_source_result(checked.element)
                    named.update((_kind_of(view), name) for name in _names_of(view))
        except ApiError:
            return None
        kinds: tuple[SourceKind, ...] = ("url", "file", "text")
        return {kind: sum(one == kind for one, _ in named) for kind in kinds}

    def _alike(self, view: JobView, kind: SourceKind, facts: Mapping[str, Any]) -> bool | None:
        if not view.models:
            return None
        echoed = {"models": view.models, "transcription": view.transcription}
        return agreement(relevant(kind, facts, self._manifest.settings), relevant(kind, facts, echoed))

    def _foreign(self, view: JobView) -> Foreign:
        sources = [ForeignSource(kind="url", match=url, value=url) for url in view.urls]
        sources += [ForeignSource(kind="file", match=file.filename or "", md5=file.md5sum) for file in view.files]
        sources += [
            ForeignSource(kind="text", match=str(number), value=text) for number, text in enumerate(view.text, start=1)
        ]
        said: tuple[tuple[SourceKind, bool], ...] = (
            ("url", "urls" in view.says),
            ("text", "text" in view.says),
            ("file", "files" in view.says and all(file.md5sum and file.filename for file in view.files)),
        )
        told = familiar(view)
        return Foreign(
            remote_id=view.job_id,
            sources=tuple(sources),
            same_settings=same_settings(self._manifest.settings, view),
            alike=lambda kind, facts: self._alike(view, kind, facts),
            silent=frozenset(kind for kind, says in said if not says or kind not in told),
            # The model that says each text's words tells at fetching which is which.
            unordered=frozenset(
                ("text",) if len(set(view.text)) > 1 and view.models and view.models.get("language") is None else ()
            ),
            given_up=(view.message or "without a reason") if view.status == "FAILED" else "",
            created_at=_seconds(view.created_ms),
            simulated=bool(self._learned.simulated),
        )


def build(
    manifest: Manifest, endpoint: str, access: Callable[[], Access], on_server_time: Callable[[float], None]
) -> BatchV0Service:
    """The service at one endpoint; `access` is asked before its first request."""

    def connect() -> BatchV0Api:
        from hume_runner.services.batch_v0.client import AUTH_HEADER, BatchV0Api

        how = access()
        return BatchV0Api(how.transport(AUTH_HEADER), how.retry, read_timeout_s=how.timeout_s)

    return BatchV0Service(manifest, endpoint, connect, on_server_time)


def _shown(body: Mapping[str, Any]) -> dict[str, Any]:
    """A request as it may be written down: its sources stand elsewhere, and a callback's query is nobody's business."""
    request = {name: value for name, value in body.items() if name not in ("urls", "text")}
    if "callback_url" in request:
        request["callback_url"] = masked_url(str(request["callback_url"]))
    return request


def _matches(job: Job) -> dict[int, str]:
    """By what the answer will name each member: the URL itself, an upload's unique name, a text's 1-based position."""
    names: dict[int, str] = {}
    texts = 0
    for member in job.members:
        item = member.item
        if item.kind == "url":
            names[member.position] = item.value
        elif item.kind == "text":
            texts += 1
            names[member.position] = str(texts)
        else:
            names[member.position] = upload_name(job.nonce, member.position, item.value)
    return names


def upload_name(nonce: str, position: int, name: str) -> str:
    """A file's name in an upload: unique in its job, carrying the job's nonce, safe everywhere.

    The ending stays, since the service tells formats by it.
    """
    base = name.replace("\\", "/").rpartition("/")[2]
    stem, dot, ending = base.rpartition(".")
    if not stem:
        stem, dot, ending = base, "", ""
    safe = _UNSAFE.sub("_", stem)[:60].strip("._") or "file"
    ending = _UNSAFE.sub("", ending)[:10]
    return f"{nonce}-{position:03d}-{safe}{dot if ending else ''}{ending}"


def judge_submission(error: ApiError) -> SubmitResult:
    """What a failed POST means: surely refused, or unknown. Only a connection that never opened, 503 and a 4xx
    that is about the request prove that nothing was accepted."""
    from hume_runner.http.retry import is_on_the_way, submission_outcome, took_its_time
    from hume_runner.http.upload import SourceChanged

    if isinstance(error, SourceChanged):
        # Halving the job finds the file that changes; the others are not to blame.
        return Refused(reason="source_changed", message=str(error), temporary=False, divisible=True, hint=error.hint)
    if submission_outcome(error) != "refused":
        return Unknown(message=str(error), slow=took_its_time(error))
    fatal = isinstance(error, (AuthError, Discontinued)) or error.status == 402
    temporary = isinstance(error, (RateLimited, ServerError, TransportError)) or error.status == 409
    temporary = temporary or is_on_the_way(error)
    return Refused(
        reason="refused_by_service",
        message=str(error),
        temporary=temporary,
        stops_run=fatal or isinstance(error, NotFound),
        divisible=isinstance(error, RequestRejected),
        retry_after_s=error.retry_after_s,
        hint=error.hint,
    )


def progress_of(view: JobView) -> Progress:
    """What a job's details mean."""
    times = {
        "created_at": _seconds(view.created_ms),
        "started_at": _seconds(view.started_ms),
        "ended_at": _seconds(view.ended_ms),
    }
    match view.status:
        case "COMPLETED":
            announced = {
                name: number
                for name, number in (("predictions", view.num_predictions), ("errors", view.num_errors))
                if number is not None
            }
            return Ended(**times, announced=announced)
        case "FAILED":
            return Broken(message=view.message or "the service gave the job up without a reason", **times)
        case "IN_PROGRESS":
            return Pending(started=True)
        case _:
            # QUEUED, and any state that this version does not know: wait, and let job_timeout end it.
            return Pending()


def _times(views: Iterable[JobView]) -> dict[str, float | None]:
    return {view.job_id: _seconds(view.created_ms) for view in views}


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000


def read_outcomes(job: Job, path: Path, announced: Mapping[str, int]) -> tuple[Outcome, ...]:
    """What a predictions answer says about each member of the job.

    Raises: UnexpectedResponse if it is not whole; AnswerIncomplete if it leaves members out and `announced` does not
    say `accept_missing`; AnswerUnreadable if a source cannot be read and it does not say `accept_unreadable`.
    """
    from hume_runner.services.batch_v0.reading import read_source_result

    sent_as = job.matches
    told = _confirmed(job, path) if not job.nonce else Confirmed(names={}, doubtful=frozenset())
    if told.names or told.doubtful:
        kept = {at: name for at, name in sent_as.items() if at not in told.doubtful}
        job = replace(job, matches={**kept, **told.names})
    finder = SourceFinder(
        (member.position, member.item.kind, job.matches[member.position])
        for member in job.members
        if job.matches.get(member.position)
    )
    contents = {member.position: member.item for member in job.members}
    mentions = Mentions.of((member.item.kind, job.matches.get(member.position, "")) for member in job.members)
    outcomes: dict[int, Outcome] = {}
    unreadable: dict[int, Outcome] = {}
    spelt: dict[int, dict[str, Outcome]] = {}  # what is named another way than it was sent, by that name
    predictions = 0
    with path.open("rb") as file:
        for checked in iter_checked(file):
            view, problem = read_source_result(checked.element), checked.problem
            predictions += len(view.predictions)
            also = _spelt_names(view, finder)
            mentions.sent.update(also.keys() - mentions.sent.keys())
            mentions.add(checked.start, _kind_of(view), _names_of(view))
            positions = {**finder.exact, **also}
            names = {position: name for (_, name), position in also.items()}
            if problem is not None:
                found = [_unexpected(position, problem) for position in _spoken_of(view, positions)]
            else:
                odd = {
                    positions["text", file]: _unexpected(positions["text", file], why)
                    for file, why in checked.odd.items()
                    if ("text", file) in positions
                }
                others = _of_others(view, checked.element, positions, contents)
                odd |= {position: _unexpected(position, why) for position, why in others.items()}
                found = [odd.get(outcome.position, outcome) for outcome in _element_outcomes(view, positions)]
            for outcome in found:
                position = outcome.position
                if position in names:
                    outcome = replace(outcome, match=plain(names[position]))  # noqa: PLW2901
                    spelt.setdefault(position, {}).setdefault(names[position], outcome)
                elif outcome.reason == UNEXPECTED:
                    unreadable[position] = outcome
                else:
                    outcomes.setdefault(position, outcome)
    for kind, name in mentions.compared(path).conflicts:
        stands_for = finder.find(kind, name)
        if stands_for is not None:
            twice = _unexpected(stands_for, CONFLICT)
            if (kind, name) in finder.exact:
                unreadable.setdefault(stands_for, twice)
            else:
                spelt.setdefault(stands_for, {})[name] = replace(twice, match=plain(name))
    outcomes |= unreadable
    outcomes |= {position: _unexpected(position, _WHOSE) for position in told.doubtful}
    for position, by_name in spelt.items():
        # What the answer names as it was sent is that; and two names for one member tell nothing.
        if position not in outcomes and len(by_name) == 1:
            outcomes.update((one.position, one) for one in by_name.values())
    missing = [member.position for member in job.members if member.position not in outcomes]
    expected = announced.get("predictions")
    spoilt = any(outcome.reason == UNEXPECTED for outcome in outcomes.values())
    if spoilt and not announced.get("accept_unreadable"):
        raise AnswerUnreadable(next(o.message or "" for o in outcomes.values() if o.reason == UNEXPECTED))
    late = bool(missing) or (expected is not None and expected > 0 and predictions == 0 and not spoilt)
    if late and not announced.get("accept_missing"):
        raise AnswerIncomplete(f"{len(missing)} of {len(job.members)} sources are not in the answer yet")
    for position in missing:
        outcomes[position] = Outcome(
            position=position,
            ok=False,
            reason="not_in_answer",
            message="the service finished the job, and its answer does not mention this source",
        )
    for position, name in told.names.items():
        if name != sent_as.get(position) and outcomes[position].match is None:
            outcomes[position] = replace(outcomes[position], match=plain(name))
    return tuple(_storable(outcomes[position]) for position in sorted(outcomes))


_WHOSE = "nothing in it tells which of the texts it is about"


def _confirmed(job: Job, path: Path) -> Confirmed:
    """Which names in the answer of a job that was started elsewhere stand for which of its texts."""
    texts = {
        member.position: (member.item.value, job.matches.get(member.position, ""))
        for member in job.members
        if member.item.kind == "text" and member.item.id
    }
    words: dict[str, list[str]] = {}
    if texts:
        with path.open("rb") as file:
            for checked in iter_checked(file):
                if checked.problem is None and checked.element["source"].get("type") == "text":
                    for name, found in words_of(checked.element).items():
                        words.setdefault(name, found)
                    for name, _ in _errors_of(checked.element):
                        words.setdefault(name, [])
    return confirmed(texts, words)


def _errors_of(element: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    from hume_runner.services.batch_v0.reading import read_source_result

    return read_source_result(element).errors


def _of_others(
    view: SourceResultView,
    element: Mapping[str, Any],
    positions: Mapping[tuple[str, str], int],
    items: Mapping[int, PlanItem],
) -> dict[int, str]:
    """Of which members this element has what surely is another source's, and why: other bytes, another text."""
    if view.kind == "text":
        told = ((positions.get(("text", name)), words) for name, words in words_of(element).items())
        texts = [item.value for item in items.values() if item.kind == "text" and item.id]
        return {
            position: "the words in it are those of another text"
            for position, words in told
            if position is not None and items[position].id and another_s(items[position].value, words, texts)
        }
    position = positions.get((_kind_of(view), _named(view)))
    if position is None or not other_bytes(items[position].content_md5, view.md5):
        return {}
    return {position: f"its MD5 is {view.md5}, and what was sent has {items[position].content_md5}"}


def _unexpected(position: int, problem: str) -> Outcome:
    return Outcome(position=position, ok=False, reason=UNEXPECTED, message=told_of(problem))


def _storable(outcome: Outcome) -> Outcome:
    return replace(outcome, message=plain(outcome.message)) if outcome.message else outcome


def _spelt_names(view: SourceResultView, finder: SourceFinder) -> dict[tuple[str, str], int]:
    """(kind, name) -> position of the members that this element names another way than they were sent."""
    if view.kind == "text":
        names = {prediction.file for prediction in view.predictions} | {file for file, _ in view.errors}
    else:
        names = {_named(view)}
    kind = _kind_of(view)
    found = {(kind, name): finder.find(kind, name) for name in names if (kind, name) not in finder.exact}
    return {key: position for key, position in found.items() if position is not None}


def _kind_of(view: SourceResultView) -> str:
    """As the tables read it: a source without a type is told by what names it."""
    if view.kind != "unknown":
        return view.kind
    return "url" if view.url and not view.filename else "file"


def _named(view: SourceResultView) -> str:
    return (view.url if _kind_of(view) == "url" else view.filename) or ""


def _names_of(view: SourceResultView) -> list[str]:
    """By what an element names the sources that it is about, as often as it does."""
    if view.kind != "text":
        return [_named(view)]
    return named_texts([one.file for one in view.predictions], [file for file, _ in view.errors])


def _spoken_of(view: SourceResultView, positions: Mapping[tuple[str, str], int]) -> list[int]:
    """The members that an element is about: all texts share one."""
    if view.kind == "text":
        return [position for (kind, _), position in positions.items() if kind == "text"]
    position = positions.get((_kind_of(view), _named(view)))
    return [] if position is None else [position]


def _element_outcomes(view: SourceResultView, positions: Mapping[tuple[str, str], int]) -> Iterator[Outcome]:
    if view.kind == "text":
        yield from _text_outcomes(view, positions)
        return
    position = positions.get((_kind_of(view), _named(view)))
    if position is None:
        return
    if view.error:
        yield Outcome(position=position, ok=False, reason=reason_of(view.error), message=view.error)
    elif view.errors and not view.predictions:
        _, message = view.errors[0]
        more = f" (and {len(view.errors) - 1} more)" if len(view.errors) > 1 else ""
        yield Outcome(position=position, ok=False, reason=reason_of(message), message=message + more)
    elif view.errors:
        # Some files of an archive, or some models of one file: what was measured counts, what failed is named.
        file, message = view.errors[0]
        yield Outcome(
            position=position, ok=True, reason="partial", message=f"{len(view.errors)} errors inside: {file}: {message}"
        )
    else:
        yield Outcome(position=position, ok=True)


def _text_outcomes(view: SourceResultView, positions: Mapping[tuple[str, str], int]) -> Iterator[Outcome]:
    """All strings of a job share one element: each entry's `file` is the string's 1-based position, in any order."""
    if view.error:
        for (kind, _), position in positions.items():
            if kind == "text":
                yield Outcome(position=position, ok=False, reason=reason_of(view.error), message=view.error)
        return
    measured_files = [prediction.file for prediction in view.predictions]
    for file, message in view.errors:
        failed = positions.get(("text", file))
        if failed is not None and file not in measured_files:
            yield Outcome(position=failed, ok=False, reason=reason_of(message), message=message)
    for file in measured_files:
        measured = positions.get(("text", file))
        if measured is not None:
            yield Outcome(position=measured, ok=True)


_REASONS = (
    ("transcript confidence", "transcript_confidence"),
    ("transcribe", "transcription"),
    ("decode", "undecodable"),
    ("unsupported", "unsupported_media"),
    ("fetch", "unreachable_url"),
    ("download", "unreachable_url"),
    ("limit", "limit"),
)


def reason_of(message: str) -> str:
    """A short code for a service's error text, to count failures by; `service_error` where none fits."""
    lower = message.lower()
    return next((code for words, code in _REASONS if words in lower), "service_error")


def check_archive(path: Path) -> None:
    """Read every entry of the artifacts against its CRC, without extracting. Raises: UnexpectedResponse."""
    from hume_runner.http.answer import check_zip

    check_zip(path, "the artifacts")
