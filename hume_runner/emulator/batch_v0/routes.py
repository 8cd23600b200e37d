"""The batch API's five operations: submit, list, details, predictions, artifacts."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Collection, Coroutine, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from hume_runner.emulator.batch_v0.artifacts import write_artifacts
from hume_runner.emulator.batch_v0.callbacks import Callbacks
from hume_runner.emulator.batch_v0.jobs import Queue
from hume_runner.emulator.batch_v0.predictions import render
from hume_runner.emulator.batch_v0.requests import echo_of
from hume_runner.emulator.batch_v0.sources import load
from hume_runner.emulator.batch_v0.storage import JobFilter, JobRow, JobStore
from hume_runner.emulator.batch_v0.uploads import Upload, read_multipart
from hume_runner.emulator.context import (
    Context,
    Refused,
    answer_lost,
    answering,
    in_place_of,
    json_response,
    parse_json,
)
from hume_runner.emulator.difficulties import Listing, Lost, leave_out

_FAULT = {"fault": {"faultstring": "Invalid ApiKey", "detail": {"errorcode": "oauth.v2.InvalidApiKey"}}}
_STATUSES = ("QUEUED", "IN_PROGRESS", "COMPLETED", "FAILED")
_TYPES = ("INFERENCE", "EMBEDDING_GENERATION", "TL_INFERENCE", "TRAINING")
_SINGLE = ("limit", "when", "timestamp_ms", "sort_by", "direction")
_WHOLE = re.compile(r"-?[0-9]{1,100}")
_INT64 = 2**63 - 1
_AT_ONCE = 262_144  # answers up to this size are sent with a Content-Length, longer ones as they are made


def state_of(job: JobRow) -> dict[str, Any]:
    """The `state` member, with exactly the members that belong to the status."""
    state: dict[str, Any] = {"status": job.status, "created_timestamp_ms": job.created_ms}
    if job.started_ms is not None:
        state["started_timestamp_ms"] = job.started_ms
    if job.ended_ms is not None:
        state["ended_timestamp_ms"] = job.ended_ms
    if job.status == "COMPLETED":
        state |= {"num_predictions": job.predictions, "num_errors": job.errors}
    if job.status == "FAILED":
        state["message"] = job.message
    return state


def job_json(job: JobRow) -> str:
    """One job as JSON text; the request is already stored that way, however long its texts are."""
    state = json.dumps(state_of(job), ensure_ascii=False, separators=(",", ":"))
    return f'{{"type":"INFERENCE","job_id":"{job.id}","request":{job.request},"state":{state}}}'


def content_digest(request: dict[str, Any]) -> str:
    """What makes two submissions the same work: settings, URLs, texts and file contents; not file names."""
    content = {
        "models": request["models"],
        "transcription": request.get("transcription", "default"),
        "urls": request["urls"],
        "text": request["text"],
        "files": [file["md5sum"] for file in request["files"]],
    }
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class BatchV0:
    """The routes below /v0/batch/jobs, and what runs beside them: the queue and the callbacks."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = JobStore(context.storage)
        context.clock.not_before(self._store.latest_ms())
        self._queue = Queue(context, self._store)
        self._callbacks = Callbacks(context, self._queue, self._store)
        self._later: set[asyncio.Task[None]] = set()

    def routes(self) -> list[Route]:
        return [
            Route("/v0/batch/jobs", answering(self.list_jobs), methods=["GET"]),
            Route("/v0/batch/jobs", answering(self.start_job), methods=["POST"]),
            Route("/v0/batch/jobs/{id}", answering(self.details), methods=["GET"]),
            Route("/v0/batch/jobs/{id}/predictions", answering(self.predictions), methods=["GET"]),
            Route("/v0/batch/jobs/{id}/artifacts", answering(self.artifacts), methods=["GET"]),
        ]

    def admin_routes(self) -> list[Route]:
        return [Route("/_emulator/jobs", answering(self.accepted_jobs), methods=["GET"])]

    def background(self) -> Sequence[Coroutine[Any, Any, None]]:
        return [self._queue.run(), self._callbacks.run()]

    # --- submit ----------------------------------------------------------------------------------------------------

    async def start_job(self, request: Request) -> Response:
        owner = self._owner(request)
        job_id = str(uuid.uuid4())
        incoming = self._context.data / "incoming" / job_id
        try:
            body, uploads = await self._read(request, incoming)
            files = [
                {"filename": one.filename, "content_type": one.content_type, "md5sum": one.md5sum} for one in uploads
            ]
            echo = echo_of(body, files, self._context.limits)
            self._check_room()
            lost = self._context.difficulties.lost("submissions", json.dumps(echo, ensure_ascii=False))
            if lost is not None:
                return await self._lose(lost, request, job_id, owner, echo, incoming)
            self._accept(job_id, owner, echo, incoming)
        finally:
            shutil.rmtree(incoming, ignore_errors=True)
        return self._started(job_id)

    def _started(self, job_id: str) -> Response:
        return json_response({"job_id": shown_id(job_id, self._context.difficulties.jobs, "submit")})

    async def _lose(
        self, lost: Lost, request: Request, job_id: str, owner: str, echo: dict[str, Any], incoming: Path
    ) -> Response:
        """Accept it when the host gets to it, if ever; whether the client hears of it is another matter."""
        if lost.accepted_after_s == 0:
            self._accept(job_id, owner, echo, incoming)
        elif lost.accepted_after_s is not None:
            kept = self._context.data / "late" / job_id
            if incoming.exists():
                kept.parent.mkdir(exist_ok=True)
                incoming.rename(kept)
            gone = asyncio.Event()
            task = asyncio.create_task(self._accept_later(gone, lost.accepted_after_s, job_id, owner, echo, kept))
            self._later.add(task)
            task.add_done_callback(self._later.discard)
        try:
            await answer_lost(request, lost.answer)
        finally:
            if lost.accepted_after_s:
                gone.set()
        return in_place_of(lost.answer, self._started(job_id))

    async def _accept_later(
        self, gone: asyncio.Event, after_s: float, job_id: str, owner: str, echo: dict[str, Any], kept: Path
    ) -> None:
        try:
            await gone.wait()
            await self._context.clock.sleep(after_s)
            self._accept(job_id, owner, echo, kept)
        finally:
            shutil.rmtree(kept, ignore_errors=True)

    async def _read(self, request: Request, incoming: Path) -> tuple[dict[str, Any], list[Upload]]:
        limits = self._context.limits
        content_type = request.headers.get("content-type", "")
        media_type = content_type.partition(";")[0].strip().lower()
        if media_type == "multipart/form-data":
            incoming.mkdir(parents=True)
            raw, uploads = await read_multipart(content_type, request.stream(), incoming, limits)
            return ({} if raw is None else parse_json(raw)), uploads
        body = bytearray()
        async for chunk in request.stream():
            if len(body) <= limits.body_bytes:  # the rest is read and thrown away, so that the answer is heard
                body += chunk
        if media_type != "application/json":
            raise Refused.message(400, "Content-Type must be application/json or multipart/form-data")
        if len(body) > limits.body_bytes:
            raise Refused.message(400, f"the request is larger than {limits.body_bytes} bytes")
        return parse_json(bytes(body)), []

    def _check_room(self) -> None:
        allowed = self._context.limits.queued_jobs
        if allowed is not None and self._store.queued_count() >= allowed:
            raise Refused.message(429, f"too many queued jobs: at most {allowed} at a time", {"Retry-After": "1"})

    def _accept(self, job_id: str, owner: str, echo: dict[str, Any], incoming: Path) -> None:
        if echo["files"]:
            home = self._queue.uploads_of(job_id)
            home.parent.mkdir(exist_ok=True)
            incoming.rename(home)
        self._store.record_accepted(
            job_id=job_id,
            owner=owner,
            seed=self._context.seed,
            request=json.dumps(echo, ensure_ascii=False, separators=(",", ":")),
            content_sha256=content_digest(echo),
            created_ms=self._context.clock.now_ms(),
        )
        self._context.log.jobs_accepted += 1
        self._queue.job_accepted()

    # --- look ------------------------------------------------------------------------------------------------------

    async def list_jobs(self, request: Request) -> Response:
        owner = self._owner(request)
        wanted, types = _filter_of(request, self._context.clock.now_ms())
        listing, quoted = self._context.difficulties.jobs, self._context.difficulties.quote_key.places
        if listing != Listing() or quoted:
            return json_response(self._difficult_list(request, owner, wanted, listing))
        jobs = self._store.jobs(owner, wanted) if not types or "INFERENCE" in types else []
        body = "[" + ",".join(job_json(job) for job in jobs) + "]"
        return Response(body.encode(), headers={"content-type": "application/json"})

    def _difficult_list(self, request: Request, owner: str, wanted: JobFilter, listing: Listing) -> list[Any]:
        if listing.status is not None:
            raise Refused.message(listing.status, "jobs cannot be listed")
        shown_from_ms = self._context.clock.now_ms() - round(listing.late_s * 1000)
        ready = [job for job in self._store.jobs(owner, JobFilter(limit=-1)) if job.created_ms <= shown_from_ms]
        chosen = self._store.jobs(owner, _loosened(wanted, listing))
        by_id = {job.id for job in ready}
        jobs = listing.cut([job for job in chosen if job.id in by_id], ready)
        if "limit" not in listing.ignores:
            jobs = jobs[: wanted.limit]
        jobs = listing.ordered(jobs, lambda job: job.created_ms, self._context.difficulties.chance)
        return listing.arranged([self._shown(request, job, "list") for job in jobs], named_by="job_id")

    async def details(self, request: Request) -> Response:
        job = self._job(request)
        listing, quoted = self._context.difficulties.jobs, self._context.difficulties.quote_key.places
        if listing != Listing() or quoted:
            if listing.details_status is not None:
                raise Refused.message(listing.details_status, "no details of jobs")
            entry = self._shown(request, job, "details")
            leave_out(entry, listing.details_leave_out)
            return json_response(entry)
        return Response(job_json(job).encode(), headers={"content-type": "application/json"})

    def _shown(self, request: Request, job: JobRow, where: str) -> dict[str, Any]:
        """The job as a difficult host tells of it."""
        entry: dict[str, Any] = json.loads(job_json(job))
        listing = self._context.difficulties.jobs
        entry["job_id"] = shown_id(job.id, listing, where)
        _respell(entry["request"], listing)
        for kind in ("urls", "text", "files"):
            entry["request"][kind] = listing.some_of(entry["request"][kind])
        for name in entry["state"]:
            if name.endswith("_timestamp_ms"):
                entry["state"][name] += round(listing.off_s * 1000)
        if name := self._context.quoted_key(request, "name"):
            entry["name"] = f"job of {name}"
        if (key := self._context.quoted_key(request, "message")) and job.status == "FAILED":
            entry["state"]["message"] = f"{job.message} (key {key})"
        return entry

    async def accepted_jobs(self, request: Request) -> Response:
        """Every job that was ever accepted with this data, in order: the oracle of tests."""
        callbacks = self._store.callbacks()
        answer = []
        for job in self._store.all_jobs():
            echo = json.loads(job.request)
            callback = callbacks.get(job.id)
            answer.append(
                {
                    "job_id": job.id,
                    "owner": job.owner,
                    "status": job.status,
                    "created_timestamp_ms": job.created_ms,
                    "content_sha256": job.content_sha256,
                    "urls": echo["urls"],
                    "text": echo["text"],
                    "files": echo["files"],
                    "models": [name for name, options in echo["models"].items() if options is not None],
                    "settings": echo["models"],
                    "callback": None
                    if callback is None
                    else {"state": callback.state, "attempts": callback.attempts, "detail": callback.detail},
                }
            )
        return json_response(answer)

    # --- fetch -----------------------------------------------------------------------------------------------------

    async def predictions(self, request: Request) -> Response:
        job = self._completed(request, "predictions")
        asked = json.loads(job.request)
        shown = json.loads(job.request)
        spelt = self._context.difficulties.jobs
        _respell(shown, spelt, only=spelt.predictions_spell)
        key = self._context.quoted_key(request, "error")
        blame = f" (key {key})" if key else ""
        parts = render(load(job.analysis or "[]"), asked, job.seed, shown=shown, blame=blame)
        return await self._streamed(parts, "application/json")

    async def artifacts(self, request: Request) -> Response:
        job = self._completed(request, "artifacts")
        file: IO[bytes] = tempfile.TemporaryFile(dir=self._context.data)  # noqa: SIM115 - closed by the response
        try:
            await self._context.in_thread(
                write_artifacts,
                file,
                load(job.analysis or "[]"),
                json.loads(job.request),
                job.seed,
                self._queue.uploads_of(job.id),
                self._context.closing.is_set,
            )
        except BaseException:
            file.close()
            raise
        return _FileResponse(file, "application/zip")

    async def _streamed(self, parts: Iterator[bytes], content_type: str) -> Response:
        """Short answers whole, with a Content-Length; long ones as they are made."""
        chunks = self._context.chunks(parts, _AT_ONCE)
        first = await anext(chunks, b"")
        second = await anext(chunks, None)
        if second is None:
            return Response(first, headers={"content-type": content_type})

        async def everything() -> AsyncIterator[bytes]:
            yield first
            yield second
            async for chunk in chunks:
                yield chunk

        return StreamingResponse(everything(), headers={"content-type": content_type})

    # --- who, which ------------------------------------------------------------------------------------------------

    def _owner(self, request: Request) -> str:
        owner = self._context.owner_of(request.headers.get("x-hume-api-key"))
        if owner is None:
            raise Refused(401, _FAULT)
        return owner

    def _job(self, request: Request) -> JobRow:
        owner, job_id = self._owner(request), request.path_params["id"]
        job = self._store.job(job_id, owner)
        if job is None and re.fullmatch(r"[0-9]{1,15}", job_id) and int(job_id) < 1 << 48:
            digits = f"{int(job_id):012x}"
            job = self._store.job_of_digits(f"{digits[:8]}-{digits[8:]}", owner)
        late_ms = round(self._context.difficulties.jobs.details_late_s * 1000)
        if job is None or job.created_ms + late_ms > self._context.clock.now_ms():
            raise Refused.message(404, "job not found")
        return job

    def _completed(self, request: Request, what: str) -> JobRow:
        job = self._job(request)
        if job.status == "FAILED":
            raise Refused.message(400, f"job has failed, it has no {what}: {job.message}")
        if job.status != "COMPLETED":
            raise Refused.message(400, f"job is {job.status}, {what} are available once it is COMPLETED")
        return job


