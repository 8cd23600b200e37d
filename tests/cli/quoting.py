"""A proxy before the emulator that quotes the caller's key in whatever it answers, as careless services do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from tests.servers import QuietKeptAlive, Server

# rewrite(method, path, status, body, key) -> (status, content type, body)
Rewrite = Callable[[str, str, int, bytes, str], tuple[int, str, bytes]]


@contextmanager
def quoting(url: str, rewrite: Rewrite, header: str = "X-Hume-Api-Key") -> Iterator[str]:
    """The address of a proxy before the service at `url`, for as long as the block lasts."""
    host = urlsplit(url).netloc

    class Handler(QuietKeptAlive):
        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            upstream = HTTPConnection(host, timeout=30)
            upstream.request(self.command, self.path, body, {**self.headers, "Host": host, "Connection": "close"})
            answer = upstream.getresponse()
            key = self.headers.get(header, "")
            status, kind, content = rewrite(self.command, self.path, answer.status, answer.read(), key)
            self.send_response(status)
            self.send_header("Content-Type", kind or answer.headers.get("Content-Type", "application/json"))
            self.send_header("Content-Length", str(len(content)))
            self.send_header("X-Request-Id", key)
            if "X-Hume-Emulator" in answer.headers:
                self.send_header("X-Hume-Emulator", answer.headers["X-Hume-Emulator"])
            self.end_headers()
            self.wfile.write(content)
            upstream.close()

        def __getattr__(self, name: str) -> Any:
            if name.startswith("do_"):  # the library asks for do_GET, do_POST, …
                return self.handle_any
            raise AttributeError(name)

    with Server(Handler) as server:
        yield server.url


def with_members(body: bytes, words: str) -> bytes:
    """A JSON body with `words` (already spelt as JSON wants them inside quotes) in a member of every object."""
    marked = _marked(json.loads(body))
    return json.dumps(marked).replace("@@QUOTED@@", words).encode()


def _marked(value: Any) -> Any:
    match value:
        case dict():
            return {**{name: _marked(one) for name, one in value.items()}, "quoted_member": "@@QUOTED@@"}
        case list():
            return [_marked(one) for one in value]
    return value
