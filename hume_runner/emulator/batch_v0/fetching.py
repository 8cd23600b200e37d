"""The results of a job that has ended well: predictions and artifacts, made as they are sent."""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from typing import IO

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from hume_runner.emulator.batch_v0.artifacts import write_artifacts
from hume_runner.emulator.batch_v0.host import Host
from hume_runner.emulator.batch_v0.predictions import render
from hume_runner.emulator.batch_v0.sources import load
from hume_runner.emulator.batch_v0.spelling import respell
from hume_runner.emulator.batch_v0.storage import JobRow
from hume_runner.emulator.context import Refused

_AT_ONCE = 262_144  # answers up to this size are sent with a Content-Length, longer ones as they are made


class Fetching:
    """Hands out results."""

    def __init__(self, host: Host) -> None:
        self._host, self._context = host, host.context

    async def predictions(self, request: Request) -> Response:
        job = self._completed(request, "predictions")
        asked = json.loads(job.request)
        shown = json.loads(job.request)
        spelt = self._context.difficulties.jobs
        respell(shown, spelt, only=spelt.predictions_spell)
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
                self._host.queue.uploads_of(job.id),
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

    def _completed(self, request: Request, what: str) -> JobRow:
        job = self._host.job(request)
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