def shown_id(job_id: str, listing: Listing, where: str) -> str | int:
    """The id as the host tells it there: as a number it is the first 48 bits, by which a job is found too."""
    return int(job_id.replace("-", "")[:12], 16) if where in listing.integer_ids else job_id


def _respell(
    request: dict[str, Any], listing: Listing, only: Collection[str] = ("filenames", "md5s", "texts", "urls")
) -> None:
    if "filenames" in only:
        for file in request["files"]:
            file["filename"] = listing.filenames(file["filename"])
    if "md5s" in only:
        for file in request["files"]:
            file["md5sum"] = listing.md5s(file["md5sum"])
    if "texts" in only:
        request["text"] = [listing.texts(text) for text in request["text"]]
    if "urls" in only:
        request["urls"] = [listing.urls(url) for url in request["urls"]]


def _loosened(wanted: JobFilter, listing: Listing) -> JobFilter:
    """The filters that the host heeds. The limit is for what is left; a clock that is off moves the bounds with it."""
    off_ms = round(listing.off_s * 1000)

    def bound(name: str, value: int | None) -> int | None:
        return None if value is None or {"when", "timestamp_ms", name} & listing.ignores else value - off_ms

    return replace(
        wanted,
        limit=-1,
        statuses=() if "status" in listing.ignores else wanted.statuses,
        created_before_ms=bound("created_before", wanted.created_before_ms),
        created_after_ms=bound("created_after", wanted.created_after_ms),
        sort_by="created" if "sort_by" in listing.ignores else wanted.sort_by,
        ascending=False if "direction" in listing.ignores else wanted.ascending,
    )


