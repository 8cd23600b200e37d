"""What a client of an API says and hears: requests, and answers whose bodies are complete, or raise when read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import field
from itertools import chain
from pathlib import Path
from typing import IO, Any, Final, Protocol, Self

import requests
import urllib3

from hume_runner.errors import ApiError, UnexpectedResponse
from hume_runner.frozen import frozen
from hume_runner.http.answer import CHUNK_BYTES, MAX_JSON_BYTES, decoded, parse_json, read_bounded
from hume_runner.http.deadline import Exchange
from hume_runner.http.retry import parse_http_date
from hume_runner.http.upload import Form
from hume_runner.http.wire_errors import LIBRARY_ERRORS, transport_error
from hume_runner.http.zips import without_secrets
from hume_runner.settings import Masker

ERROR_BODY_BYTES = 64 * 1024
MAX_BODY_BYTES = 20_000_000_000
SIMULATED_HEADER = "X-Hume-Emulator"


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()


@frozen
class ApiRequest:
    """One request. At most one of `json` and `form` is given; None as `json` is sent as `null`.

    `deadline_s` bounds the whole exchange, `read_timeout_s` (None: the transport's own) each silence in it.
    `fresh_connection`: do not use one that was kept open. A server may close such a connection at the very moment we
    write to it, and then nobody can tell whether a submission arrived.
    """

    method: str
    path: str
    params: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    json: Any = field(default=ABSENT, repr=False)
    form: Form | None = field(default=None, repr=False)
    read_timeout_s: float | None = None
    deadline_s: float = 120.0
    fresh_connection: bool = False


_NO_SECRETS = Masker()
_ZIP = b"PK"


class ApiResponse:
    """An answer whose body is still to be read. A context manager: leaving it gives the connection back or ends it."""

    def __init__(
        self,
        raw: urllib3.BaseHTTPResponse,
        exchange: Exchange,
        where: str,
        on_close: Callable[[], None],
        masker: Masker = _NO_SECRETS,
        max_bytes: int = MAX_BODY_BYTES,
        tell: Callable[[int, int], None] = lambda status, received: None,
        arrived: Callable[[int], None] = lambda size_bytes: None,
    ) -> None:
        """`tell` gets the status and the bytes that came, once the exchange is over; `arrived` each piece's size."""
        self.status: int = raw.status
        self.headers: Mapping[str, str] = requests.structures.CaseInsensitiveDict(
            {name: masker.keys(value) for name, value in raw.headers.items()}
        )
        self.server_date_s = parse_http_date(self.headers.get("Date"))
        self.simulated = SIMULATED_HEADER in self.headers
        self.where = where  # "POST /v0/batch/jobs at api.example.org": for messages; no query, no secret
        self._raw = raw
        self._exchange = exchange
        self._on_close = on_close
        self._masker = masker
        self._max_bytes = max_bytes
        self._tell = tell
        self._arrived = arrived
        self._received = 0
        self._closed = False

    def __repr__(self) -> str:
        return f"<ApiResponse {self.status} to {self.where}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def iter_bytes(self) -> Iterator[bytes]:
        """The body, decoded, in pieces of about 64 KiB, without the key wherever the service quotes it.

        Here because what arrives becomes files, records and messages, and only here are all spellings still the
        service's own. A zip would be damaged by that: see `without_secrets`.

        Raises: TransportError if it ends early (Content-Length and chunked coding are checked; a body that has
        neither ends with the connection, and only its content can tell) or the time is up; UnexpectedResponse if it
        was compressed and is damaged, or longer than any answer is.
        """
        chunks = self._bounded(decoded(self._wire_bytes(), self.headers.get("Content-Encoding", ""), self.where))
        first = next(chunks, b"")
        whole = chain((first,), chunks) if first else iter(())
        yield from whole if first.startswith(_ZIP) else self._masker.stream(whole)

    def without_secrets(self, path: Path) -> IO[bytes] | None:
        """What was read from here into `path` without the key, where it is a zip that quotes it; else None."""
        with path.open("rb") as file:
            if not file.read(len(_ZIP)).startswith(_ZIP):
                return None
        return without_secrets(path, self._masker)

    def _bounded(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        size = 0
        for chunk in chunks:
            size += len(chunk)
            if size > self._max_bytes:
                raise UnexpectedResponse(
                    f"{self.where} answered with more than {self._max_bytes:,} bytes",
                    status=self.status,
                    hint="if such an answer is due, set HUME_RUNNER_MAX_ANSWER to more bytes",
                )
            yield chunk

    def _wire_bytes(self) -> Iterator[bytes]:
        try:
            while True:
                chunk = self._raw.read(CHUNK_BYTES, decode_content=False)
                if self._exchange.expired:
                    # A connection that we ended ourselves reads like one that ended well.
                    raise transport_error(TimeoutError(), self._exchange, self.where)
                if not chunk:
                    break
                self._received += len(chunk)
                self._arrived(len(chunk))
                yield chunk
            self._exchange.finish()
        except LIBRARY_ERRORS as error:
            self.close()
            raise transport_error(error, self._exchange, self.where) from error

    def json(self, *, max_bytes: int = MAX_JSON_BYTES) -> Any:
        """The body as a JSON value; closes the answer. Raises: UnexpectedResponse, TransportError."""
        with self:
            body, complete = read_bounded(self.iter_bytes(), max_bytes)
        if not complete:
            raise UnexpectedResponse(
                f"{self.where} answered with more than {max_bytes:,} bytes where a short answer is due",
                status=self.status,
            )
        content_type = self.headers.get("Content-Type", "")
        return parse_json(body, where=self.where, content_type=content_type, status=self.status)

    def error_body(self) -> bytes:
        """The start of an error's body, 64 KiB at most, whatever its size; closes the answer and never raises.

        Some services quote the key or the link that they refuse. This text ends in messages, so the key and the
        queries of links are replaced here.
        """
        with self, suppress(ApiError):
            body = read_bounded(self.iter_bytes(), ERROR_BODY_BYTES)[0]
            return self._masker.text(body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
        return b""

    def close(self) -> None:
        """End the exchange; a body that was not read to its end costs the connection."""
        if self._closed:
            return
        self._closed = True
        self._raw.close()
        self._exchange.finish()
        self._on_close()
        self._tell(self.status, self._received)


class Transport(Protocol):
    """Sends one request, once."""

    def send(self, request: ApiRequest) -> ApiResponse:
        """The answer, whatever its status but a redirect. Raises: TransportError, UnexpectedResponse (redirect)."""
        ...
