"""What stands before the routes: it counts requests, marks every answer as simulated, and makes requests go wrong."""

from __future__ import annotations

import asyncio
import json
import logging
import tempfile
from collections.abc import Sequence
from typing import IO, Any

from starlette.datastructures import Headers
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hume_runner.emulator.context import Context, Stopped, key_in
from hume_runner.emulator.disguise import Disguise, date_header, send_bomb
from hume_runner.emulator.faults import Action

logger = logging.getLogger(__name__)

_MARK = (b"x-hume-emulator", b"simulated")
_PAGE = b"<!doctype html><html><head><title>Sign in</title></head><body><h1>Sign in to the network</h1></body></html>"
_ADMIN = "/_emulator"
_ROUTE_LIMIT = 1000  # distinct unknown paths that are counted under their own name
_SPOOL_BYTES = 1_000_000


class Gateway:
    """ASGI middleware around the router of all route groups."""

    def __init__(self, app: ASGIApp, context: Context, routes: Sequence[Route]) -> None:
        self._app = app
        self._context = context
        self._templates = {route.path: route.path_regex for route in routes}

    def route_of(self, method: str, path: str) -> str:
        """`GET /v0/batch/jobs/{id}`: the template where the path fits one, else the path itself."""
        for template, pattern in self._templates.items():
            if pattern.match(path):
                return f"{method} {template}"
        return f"{method} {path}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = _Exchange(self._app, self._context, scope, receive, send)
        if exchange.admin:
            await exchange.process(exchange.send)
            return
        log = self._context.log
        route = self.route_of(scope["method"], scope["path"])
        counted = route if route in log.by_route or len(log.by_route) < _ROUTE_LIMIT else f"{scope['method']} (others)"
        log.by_route[counted] += 1
        action = self._context.faults.choose(route)
        try:
            if action is None:
                await exchange.process(exchange.send)
            else:
                await _perform(action, exchange)
        finally:
            log.bytes_received += exchange.bytes_received


class _Exchange:
    """One request and its answer, with the means to harm them."""

    def __init__(self, app: ASGIApp, context: Context, scope: Scope, receive: Receive, send: Send) -> None:
        self._app = app
        self._context = context
        self.scope = scope
        self._receive = receive
        self._send = send
        self._ended = False  # the request's body
        self._gone = asyncio.Event()
        self.bytes_received = 0
        self.admin = scope["path"] == _ADMIN or scope["path"].startswith(_ADMIN + "/")
        self._disguise: Disguise | None = None

    @property
    def key(self) -> str:
        return key_in(Headers(scope=self.scope))

    @property
    def page(self) -> bytes:
        """The web page of a fault, with the caller's key in its title where the host quotes it there."""
        quoted = self.key if "title" in self._context.difficulties.quote_key.places else ""
        return _PAGE.replace(b"Sign in<", f"Sign in {quoted}<".encode()) if quoted else _PAGE

    @property
    def closing(self) -> bool:
        return bool(self.scope["state"]["transport"].is_closing())

    async def receive(self) -> Message:
        message = await self._receive()
        self.bytes_received += len(message.get("body", b""))
        self._ended = self._ended or message["type"] == "http.disconnect" or not message.get("more_body", False)
        if message["type"] == "http.disconnect":
            self._gone.set()
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self.read_request()
            date = date_header(self._context.clock.now_ms(), self._context.difficulties.date)
            headers = [*message.get("headers", []), _MARK]
            if date is not None and all(name.lower() != b"date" for name, _ in headers):
                headers.append((b"date", date))
            message = {**message, "headers": headers}
            if not self.admin:
                self._disguise = Disguise.of(self._context.difficulties, self.key, message["status"])
        await self._send(message if self._disguise is None else self._disguise.wrap(message))

    async def process(self, send: Send) -> None:
        """Let the service handle the request; an unexpected error becomes a 500 of the documented shape."""
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(self.scope, self.receive, watched)
        except Stopped:
            await self.hang_up()
        except Exception:
            logger.exception("%s %s failed", self.scope["method"], self.scope["path"])
            if started:
                await self.hang_up()
                return
            await answer(watched, 500, {"message": "internal error"})

    async def read_request(self) -> None:
        """Read and discard the rest of the request: a client that is still sending does not read an answer."""
        while not self._ended:
            await self.receive()

    async def hang_up(self, *, flush: bool = False) -> None:
        """Close the connection without (the rest of) an answer, and wait until it is closed."""
        transport: asyncio.Transport = self.scope["state"]["transport"]
        if flush:
            transport.close()
        else:
            transport.abort()
        while not self._gone.is_set():
            await self.receive()


