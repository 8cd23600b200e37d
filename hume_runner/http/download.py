"""A URL to a file on disk: streamed, resumed where the host allows it, and only from where it may come.

No credential of ours is ever sent; what the URL itself carries is. The environment's proxies and password files are
not used: a proxy would resolve names where they cannot be checked.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import field
from pathlib import Path
from typing import Final
from urllib.parse import urljoin, urlsplit

import requests
from requests.exceptions import InvalidURL
from urllib3.exceptions import HTTPError, LocationParseError

from hume_runner._version import __version__
from hume_runner.amounts import seconds_text
from hume_runner.frozen import frozen
from hume_runner.http.addresses import AddressRefused, AddressRule, CheckedAdapter
from hume_runner.http.deadline import Exchange, Watchdog
from hume_runner.http.exchanges import tell
from hume_runner.http.partial import HEAD_BYTES, Expected, Part
from hume_runner.http.retry import RetryPolicy, parse_http_date, parse_retry_after

_CHUNK: Final = 1 << 16
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TEMPORARY = frozenset({408, 425, 429, 500, 502, 503, 504})
_CODED = frozenset({"gzip", "x-gzip", "deflate", "br", "zstd", "compress"})
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)", re.ASCII)

# refuse(first bytes) -> why this is not what is wanted, or None
Refuse = Callable[[bytes], str | None]
# tell(bytes of the file that are here now)
Tell = Callable[[int], None]


class DownloadProblem(Exception):
    """A URL whose bytes cannot be had. `temporary`: the same call may succeed later.

    `reason`: bad_url, address_refused, resolve_failed, connection_failed, too_many_redirects, not_found, forbidden,
    http_status, too_large, wrong_type, wrong_content, encoded, incomplete, empty, timeout. Query strings are never in
    the message.
    """

    def __init__(
        self, reason: str, message: str, *, temporary: bool = False, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.temporary = temporary
        self.retry_after_s = retry_after_s


@frozen
class DownloadLimits:
    """`deadline_s` bounds the whole call, with its retries."""

    max_bytes: int = 5_000_000_000
    deadline_s: float = 3600.0
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 60.0
    max_redirects: int = 5


@frozen
class Downloaded:
    """A complete file. `resumed_at` is how many bytes were there already."""

    path: Path
    size_bytes: int
    sha256: str
    content_type: str
    resumed_at: int


def accept_anything(_head: bytes) -> str | None:
    return None


def tell_nobody(_size_bytes: int) -> None:
    pass


@frozen
class _Want:
    """What one call asks for besides the bytes."""

    refuse: Refuse
    tell: Tell


@frozen
class Downloader:
    """Fetches files; threads may share one. `verify` is the HTTP library's: True, or a file of certificates."""

    rule: AddressRule = field(default_factory=AddressRule)
    limits: DownloadLimits = field(default_factory=DownloadLimits)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    verify: bool | str = True
    watchdog: Watchdog = field(default_factory=Watchdog)

    def fetch(
        self,
        url: str,
        target: Path,
        *,
        refuse: Refuse = accept_anything,
        expected: Expected | None = None,
        tell: Tell = tell_nobody,
    ) -> Downloaded:
        """Download to `target`, which appears when it is complete; until then a file aside holds what came.

        `refuse` sees the first bytes before the rest is fetched. A later call for the same URL and target goes on
        where this one stopped, if the host can tell that the file is still the same. With `expected` it goes on from
        whichever URL, and `target` appears only if it holds that.
        Raises: DownloadProblem. OSError where the disk fails.
        """
        ends_at = self.retry.clock() + self.limits.deadline_s
        part = Part(target, url, expected)
        want = _Want(refuse=refuse, tell=tell)
        if (digest := part.completed()) is not None:
            return _finished(part, digest, "", part.size())

        def attempt() -> Downloaded:
            left_s = ends_at - self.retry.clock()
            if left_s <= 0:
                most = seconds_text(self.limits.deadline_s)
                raise DownloadProblem("timeout", f"{shown(url)}: not complete after {most} s")
            return self._attempt(url, part, want, left_s)

        return self.retry.call(attempt, retryable=lambda error: getattr(error, "temporary", False) is True)

    def _attempt(self, url: str, part: Part, want: _Want, left_s: float) -> Downloaded:
        exchange = Exchange(deadline_s=left_s, read_timeout_s=self.limits.read_timeout_s)
        try:
            self.watchdog.watch(exchange)
        except RuntimeError as error:
            raise OSError(errno.EAGAIN, "this machine starts no more threads") from error
        try:
            with _Session() as session:
                session.trust_env = False
                adapter = CheckedAdapter(self.rule, exchange)
                session.mount("http://", adapter)
                session.mount("https://", adapter)
                with closing(self._answer(session, url, part)) as response:
                    return self._receive(response, part, want, exchange)
        except (requests.RequestException, HTTPError, UnicodeError) as error:
            if exchange.expired:
                raise _too_slow(url) from error
            raise _network_problem(url, error) from error
        except AddressRefused as error:
            raise DownloadProblem("address_refused", f"{shown(url)}: {error}") from error
        finally:
            exchange.finish()

    def _answer(self, session: requests.Session, url: str, part: Part) -> requests.Response:
        """The answer at the end of the redirects; its body is not read yet."""
        for _ in range(self.limits.max_redirects + 1):
            _check_url(url)
            began = time.monotonic()
            response = session.get(
                url,
                headers={
                    "User-Agent": f"hume-runner/{__version__}",
                    "Accept": "*/*",
                    "Accept-Encoding": "identity",  # a size and an offset mean the file's own bytes
                    **part.resume_headers(),
                },
                stream=True,
                allow_redirects=False,
                timeout=(self.limits.connect_timeout_s, self.limits.read_timeout_s),
                verify=self.verify,
            )
            tell("GET", url, status=response.status_code, began=began)
            location = response.headers.get("Location")
            if response.status_code not in _REDIRECTS or not location:
                return response
            response.close()
            session.cookies.clear()
            try:
                url = urljoin(url, _as_sent(location))
            except ValueError:  # such as an address in brackets that do not close
                raise DownloadProblem("bad_url", f"{shown(url)}: the host redirects to what is no URL") from None
        raise DownloadProblem("too_many_redirects", f"{shown(url)}: more than {self.limits.max_redirects} redirects")

    def _receive(self, response: requests.Response, part: Part, want: _Want, exchange: Exchange) -> Downloaded:
        try:
            return self._store(response, part, want, exchange)
        except DownloadProblem as problem:
            # Nothing of it will be wanted again; but another place of the same file goes on from what is good.
            if part.expected is None and not problem.temporary and problem.reason != "timeout":
                part.discard()
            raise

    def _store(self, response: requests.Response, part: Part, want: _Want, exchange: Exchange) -> Downloaded:
        name = shown(response.url)
        _check_status(response, part, name)
        begin, total = _extent(response, part, name)
        self._check_size(name, total)
        _check_expected_size(part, name, total)
        size, digest = part.begin(begin, response.headers)
        head = part.head()
        judged = len(head) == HEAD_BYTES
        if judged:
            _judge(name, head, want, part)
        with part.open() as file:
            # `read` and not `iter_content`: the body is taken as it is on the wire.
            while chunk := response.raw.read(_CHUNK, decode_content=False):
                size += len(chunk)
                self._check_size(name, size)
                if part.expected is not None and size > (part.expected.size_bytes or size):
                    part.discard()
                    _check_expected_size(part, name, size)
                if not judged:
                    head += chunk[: HEAD_BYTES - len(head)]
                    if judged := len(head) == HEAD_BYTES:
                        _judge(name, head, want, part)
                file.write(chunk)
                digest.update(chunk)
                want.tell(size)
            file.flush()
            os.fsync(file.fileno())
        if exchange.expired:  # the connection was ended from here, which reads like the end of a body
            raise _too_slow(response.url)
        if total is not None and size != total:
            raise DownloadProblem("incomplete", f"{name}: {size:,} of {total:,} bytes came", temporary=True)
        if size == 0:
            raise DownloadProblem("empty", f"{name}: the file is empty")
        if not judged:
            _judge(name, head, want, part)
        if part.expected is not None and digest.hexdigest() != part.expected.sha256:
            part.discard()
            # What was there before may have been wrong: then the whole of it from here may be right.
            raise DownloadProblem("wrong_content", _other(part, name, digest.hexdigest()), temporary=begin > 0)
        return _finished(part, digest.hexdigest(), response.headers.get("Content-Type", ""), begin)

    def _check_size(self, name: str, size: int | None) -> None:
        if size is not None and size > self.limits.max_bytes:
            raise DownloadProblem("too_large", f"{name}: more than {self.limits.max_bytes:,} bytes")


