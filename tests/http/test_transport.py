from __future__ import annotations

import gzip
import itertools
import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hume_runner.errors import TransportError, UnexpectedResponse, UsageError
from hume_runner.hosts import is_loopback
from hume_runner.http.messages import ApiRequest
from hume_runner.http.transport import RequestsTransport
from hume_runner.http.upload import Form, SourceChanged, Upload
from hume_runner.http.wire_errors import CertificateRefused
from tests.wire import answering, silent

KEY = "canary-key-5a1f"
GET = ApiRequest(method="GET", path="/things")
POST = ApiRequest(method="POST", path="/things", json={"a": 1}, fresh_connection=True)


def test_a_request_carries_key_query_and_asks_for_no_compression(serve, connect) -> None:
    seen: list[bytes] = []

    def script(talk) -> None:
        seen.append(talk.read_request())
        talk.answer(b'{"ok": true}', "Date: Sun, 06 Nov 1994 08:49:37 GMT", "X-Hume-Emulator: simulated")

    transport = connect(serve(script).url)
    request = ApiRequest(method="GET", path="/things", params=(("status", "A"), ("status", "B C")))
    with transport.send(request) as response:
        assert response.status == 200
        assert response.simulated
        assert response.server_date_s == 784111777.0
        assert response.json() == {"ok": True}
    head = seen[0].decode()
    assert head.startswith("GET /things?status=A&status=B+C HTTP/1.1\r\n")
    assert f"X-Hume-Api-Key: {KEY}" in head
    assert "Accept-Encoding: identity" in head


def test_an_answer_without_the_emulators_header_is_not_simulated(serve, connect) -> None:
    script = answering(b"[]")
    with connect(serve(script).url).send(GET) as response:
        assert not response.simulated
        assert response.server_date_s is None


# -- was anything sent? ------------------------------------------------------------------------------------------------


def test_a_refused_connection_sent_nothing(connect, unused_port: int) -> None:
    with pytest.raises(TransportError, match="refused") as caught:
        connect(f"http://127.0.0.1:{unused_port}").send(POST)
    assert not caught.value.sent
    assert caught.value.hint


def test_an_unknown_host_sent_nothing(connect) -> None:
    with pytest.raises(TransportError) as caught:
        connect("https://no-such-host.invalid", connect_timeout_s=5).send(POST)
    assert not caught.value.sent


def test_a_connection_that_is_not_accepted_in_time_sent_nothing(connect) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        waiting = []
        for _ in range(4):  # fill the queue of connections that nobody accepts
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(address)
            waiting.append(sock)
        try:
            with pytest.raises(TransportError, match=r"in time|within") as caught:
                connect(f"http://127.0.0.1:{address[1]}", connect_timeout_s=0.3).send(POST)
            assert not caught.value.sent
        finally:
            for sock in waiting:
                sock.close()


def test_a_connection_cut_after_the_request_counts_as_sent(serve, connect) -> None:
    def script(talk) -> None:
        talk.read_request()

    with pytest.raises(TransportError) as caught:
        connect(serve(script).url).send(POST)
    assert caught.value.sent


def test_a_reset_in_the_middle_of_an_upload_counts_as_sent(serve, connect, tmp_path: Path) -> None:
    def script(talk) -> None:
        talk.read_head()
        talk.reset()

    path = tmp_path / "big.bin"
    with path.open("wb") as file:
        file.truncate(50_000_000)
    request = ApiRequest(method="POST", path="/x", form=Form(uploads=(("file", Upload.of(path)),)))
    with pytest.raises(TransportError) as caught:
        connect(serve(script).url).send(request)
    assert caught.value.sent


def test_a_silent_server_counts_as_sent(serve, connect) -> None:
    with pytest.raises(TransportError, match="no answer in time") as caught:
        connect(serve(silent).url, timeout_s=0.2).send(POST)
    assert caught.value.sent


def test_a_certificate_that_is_not_trusted_is_refused_before_anything_is_sent(serve, connect, tls_server) -> None:
    server = serve(lambda talk: talk.read_request(), wrap=tls_server)
    with pytest.raises(CertificateRefused, match="certificate is not trusted") as caught:
        connect(f"https://127.0.0.1:{server.port}").send(POST)
    assert not caught.value.sent
    assert not any(talk.received for talk in server.connections)


def test_a_trusted_certificate_is_accepted(serve, connect, tls_server, tls_bundle, monkeypatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls_bundle))

    script = answering(b'{"ok": 1}')
    server = serve(script, wrap=tls_server)
    with connect(f"https://127.0.0.1:{server.port}").send(POST) as response:
        assert response.json() == {"ok": 1}


