"""What the route groups of one server share: storage, keys, limits, the clock, the request log, worker threads."""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from hume_runner.emulator.difficulties import Difficulties
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
    """Unix milliseconds that never run backwards, not even over a restart; and what waits for a time to come.

    A test moves it on (`advance`) and may stop it in between. Whatever is timed here goes by it. Used on the server's
    thread, but for `now_ms`.
    """

    def __init__(self) -> None:
        self._latest_ms = 0
        self._ahead_s = 0.0
        self._stopped: tuple[int, float] | None = None  # wall time in ns and monotonic seconds when it was stopped
        self._moved: set[asyncio.Event] = set()

    def not_before(self, moment_ms: int) -> None:
        """It is at least this late: what an earlier server recorded is past."""
        self._latest_ms = max(self._latest_ms, moment_ms)

    def now_ms(self) -> int:
        wall_ns = time.time_ns() if self._stopped is None else self._stopped[0]
        self._latest_ms = max(self._latest_ms, wall_ns // 1_000_000 + round(self._ahead_s * 1000))
        return self._latest_ms

    def monotonic_s(self) -> float:
        return (time.monotonic() if self._stopped is None else self._stopped[1]) + self._ahead_s

    def advance(self, seconds: float) -> None:
        self._ahead_s += seconds
        self._tell()

    def stop(self) -> None:
        self._stopped = self._stopped or (time.time_ns(), time.monotonic())

    def go(self) -> None:
        """Run on from where it stands, which may be behind the machine's time from now on."""
        if self._stopped is not None:
            self._ahead_s -= time.monotonic() - self._stopped[1]
            self._stopped = None
        self._tell()

    def _tell(self) -> None:
        for event in list(self._moved):
            event.set()

    def wakes(self, event: asyncio.Event) -> None:
        """The event is set whenever the clock is moved."""
        self._moved.add(event)

    async def wait(self, event: asyncio.Event, until_s: float | None) -> None:
        """Return when the event is set (the clock sets it too when it moves) or the monotonic time has come."""
        if until_s is None or self._stopped is not None:
            if until_s is None or until_s > self.monotonic_s():
                await event.wait()
            return
        try:
            await asyncio.wait_for(event.wait(), max(0.0, until_s - self.monotonic_s()))
        except TimeoutError:
            return

    async def sleep(self, seconds: float) -> None:
        until_s = self.monotonic_s() + seconds
        moved = asyncio.Event()
        self._moved.add(moved)
        try:
            while self.monotonic_s() < until_s:
                moved.clear()
                await self.wait(moved, until_s)
        finally:
            self._moved.discard(moved)


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
    difficulties: Difficulties = field(default_factory=Difficulties)
    closing: threading.Event = field(default_factory=threading.Event)

    def owner_of(self, key: str | None) -> str | None:
        """Who a key belongs to: an opaque name under which jobs are kept. None: the key is missing or wrong."""
        if key is None:
            return None
        raw = key.encode("utf-8", "replace")
        known = [secrets.compare_digest(raw, one.encode()) for one in self.keys]
        return sha256(raw).hexdigest() if any(known) else None

    def quoted_key(self, request: Request, place: str) -> str:
        """The caller's key where the host is one that quotes it there, else nothing."""
        return key_in(request.headers) if place in self.difficulties.quote_key.places else ""

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


def key_in(headers: Mapping[str, str]) -> str:
    """The key that a request carries, or nothing."""
    return headers.get("x-hume-api-key") or headers.get("authorization", "").partition(" ")[2].strip()


async def client_left(request: Request) -> None:
    """Return when the client has closed the connection, or somebody else has. Its body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def answer_lost(request: Request, answer: str | int) -> None:
    """Break the connection, or wait until the client does. Other ways of losing an answer come when it is there."""
    if answer == "cut":
        request.scope["state"]["transport"].abort()
    if answer in ("cut", "hang"):
        await client_left(request)


def in_place_of(answer: str | int, response: Response) -> Response:
    """What is sent where the true answer is lost. Raises: Stopped where nothing is, Refused for a status."""
    match answer:
        case int():
            raise Refused.message(answer, f"the host answers {answer}")
        case "cut" | "hang":
            raise Stopped
        case "truncated":
            return _Half(response)
        case _:
            return response


class _Half(Response):
    """The first half of an answer under its whole length; then the connection closes."""

    def __init__(self, whole: Response) -> None:
        super().__init__(whole.body, whole.status_code, dict(whole.headers))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body[: len(self.body) // 2], "more_body": True})
        raise Stopped


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


def parse_json(raw: bytes) -> dict[str, Any]:
    """The request object. Raises Refused for what is not JSON, not an object, or not Unicode."""
    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=_no_constant)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # a lone surrogate is no text
    except (ValueError, RecursionError) as error:
        raise Refused.message(400, f"invalid JSON: {error}") from None
    if not isinstance(value, dict):
        raise Refused.message(400, "the request must be a JSON object")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
