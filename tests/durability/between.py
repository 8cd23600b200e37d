"""A proxy between a run and the emulator that mixes up what the service says, and nothing of what it does."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from tests.servers import QuietKeptAlive, Server

_JOBS = "/v0/batch/jobs"
_KEPT = ("content-type", "date")


def _same(value: Any) -> Any:
    return value


class Between(Server):
    """What is set here changes answers on their way: `started` the id that a POST is answered with, `entry`
    a job wherever it is told, `listed` a whole list, `predictions` an answer; `asked` a path before it is asked.
    """

    def __init__(self, url: str) -> None:
        super().__init__(_Handler)
        self.started: Callable[[str], str] = _same
        self.entry: Callable[[dict[str, Any]], dict[str, Any]] = _same
        self.listed: Callable[[list[Any]], list[Any]] = _same
        self.predictions: Callable[[list[Any]], list[Any]] = _same
        self.asked: Callable[[str], str] = _same
        self.gets: list[str] = []
        self._host = urlsplit(url).netloc

    def hand_on(self, handler: BaseHTTPRequestHandler, path: str, body: bytes | None) -> None:
        client = HTTPConnection(self._host, timeout=30)
        sent = {name: value for name, value in handler.headers.items() if name.lower() not in ("host", "connection")}
        client.request(handler.command, path, body, {**sent, "Accept-Encoding": "identity"})
        answer = client.getresponse()
        content = answer.read()
        client.close()
        if answer.status == 200:
            content = self._changed(handler.command, path.partition("?")[0], content)
        handler.send_response_only(answer.status)
        for name, value in answer.headers.items():
            if name.lower() in _KEPT or name.lower().startswith("x-"):
                handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def _changed(self, command: str, path: str, content: bytes) -> bytes:
        if command == "POST" and path == _JOBS:
            return json.dumps({"job_id": self.started(json.loads(content)["job_id"])}).encode()
        if path == _JOBS:
            return json.dumps(self.listed([self.entry(entry) for entry in json.loads(content)])).encode()
        if path.endswith("/predictions"):
            return json.dumps(self.predictions(json.loads(content))).encode()
        if re.fullmatch(_JOBS + "/[^/]+", path):
            return json.dumps(self.entry(json.loads(content))).encode()
        return content


class _Handler(QuietKeptAlive):
    server: Between

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.hand_on(self, self.path, body)

    def do_GET(self) -> None:
        self.server.gets.append(self.path)
        self.server.hand_on(self, self.server.asked(self.path), None)
