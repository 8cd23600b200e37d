"""A server that does exactly what a test tells it, byte by byte: for what a well-behaved server cannot do."""

from __future__ import annotations

import shutil
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hume_runner.emulator.server import Emulator
from hume_runner.http.transport import Pacer, RequestsTransport, TransportLimits

KEY = "canary-key-5a1f"
HANG_S = 20.0  # longer than any test waits; a handler that hangs is woken when its server stops


@dataclass
class Conversation:
    """One connection, from the server's side."""

    sock: socket.socket
    stopped: threading.Event
    received: bytearray = field(default_factory=bytearray)

    def read_head(self) -> str:
        """Everything up to the blank line after the headers."""
        while b"\r\n\r\n" not in self.received:
            data = self.sock.recv(65536)
            if not data:
                break
            self.received += data
        return bytes(self.received).split(b"\r\n\r\n")[0].decode()

    def read_request(self) -> bytes:
        """A whole request with its body, as Content-Length says."""
        head = self.read_head()
        length = next((int(h.split(":")[1]) for h in head.split("\r\n") if h.lower().startswith("content-length:")), 0)
        whole = len(head.encode()) + 4 + length
        while len(self.received) < whole:
            data = self.sock.recv(65536)
            if not data:
                break
            self.received += data
        request, self.received = bytes(self.received[:whole]), self.received[whole:]
        return request

    def send(self, *parts: bytes) -> None:
        self.sock.sendall(b"".join(parts))

    def answer(self, body: bytes, *headers: str, status: str = "200 OK") -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
        self.send("\r\n".join(lines).encode(), body)

    def reset(self) -> None:
        """Close with a TCP reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def hang(self) -> None:
        self.stopped.wait(HANG_S)

    def drip(self, data: bytes, every_s: float = 0.05) -> None:
        """Send one byte at a time, for as long as anybody listens."""
        with suppress(OSError):
            for byte in data:
                self.sock.sendall(bytes([byte]))
                if self.stopped.wait(every_s):
                    return


Script = Callable[[Conversation], None]


def answering(*what: Any, **how: Any) -> Script:
    """Reads a request and answers it, see `Conversation.answer`."""

    def script(talk: Conversation) -> None:
        talk.read_request()
        talk.answer(*what, **how)

    return script


def silent(talk: Conversation) -> None:
    """Reads a request and says nothing for as long as anybody waits."""
    talk.read_request()
    talk.hang()


@dataclass
class Swallows:
    """Reads a request of any size without holding it, and answers with this body."""

    answer: bytes
    received_bytes: int = 0

    def __call__(self, talk: Conversation) -> None:
        head = talk.read_head()
        length = int(head.lower().split("content-length:")[1].split("\r\n")[0])
        self.received_bytes = len(talk.received) - len(head) - 4
        while self.received_bytes < length:
            self.received_bytes += len(talk.sock.recv(1 << 20))
        talk.answer(self.answer)


class ScriptedServer:
    """Runs `script` on every connection, each in a thread. `requests` holds what each connection sent."""

    def __init__(self, script: Script, wrap: Callable[[socket.socket], socket.socket] | None = None) -> None:
        self._script = script
        self._wrap = wrap
        self._stopped = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.connections: list[Conversation] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            if self._stopped.is_set():
                sock.close()
                return
            thread = threading.Thread(target=self._serve, args=(sock,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            if self._wrap is not None:
                sock = self._wrap(sock)
            talk = Conversation(sock, self._stopped)
            self.connections.append(talk)
            with suppress(OSError):
                self._script(talk)
        except OSError:
            pass
        finally:
            sock.close()

    def stop(self) -> None:
        self._stopped.set()
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
        self._threads[0].join(5)
        self._listener.close()
        for talk in self.connections:
            with suppress(OSError):
                talk.sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join(5)


@pytest.fixture
def serve() -> Iterator[Callable[..., ScriptedServer]]:
    """Start servers that follow a script; they stop with the test."""
    servers: list[ScriptedServer] = []

    def start(script: Script, wrap: Callable[[socket.socket], socket.socket] | None = None) -> ScriptedServer:
        servers.append(ScriptedServer(script, wrap))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def connect() -> Iterator[Callable[..., RequestsTransport]]:
    """Make transports with the canary key; they close with the test."""
    transports: list[RequestsTransport] = []

    def make(url: str, pacer: Pacer | None = None, **limits: Any) -> RequestsTransport:
        transports.append(RequestsTransport(url, KEY, "X-Hume-Api-Key", limits=TransportLimits(**limits), pacer=pacer))
        return transports[-1]

    yield make
    for transport in transports:
        transport.close()


@pytest.fixture
def unused_port() -> int:
    """A port of this machine on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture(scope="session")
def tls_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1 and its key, in one PEM file."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    bundle = folder / "bundle.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=loopback"
    subprocess.run(
        [*command.split(), "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    bundle.write_bytes((folder / "cert.pem").read_bytes() + (folder / "key.pem").read_bytes())
    return bundle


@pytest.fixture
def tls_server(tls_bundle: Path) -> Callable[[socket.socket], socket.socket]:
    """Wraps a server's connection in TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls_bundle)
    return lambda sock: context.wrap_socket(sock, server_side=True)


@pytest.fixture(scope="module")
def _shared_emulator() -> Iterator[Emulator]:
    with Emulator(processing_time_s=0.01, api_keys=("key-one", "key-two")) as running:
        yield running


@pytest.fixture
def shared_emulator(_shared_emulator: Emulator) -> Iterator[Emulator]:
    """A running emulator without faults; jobs of earlier tests may still be in it."""
    _shared_emulator.inject([])
    yield _shared_emulator
    _shared_emulator.inject([])
