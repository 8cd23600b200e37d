"""What the route groups of one server share: storage, keys, limits, the clock, the request log, worker threads."""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hume_runner.emulator.faults import FaultPlan
from hume_runner.emulator.storage import Storage

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Limits:
    """What a request may carry. Changed at run time by `POST /_emulator/limits`."""

    upload_bytes: int = 100_000_000
    sources_per_kind: int = 100
    queued_jobs: int | None = None  # more is refused with 429; None: any number waits
    body_bytes: int = 300_000_000  # of a JSON body, or of the `json` part


@dataclass(slots=True)
class RequestLog:
    """What arrived since the server started; written by the server's thread, read by any."""

    by_route: Counter[str] = field(default_factory=Counter)
    jobs_accepted: int = 0
    uploads_measured: int = 0
    bytes_received: int = 0

    def snapshot(self) -> dict[str, Any]:
        return {
            "by_route": dict(sorted(self.by_route.copy().items())),
            "jobs_accepted": self.jobs_accepted,
            "uploads_measured": self.uploads_measured,
            "bytes_received": self.bytes_received,
        }


class Clock:
    """Unix milliseconds that never run backwards, not even over a restart."""

    def __init__(self, latest_ms: int) -> None:
        self._latest_ms = latest_ms

    def now_ms(self) -> int:
        self._latest_ms = max(self._latest_ms, time.time_ns() // 1_000_000)
        return self._latest_ms


@dataclass(slots=True, kw_only=True)
class Context:
    """One server's shared things. `closing` is set when it stops: long work looks at it between steps."""

    storage: Storage
    data: Path
    keys: Sequence[str]
    seed: int
    processing_time_s: float
    max_concurrent_jobs: int
    clock: Clock
    pool: ThreadPoolExecutor
    limits: Limits = field(default_factory=Limits)
    log: RequestLog = field(default_factory=RequestLog)
    faults: FaultPlan = field(default_factory=FaultPlan)
    closing: threading.Event = field(default_factory=threading.Event)

    def owner_of(self, key: str | None) -> str | None:
        """Who a key belongs to: an opaque name under which jobs are kept. None: the key is missing or wrong."""
        if key is None:
            return None
        raw = key.encode("utf-8", "replace")
        known = [secrets.compare_digest(raw, one.encode()) for one in self.keys]
        return sha256(raw).hexdigest() if any(known) else None

    async def in_thread(self, work: Callable[..., T], *args: Any) -> T:
        """Run blocking work off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, work, *args)

    async def chunks(self, source: Iterator[bytes], size: int = 65_536) -> AsyncIterator[bytes]:
        """The bytes of a slow iterator in pieces of about `size`, each produced off the event loop."""
        ended = False

        def gather() -> bytes:
            nonlocal ended
            parts: list[bytes] = []
            length = 0
            while length < size:
                part = next(source, None)
                if self.closing.is_set():
                    raise Stopped
                if part is None:
                    ended = True
                    break
                parts.append(part)
                length += len(part)
            return b"".join(parts)

        while not ended:
            block = await self.in_thread(gather)
            if block:
                yield block


class Stopped(Exception):
    """The server is closing: what is half done is given up, and never passes for a whole answer."""


class RouteGroup(Protocol):
    """One API of the server."""

    def routes(self) -> list[Route]: ...

    def admin_routes(self) -> list[Route]:
        """Routes below /_emulator, which need no key and are neither counted nor harmed by faults."""
        ...

    def background(self) -> Sequence[Coroutine[Any, Any, None]]:
        """What runs beside the requests until the server stops (then it is cancelled)."""
        ...


class Refused(Exception):
    """A request that is answered with an error of the documented shape."""

    def __init__(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body
        self.headers = headers or {}

    @classmethod
    def message(cls, status: int, text: str, headers: dict[str, str] | None = None) -> Refused:
        return cls(status, {"message": text}, headers)


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    raw = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
    return Response(raw, status, {"content-type": "application/json", **(headers or {})})


Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def answering(handler: Handler) -> Handler:
    """Turn a raised Refused into its answer."""

    async def wrapped(request: Request) -> Response:
        try:
            return await handler(request)
        except Refused as refused:
            return json_response(refused.body, refused.status, refused.headers)

    return wrapped