def test_a_tls_handshake_that_never_ends_is_cut_at_the_deadline(serve, connect) -> None:
    server = serve(lambda talk: talk.drip(b"\x16\x03\x03\x40\x00" + bytes(4000)))
    request = ApiRequest(method="POST", path="/x", json={}, deadline_s=0.5)
    with pytest.raises(TransportError, match=r"within 0\.5 s") as caught:
        connect(f"https://127.0.0.1:{server.port}").send(request)
    assert not caught.value.sent


# -- keep-alive --------------------------------------------------------------------------------------------------------


def _serving_forever(talk) -> None:
    while talk.read_request():
        talk.answer(b"[]")


def test_reads_share_a_connection_and_a_submission_gets_its_own(serve, connect) -> None:
    server = serve(_serving_forever)
    transport = connect(server.url)
    for _ in range(3):
        transport.send(GET).json()
    assert len(server.connections) == 1
    transport.send(POST).json()
    transport.send(POST).json()
    assert len(server.connections) == 3
    transport.send(GET).json()
    assert len(server.connections) == 3


def test_a_kept_connection_that_the_server_closed_says_that_something_was_sent(serve, connect) -> None:
    """The request may have been read before the close, so a read is repeated by policy, never by the transport."""
    turns = itertools.count()

    def script(talk) -> None:
        talk.read_request()
        if next(turns) == 0:
            talk.answer(b"[]")
            talk.read_request()

    transport = connect(serve(script).url)
    transport.send(GET).json()
    with pytest.raises(TransportError) as caught:
        transport.send(GET)
    assert caught.value.sent


# -- the total deadline ------------------------------------------------------------------------------------------------

PATIENT = ApiRequest(method="GET", path="/slow", deadline_s=0.6, read_timeout_s=15.0)


