"""Callbacks: one POST when a job ends, to loopback addresses only; others are recorded as not delivered.

The body is written to a file first, so that a large answer costs no memory and has a Content-Length.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import ssl
import tempfile
from collections.abc import Iterator
from typing import IO
from urllib.parse import urlsplit

from hume_runner.emulator.batch_v0.jobs import Queue
from hume_runner.emulator.batch_v0.predictions import render
from hume_runner.emulator.batch_v0.sources import load
from hume_runner.emulator.batch_v0.storage import CallbackRow, JobRow, JobStore
from hume_runner.emulator.context import Context, Stopped

_WAITS_S = (0.0, 0.3, 1.5)  # before each attempt
_TIMEOUT_S = 10.0


def is_loopback(host: str) -> bool:
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def payload(job: JobRow) -> Iterator[bytes]:
    """The body: id and status, and the predictions of a completed job or the message of a failed one."""
    opening = f'{{"job_id":{json.dumps(job.id)},"status":{json.dumps(job.status)},'
    if job.status == "FAILED":
        yield f'{opening}"message":{json.dumps(job.message)}}}'.encode()
        return
    yield f'{opening}"predictions":'.encode()
    yield from render(load(job.analysis or "[]"), json.loads(job.request), job.seed)
    yield b"}"


class Callbacks:
    """Delivers what is owed, oldest first, a few at a time; what is left when the server stops waits for the next."""

    def __init__(self, context: Context, queue: Queue, store: JobStore) -> None:
        self._context = context
        self._store = store
        self._owed = queue.callback_owed
        self._busy: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        gate = asyncio.Semaphore(8)
        try:
            while True:
                for row in self._store.pending_callbacks():
                    if row.job_id not in self._busy:
                        task = asyncio.create_task(self._settle(row, gate))
                        self._busy[row.job_id] = task
                        task.add_done_callback(lambda _, job_id=row.job_id: self._busy.pop(job_id, None))  # type: ignore[misc]
                self._owed.clear()
                await self._owed.wait()
        finally:
            waiting = list(self._busy.values())
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _settle(self, row: CallbackRow, gate: asyncio.Semaphore) -> None:
        store = self._store
        if not is_loopback(urlsplit(row.url).hostname or ""):
            store.record_callback(row.job_id, state="not_delivered", attempts=0, detail="not a loopback address")
            return
        job = store.job(row.job_id)
        assert job is not None
        for attempt, wait_s in enumerate(_WAITS_S, start=1):
            if attempt <= row.attempts:
                continue
            await asyncio.sleep(wait_s)
            async with gate:
                try:
                    detail = await self._attempt(job, row.url)
                except Stopped:
                    return  # still pending, for the next server
            done = detail.startswith("2")
            state = "delivered" if done else "failed" if attempt == len(_WAITS_S) else "pending"
            store.record_callback(row.job_id, state=state, attempts=attempt, detail=detail)
            if done:
                return

    async def _attempt(self, job: JobRow, url: str) -> str:
        """The status that the receiver answered, or what went wrong."""
        with tempfile.TemporaryFile(dir=self._context.data) as body:

            def write() -> int:
                for part in payload(job):
                    if self._context.closing.is_set():
                        raise Stopped
                    body.write(part)
                return body.tell()

            size = await self._context.in_thread(write)
            body.seek(0)
            try:
                return await asyncio.wait_for(_post(url, body, size), _TIMEOUT_S)
            except (OSError, TimeoutError, ValueError) as error:
                return f"{type(error).__name__}: {error}"


async def _post(url: str, body: IO[bytes], size: int) -> str:
    """POST the file and return the answer's status. Redirects are not followed: they could lead anywhere."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    tls = None
    if parts.scheme == "https":
        # The receiver is on this machine (checked before), where certificates are home-made.
        tls = ssl.create_default_context()
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    address = "127.0.0.1" if host.lower().rstrip(".") == "localhost" else host
    reader, writer = await asyncio.open_connection(address, parts.port or (443 if tls else 80), ssl=tls)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        head = (
            f"POST {target} HTTP/1.1\r\nHost: {parts.netloc.rpartition('@')[2]}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {size}\r\nX-Hume-Emulator: simulated\r\nConnection: close\r\n\r\n"
        )
        writer.write(head.encode("ascii", "ignore"))
        while block := body.read(1 << 16):
            writer.write(block)
            await writer.drain()
        await writer.drain()
        line = (await reader.readline()).split()
        return line[1].decode("ascii", "replace") if len(line) > 1 else "no answer"
    finally:
        writer.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            await writer.wait_closed()
