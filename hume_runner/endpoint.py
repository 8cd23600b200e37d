"""The service of one manifest: how it is reached, who pays there, and what time it has."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from hume_runner.aside import folder_below
from hume_runner.errors import HumeRunnerError
from hume_runner.hosts import EMULATOR, is_loopback
from hume_runner.http.retry import RetryPolicy
from hume_runner.http.traffic import Traffic
from hume_runner.machine import Machine
from hume_runner.manifest.model import Manifest
from hume_runner.registry import Registered, load
from hume_runner.settings import Secret, read_key

if TYPE_CHECKING:
    from hume_runner.computing.base import Needs, Pool
    from hume_runner.emulator.server import Emulator
    from hume_runner.engine.pacer import Pacer
    from hume_runner.http.access import Access
    from hume_runner.services.base import Computes, Service

# So many pieces of work are at a cluster at least, or twice as many as it works on: no worker waits for us, and those
# that join later find some.
_LEAST_ROOM = 16


class Endpoint:
    """Nothing is connected, and no emulator started, before the first request."""

    def __init__(
        self,
        manifest: Manifest,
        outputs: Path,
        machine: Machine,
        api: Registered,
        *,
        pacer: Pacer,
        rehearsal: Callable[[Path, str], Emulator],
        pool: Callable[[Needs], Pool] | None,
    ) -> None:
        """`rehearsal` makes the emulator that keeps its files in a folder and takes one key; `pool`, where it is given,
        what does the processor's work elsewhere."""
        self.name = manifest.service.endpoint or api.host
        self.here = api.here
        self.pacer = pacer
        self.traffic = Traffic()
        self._manifest = manifest
        self._outputs = outputs
        self._machine = machine
        self._needs_key = api.needs_key
        self._rehearsal = rehearsal
        self._emulator: Emulator | None = None
        self._server_ahead_s: float | None = None  # the service's Unix time minus our monotonic clock
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self.service: Service = load(api.build)(manifest, self.name, self._access, self._saw_server_time)
        self._pool: Pool | None = None
        if pool is not None:
            service = cast("Computes", self.service)
            self._pool = pool(service.needs)
            service.compute_on(self._pool)

    def room(self) -> int | None:
        """How many pieces of work a cluster takes at one time, once it is connected; None without one."""
        return None if self._pool is None else max(_LEAST_ROOM, 2 * self._pool.width)

    @property
    def embedded(self) -> bool:
        """Whether results from here are those of an emulator that is started for them."""
        return self.name == EMULATOR

    @property
    def simulated(self) -> bool:
        """Whether results from here may be the emulator's: it is embedded, or somebody's on this machine."""
        return self.embedded or is_loopback(urlsplit(self.name).hostname or "")

    def server_time(self) -> float | None:
        """The service's time, Unix seconds, as its last answer told it; None before one. It goes on with the monotonic
        clock, so that it does not move when somebody sets the machine's time."""
        return None if self._server_ahead_s is None else self._server_ahead_s + self._machine.monotonic()

    def _access(self) -> Access:
        from hume_runner.http.access import Access

        with self._lock:
            url, key = self._address()
            retry = self._manifest.execution.retry
            return Access(
                url=url,
                key=key,
                retry=RetryPolicy(attempts=retry.attempts, max_wait_s=retry.max_wait_s),
                pacer=self.pacer,
                timeout_s=self._manifest.service.timeout_s,
                stack=self._stack,
                max_answer_bytes=self._machine.settings.max_answer_bytes,
                traffic=self.traffic,
            )

    def _saw_server_time(self, server_time_s: float) -> None:
        self._server_ahead_s = server_time_s - self._machine.monotonic()

    def _address(self) -> tuple[str, str]:
        if not self.embedded:
            return self.name, self._key().value if self._needs_key else ""
        emulator = self._start_emulator()
        return emulator.url, emulator.api_key

    def account(self) -> str:
        """Who pays, as a digest; empty where no key can be read."""
        with suppress(HumeRunnerError):
            return hashlib.sha256(self._key().value.encode()).hexdigest() if self._needs_key else ""
        return ""

    def _key(self) -> Secret:
        where = self._manifest.service.api_key
        return read_key(env=where.env, file=where.file, environ=self._machine.environ)

    def _start_emulator(self) -> Emulator:
        if self._emulator is None:
            data = folder_below(self._outputs, "emulator")
            data.mkdir(parents=True, exist_ok=True)
            self._emulator = self._rehearsal(data, "rehearsal")
            self._emulator.start()
            self._stack.callback(self._emulator.stop)
        return self._emulator

    def close(self) -> None:
        if self.service.shelf is not None:
            self.service.shelf.close()
        if self.service.objects is not None:
            self.service.objects.close()
        self._stack.close()

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