class _FileResponse(Response):
    """An open file as the answer; it is closed whatever becomes of the answer."""

    def __init__(self, file: IO[bytes], content_type: str) -> None:
        super().__init__(headers={"content-type": content_type, "content-length": str(file.tell())})
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._file as file:
            file.seek(0)
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            while block := file.read(65_536):
                await send({"type": "http.response.body", "body": block, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


def _filter_of(request: Request, now_ms: int) -> tuple[JobFilter, list[str]]:
    """The list operation's filters, and the job types asked for. Raises Refused for values outside the definition."""
    query = request.query_params
    for name in _SINGLE:
        if len(query.getlist(name)) > 1:
            raise Refused.message(400, f"{name}: may be given once")
    statuses = [_chosen("status", value, _STATUSES) for value in query.getlist("status")]
    types = [_chosen("type", value, _TYPES) for value in query.getlist("type")]
    limit = min(_whole("limit", query.get("limit"), 50), _INT64)  # no upper bound is documented
    if limit < 0:
        raise Refused.message(400, "limit: must not be negative")
    pivot_ms = _whole("timestamp_ms", query.get("timestamp_ms"), now_ms)
    if not -_INT64 - 1 <= pivot_ms <= _INT64:
        raise Refused.message(400, "timestamp_ms: must fit into 64 bits")
    when = None if "when" not in query else _chosen("when", query["when"], ("created_before", "created_after"))
    return (
        JobFilter(
            limit=limit,
            statuses=tuple(dict.fromkeys(statuses)),
            created_before_ms=pivot_ms if when == "created_before" else None,
            created_after_ms=pivot_ms if when == "created_after" else None,
            sort_by=_sorting(query.get("sort_by", "created")),
            ascending=_chosen("direction", query.get("direction", "desc"), ("asc", "desc")) == "asc",
        ),
        types,
    )


def _chosen(name: str, value: str, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise Refused.message(400, f"{name}: must be one of {', '.join(allowed)}")
    return value


def _sorting(value: str) -> Any:
    return _chosen("sort_by", value, ("created", "started", "ended"))


def _whole(name: str, value: str | None, default: int) -> int:
    if value is None:
        return default
    if not _WHOLE.fullmatch(value):
        raise Refused.message(400, f"{name}: must be a whole number")
    return int(value)
