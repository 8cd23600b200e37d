"""The last byte of a request leaves when somebody says so, over real sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hume_runner.errors import TransportError
from hume_runner.http.last_byte import NotConfirmed, guarded_body, held_back
from hume_runner.http.messages import ApiRequest
from hume_runner.http.transport import RequestsTransport
from hume_runner.http.upload import Form, Upload


class Listener:
    """Takes one connection and keeps what came on it."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.came = b""
        self.closed = threading.Event()
        self.whole = threading.Event()
        self._thread = threading.Thread(target=self._take, daemon=True)
        self._thread.start()

    def _take(self) -> None:
        connection, _ = self._socket.accept()
        with connection:
            while chunk := connection.recv(65536):
                self.came += chunk
                head, blank, body = self.came.partition(b"\r\n\r\n")
                named = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
                length = int(named[0].split(b":")[1])
                if blank and len(body) == length:
                    self.whole.set()
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
                    break
            self.closed.set()

    def close(self) -> None:
        self._socket.close()
        self._thread.join(5)

    def body(self) -> bytes:
        return self.came.partition(b"\r\n\r\n")[2]


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


def requests_of(tmp_path: Path) -> dict[str, ApiRequest]:
    file = tmp_path / "a.bin"
    file.write_bytes(b"x" * 300_000)
    form = Form(fields=(("json", "{}"),), uploads=(("file", Upload.of(file)),))
    return {
        "json": ApiRequest(method="POST", path="/", json={"text": ["words"]}, fresh_connection=True),
        "form": ApiRequest(method="POST", path="/", form=form, fresh_connection=True),
    }


@pytest.mark.parametrize("kind", ["json", "form"])
def test_all_but_the_last_byte_has_left_when_it_is_asked(kind: str, listener: Listener, tmp_path: Path) -> None:
    seen: list[int] = []

    def confirm() -> None:
        for _ in range(100):  # loopback takes a moment
            threading.Event().wait(0.005)
        seen.append(len(listener.body()))
        assert not listener.whole.is_set()

    request = requests_of(tmp_path)[kind]
    with (
        RequestsTransport(listener.url, "key", "X-Key") as transport,
        held_back(confirm),
        transport.send(request) as response,
    ):
        assert response.status == 200
    assert listener.whole.is_set()
    assert seen == [len(listener.body()) - 1]


@pytest.mark.parametrize("kind", ["json", "form"])
def test_what_is_not_confirmed_never_is_a_whole_request(kind: str, listener: Listener, tmp_path: Path) -> None:
    def confirm() -> None:
        raise NotConfirmed("the state is another's")

    request = requests_of(tmp_path)[kind]
    with (
        RequestsTransport(listener.url, "key", "X-Key") as transport,
        held_back(confirm),
        pytest.raises(TransportError) as refused,
    ):
        transport.send(request)
    assert not refused.value.sent
    assert listener.closed.wait(10)
    assert not listener.whole.is_set()


def test_without_anybody_to_ask_a_body_is_itself() -> None:
    body = b"words"
    assert guarded_body(body) is body


def test_the_bytes_are_the_same_whatever_their_pieces() -> None:
    for pieces in ([b"abc"], [b"a"], [b"ab", b"", b"c"], [b"ab", b"c", b""], [b""]):
        asked: list[bool] = []
        with held_back(lambda asked=asked: asked.append(True)):  # type: ignore[misc]
            body = guarded_body(iter(pieces))
            assert not isinstance(body, bytes)
            assert b"".join(body) == b"".join(pieces)
        assert asked == [True]
