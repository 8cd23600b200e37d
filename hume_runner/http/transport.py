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
from typing import Protocol, Self
from urllib.parse import urlsplit

import requests

from hume_runner._version import __version__
from hume_runner.errors import TransportError, UnexpectedResponse, UsageError
from hume_runner.frozen import frozen
from hume_runner.hosts import is_loopback
from hume_runner.http.connections import ReportingAdapter, set_current
from hume_runner.http.deadline import Exchange, Watchdog
from hume_runner.http.exchanges import tell
from hume_runner.http.last_byte import guarded_body
from hume_runner.http.messages import ABSENT, MAX_BODY_BYTES, ApiRequest, ApiResponse
from hume_runner.http.retry import wait_asked_for
from hume_runner.http.traffic import Traffic
from hume_runner.http.upload import MultipartBody
from hume_runner.http.wire_errors import LIBRARY_ERRORS, TurnedAway, transport_error
from hume_runner.settings import Masker

CONNECT_TIMEOUT_S = 10.0
_CONNECTIONS = 32  # that are kept open at most


@frozen
class TransportLimits:
    """`timeout_s` is the longest silence in an exchange, `connect_timeout_s` that of a connection that opens;
    `max_body_bytes`: no answer is longer."""

    timeout_s: float = 60.0
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    max_body_bytes: int = MAX_BODY_BYTES


_USUAL = TransportLimits()


class Pacer(Protocol):
    """The pace that all workers share."""

    def acquire(self, *, submits: bool = False) -> bool:
        """Return when a request may be sent. False: the run ends, and it is not to be sent any more."""

    def slow_down(self, seconds: float) -> None:
        """The service answered 429 or 503."""

    def speed_up(self) -> None:
        """A request went well."""


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
        limits: TransportLimits = _USUAL,
        pacer: Pacer | None = None,
        traffic: Traffic | None = None,
    ) -> None:
        self.base_url = _checked_origin(base_url)
        self.host = urlsplit(self.base_url).netloc
        self._below = urlsplit(self.base_url).path  # what stands before every path
        self._headers = {
            "User-Agent": f"hume-runner/{__version__}",
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            auth_header: _checked_key(api_key),
        }
        self._masker = Masker([api_key.strip()])
        self._limits = limits
        self._pacer = pacer
        self._watchdog = Watchdog()
        self._kept = _adapter(_CONNECTIONS)
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
        read_timeout_s = min(request.read_timeout_s or self._limits.timeout_s, request.deadline_s)
        exchange = Exchange(deadline_s=request.deadline_s, read_timeout_s=read_timeout_s)
        exchange.sent = self._blind
        adapter = _adapter(1) if request.fresh_connection else self._kept
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
                timeout=(min(self._limits.connect_timeout_s, request.deadline_s), read_timeout_s),
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
            answer.raw,
            exchange,
            where,
            on_close,
            self._masker,
            self._limits.max_body_bytes,
            over,
            self._traffic.received,
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


def _adapter(connections: int) -> ReportingAdapter:
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
