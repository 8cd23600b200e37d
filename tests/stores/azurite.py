"""Azure Blob Storage's protocol over loopback: Microsoft's own emulator, from npm, in a process of its own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from email.utils import formatdate
from itertools import count
from pathlib import Path

import requests

from hume_runner.stores.base import ObjectStore
from hume_runner.stores.opening import open_store
from tests.npm import installed

PACKAGE, VERSION = "azurite", "3.35.0"
# Published with the emulator: every one of them has this account and this key.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_SPOKEN = "2021-12-02"
_NOTHING = "\n" * 12


class AzureServer:
    """`environ` is what a process needs to reach it with obstore."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.environ: Mapping[str, str] = {
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": KEY,
            "AZURE_STORAGE_USE_EMULATOR": "true",
            "AZURITE_BLOB_STORAGE_URL": self.url,
        }
        self._numbers = count(1)

    def container(self) -> str:
        """The name of a new, empty container. obstore makes none, so the request is signed here."""
        name = f"container-{next(self._numbers)}"
        date = formatdate(usegmt=True)
        # Azure's "Authorize with Shared Key": verb, eleven empty standard headers, its own headers, the resource.
        said = f"PUT{_NOTHING}x-ms-date:{date}\nx-ms-version:{_SPOKEN}\n/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
        signature = base64.b64encode(hmac.digest(base64.b64decode(KEY), said.encode(), hashlib.sha256)).decode()
        answer = requests.put(
            f"{self.url}/{ACCOUNT}/{name}?restype=container",
            headers={
                "x-ms-date": date,
                "x-ms-version": _SPOKEN,
                "Authorization": f"SharedKey {ACCOUNT}:{signature}",
            },
            timeout=30,
        )
        assert answer.status_code == 201, answer.text
        return name

    def store(self, container: str) -> ObjectStore:
        """Ours, with the environment as it is now."""
        return open_store(f"az://{container}")[0]


@contextmanager
def serving(cache: Path) -> Iterator[AzureServer]:
    node, folder = installed(cache, PACKAGE, VERSION)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = folder / "dist" / "src" / "blob" / "main.js"
    options = ["--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck", "--silent"]
    process = subprocess.Popen(
        [node, str(program), "--blobPort", str(port), *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert process.poll() is None, "the emulator ended"
            time.sleep(0.05)
        yield AzureServer(port)
    finally:
        process.kill()
        process.wait()
