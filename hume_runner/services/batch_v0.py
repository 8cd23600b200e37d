"""The batch API as a run sees it: jobs of up to 100 sources, submitted, listed, fetched.

Facts and their sources are in docs/apis/batch_v0.md. What is unverified there is handled leniently here: a host without
a list is polled job by job, an answer's unknown members are ignored, and sources are matched by name, never by order.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
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
from hume_runner.manifest.model import Manifest
from hume_runner.manifest.shown import masked_url
from hume_runner.services.base import (
    Accepted,
    AnswerIncomplete,
    Broken,
    ByteStream,
    Candidate,
    Draft,
    Ended,
    Foreign,
    ForeignSource,
    Job,
    Limits,
    ListingUnsupported,
    Member,
    Outcome,
    Pending,
    PlanItem,
    Prepared,
    Progress,
    Refused,
    Submission,
    SubmitResult,
    Unknown,
    Unseen,
    Waiting,
)
from hume_runner.services.links import refuse_expired
from hume_runner.services.packing import pack

if TYPE_CHECKING:
    from hume_runner.client.batch_v0 import BatchV0Api, JobView, SourceResultView
    from hume_runner.client.retry import RetryPolicy
    from hume_runner.client.transport import Pacer

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
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(slots=True)
class _Learned:
    """What this host has shown so far."""

    lists: bool = True
    simulated: bool = False
    requests: Counter[str] = field(default_factory=Counter)


class BatchV0Service:
    """batch-v0 at one endpoint. `connect` opens the client when the first request is due: a plan needs no key."""

    api = API
    matches_by_md5 = True

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
    def _http(self) -> BatchV0Api:
        if self._client is None:
            self._client = self._connect()
        return self._client

    @property
    def requests(self) -> Mapping[str, int]:
        """See `Service.requests`; a try again counts with its first."""
        return dict(self._learned.requests)

    # -- planning: pure ---------------------------------------------------------------------------------------------

    def inside(self, path: Path) -> None:
        """The service opens archives itself: one is one item."""
        del path

    def look(self, path: Path, content: bytes) -> Mapping[str, Any]:
        """The service takes files as they are."""
        del path, content
        return {}

    def refuse(self, item: PlanItem, now: float) -> tuple[str, str] | None:
        """See `Service.refuse`."""
        if item.kind == "file" and item.size_bytes > self.limits.upload_bytes:
            return (
                f"{item.value!r} has {item.size_bytes:,} bytes; the service takes {self.limits.upload_bytes:,} at most",
                "cut or compress the file, give it by URL, or set service.limits.upload_bytes if your host takes more",
            )
        if item.kind == "file" and item.size_bytes == 0:
            return f"{item.value!r} is empty", "remove it from the sources"
        if item.kind == "url":
            return refuse_expired(item.value, now)
        return None

    def compile(self, items: Iterable[PlanItem]) -> Iterator[Draft]:
        """See `Service.compile`."""
        members = (Member(item=item) for item in items)
        return pack(members, most=self.limits.sources_per_job, most_bytes=self.limits.job_bytes)

    def media(self, job: Job) -> Prepared:
        """The service takes files as they are, so no job here asks for it."""
        raise NotImplementedError(job.name)

    def close(self) -> None:
        """Nothing was prepared."""

    def release(self, job: Job) -> None:
        """Nothing was prepared."""

    def recompile(self, members: Sequence[Member]) -> Iterator[Draft]:
        """See `Service.recompile`."""
        return pack(members, most=self.limits.sources_per_job, most_bytes=self.limits.job_bytes)

    def greet(self) -> None:
        """See `Service.greet`: one short list tells whether the key is good and what time it is there."""
        try:
            self._list(limit=1)
        except NotFound:
            self._learned.lists = False

    def _list(self, **filters: Any) -> tuple[Mapping[str, Any], ...]:
        self._learned.requests["list"] += 1
        listed = self._http.list_jobs(**filters)
        self._learned.simulated = listed.simulated
        if listed.server_date_s is not None:
            self._on_server_time(listed.server_date_s)
        return listed.jobs

    # -- submitting -------------------------------------------------------------------------------------------------

    def prepare(self, job: Job) -> Submission:
        """See `Service.prepare`. Raises: OSError for a file that cannot be read any more."""
        from hume_runner.client.upload import Upload

        body = self._body(job)
        matches = _matches(job)
        uploads = []
        for member, match in zip(job.members, matches, strict=True):
            if member.item.kind == "file":
                assert member.item.path is not None
                uploads.append(Upload.of(member.item.path, filename=match, sha256=member.item.content_sha256))
        digest = hashlib.sha256(job.key.encode())
        digest.update(job.nonce.encode())
        request = {name: value for name, value in body.items() if name not in ("urls", "text")}
        if "callback_url" in request:
            request["callback_url"] = masked_url(str(request["callback_url"]))
        return Submission(
            request=request,
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
        found: dict[str, Progress] = {}
        if self._learned.lists:
            try:
                found = self._check_by_list(waiting)
            except (NotFound, ListingUnsupported):
                self._learned.lists = False
        missing = [job for job in waiting if job.remote_id not in found]
        # A list that leaves a job out may be slow to show it, or this key may not own it: the details tell. They are
        # asked for few jobs at a time, so that a strange host costs a request a poll and not one a job.
        for job in missing if not self._learned.lists else missing[:2]:
            found[job.remote_id] = self._check_details(job.remote_id)
        return found

    def _check_by_list(self, waiting: Sequence[Waiting]) -> dict[str, Progress]:
        wanted = {job.remote_id for job in waiting}
        # The service's times have whole milliseconds and its clock is only estimated.
        since = int((min(job.created_at for job in waiting) - 5.0) * 1000)
        found: dict[str, Progress] = {}
        for view in self._jobs_since(since, enough=lambda: len(found) == len(wanted)):
            if view.job_id in wanted:
                found[view.job_id] = progress_of(view)
        return found

    def _jobs_since(self, since_ms: int, *, enough: Callable[[], bool] = lambda: False) -> Iterator[JobView]:
        """Every job created at or after a moment (Unix ms by the service's clock), oldest first, through all pages."""
        from hume_runner.client.batch_v0 import read_job

        seen: set[str] = set()
        pivot, limit = since_ms, _PAGE
        while True:
            page = self._list(limit=limit, when="created_after", timestamp_ms=pivot, sort_by="created", direction="asc")
            views = [read_job(raw) for raw in page]
            fresh = [view for view in views if view.job_id not in seen]
            seen.update(view.job_id for view in fresh)
            yield from fresh
            if not fresh or enough():
                return
            last = max((view.created_ms or pivot) for view in views)
            # Whether the moment itself is included is unknown, so the next page starts one earlier and overlaps. A page
            # that is one single moment would never move on: then a longer one is asked for.
            if last - 1 <= pivot:
                if len(page) < limit:
                    return
                limit *= 2
            pivot = max(pivot, last - 1)

    def _check_details(self, remote_id: str) -> Progress:
        from hume_runner.client.batch_v0 import read_job

        self._learned.requests["details"] += 1
        try:
            return progress_of(read_job(self._http.job_details(remote_id)))
        except NotFound:
            return Unseen()

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

    def find(self, job: Job, *, since: float) -> tuple[Candidate, ...]:
        """See `Service.find`. Uploads are told by their names, which carry the nonce; URLs and text by content."""
        if not self._learned.lists:
            raise ListingUnsupported
        # By what was sent, not by what the manifest says now: a link may be signed anew since, an item removed.
        matches = tuple(sent or name for sent, name in zip(job.matches, _matches(job), strict=True))
        wanted = _Fingerprint.of_job(job.request or self._manifest.settings, matches, job)
        try:
            views = list(self._jobs_since(int(since * 1000)))
        except NotFound:
            self._learned.lists = False
            raise ListingUnsupported from None
        return tuple(
            Candidate(
                remote_id=view.job_id,
                matches=matches,
                created_at=_seconds(view.created_ms),
                simulated=self._learned.simulated,
            )
            for view in views
            if wanted.fits(view)
        )

    def recognise(self, remote_id: str) -> Foreign:
        """See `Service.recognise`."""
        from hume_runner.client.batch_v0 import read_job

        view = read_job(self._http.job_details(remote_id))
        sources = [ForeignSource(kind="url", match=url, value=url) for url in view.urls]
        sources += [ForeignSource(kind="file", match=file.filename or "", md5=file.md5sum) for file in view.files]
        sources += [
            ForeignSource(kind="text", match=str(number), value=text) for number, text in enumerate(view.text, start=1)
        ]
        return Foreign(
            remote_id=view.job_id,
            sources=tuple(sources),
            same_settings=same_settings(self._manifest.settings, view),
            created_at=_seconds(view.created_ms),
            simulated=self._learned.simulated,
        )


def connect(url: str, key: str, retry: RetryPolicy, *, pacer: Pacer, timeout_s: float, stack: ExitStack) -> BatchV0Api:
    """The client for one endpoint; `stack` closes its connections."""
    from hume_runner.client.batch_v0 import AUTH_HEADER, BatchV0Api
    from hume_runner.client.transport import RequestsTransport

    transport = RequestsTransport(url, key, AUTH_HEADER, timeout_s=timeout_s, pacer=pacer)
    stack.callback(transport.close)
    return BatchV0Api(transport, retry, read_timeout_s=timeout_s)


def _matches(job: Job) -> tuple[str, ...]:
    """By what the answer will name each member: the URL itself, an upload's unique name, a text's 1-based position."""
    names = []
    texts = 0
    for position, member in enumerate(job.members):
        item = member.item
        if item.kind == "url":
            names.append(item.value)
        elif item.kind == "text":
            texts += 1
            names.append(str(texts))
        else:
            names.append(upload_name(job.nonce, position, item.value))
    return tuple(names)


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
    """What a failed POST means: surely refused, or unknown. Only a connection that never opened, a 4xx and 503
    prove that nothing was accepted."""
    from hume_runner.client.retry import submission_outcome
    from hume_runner.client.upload import SourceChanged

    if isinstance(error, SourceChanged):
        # Halving the job finds the file that changes; the others are not to blame.
        return Refused(reason="source_changed", message=str(error), temporary=False, divisible=True, hint=error.hint)
    if submission_outcome(error) != "refused":
        return Unknown(message=str(error))
    fatal = isinstance(error, (AuthError, Discontinued)) or error.status == 402
    temporary = isinstance(error, (RateLimited, ServerError, TransportError)) or error.status in (408, 409, 425)
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


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000


def read_outcomes(job: Job, path: Path, announced: Mapping[str, int]) -> tuple[Outcome, ...]:
    """What a predictions answer says about each member of the job.

    Raises: UnexpectedResponse if it is not whole; AnswerIncomplete if it leaves members out and `announced` does not
    say `accept_missing`.
    """
    from hume_runner.client.batch_v0 import read_source_result
    from hume_runner.client.json_stream import iter_array

    positions = _positions(job)
    outcomes: dict[int, Outcome] = {}
    predictions = 0
    with path.open("rb") as file:
        for element in iter_array(file):
            view = read_source_result(element)
            predictions += len(view.predictions)
            for outcome in _element_outcomes(view, positions):
                outcomes.setdefault(outcome.position, outcome)
    missing = [position for position in range(len(job.members)) if position not in outcomes]
    expected = announced.get("predictions")
    late = bool(missing) or (expected is not None and expected > 0 and predictions == 0)
    if late and not announced.get("accept_missing"):
        raise AnswerIncomplete(f"{len(missing)} of {len(job.members)} sources are not in the answer yet")
    for position in missing:
        outcomes[position] = Outcome(
            position=position,
            ok=False,
            reason="not_in_answer",
            message="the service finished the job, and its answer does not mention this source",
        )
    return tuple(outcomes[position] for position in sorted(outcomes))


def _positions(job: Job) -> dict[tuple[str, str], int]:
    return {
        (member.item.kind, match): position
        for position, (member, match) in enumerate(zip(job.members, job.matches, strict=True))
    }


def _element_outcomes(view: SourceResultView, positions: Mapping[tuple[str, str], int]) -> Iterator[Outcome]:
    if view.kind == "text":
        yield from _text_outcomes(view, positions)
        return
    position = positions.get((view.kind, (view.url if view.kind == "url" else view.filename) or ""))
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
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, RuntimeError) as error:
        raise UnexpectedResponse(f"the artifacts are not a readable zip: {error}") from error
    if broken is not None:
        raise UnexpectedResponse("the artifacts are damaged: an entry does not match its checksum")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fingerprint:
    """What tells a job's echo from another's."""

    urls: tuple[str, ...]
    texts: tuple[str, ...]  # SHA-256, hex
    names: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of_job(cls, request: Mapping[str, Any], matches: Sequence[str], job: Job) -> _Fingerprint:
        named = list(zip((member.item.kind for member in job.members), matches, strict=True))
        return cls(
            urls=tuple(sorted(match for kind, match in named if kind == "url")),
            texts=tuple(sorted(m.item.content_sha256 for m in job.members if m.item.kind == "text")),
            names=tuple(sorted(match for kind, match in named if kind == "file")),
            settings={name: request[name] for name in ("models", "transcription") if name in request},
        )

    def fits(self, view: JobView) -> bool:
        """Same sources, and every setting that we sent stands in the echo as we sent it."""
        if tuple(sorted(view.urls)) != self.urls:
            return False
        if tuple(sorted(file.filename or "" for file in view.files)) != self.names:
            return False
        # Early echoes have no `text` member at all; then the other members have to tell.
        if view.text != () and tuple(sorted(map(_text_sha256, view.text))) != self.texts:
            return False
        if view.text == () and self.texts and not (self.urls or self.names):
            return False
        return same_settings(self.settings, view)


def _text_sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def same_settings(settings: Mapping[str, Any], view: JobView) -> bool:
    """Whether a job's echo measures what `settings` ask for: the same models, each member as it was sent."""
    models = settings.get("models")
    if models is None or not view.models:
        return True
    running = {name for name, value in view.models.items() if value is not None}
    if running != set(models) or not all(_agrees(value, view.models[name]) for name, value in models.items()):
        return False
    if "transcription" not in settings:
        return True
    wanted = settings["transcription"]
    # An echo without the member reads as {}, which agrees with anything but "off".
    return (
        (wanted is None) == (view.transcription is None)
        if wanted is None or view.transcription is None
        else _agrees(wanted, view.transcription)
    )


def _agrees(sent: Any, echoed: Any) -> bool:
    """Whether an echo, with its defaults filled in, says what was sent. Floats may come back in single precision."""
    if isinstance(sent, Mapping):
        return isinstance(echoed, Mapping) and all(
            name not in echoed or _agrees(value, echoed[name]) for name, value in sent.items()
        )
    if isinstance(sent, bool) or not isinstance(sent, (int, float)):
        return bool(sent == echoed)
    return isinstance(echoed, (int, float)) and abs(sent - echoed) <= 1e-6 * max(1.0, abs(sent))
