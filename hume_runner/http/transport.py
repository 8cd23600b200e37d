"""The one way out: a request goes in, an answer comes back, and every failure says whether anything was sent.

`RequestsTransport` is the only socket of the product besides the emulator. Rules that hold for every request:

- the key goes to the configured origin only: redirects are errors, `.netrc` and cookies are not used, plain http is for
  this machine alone;
- a total deadline from the first byte of the connection to the last byte of the answer;
- an answer's body is complete, or reading it raises;
- every exception of the libraries below becomes a TransportError here, in `wire_errors.py`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import field
from itertools import chain
from pathlib import Path
from typing import IO, Any, Final, Protocol, Self
from urllib.parse import urlsplit

import requests
import urllib3

from hume_runner._version import __version__
from hume_runner.errors import ApiError, TransportError, UnexpectedResponse, UsageError
from hume_runner.frozen import frozen
from hume_runner.hosts import is_loopback
from hume_runner.http.answer import CHUNK_BYTES, MAX_JSON_BYTES, decoded, parse_json, read_bounded
from hume_runner.http.connections import ReportingAdapter, set_current
from hume_runner.http.deadline import Exchange, Watchdog
from hume_runner.http.exchanges import tell
from hume_runner.http.last_byte import guarded_body
from hume_runner.http.retry import parse_http_date, wait_asked_for
from hume_runner.http.traffic import Traffic
from hume_runner.http.upload import Form, MultipartBody
from hume_runner.http.wire_errors import LIBRARY_ERRORS, TurnedAway, transport_error
from hume_runner.http.zips import without_secrets
from hume_runner.settings import Masker

ERROR_BODY_BYTES = 64 * 1024
CONNECT_TIMEOUT_S = 10.0
MAX_BODY_BYTES = 20_000_000_000
SIMULATED_HEADER = "X-Hume-Emulator"


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()


class Pacer(Protocol):
    """The pace that all workers share."""

    def acquire(self, *, submits: bool = False) -> bool:
        """Return when a request may be sent. False: the run ends, and it is not to be sent any more."""

    def slow_down(self, seconds: float) -> None:
        """The service answered 429 or 503."""

    def speed_up(self) -> None:
        """A request went well."""


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


class RequestsTransport:
    """Transport over `requests`, for one origin. Safe to share between threads.

    `auth_header` is the header that carries the key, as it is. Proxies and CA bundles are taken from the environment
    as requests does, once, here; never a proxy for loopback addresses.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        auth_header: str,
        *,
        timeout_s: float = 60.0,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        pacer: Pacer | None = None,
        user_agent: str = f"hume-runner/{__version__}",
        extra_headers: Mapping[str, str] | None = None,
        connections: int = 32,
        max_body_bytes: int = MAX_BODY_BYTES,
        traffic: Traffic | None = None,
    ) -> None:
        self.base_url = _checked_origin(base_url)
        self.host = urlsplit(self.base_url).netloc
        self._below = urlsplit(self.base_url).path  # what stands before every path
        self._headers = {
            "User-Agent": user_agent,
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            auth_header: _checked_key(api_key),
            **(extra_headers or {}),
        }
        self._masker = Masker([api_key.strip()])
        self._timeout_s = timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._pacer = pacer
        self._watchdog = Watchdog()
        self._max_body_bytes = max_body_bytes
        self._kept = self._adapter(connections)
        self._traffic = traffic or Traffic()
        self._met = False  # whether the host ever answered
        self._lock = threading.Lock()
        self._proxies, self._verify = _environment(self.base_url)
        # Through SOCKS the library makes connections that do not report to us, so nothing can be proved.
        self._blind = any(url.lower().startswith("socks") for url in self._proxies.values())

    def __repr__(self) -> str:
        return f"RequestsTransport({self.base_url!r}, api_key='***')"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all idle connections and let the watchdog thread go."""
        self._kept.close()
        self._watchdog.close()

    def send(self, request: ApiRequest) -> ApiResponse:
        """Send once, paced. See Transport.send."""
        where = f"{request.method} {self._below}{request.path} at {self.host}"
        prepared = self._prepared(request)
        # A POST is what submits, at every service.
        if self._pacer is not None and not self._pacer.acquire(submits=request.method == "POST"):
            raise TurnedAway(f"{where}: not sent, the run ends", sent=False)
        response = self._exchange(request, prepared, where)
        self._report_pace(response)
        if 300 <= response.status < 400:
            raise _redirected(response)
        return response

    def _exchange(self, request: ApiRequest, prepared: requests.PreparedRequest, where: str) -> ApiResponse:
        read_timeout_s = min(request.read_timeout_s or self._timeout_s, request.deadline_s)
        exchange = Exchange(deadline_s=request.deadline_s, read_timeout_s=read_timeout_s)
        exchange.sent = self._blind
        adapter = self._adapter(1) if request.fresh_connection else self._kept
        try:
            self._watchdog.watch(exchange)
        except RuntimeError as error:
            raise _no_thread(where) from error
        set_current(exchange)
        url, began = self.base_url + request.path, time.monotonic()
        sent = int(prepared.headers.get("Content-Length", 0))
        try:
            answer = adapter.send(
                prepared,
                stream=True,
                timeout=(min(self._connect_timeout_s, request.deadline_s), read_timeout_s),
                verify=self._verify,
                proxies=self._proxies,
            )
        except BaseException as error:
            exchange.finish()
            if adapter is not self._kept:
                adapter.close()
            tell(request.method, url, status=None, began=began, sent=sent)
            if isinstance(error, LIBRARY_ERRORS):
                raise transport_error(error, exchange, where, never_met=not self._met) from error
            raise
        finally:
            set_current(None)
        self._met = True
        on_close = adapter.close if adapter is not self._kept else _nothing

        def over(status: int, received: int) -> None:
            tell(request.method, url, status=status, began=began, sent=sent, received=received)

        return ApiResponse(
            answer.raw, exchange, where, on_close, self._masker, self._max_body_bytes, over, self._traffic.received
        )

    def _prepared(self, request: ApiRequest) -> requests.PreparedRequest:
        headers = {**self._headers, **request.headers}
        body: bytes | MultipartBody | None = None
        if request.form is not None:
            body = MultipartBody(request.form, self._traffic.sent)
            headers |= {"Content-Type": body.content_type, "Content-Length": str(body.size_bytes)}
        elif request.json is not ABSENT:
            body = json.dumps(request.json, allow_nan=False, ensure_ascii=False).encode("utf-8", "surrogatepass")
            headers |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        elif request.method not in ("GET", "HEAD"):
            headers["Content-Length"] = "0"
        prepared = requests.Request(
            request.method, self.base_url + request.path, params=list(request.params), headers=headers
        ).prepare()
        # Set afterwards: requests would read a body that it does not know to find its length.
        prepared.body = None if body is None else guarded_body(body)  # type: ignore[assignment]
        return prepared

    def _report_pace(self, response: ApiResponse) -> None:
        if self._pacer is None:
            return
        if response.status in (429, 503):
            now = response.server_date_s if response.server_date_s is not None else time.time()
            asked = wait_asked_for(response.headers, now)
            self._pacer.slow_down(1.0 if asked is None else min(asked, 60.0))
        elif response.status < 400:
            self._pacer.speed_up()

    def _adapter(self, connections: int) -> ReportingAdapter:
        return ReportingAdapter(pool_connections=4, pool_maxsize=connections)


def _no_thread(where: str) -> TransportError:
    hint = "end other programs or raise the limit of processes (`ulimit -u`), then run again"
    return TransportError(f"{where}: not sent, this machine starts no more threads", sent=False, hint=hint)


def _nothing() -> None:
    pass


def _redirected(response: ApiResponse) -> UnexpectedResponse:
    target = urlsplit(response.headers.get("Location", "")).hostname
    response.close()
    return UnexpectedResponse(
        f"{response.where} redirects ({response.status}) to {target or 'another path of the same host'}; "
        "not followed, the key must not reach another address",
        status=response.status,
        hint="set service.endpoint to the address that serves the API itself",
    )


def _checked_origin(base_url: str) -> str:
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError("the service's address has to be an https URL", hint="for example https://api.hume.ai")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UsageError("the service's address must not carry a user name, a query or a fragment")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise UsageError(f"the key would go to {parts.hostname} unencrypted", hint="use https://")
    return base_url.rstrip("/")


def _checked_key(api_key: str) -> str:
    key = api_key.strip()
    # requests quotes the value of a header that cannot be sent in its error message.
    if not key or not key.isascii() or not key.isprintable():
        raise UsageError("the API key is empty or has characters that no key has", hint="copy the key once more")
    return key


def _environment(base_url: str) -> tuple[dict[str, str], bool | str]:
    """(proxies, verify) as requests takes them from the environment."""
    with requests.Session() as session:
        settings = session.merge_environment_settings(base_url, {}, False, None, None)
    verify = settings["verify"]
    loopback = is_loopback(urlsplit(base_url).hostname or "")
    # `verify` is never off: requests has no environment variable for that.
    return ({} if loopback else dict(settings["proxies"])), (True if verify in (None, False) else verify)
