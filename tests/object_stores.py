"""A real S3 protocol over loopback: moto's server, and a client beside ours to look at it."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any, Protocol, TypeVar

import pytest

# What the machine itself says about stores plays no part.
_FOREIGN = ("AWS_", "GOOGLE_", "AZURE_", "BOTO_")
_IN_MEMORY = "MOTO_S3_DEFAULT_KEY_BUFFER_SIZE"
ACCESS_KEY, SECRET_KEY = "AKIAEXAMPLEEXAMPLE12", "example-secret-key-example-secret-key-12"


class S3Server:
    """`environ` is what a process needs to reach it with obstore."""

    def __init__(self, host: str, port: int) -> None:
        import boto3
        from botocore.config import Config

        self.url = f"http://{host}:{port}"
        self.environ: Mapping[str, str] = {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ALLOW_HTTP": "true",
        }
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )
        self._numbers = count(1)

    def bucket(self, *, versioned: bool = False) -> str:
        """The name of a new, empty bucket."""
        name = f"bucket-{next(self._numbers)}"
        self.client.create_bucket(Bucket=name)
        if versioned:
            self.client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def put(self, bucket: str, key: str, body: bytes) -> None:
        self.client.put_object(Bucket=bucket, Key=key, Body=body)

    def fill(self, bucket: str, keys: Iterable[str], body: bytes = b"x") -> None:
        """Put many, and names that moto's own server does not take, past HTTP: the server is in this process."""
        from moto.backends import get_backend

        backend = get_backend("s3")["123456789012"]["aws"]
        for key in keys:
            backend.put_object(bucket, key, body)

    def body(self, bucket: str, key: str) -> bytes:
        return bytes(self.client.get_object(Bucket=bucket, Key=key)["Body"].read())

    def keys(self, bucket: str) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [one["Key"] for page in pages for one in page.get("Contents", [])]


@contextmanager
def serving() -> Iterator[S3Server]:
    pytest.importorskip("obstore")
    pytest.importorskip("moto")
    from moto.server import ThreadedMotoServer

    # Larger objects it puts into temporary files, which it leaves open.
    before = os.environ.get(_IN_MEMORY)
    os.environ[_IN_MEMORY] = str(1 << 30)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    assert server._server is not None
    server._server.app = _one_write_at_a_time(server._server.app)
    try:
        yield S3Server(*server.get_host_and_port())
    finally:
        server.stop()
        if before is None:
            del os.environ[_IN_MEMORY]
        else:
            os.environ[_IN_MEMORY] = before


def _one_write_at_a_time(app: Any) -> Any:
    """moto looks whether a write's condition holds, and writes, as two steps: of eight that create an object at once
    two have won. A real store does it in one. Whoever has not sent all of a body yet holds up nobody."""
    writing = threading.Lock()

    def serve(environ: dict[str, Any], start: Any) -> Any:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        conditional = "HTTP_IF_NONE_MATCH" in environ or "HTTP_IF_MATCH" in environ
        if environ["REQUEST_METHOD"] != "PUT" or not conditional:
            return app(environ, start)
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(length))
        with writing:
            return app(environ, start)

    return serve


@contextmanager
def suspicious(free_requests: int) -> Iterator[S3Server]:
    """A server in a process of its own that checks keys and permissions after so many requests."""
    pytest.importorskip("obstore")
    pytest.importorskip("moto")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        env={**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(free_requests)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.05)
        yield S3Server("127.0.0.1", port)
    finally:
        process.kill()
        process.wait()


def only(patch: pytest.MonkeyPatch, environ: Mapping[str, str]) -> None:
    """This process's environment says of stores what `environ` says, and nothing else."""
    for name in list(os.environ):
        if name.startswith(_FOREIGN):
            patch.delenv(name)
    for name, value in environ.items():
        patch.setenv(name, value)


class _Store(Protocol):
    @property
    def environ(self) -> Mapping[str, str]: ...


AStore = TypeVar("AStore", bound=_Store)


def leading_to(store: AStore, patch: pytest.MonkeyPatch) -> AStore:
    only(patch, store.environ)
    return store
