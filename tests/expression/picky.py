"""A service that refuses some pictures for reasons of its own: a proxy before the emulator, over real HTTP."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Collection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


class PickyService:
    """Passes every request on, but refuses as a whole an upload that holds one of `disliked` (bytes), for `with`.

    `uploads` has, for each upload, the indexes of the disliked media in it.
    """

    def __init__(self, behind: str, disliked: Collection[bytes], *, code: str = "image_decode_failed") -> None:
        self.uploads: list[list[int]] = []
        handler = type("Handler", (_Handler,), {"behind": urlsplit(behind).netloc, "picky": self})
        self._disliked = list(disliked)
        self._code = code
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def refusal(self, body: bytes) -> bytes | None:
        found = [index for index, one in enumerate(self._disliked) if one in body]
        self.uploads.append(found)
        if not found:
            return None
        error = {"type": "error", "code": self._code, "message": "one of them is no picture", "request_id": "0" * 32}
        return json.dumps(error).encode()

    def __enter__(self) -> PickyService:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    behind: str
    picky: PickyService
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._pass_on(None)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        refusal = self.picky.refusal(body)
        if refusal is None:
            self._pass_on(body)
        else:
            self._answer(400, [("Content-Type", "application/json")], refusal)

    def _pass_on(self, body: bytes | None) -> None:
        connection = http.client.HTTPConnection(self.behind, timeout=30)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        self._answer(answer.status, answer.getheaders(), content)

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
