"""The batch API's five operations: submit, list, details, predictions, artifacts."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from hume_runner.emulator.artifacts import write_artifacts
from hume_runner.emulator.callbacks import Callbacks
from hume_runner.emulator.context import Context, Refused, answering, json_response
from hume_runner.emulator.jobs import Queue
from hume_runner.emulator.predictions_v0 import render
from hume_runner.emulator.requests_v0 import echo_of, parse_json
from hume_runner.emulator.sources import load
from hume_runner.emulator.storage import JobFilter, JobRow
from hume_runner.emulator.uploads import Upload, read_multipart

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
        self._queue = Queue(context)
        self._callbacks = Callbacks(context, self._queue)

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
            self._accept(job_id, owner, echo, incoming)
        finally:
            shutil.rmtree(incoming, ignore_errors=True)
        return json_response({"job_id": job_id})

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
        if allowed is not None and self._context.storage.queued_count() >= allowed:
            raise Refused.message(429, f"too many queued jobs: at most {allowed} at a time", {"Retry-After": "1"})

    def _accept(self, job_id: str, owner: str, echo: dict[str, Any], incoming: Path) -> None:
        if echo["files"]:
            home = self._queue.uploads_of(job_id)
            home.parent.mkdir(exist_ok=True)
            incoming.rename(home)
        self._context.storage.record_accepted(
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
        jobs = self._context.storage.jobs(owner, wanted) if not types or "INFERENCE" in types else []
        body = "[" + ",".join(job_json(job) for job in jobs) + "]"
        return Response(body.encode(), headers={"content-type": "application/json"})

    async def details(self, request: Request) -> Response:
        return Response(job_json(self._job(request)).encode(), headers={"content-type": "application/json"})

    async def accepted_jobs(self, request: Request) -> Response:
        """Every job that was ever accepted with this data, in order: the oracle of tests."""
        callbacks = self._context.storage.callbacks()
        answer = []
        for job in self._context.storage.all_jobs():
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
                    "callback": None
                    if callback is None
                    else {"state": callback.state, "attempts": callback.attempts, "detail": callback.detail},
                }
            )
        return json_response(answer)

    # --- fetch -----------------------------------------------------------------------------------------------------

    async def predictions(self, request: Request) -> Response:
        job = self._completed(request, "predictions")
        parts = render(load(job.analysis or "[]"), json.loads(job.request), job.seed)
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
        job = self._context.storage.job(request.path_params["id"], self._owner(request))
        if job is None:
            raise Refused.message(404, "job not found")
        return job

    def _completed(self, request: Request, what: str) -> JobRow:
        job = self._job(request)
        if job.status == "FAILED":
            raise Refused.message(400, f"job has failed, it has no {what}: {job.message}")
        if job.status != "COMPLETED":
            raise Refused.message(400, f"job is {job.status}, {what} are available once it is COMPLETED")
        return job


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