async def answer(send: Send, status: int, body: Any, headers: Sequence[tuple[str, str]] = ()) -> None:
    """Send a small answer: bytes as they are, a string as text, anything else as JSON."""
    match body:
        case None:
            raw, content_type = b"", None
        case bytes():
            raw, content_type = body, "text/html; charset=utf-8"
        case str():
            raw, content_type = body.encode(), "text/plain; charset=utf-8"
        case _:
            raw, content_type = json.dumps(body, ensure_ascii=False).encode(), "application/json"
    pairs = {"content-length": str(len(raw))} if status not in (204, 304) else {}
    if content_type is not None:
        pairs["content-type"] = content_type
    pairs |= {name.lower(): value for name, value in headers}
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": raw})


async def _perform(action: Action, exchange: _Exchange) -> None:
    """Do to one request what the fault says. The delay comes before anything is processed."""
    await asyncio.sleep(action.delay_s)
    if action.drop == "before":
        await exchange.hang_up()
        return
    if not action.processes:
        await exchange.read_request()
    send = _paced(exchange.send, action.slow_bytes_s)
    if action.redirect is not None:
        await answer(send, action.status or 307, None, [("location", action.redirect)])
    elif action.status is not None:
        body = {"message": f"fault: {action.status}"} if action.body is None else action.body
        await answer(send, action.status, body, action.headers)
    elif action.html:
        await answer(send, 200, exchange.page)
    elif action.bomb is not None:
        await send_bomb(send, action.bomb, action.like, lambda: exchange.closing)
    elif action.drop == "after":
        await exchange.process(_swallow)
        await exchange.hang_up()
    elif action.truncate is not None or action.corrupt:
        with tempfile.SpooledTemporaryFile(_SPOOL_BYTES) as body:
            start = await _record(exchange, body)
            await (_truncated if action.truncate is not None else _corrupted)(action, exchange, send, start, body)
    else:
        await exchange.process(send)


async def _swallow(message: Message) -> None:
    """An answer that nobody gets."""


def _paced(send: Send, bytes_s: float | None) -> Send:
    """`send` that lets `bytes_s` bytes of body pass a second, in pieces of a tenth of a second."""
    if bytes_s is None:
        return send

    async def paced(message: Message) -> None:
        body = message.get("body", b"")
        piece = max(1, int(bytes_s / 10))
        for at in range(0, len(body), piece):
            part = body[at : at + piece]
            await send({"type": "http.response.body", "body": part, "more_body": True})
            await asyncio.sleep(len(part) / bytes_s)
        await send({**message, "body": b""} if body else message)

    return paced


async def _record(exchange: _Exchange, body: IO[bytes]) -> Message:
    """Process the request, keep the answer's body in the file and return its start with a true Content-Length."""
    start: Message = {}

    async def keep(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            body.write(message.get("body", b""))

    await exchange.process(keep)
    others = [pair for pair in start.get("headers", []) if pair[0].lower() != b"content-length"]
    start["headers"] = [*others, (b"content-length", str(body.tell()).encode())]
    return start


async def _send_file(send: Send, body: IO[bytes], length: int) -> None:
    body.seek(0)
    while length > 0 and (block := body.read(min(length, 65_536))):
        length -= len(block)
        await send({"type": "http.response.body", "body": block, "more_body": True})


async def _truncated(action: Action, exchange: _Exchange, send: Send, start: Message, body: IO[bytes]) -> None:
    assert action.truncate is not None
    size = body.tell()
    if action.chunked:
        start["headers"] = [pair for pair in start["headers"] if pair[0] != b"content-length"]
    await send(start)
    await _send_file(send, body, int(size * action.truncate))
    await exchange.hang_up(flush=True)


async def _corrupted(action: Action, exchange: _Exchange, send: Send, start: Message, body: IO[bytes]) -> None:
    """Replace three bytes by 0xFF, which no UTF-8 text holds and no stored zip entry's checksum forgives."""
    size = body.tell()
    for at in {size // 4, size // 2, size * 3 // 4} if size else ():
        body.seek(at)
        old = body.read(1)
        body.seek(at)
        body.write(b"\x00" if old == b"\xff" else b"\xff")
    await send(start)
    await _send_file(send, body, size)
    await send({"type": "http.response.body", "body": b""})