class _Session(requests.Session):
    """One that leaves redirects to us: the library reads where they lead even if it is told not to follow, and takes
    bytes that are no UTF-8 for an error."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        del resp


def shown(url: str) -> str:
    """A URL for people: without its query, which may hold a signature, and without a name and password."""
    try:
        split = urlsplit(url)
        host = split.hostname or ""
        port = f":{split.port}" if split.port else ""
    except ValueError:
        return "a malformed URL"
    return f"{split.scheme}://{f'[{host}]' if ':' in host else host}{port}{split.path}"


def _as_sent(location: str) -> str:
    """A Location as the host wrote it: headers are read as Latin-1, and hosts write UTF-8 or escape what is not ASCII.

    Bytes that are no UTF-8 are asked for as they are, as browsers do.
    """
    try:
        raw = location.encode("latin-1")
        return raw.decode("utf-8")
    except UnicodeEncodeError:
        return location
    except UnicodeDecodeError:
        return _NOT_ASCII.sub(lambda found: b"%%%02X" % found[0][0], raw).decode("ascii")


def _check_url(url: str) -> None:
    try:
        split = urlsplit(url)
        usable = split.scheme in {"http", "https"} and bool(split.hostname) and split.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise DownloadProblem("bad_url", f"{shown(url)}: only http and https URLs are downloaded")


def _finished(part: Part, digest: str, content_type: str, resumed_at: int) -> Downloaded:
    size = part.size()
    part.finish()
    return Downloaded(
        path=part.target, size_bytes=size, sha256=digest, content_type=content_type, resumed_at=resumed_at
    )


def _other(part: Part, name: str, digest: str) -> str:
    assert part.expected is not None
    return f"{name}: another file is there: its SHA-256 begins {digest[:8]}, and not {part.expected.sha256[:8]}"


def _check_expected_size(part: Part, name: str, size: int | None) -> None:
    due = part.expected.size_bytes if part.expected is not None else None
    if due is not None and size is not None and size != due:
        raise DownloadProblem("wrong_content", f"{name}: another file is there: {size:,} bytes, and not {due:,}")


def _check_status(response: requests.Response, part: Part, name: str) -> None:
    status = response.status_code
    if status in {200, 206}:
        return
    words = f"{name}: the host answered {status}"
    if status == 416:  # what is here is no beginning of what is there
        part.discard()
        raise DownloadProblem("incomplete", words, temporary=True)
    if status in _TEMPORARY or status >= 520:
        now = parse_http_date(response.headers.get("Date")) or 0.0
        asked_s = parse_retry_after(response.headers.get("Retry-After"), now)
        raise DownloadProblem("http_status", words, temporary=True, retry_after_s=asked_s)
    if status in {404, 410}:
        raise DownloadProblem("not_found", words)
    if status in {401, 403}:
        raise DownloadProblem("forbidden", f"{words}; a signed link may have expired")
    raise DownloadProblem("http_status", words)


def _extent(response: requests.Response, part: Part, name: str) -> tuple[int, int | None]:
    """Where the body begins in the file, and how long the file is, if the host says so."""
    codings = response.headers.get("Content-Encoding", "").lower().split(",")
    if any(coding.strip() in _CODED for coding in codings):
        coding = response.headers["Content-Encoding"].strip()
        raise DownloadProblem(
            "encoded",
            f"{name}: the host keeps and sends the file compressed (Content-Encoding: {coding}) although it was asked"
            " not to; store it there without, or download and unpack it, and list it under sources.files",
        )
    if response.status_code == 206:
        found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
        if found is None or int(found[1]) != part.size():
            part.discard()
            raise DownloadProblem("incomplete", f"{name}: the host sent another range than asked", temporary=True)
        return int(found[1]), None if found[3] == "*" else int(found[3])
    length = response.headers.get("Content-Length", "").strip()
    return 0, int(length) if length.isascii() and length.isdigit() else None


def _judge(name: str, head: bytes, want: _Want, part: Part) -> None:
    if (why := want.refuse(head)) is not None:
        part.discard()
        raise DownloadProblem("wrong_type", f"{name}: {why}")


def _too_slow(url: str) -> DownloadProblem:
    return DownloadProblem("timeout", f"{shown(url)}: took longer than allowed")


def _network_problem(url: str, error: Exception) -> DownloadProblem:
    """The library's words would quote the URL with its query; the system's do not."""
    chain = tuple(_causes(error))
    words = next((cause.strerror for cause in chain if isinstance(cause, OSError) and cause.strerror), None)
    if any(isinstance(cause, UnicodeError | InvalidURL | LocationParseError) for cause in chain):
        return DownloadProblem("bad_url", f"{shown(url)}: the URL is malformed")
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in chain):
        return DownloadProblem("connection_failed", f"{shown(url)}: the host's certificate is not trusted")
    if lookup := next((cause for cause in chain if isinstance(cause, socket.gaierror)), None):
        unknown = lookup.errno == socket.EAI_NONAME
        return DownloadProblem("resolve_failed", f"{shown(url)}: {words or 'no such host'}", temporary=not unknown)
    return DownloadProblem("connection_failed", f"{shown(url)}: {words or 'the connection broke'}", temporary=True)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and those that it wraps, in whichever of the libraries' ways."""
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and one not in seen:
            seen.append(one)
            waiting += [*one.args, getattr(one, "reason", None), one.__cause__, one.__context__]
            yield one
