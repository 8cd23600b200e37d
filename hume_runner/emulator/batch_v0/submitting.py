"""A submission: read, checked, and accepted when the host gets to it, if ever."""

from __future__ import annotations

import asyncio
import json
import shutil
import uuid
from hashlib import sha256
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from hume_runner.emulator.batch_v0.host import Host
from hume_runner.emulator.batch_v0.requests import echo_of
from hume_runner.emulator.batch_v0.spelling import shown_id
from hume_runner.emulator.batch_v0.uploads import Upload, read_multipart
from hume_runner.emulator.context import Refused, answer_lost, in_place_of, json_response, parse_json
from hume_runner.emulator.difficulties import Lost


class Submitting:
    """Takes jobs in."""

    def __init__(self, host: Host) -> None:
        self._host, self._context = host, host.context
        self._later: set[asyncio.Task[None]] = set()

    async def start_job(self, request: Request) -> Response:
        owner = self._host.owner(request)
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
        if allowed is not None and self._host.store.queued_count() >= allowed:
            raise Refused.message(429, f"too many queued jobs: at most {allowed} at a time", {"Retry-After": "1"})

    def _accept(self, job_id: str, owner: str, echo: dict[str, Any], incoming: Path) -> None:
        if echo["files"]:
            home = self._host.queue.uploads_of(job_id)
            home.parent.mkdir(exist_ok=True)
            incoming.rename(home)
        self._host.store.record_accepted(
            job_id=job_id,
            owner=owner,
            seed=self._context.seed,
            request=json.dumps(echo, ensure_ascii=False, separators=(",", ":")),
            content_sha256=content_digest(echo),
            created_ms=self._context.clock.now_ms(),
        )
        self._context.log.jobs_accepted += 1
        self._host.queue.job_accepted()


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
