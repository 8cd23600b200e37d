"""A service that refuses some pictures for reasons of its own: a proxy before the emulator, over real HTTP."""

from __future__ import annotations

import http.client
import json
from collections.abc import Collection
from urllib.parse import urlsplit

from tests.servers import QuietKeptAlive, Server

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


class PickyService(Server):
    """Passes every request on, but refuses as a whole an upload that holds one of `disliked` (bytes).

    `uploads` has, for each upload, the indexes of the disliked media in it.
    """

    def __init__(self, behind: str, disliked: Collection[bytes], *, code: str = "image_decode_failed") -> None:
        super().__init__(_Handler)
        self.behind = urlsplit(behind).netloc
        self.uploads: list[list[int]] = []
        self._disliked = list(disliked)
        self._code = code

    def refusal(self, body: bytes) -> bytes | None:
        found = [index for index, one in enumerate(self._disliked) if one in body]
        self.uploads.append(found)
        if not found:
            return None
        error = {"type": "error", "code": self._code, "message": "one of them is no picture", "request_id": "0" * 32}
        return json.dumps(error).encode()


class _Handler(QuietKeptAlive):
    server: PickyService

    def do_GET(self) -> None:
        self._pass_on(None)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        refusal = self.server.refusal(body)
        if refusal is None:
            self._pass_on(body)
        else:
            self._answer(400, [("Content-Type", "application/json")], refusal)

    def _pass_on(self, body: bytes | None) -> None:
        connection = http.client.HTTPConnection(self.server.behind, timeout=30)
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
