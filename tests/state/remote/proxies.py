"""Between a runner and what it talks to: a store that has bad days and knows who asks, and a host that waits for whole
requests, though not for ever."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.servers import QuietKeptAlive, Server

_HOP = {"connection", "transfer-encoding", "date", "server", "keep-alive"}
_CONDITIONS = {"if-match", "if-none-match"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """A write that the store took. Times are by the monotonic clock."""

    kind: str  # lock, head, entry, seal
    epoch: int
    key: str
    began: float
    ended: float


@dataclass(kw_only=True)
class StoreProxy:
    """One runner's way to the store. `plan`: what is done to the so-many-th request: `500`, `500 after`, `reset after`,
    `late` (refused now, lands `late_s` later), `slow`; or a function that is called before or after it, as
    ("before", f) or ("after", f). `conditions`: whether they are passed on."""

    url: str = ""
    plan: Mapping[int, Any] = field(default_factory=dict)
    conditions: bool = True
    late_s: float = 1.0
    log: list[Landed] = field(default_factory=list)
    count: int = 0


class _Handler(QuietKeptAlive):
    def reply(self, status: int, headers: Mapping[str, str], data: bytes) -> None:
        with contextlib.suppress(OSError):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "content-length" not in {name.lower() for name in headers} or self.command != "HEAD":
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

    def hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.close()


def _forward(
    host: str, method: str, path: str, headers: Mapping[str, str], body: bytes
) -> tuple[int, dict[str, str], bytes]:
    upstream = http.client.HTTPConnection(host, timeout=30)
    try:
        upstream.request(method, path, body=body or None, headers=dict(headers))
        got = upstream.getresponse()
        data = got.read()
        kept = {n: v for n, v in got.getheaders() if n.lower() not in _HOP and n.lower() != "content-length"}
        if method == "HEAD":
            kept["Content-Length"] = got.getheader("Content-Length", "0")
        return got.status, kept, data
    finally:
        upstream.close()


@contextmanager
def store_proxy(target: str, log: list[Landed]) -> Iterator[StoreProxy]:
    proxy = StoreProxy(log=log)
    host, lock = urlsplit(target).netloc, threading.Lock()

    def _land(method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        began = time.monotonic()
        try:
            status, kept, data = _forward(host, method, path, headers, body)
        except OSError:
            return 503, {}, b""
        written = _written(path, body) if method == "PUT" and status == 200 else None
        if written is not None:
            kind, epoch = written
            proxy.log.append(Landed(kind=kind, epoch=epoch, key=path, began=began, ended=time.monotonic()))
        return status, kept, data

    class Handler(_Handler):
        def _pass(self) -> None:
            body = self.rfile.read(length := int(self.headers.get("Content-Length", 0)))
            if len(body) < length:  # it was killed while it sent: no store takes half a request
                self.hang_up()
                return
            headers = dict(self.headers.items())
            if not proxy.conditions:
                headers = {n: v for n, v in headers.items() if n.lower() not in _CONDITIONS}
            with lock:
                proxy.count += 1
                number = proxy.count
            action = proxy.plan.get(number)
            if isinstance(action, tuple) and action[0] == "before":
                action[1]()
            match action:
                case "500":
                    self.reply(500, {}, b"")
                    return
                case "late":
                    threading.Timer(proxy.late_s, _land, (self.command, self.path, headers, body)).start()
                    self.reply(503, {}, b"")
                    return
                case "slow":
                    time.sleep(0.4)
            status, kept, data = _land(self.command, self.path, headers, body)
            if isinstance(action, tuple) and action[0] == "after":
                action[1]()
            if action == "500 after":
                self.reply(500, {}, b"")
            elif action == "reset after":
                self.hang_up()
            else:
                self.reply(status, kept, data)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass  # noqa: N815 - names of http.server

    with Server(Handler) as server:
        proxy.url = server.url
        yield proxy


def _written(path: str, body: bytes) -> tuple[str, int] | None:
    """(kind, epoch) of an object that says so."""
    name = urlsplit(path).path
    kind = name.rpartition("/")[2]
    try:
        head: dict[str, Any] = json.loads(body.partition(b"\n")[0])
    except ValueError:
        return None
    if kind in ("lock", "head"):
        return kind, int(head["epoch"])
    if "/journal/" in name:
        return ("seal" if head["seal"] else "entry"), int(name.split("/")[-2])
    return None


@dataclass(kw_only=True)
class HostProxy:
    """Hands whole requests on. `idle_s`: for so long it waits for the next byte. `after(method, path, number)` may say
    `lost` (the answer is) or `late` (504 now, taken a little later)."""

    url: str = ""
    idle_s: float = 0.5
    after: Callable[[str, str, int], str | None] = lambda method, path, number: None
    posts: int = 0


def _quietly(host: str, method: str, path: str, headers: Mapping[str, str], body: bytes) -> None:
    with contextlib.suppress(OSError):
        _forward(host, method, path, headers, body)


@contextmanager
def host_proxy(target: str) -> Iterator[HostProxy]:
    proxy, host, lock = HostProxy(), urlsplit(target).netloc, threading.Lock()

    class Handler(_Handler):
        def _pass(self) -> None:
            self.connection.settimeout(proxy.idle_s)
            try:
                body = self.rfile.read(length := int(self.headers.get("Content-Length", 0)))
            except OSError:
                self.hang_up()
                return
            if len(body) < length:  # it hung up
                self.hang_up()
                return
            self.connection.settimeout(30)
            what = None
            if self.command == "POST":
                with lock:
                    proxy.posts += 1
                    number = proxy.posts
                what = proxy.after(self.command, self.path, number)
            headers = {n: v for n, v in self.headers.items() if n.lower() not in _HOP}
            if what == "late":
                threading.Timer(0.1, _quietly, (host, self.command, self.path, headers, body)).start()
                self.reply(504, {}, b"")
                return
            try:
                status, kept, data = _forward(host, self.command, self.path, headers, body)
            except OSError:
                self.reply(502, {}, b"")
                return
            if what == "lost":
                self.hang_up()
            else:
                self.reply(status, kept, data)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass  # noqa: N815 - names of http.server

    with Server(Handler) as server:
        proxy.url = server.url
        yield proxy
