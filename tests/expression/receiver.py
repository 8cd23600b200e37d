"""Somebody's web server that is told when a manifest is finished."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from email.message import Message

from tests.servers import Quiet, Server


@dataclass(frozen=True, slots=True)
class Told:
    path: str
    headers: Message
    body: bytes


class Receiver(Server):
    """Answers POSTs with these statuses in turn, then with 204; `told` is what came."""

    def __init__(self, *statuses: int, headers: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__(_Handler)
        self.told: list[Told] = []
        self.headers = tuple(headers)
        self._statuses = list(statuses)

    @property
    def url(self) -> str:
        return f"{super().url}/hooks/done?token=t0ken"

    def take(self, told: Told) -> int:
        self.told.append(told)
        return self._statuses.pop(0) if self._statuses else 204


class _Handler(Quiet):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.server.take(Told(self.path, self.headers, body))
        self.send_response(status)
        for name, value in self.server.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()