@pytest.mark.parametrize("where", ["head", "body", "chunked body", "body without length"])
def test_a_server_that_drips_is_cut_at_the_deadline(serve, connect, where: str) -> None:
    def script(talk) -> None:
        talk.read_request()
        if where == "head":
            talk.drip(b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 4000)
        elif where == "body":
            talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n")
            talk.drip(b" " * 4000)
        elif where == "chunked body":
            talk.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            talk.drip(b"1\r\n \r\n" * 1000)
        else:
            talk.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[")
            talk.drip(b" " * 4000)

    transport = connect(serve(script).url)
    started = time.monotonic()
    with pytest.raises(TransportError, match=r"no complete answer within 0\.6 s") as caught:
        transport.send(PATIENT).json()
    assert caught.value.sent
    assert time.monotonic() - started < 10  # far below the read timeout and the drip's own end


def test_many_deadlines_are_kept_by_one_thread(serve, connect) -> None:
    transport = connect(serve(silent).url)
    failures: list[str] = []
    before = set(threading.enumerate())  # those of earlier tests stay until they have been idle for a while

    def ask(deadline_s: float) -> None:
        with pytest.raises(TransportError) as caught:
            transport.send(ApiRequest(method="GET", path="/x", deadline_s=deadline_s, read_timeout_s=15.0))
        failures.append(str(caught.value))

    threads = [threading.Thread(target=ask, args=(0.3 + 0.05 * (number % 4),)) for number in range(8)]
    for thread in threads:
        thread.start()
    assert sum(thread.name == "hume-runner-deadlines" for thread in set(threading.enumerate()) - before) <= 1
    for thread in threads:
        thread.join(10)
    assert len(failures) == 8
    assert all("no complete answer" in failure for failure in failures)


def test_a_finished_exchange_is_left_alone_when_its_deadline_passes(serve, connect) -> None:
    transport = connect(serve(_serving_forever).url)
    transport.send(ApiRequest(method="GET", path="/x", deadline_s=0.2)).json()
    with transport.send(ApiRequest(method="GET", path="/x", deadline_s=30)) as response:
        time.sleep(0.4)  # the first one's deadline, on the same connection
        assert response.json() == []


# -- whole answers -----------------------------------------------------------------------------------------------------


def _answering(raw: bytes) -> Callable[..., None]:
    def script(talk) -> None:
        talk.read_request()
        talk.send(raw)

    return script


def _head(*headers: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", *headers, "", ""]).encode()


@pytest.mark.parametrize(
    "raw",
    [
        _head("Content-Length: 100") + b"[1, 2]",
        _head("Transfer-Encoding: chunked") + b"6\r\n[1, 2]\r\n",
        _head("Transfer-Encoding: chunked") + b"60\r\n[1, 2]",
        _head("Transfer-Encoding: chunked") + b"zz\r\n[1, 2]",
    ],
    ids=["short of its length", "no last chunk", "short chunk", "nonsense chunk"],
)
def test_a_body_that_is_cut_off_is_an_error_and_never_a_short_body(serve, connect, raw: bytes) -> None:
    with connect(serve(_answering(raw)).url).send(GET) as response, pytest.raises(TransportError):
        list(response.iter_bytes())


def test_a_compressed_body_is_unpacked_though_nobody_asked(serve, connect) -> None:
    body = gzip.compress(b'[1, "') + gzip.compress(b'two"]')
    raw = _head("Content-Encoding: gzip", f"Content-Length: {len(body)}") + body
    assert connect(serve(_answering(raw)).url).send(GET).json() == [1, "two"]


@pytest.mark.parametrize("keep", [4, 11, 25, -9, -1])
def test_a_compressed_body_that_is_cut_off_is_an_error(serve, connect, keep: int) -> None:
    body = gzip.compress(json.dumps(list(range(100))).encode())[:keep]
    raw = _head("Content-Encoding: gzip", f"Content-Length: {len(body)}") + body
    with pytest.raises(UnexpectedResponse, match="cut off"):
        connect(serve(_answering(raw)).url).send(GET).json()


def test_an_error_body_of_gigabytes_costs_64_kib(serve, connect) -> None:
    sent = 0

    def script(talk) -> None:
        nonlocal sent
        talk.read_request()
        talk.send(f"HTTP/1.1 500 No\r\nContent-Length: {2 * 1024**3}\r\n\r\n".encode())
        block = b"x" * 65536
        for _ in range(2 * 1024**3 // 65536):
            talk.send(block)
            sent += len(block)

    response = connect(serve(script).url).send(GET)
    assert response.error_body() == b"x" * 65536
    assert sent < 64 * 1024 * 1024  # what socket buffers hold, not what was announced


def test_an_answer_longer_than_its_bound_is_refused(serve, connect) -> None:
    script = answering(b"[" + b" " * 5000 + b"]")
    with pytest.raises(UnexpectedResponse, match="more than 1,000 bytes"):
        connect(serve(script).url).send(GET).json(max_bytes=1000)


def test_an_early_error_is_read_while_the_upload_is_still_going(serve, connect, tmp_path: Path) -> None:
    def script(talk) -> None:
        talk.read_head()
        talk.answer(b'{"message": "too large"}', status="413 Too Large")
        talk.sock.shutdown(socket.SHUT_WR)
        talk.hang()  # reads nothing more

    path = tmp_path / "big.bin"
    with path.open("wb") as file:
        file.truncate(50_000_000)
    request = ApiRequest(
        method="POST", path="/x", form=Form(uploads=(("file", Upload.of(path)),)), read_timeout_s=0.5, deadline_s=20
    )
    with connect(serve(script).url).send(request) as response:
        assert response.status == 413
        assert b"too large" in response.error_body()


def test_an_answer_that_is_not_http_is_reported(serve, connect) -> None:
    with pytest.raises(TransportError):
        connect(serve(_answering(b"SSH-2.0-OpenSSH_9.6\r\n")).url).send(GET)


# -- the key -----------------------------------------------------------------------------------------------------------


def test_a_redirect_is_refused_and_its_target_hears_nothing(serve, connect) -> None:
    other = serve(_serving_forever)

    script = answering(b"", f"Location: {other.url}/elsewhere?token=secret", status="307 Temporary Redirect")
    with pytest.raises(UnexpectedResponse, match=r"redirects \(307\) to 127\.0\.0\.1") as caught:
        connect(serve(script).url).send(POST)
    assert "secret" not in str(caught.value)
    assert other.connections == []


def test_netrc_does_not_replace_or_add_credentials(serve, connect, tmp_path: Path, monkeypatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    seen: list[bytes] = []

    def script(talk) -> None:
        seen.append(talk.read_request())
        talk.answer(b"[]")

    connect(serve(script).url).send(GET).json()
    assert b"Authorization" not in seen[0]


def test_a_proxy_from_the_environment_is_not_used_for_this_machine(
    serve, connect, unused_port: int, monkeypatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://user:secret@127.0.0.1:{unused_port}")
    assert connect(serve(_serving_forever).url).send(GET).json() == []


def test_a_proxy_that_refuses_the_tunnel_sent_nothing_and_is_named_without_its_password(
    serve, connect, monkeypatch
) -> None:
    def script(talk) -> None:
        talk.read_head()
        talk.answer(b"", status="403 Forbidden")

    proxy = serve(script)
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, f"http://user:hidden@127.0.0.1:{proxy.port}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(TransportError, match="proxy") as caught:
        connect("https://api.example.org").send(POST)
    assert not caught.value.sent
    assert "hidden" not in str(caught.value) + repr(caught.value) + caught.value.hint


def test_cookies_are_not_kept(serve, connect) -> None:
    seen: list[bytes] = []

    def script(talk) -> None:
        while request := talk.read_request():
            seen.append(request)
            talk.answer(b"[]", "Set-Cookie: a=b")

    transport = connect(serve(script).url)
    transport.send(GET).json()
    transport.send(GET).json()
    assert b"Cookie" not in seen[1]


def test_the_key_is_in_no_repr_log_or_error(serve, connect, caplog, unused_port: int) -> None:
    caplog.set_level(0)

    script = answering(b"<html><title>Sign in</title></html>")
    transport = connect(serve(script).url)
    words = [repr(transport)]
    with pytest.raises(UnexpectedResponse, match="a web page") as page:
        transport.send(GET).json()
    with pytest.raises(TransportError) as refused:
        connect(f"http://127.0.0.1:{unused_port}").send(POST)
    words += [str(page.value), repr(page.value), str(refused.value), repr(refused.value), repr(POST), caplog.text]
    assert KEY not in "\n".join(words)


def test_a_key_that_cannot_be_a_header_is_refused_without_quoting_it() -> None:
    for key in ("secret\nkey", "schlüssel", "", "  ", "a\x00b"):
        with pytest.raises(UsageError) as caught:
            RequestsTransport("http://127.0.0.1:1", key, "X-Hume-Api-Key")
        assert not key.strip() or key not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://api.example.org", "ftp://x", "api.hume.ai", "https://", "https://u:p@x.org", "https://x.org/?a=b"]
)
def test_an_address_that_would_leak_the_key_or_makes_no_sense_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        RequestsTransport(url, KEY, "X-Hume-Api-Key")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("LOCALHOST", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("10.0.0.1", False),
        ("localhost.example.org", False),
        ("127.0.0.1.nip.io", False),
    ],
)
def test_this_machine_is_told_from_others(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


# -- pace --------------------------------------------------------------------------------------------------------------


class RecordingPacer:
    def __init__(self) -> None:
        self.calls: list[tuple[str, float]] = []

    def acquire(self, *, submits: bool = False) -> bool:
        self.calls.append(("acquire", 0.0))
        return True

    def slow_down(self, seconds: float) -> None:
        self.calls.append(("slow_down", seconds))

    def speed_up(self) -> None:
        self.calls.append(("speed_up", 0.0))


def test_the_shared_pace_hears_of_every_answer(serve, connect) -> None:
    answers = iter(
        [
            ("200 OK", ()),
            ("429 Too Many", ("Retry-After: 7",)),
            ("503 Busy", ()),
            ("503 Busy", ("Retry-After: 99999999",)),
            ("404 No", ()),
        ]
    )

    def script(talk) -> None:
        while talk.read_request():
            status, headers = next(answers)
            talk.answer(b"[]", *headers, status=status)

    pacer = RecordingPacer()
    transport = connect(serve(script).url, pacer=pacer)
    for _ in range(5):
        with transport.send(GET) as response:
            response.error_body()
    assert pacer.calls == [
        ("acquire", 0.0),
        ("speed_up", 0.0),
        ("acquire", 0.0),
        ("slow_down", 7.0),
        ("acquire", 0.0),
        ("slow_down", 1.0),
        ("acquire", 0.0),
        ("slow_down", 60.0),
        ("acquire", 0.0),
    ]


# -- uploads over the wire ---------------------------------------------------------------------------------------------


def test_a_file_that_changed_never_reaches_the_server_whole(serve, connect, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"new content")
    upload = Upload(path=path, filename="a.wav", size_bytes=11, content_type="audio/wav", sha256="0" * 64)
    received: list[bytes] = []
    read = threading.Event()

    def script(talk) -> None:
        received.append(talk.read_request())
        read.set()

    server = serve(script)
    with pytest.raises(SourceChanged, match=r"a\.wav: the file changed") as caught:
        connect(server.url).send(ApiRequest(method="POST", path="/x", form=Form(uploads=(("file", upload),))))
    assert not caught.value.sent
    assert read.wait(20)
    head, _, body = received[0].partition(b"\r\n\r\n")
    announced = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
    assert len(body) < announced
    assert not body.rstrip().endswith(b"--")
