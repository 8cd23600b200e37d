"""Downloads over real connections on this machine; hosts are names that a resolver of the test's own knows."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from hume_runner.http.addresses import AddressRefused, AddressRule, is_public
from hume_runner.http.deadline import Watchdog
from hume_runner.http.download import Downloader, DownloadLimits, DownloadProblem
from hume_runner.http.partial import Expected
from hume_runner.http.retry import RetryPolicy
from tests.servers import QuietKeptAlive, Server

BODY = bytes(range(256)) * 2000
QUICK = RetryPolicy(attempts=3, sleep=lambda _seconds: None)


@dataclass
class Site:
    """A web server whose answers the test scripts: path -> handler."""

    port: int = 0
    routes: dict[str, Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=dict)
    requests: list[dict[str, str]] = field(default_factory=list)

    def url(self, path: str, host: str = "files.example") -> str:
        return f"http://{host}:{self.port}{path}"


@contextmanager
def _running() -> Iterator[Site]:
    site = Site()

    class Handler(QuietKeptAlive):
        def do_GET(self) -> None:
            site.requests.append({name.lower(): value for name, value in self.headers.items()} | {"path": self.path})
            site.routes[self.path.partition("?")[0]](self)

    with Server(Handler) as server:
        site.port = server.server_port
        yield site


@pytest.fixture
def site() -> Iterator[Site]:
    with _running() as running:
        yield running


@pytest.fixture
def downloader() -> Iterator[Downloader]:
    watchdog = Watchdog()
    yield Downloader(rule=_rule("files.example"), retry=QUICK, watchdog=watchdog)
    watchdog.close()


def _rule(*allowed: str) -> AddressRule:
    """Every name of the tests is this machine."""
    return AddressRule(allowed, resolve=lambda _host, _port: ("127.0.0.1",))


def _answer(
    handler: BaseHTTPRequestHandler, body: bytes, status: int = 200, *, length: int | None = None, **headers: str
) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.end_headers()
    handler.wfile.write(body)


def _serve_with_ranges(etag: str, break_after: int | None = None) -> Callable[[BaseHTTPRequestHandler], None]:
    """A host that knows ranges; the first answer breaks off after so many bytes."""
    broken = threading.Event()

    def handle(handler: BaseHTTPRequestHandler) -> None:
        begin = 0
        if handler.headers.get("If-Range") == etag:
            begin = int(handler.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        headers = {"ETag": etag}
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{len(BODY) - 1}/{len(BODY)}"
        rest = BODY[begin:]
        if break_after is not None and not broken.is_set():
            broken.set()
            _answer(handler, rest[:break_after], length=len(rest), **headers)
            handler.close_connection = True
            return
        _answer(handler, rest, 206 if begin else 200, **headers)

    return handle


def test_a_file_arrives_whole_with_its_digest(site: Site, downloader: Downloader, tmp_path: Path) -> None:
    site.routes["/a.wav"] = lambda handler: _answer(handler, BODY, Content_Type="audio/wav")
    got = downloader.fetch(site.url("/a.wav"), tmp_path / "a")
    assert got.path.read_bytes() == BODY
    assert (got.size_bytes, got.sha256) == (len(BODY), hashlib.sha256(BODY).hexdigest())
    assert got.content_type == "audio/wav"
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_the_host_is_asked_by_name_without_credentials(
    site: Site, downloader: Downloader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine files.example login me password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    site.routes["/a"] = lambda handler: _answer(handler, BODY)
    downloader.fetch(site.url("/a"), tmp_path / "a")
    (request,) = site.requests
    assert request["host"] == f"files.example:{site.port}"
    assert "authorization" not in request
    assert "cookie" not in request


def test_a_broken_transfer_goes_on_where_it_stopped(site: Site, downloader: Downloader, tmp_path: Path) -> None:
    site.routes["/a"] = _serve_with_ranges('"v1"', break_after=100_000)
    got = downloader.fetch(site.url("/a"), tmp_path / "a")
    assert got.path.read_bytes() == BODY
    assert got.sha256 == hashlib.sha256(BODY).hexdigest()
    assert got.resumed_at == 100_000
    assert site.requests[1]["range"] == "bytes=100000-"


def test_a_later_call_resumes_what_an_earlier_one_left(site: Site, downloader: Downloader, tmp_path: Path) -> None:
    site.routes["/a"] = _serve_with_ranges('"v1"', break_after=70_000)
    once = Downloader(rule=downloader.rule, retry=RetryPolicy(attempts=1), watchdog=downloader.watchdog)
    with pytest.raises(DownloadProblem) as caught:
        once.fetch(site.url("/a"), tmp_path / "a")
    assert caught.value.temporary
    got = once.fetch(site.url("/a"), tmp_path / "a")
    assert got.resumed_at == 70_000
    assert got.path.read_bytes() == BODY


def test_a_file_that_changed_meanwhile_is_fetched_anew(site: Site, downloader: Downloader, tmp_path: Path) -> None:
    other = BODY[::-1]
    site.routes["/a"] = _serve_with_ranges('"v1"', break_after=70_000)
    once = Downloader(rule=downloader.rule, retry=RetryPolicy(attempts=1), watchdog=downloader.watchdog)
    with pytest.raises(DownloadProblem):
        once.fetch(site.url("/a"), tmp_path / "a")
    site.routes["/a"] = lambda handler: _answer(handler, other, ETag='"v2"')
    assert once.fetch(site.url("/a"), tmp_path / "a").path.read_bytes() == other


def test_nothing_is_resumed_for_another_url_or_without_a_strong_validator(
    site: Site, downloader: Downloader, tmp_path: Path
) -> None:
    once = Downloader(rule=downloader.rule, retry=RetryPolicy(attempts=1), watchdog=downloader.watchdog)
    site.routes["/a"] = _serve_with_ranges('"v1"', break_after=70_000)
    site.routes["/b"] = _serve_with_ranges('W/"weak"', break_after=70_000)
    for first, second in (("/a", "/a?other=1"), ("/b", "/b")):
        with pytest.raises(DownloadProblem):
            once.fetch(site.url(first), tmp_path / "x")
        site.requests.clear()
        assert once.fetch(site.url(second), tmp_path / "x").resumed_at == 0
        assert "range" not in site.requests[0]


def test_a_range_that_was_not_asked_for_is_not_appended(site: Site, downloader: Downloader, tmp_path: Path) -> None:
    answers = [
        lambda handler: _answer(handler, BODY[:5000], length=len(BODY), ETag='"v"'),
        lambda handler: _answer(
            handler, BODY[9:], 206, ETag='"v"', Content_Range=f"bytes 9-{len(BODY) - 1}/{len(BODY)}"
        ),
        lambda handler: _answer(handler, BODY, ETag='"v"'),
    ]

    def handle(handler: BaseHTTPRequestHandler) -> None:
        answers.pop(0)(handler)
        handler.close_connection = True

    site.routes["/a"] = handle
    assert downloader.fetch(site.url("/a"), tmp_path / "a").path.read_bytes() == BODY
    assert answers == []


def test_busy_hosts_are_asked_again_and_missing_files_are_not(
    site: Site, downloader: Downloader, tmp_path: Path
) -> None:
    waits: list[float] = []
    patient = Downloader(
        rule=downloader.rule, retry=RetryPolicy(attempts=3, sleep=waits.append), watchdog=downloader.watchdog
    )
    statuses = [503, 429]

    def handle(handler: BaseHTTPRequestHandler) -> None:
        if statuses:
            _answer(handler, b"", statuses.pop(0), Retry_After="7")
        else:
            _answer(handler, BODY)

    site.routes["/a"] = handle
    assert patient.fetch(site.url("/a"), tmp_path / "a").size_bytes == len(BODY)
    assert waits == [7, 7]
    site.requests.clear()
    for path, status, reason in (
        ("/gone", 404, "not_found"),
        ("/shut", 403, "forbidden"),
        ("/odd", 418, "http_status"),
    ):
        site.routes[path] = lambda handler, status=status: _answer(handler, b"no", status)
        with pytest.raises(DownloadProblem) as caught:
            patient.fetch(site.url(path + "?signature=SECRET"), tmp_path / "b")
        assert caught.value.reason == reason
        assert "SECRET" not in str(caught.value)
    assert len(site.requests) == 3


def test_the_first_bytes_can_refuse_the_rest(site: Site, downloader: Downloader, tmp_path: Path) -> None:
    page = b"<!DOCTYPE html><html>sign in first</html>"
    site.routes["/a.wav"] = lambda handler: _answer(handler, page)

    def refuse(head: bytes) -> str | None:
        return "it is a web page" if head.startswith(b"<!DOCTYPE") else None

    with pytest.raises(DownloadProblem, match="web page") as caught:
        downloader.fetch(site.url("/a.wav"), tmp_path / "a", refuse=refuse)
    assert caught.value.reason == "wrong_type"
    assert list(tmp_path.iterdir()) == []


def test_a_file_over_the_cap_is_refused_whether_announced_or_not(
    site: Site, downloader: Downloader, tmp_path: Path
) -> None:
    small = Downloader(
        rule=downloader.rule, limits=DownloadLimits(max_bytes=1000), retry=QUICK, watchdog=downloader.watchdog
    )

    def unannounced(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(bytes(2000))
        handler.close_connection = True

    site.routes["/announced"] = lambda handler: _answer(handler, bytes(1001))
    site.routes["/unannounced"] = unannounced
    for path in ("/announced", "/unannounced"):
        with pytest.raises(DownloadProblem) as caught:
            small.fetch(site.url(path), tmp_path / "a")
        assert caught.value.reason == "too_large"
    assert list(tmp_path.iterdir()) == []


def test_a_host_that_drips_is_left_at_the_deadline(site: Site, downloader: Downloader, tmp_path: Path) -> None:
    stop = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not stop.wait(0.05):
            try:
                handler.wfile.write(b"x")
            except OSError:
                break
        handler.close_connection = True

    site.routes["/slow"] = drip
    hurried = Downloader(
        rule=downloader.rule, limits=DownloadLimits(deadline_s=0.4), retry=QUICK, watchdog=downloader.watchdog
    )
    try:
        with pytest.raises(DownloadProblem) as caught:
            hurried.fetch(site.url("/slow"), tmp_path / "a")
    finally:
        stop.set()
    assert caught.value.reason == "timeout"
    assert not (tmp_path / "a").exists()


def test_private_addresses_are_refused_at_first_and_on_every_redirect(
    site: Site, downloader: Downloader, tmp_path: Path
) -> None:
    site.routes["/a"] = lambda handler: _answer(handler, b"", 302, Location=site.url("/b"))
    site.routes["/b"] = lambda handler: _answer(handler, b"", 307, Location=site.url("/inside", "intranet.example"))
    site.routes["/inside"] = lambda handler: _answer(handler, b"secrets")
    for url in (site.url("/inside", "intranet.example"), site.url("/inside", "127.0.0.1"), site.url("/a")):
        with pytest.raises(DownloadProblem, match="not a public address") as caught:
            downloader.fetch(url, tmp_path / "a")
        assert (caught.value.reason, caught.value.temporary) == ("address_refused", False)
    assert [request["path"] for request in site.requests] == ["/a", "/b"]


def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    rule = AddressRule(resolve=lambda _host, _port: ("93.184.216.34", "10.0.0.1"))
    with pytest.raises(AddressRefused):
        rule.addresses("mixed.example", 80)


def test_a_name_is_resolved_once_and_connected_where_it_was_checked(
    site: Site, downloader: Downloader, tmp_path: Path
) -> None:
    asked: list[str] = []

    def resolve(host: str, _port: int) -> tuple[str, ...]:
        asked.append(host)
        return ("127.0.0.1",)

    site.routes["/a"] = lambda handler: _answer(handler, BODY)
    rule = AddressRule(("no-such-name.invalid",), resolve=resolve)
    pinned = Downloader(rule=rule, retry=QUICK, watchdog=downloader.watchdog)
    # The system's resolver does not know this name, so only the checked address can have been used.
    assert pinned.fetch(site.url("/a", "no-such-name.invalid"), tmp_path / "a").size_bytes == len(BODY)
    assert asked == ["no-such-name.invalid"]


def test_redirects_end_somewhere_and_stay_on_the_web(site: Site, downloader: Downloader, tmp_path: Path) -> None:
    site.routes["/loop"] = lambda handler: _answer(handler, b"", 302, Location="/loop")
    site.routes["/file"] = lambda handler: _answer(handler, b"", 302, Location="file:///etc/passwd")
    site.routes["/odd"] = lambda handler: _answer(handler, b"", 302, Location="http://[bad")
    for path, reason in (("/loop", "too_many_redirects"), ("/file", "bad_url"), ("/odd", "bad_url")):
        with pytest.raises(DownloadProblem) as caught:
            downloader.fetch(site.url(path), tmp_path / "a")
        assert caught.value.reason == reason
    assert len([request for request in site.requests if request["path"] == "/loop"]) == 6


@pytest.mark.parametrize("url", ["ftp://a.example/x", "file:///etc/passwd", "http://", "http://[::1", "gopher:x", "x"])
def test_only_web_addresses_are_downloaded(url: str, downloader: Downloader, tmp_path: Path) -> None:
    with pytest.raises(DownloadProblem) as caught:
        downloader.fetch(url, tmp_path / "a")
    assert caught.value.reason == "bad_url"


def test_a_compressed_answer_and_an_empty_one_are_refused(site: Site, downloader: Downloader, tmp_path: Path) -> None:
    site.routes["/gz"] = lambda handler: _answer(handler, b"\x1f\x8b", Content_Encoding="gzip")
    site.routes["/empty"] = lambda handler: _answer(handler, b"")
    for path, reason in (("/gz", "encoded"), ("/empty", "empty")):
        with pytest.raises(DownloadProblem) as caught:
            downloader.fetch(site.url(path), tmp_path / "a")
        assert caught.value.reason == reason
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("location", "asked"),
    [
        ("/Gespräch.wav".encode(), "/Gespr%C3%A4ch.wav"),
        (b"/Gespr%C3%A4ch.wav", "/Gespr%C3%A4ch.wav"),
        ("/Gespra\u0308ch.wav".encode(), "/Gespra%CC%88ch.wav"),
        ("/日本/録音 1.wav?name=é".encode(), "/%E6%97%A5%E6%9C%AC/%E9%8C%B2%E9%9F%B3%201.wav?name=%C3%A9"),
        ("/Gespräch.wav".encode("latin-1"), "/Gespr%E4ch.wav"),
        ("Gespräch.wav".encode(), "/folder/Gespr%C3%A4ch.wav"),
        ("//files.example:{port}/ü.wav".encode(), "/%C3%BC.wav"),
        (b"/100%.wav", "/100%25.wav"),
    ],
)
def test_a_redirect_is_followed_as_the_host_wrote_it(
    location: bytes, asked: str, site: Site, downloader: Downloader, tmp_path: Path
) -> None:
    def send(handler: BaseHTTPRequestHandler) -> None:
        where = location.replace(b"{port}", str(site.port).encode())
        handler.wfile.write(b"HTTP/1.1 302 Found\r\nLocation: " + where + b"\r\nContent-Length: 0\r\n\r\n")

    site.routes["/folder/go"] = send
    site.routes[asked.partition("?")[0]] = lambda handler: _answer(handler, BODY)
    got = downloader.fetch(site.url("/folder/go"), tmp_path / "a")
    assert got.path.read_bytes() == BODY
    assert [request["path"] for request in site.requests] == ["/folder/go", asked]


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "identity, gzip", "br"])
def test_a_file_that_is_kept_compressed_names_the_next_step(
    coding: str, site: Site, downloader: Downloader, tmp_path: Path
) -> None:
    site.routes["/a.wav"] = lambda handler: _answer(handler, b"\x1f\x8b", Content_Encoding=coding)
    with pytest.raises(DownloadProblem) as caught:
        downloader.fetch(site.url("/a.wav"), tmp_path / "a")
    assert caught.value.reason == "encoded"
    assert f"Content-Encoding: {coding}" in caught.value.message
    assert "list it under sources.files" in caught.value.message
    assert len(site.requests) == 1


def test_a_refused_connection_is_tried_again_and_then_named(downloader: Downloader, tmp_path: Path) -> None:
    with _running() as gone:
        url = gone.url("/a?token=SECRET")
    waits: list[float] = []
    patient = Downloader(
        rule=downloader.rule, retry=RetryPolicy(attempts=3, sleep=waits.append), watchdog=downloader.watchdog
    )
    with pytest.raises(DownloadProblem, match="refused") as caught:
        patient.fetch(url, tmp_path / "a")
    assert caught.value.reason == "connection_failed"
    assert "SECRET" not in str(caught.value)
    assert len(waits) == 2


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200"),
        *("0.0.0.0", "255.255.255.255", "224.0.0.1", "192.0.0.192", "198.18.0.1", "168.63.129.16", "::", "::1"),
        *("fe80::1", "fe80::1%eth0", "fd00:ec2::254", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1"),
        *("::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b:1::a00:1", "2002:7f00:1::", "2001:db8::1"),
    ],
)
def test_addresses_inside_networks_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "8.8.8.8", "2606:2800:220:1::1", "64:ff9b::808:808"])
def test_addresses_on_the_open_internet_are_public(address: str) -> None:
    assert is_public(address)


# -- what must be there is known ---------------------------------------------------------------------------------------


def _ranges(content: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    """A host that knows ranges, and says nothing that would prove that the file is still the same."""

    def handle(handler: BaseHTTPRequestHandler) -> None:
        begin = int(handler.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        headers = {"Content_Range": f"bytes {begin}-{len(content) - 1}/{len(content)}"} if begin else {}
        _answer(handler, content[begin:], 206 if begin else 200, **headers)

    return handle


EXPECTED = Expected(sha256=hashlib.sha256(BODY).hexdigest(), size_bytes=len(BODY))


def test_a_file_that_is_known_goes_on_from_another_url(site: Site, downloader: Downloader, tmp_path: Path) -> None:
    site.routes["/first"] = lambda handler: (_answer(handler, BODY[:1000], length=len(BODY)), _hang_up(handler))[0]
    site.routes["/second"] = _ranges(BODY)
    with pytest.raises(DownloadProblem):
        downloader.fetch(site.url("/first"), tmp_path / "a", expected=EXPECTED)
    got = downloader.fetch(site.url("/second"), tmp_path / "a", expected=EXPECTED)
    assert (got.sha256, got.size_bytes) == (EXPECTED.sha256, len(BODY))
    assert got.resumed_at > 0
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def _hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


def test_a_file_that_is_another_one_gets_no_name(site: Site, downloader: Downloader, tmp_path: Path) -> None:
    site.routes["/a"] = _ranges(b"x" + BODY[1:])
    with pytest.raises(DownloadProblem, match="another file is there") as caught:
        downloader.fetch(site.url("/a"), tmp_path / "a", expected=EXPECTED)
    assert caught.value.reason == "wrong_content"
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_a_known_size_is_known_by_its_hash(site: Site, downloader: Downloader, tmp_path: Path) -> None:
    site.routes["/a"] = _ranges(BODY)
    told: list[int] = []
    expected = Expected(sha256=EXPECTED.sha256)
    downloader.fetch(site.url("/a"), tmp_path / "a", expected=expected, tell=told.append)
    assert told[-1] == len(BODY)
    with pytest.raises(DownloadProblem, match="SHA-256 begins"):
        downloader.fetch(site.url("/a"), tmp_path / "b", expected=Expected(sha256="0" * 64))
