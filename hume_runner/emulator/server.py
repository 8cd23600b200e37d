"""The stand-in server: starts, serves on loopback in a thread of its own, stops."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

from hume_runner.errors import MissingExtra, UsageError

try:
    import python_multipart  # noqa: F401
    import starlette  # noqa: F401
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol
except ImportError as error:
    raise MissingExtra("emulator", "the emulator") from error

from hume_runner.aside import LinkInTheWay, refuse_links
from hume_runner.emulator.app import app_of
from hume_runner.emulator.asked_difficulties import parse_difficulties
from hume_runner.emulator.batch_v0.routes import BatchV0
from hume_runner.emulator.context import Clock, Context, Limits, RouteGroup
from hume_runner.emulator.expression_v1.routes import ExpressionV1
from hume_runner.emulator.faults import parse_faults
from hume_runner.emulator.storage import Storage
from hume_runner.scratch import EMULATOR, Scratch

# One entry an API; each brings its routes and what runs beside them.
ROUTE_GROUPS: tuple[Callable[[Context], RouteGroup], ...] = (BatchV0, ExpressionV1)
_THREADS = 4
_START_TIMEOUT_S = 30.0
# What is made below the data folder.
_OWN = ("emulator.sqlite3", "expression.sqlite3", "incoming", "uploads", "late")


class Emulator:
    """A measurement service on this machine. Scores are simulated; every answer says so in a header.

    `port` 0 takes a free one. `data` keeps jobs over restarts; None means a temporary folder that goes with `stop`.
    Without `api_keys` one is made, and kept in `data`. `faults` as `POST /_emulator/faults` takes them.
    Raises on `start`: UsageError where the address cannot be bound or the data folder cannot be used.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        data: Path | None = None,
        api_keys: Sequence[str] = (),
        processing_time_s: float = 0.2,
        max_concurrent_jobs: int = 50,
        seed: int = 0,
        faults: Sequence[Mapping[str, Any]] = (),
        difficulties: Mapping[str, Any] | None = None,
        max_upload_bytes: int = 100_000_000,
    ) -> None:
        if max_concurrent_jobs < 1:
            raise UsageError("max_concurrent_jobs must be at least 1")
        self._host = host
        self._port = port
        self._data = data
        self._api_keys = tuple(api_keys)
        self._processing_time_s = processing_time_s
        self._max_concurrent_jobs = max_concurrent_jobs
        self._seed = seed
        self._max_upload_bytes = max_upload_bytes
        self._faults = parse_faults(faults, seed=seed)
        self._difficulties = parse_difficulties(dict(difficulties or {}), seed=seed)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._server: _Server | None = None
        self._context: Context | None = None
        self._temporary: Scratch | None = None
        self._failure: BaseException | None = None
        self.url = ""
        self.api_key = self._api_keys[0] if self._api_keys else ""

    def start(self) -> None:
        """Return when the server accepts connections."""
        if self._thread is not None:
            raise UsageError("the emulator is already running")
        try:
            family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
            listener = socket.create_server((self._host, self._port), family=family, backlog=1024)
        except OSError as error:
            raise UsageError(f"cannot listen on {self._host}:{self._port}: {error.strerror or error}") from error
        try:
            context = self._open()
        except BaseException:
            listener.close()
            self._remove_temporary()
            raise
        port = listener.getsockname()[1]
        shown = f"[{self._host}]" if ":" in self._host else self._host
        self.url = f"http://{shown}:{port}"
        self.api_key = context.keys[0]
        self._context = context
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(context, listener, ready), name="hume-emulator", daemon=True
        )
        self._thread.start()
        ready.wait(_START_TIMEOUT_S)
        if self._failure is not None:
            failure, self._failure = self._failure, None
            self.stop()
            raise failure

    def _open(self) -> Context:
        folder = self._data
        if folder is None:
            self._temporary = Scratch(EMULATOR)
            folder = self._temporary.path
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name in _OWN:
                refuse_links(folder, name)
            storage = Storage(folder)
        except LinkInTheWay:
            raise
        except Exception as error:
            raise UsageError(f"cannot keep the emulator's data in {folder}: {error}") from error
        generated = storage.remembered("api_key", "emulated-" + secrets.token_hex(16))
        return Context(
            storage=storage,
            data=folder,
            keys=self._api_keys or (generated,),
            seed=self._seed,
            processing_time_s=self._processing_time_s,
            max_concurrent_jobs=self._max_concurrent_jobs,
            clock=Clock(),
            pool=ThreadPoolExecutor(_THREADS, thread_name_prefix="hume-emulator-worker"),
            limits=Limits(upload_bytes=self._max_upload_bytes),
            faults=self._faults,
            difficulties=self._difficulties,
        )

    def _run(self, context: Context, listener: socket.socket, ready: threading.Event) -> None:
        try:
            asyncio.run(self._serve(context, listener, ready))
        except BaseException as failure:  # handed to the thread that started us
            self._failure = failure
        finally:
            context.closing.set()
            context.pool.shutdown(wait=True, cancel_futures=True)
            context.storage.close()
            listener.close()
            ready.set()

    async def _serve(self, context: Context, listener: socket.socket, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        groups = [create(context) for create in ROUTE_GROUPS]
        self._server = server = _Server(app_of(context, groups), ready)
        beside = [asyncio.create_task(work) for group in groups for work in group.background()]
        try:
            await server.serve(sockets=[listener])
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    def stop(self) -> None:
        """Close all connections, end what runs and remove temporary data. Stopping twice is fine."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if self._context is not None:
            self._context.closing.set()
        if self._server is not None:
            self._server.should_exit = True
        thread.join()
        self._server = None
        self._remove_temporary()

    def _remove_temporary(self) -> None:
        temporary, self._temporary = self._temporary, None
        if temporary is not None:
            temporary.close()

    def requests(self) -> dict[str, Any]:
        """What `GET /_emulator/requests` answers; also readable after `stop`."""
        if self._context is None:
            raise UsageError("the emulator has not been started")
        return self._context.log.snapshot()

    def inject(self, faults: Sequence[Mapping[str, Any]]) -> None:
        """What `POST /_emulator/faults` does: these faults replace all earlier ones, and count from now on."""
        plan = parse_faults(faults, seed=self._seed)
        self._faults = plan
        if self._context is not None:
            self._context.faults = plan

    def make_difficult(self, difficulties: Mapping[str, Any]) -> None:
        """What `POST /_emulator/difficulties` does: these replace all earlier ones; none of them is an easy host."""
        made = parse_difficulties(dict(difficulties), seed=self._seed)
        self._difficulties = made
        if self._context is not None:
            self._context.difficulties = made

    def advance(self, seconds: float) -> None:
        """What `POST /_emulator/clock` does: move the host's time on, and whatever waits for it."""
        if self._context is None or self._loop is None:
            raise UsageError("the emulator has not been started")
        clock, done = self._context.clock, threading.Event()

        def move() -> None:
            clock.advance(seconds)
            done.set()

        self._loop.call_soon_threadsafe(move)
        done.wait(_START_TIMEOUT_S)

    def __enter__(self) -> Emulator:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Protocol(H11Protocol):
    """Puts the connection into each request's scope, so that a fault can close it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # Head and body of an answer are two writes; asyncio sets this only on sockets made with IPPROTO_TCP.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.app_state = {**self.app_state, "transport": transport}


class _Server(uvicorn.Server):
    """uvicorn without its logs and signals, which says when it is ready and leaves without waiting for anybody."""

    def __init__(self, app: Any, ready: threading.Event) -> None:
        config = uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,  # the gateway knows what time it is here
            timeout_keep_alive=75,
        )
        super().__init__(config)
        # Its complaints are about connections that faults broke on purpose.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        await self.on_tick(0)
        self._ready.set()

    async def main_loop(self) -> None:
        ticks = 0
        until = time.monotonic()
        while not self.should_exit:
            await asyncio.sleep(0.02)
            if time.monotonic() >= until:
                until, ticks = time.monotonic() + 0.5, ticks + 10
                await self.on_tick(ticks)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for _ in range(5):
            # A connection that was being accepted just now becomes one of ours only some steps of the loop later.
            await asyncio.sleep(0)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for server in self.servers:
            await server.wait_closed()
