"""A proxy before a store that answers as stores do on bad days. One request at a time is told what to do with it."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.servers import QuietKeptAlive, Server


@dataclass(kw_only=True)
class Proxy:
    """`before(method, path)` may give a status to answer with instead of asking the store; `after` as well, when the
    store has done it. `wait_s` before each answer. `seen`: (method, path with query) of all requests."""

    url: str = ""
    before: Callable[[str, str], int | None] = lambda method, path: None
    after: Callable[[str, str], int | None] = lambda method, path: None
    wait_s: float = 0.0
    seen: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def proxied(target: str) -> Iterator[Proxy]:
    proxy = Proxy()
    host = urlsplit(target).netloc

    class Handler(QuietKeptAlive):
        def _pass(self) -> None:
            proxy.seen.append((self.command, self.path))
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status = proxy.before(self.command, self.path)
            time.sleep(proxy.wait_s)
            if status is not None:
                self._answer(status, {}, b"")
                return
            upstream = http.client.HTTPConnection(host, timeout=30)
            try:
                upstream.request(self.command, self.path, body=body, headers=dict(self.headers))
                got = upstream.getresponse()
                data = got.read()
            except OSError:  # the store itself cut the connection: a client tries again
                self._answer(502, {}, b"")
                return
            finally:
                upstream.close()
            status = proxy.after(self.command, self.path)
            if status is not None:
                self._answer(status, {}, b"")
                return
            kept = {name: value for name, value in got.getheaders() if name.lower() not in _HOP}
            self._answer(got.status, kept, data)

        def _answer(self, status: int, headers: dict[str, str], data: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if self.command != "HEAD" or "content-length" not in {name.lower() for name in headers}:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass  # noqa: N815 - names of http.server

    with Server(Handler) as server:
        proxy.url = server.url
        yield proxy


_HOP = {"connection", "transfer-encoding", "date", "server"}
