"""Forks programs of Python from one process that has their imports done: `python -m tests.warm_server SOCKET`.

A connection to SOCKET is one program. It begins with a line of JSON `{"args", "cwd", "env", "session", "ignored"}` and
with the three descriptors that become its standard streams; `args` is what would stand behind the interpreter's name,
`-m MODULE …` or `-c CODE …`, and `ignored` names signals. The answer is two lines, its process's number at once and
what it ended with (`waitpid`'s status) at its end. The child is a process like any other: it may be killed, stopped
and measured, and ends as Python ends.

Where a child has to be a fresh interpreter (its flags, its imports, the environment that Python itself reads at its
start), a test starts one.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import tempfile
import threading
import time
import types
from collections.abc import Mapping
from typing import Any

# What a run of any API imports on its way, beside the package itself. Nothing here may start a thread.
IMPORTED = (
    *("av", "av.codec.context", "av.filter", "av.video.codeccontext", "requests.adapters", "filelock", "yaml"),
    *("hume_runner.api.functions", "hume_runner.api.measurers", "hume_runner.cli.progress", "hume_runner.cli.run"),
    *("hume_runner.cli.signals", "hume_runner.cli.streams", "hume_runner.cli.main", "hume_runner.cli.plan"),
    *("hume_runner.cli.emulate", "hume_runner.cli.state", "hume_runner.cli.status", "hume_runner.cli.validate"),
    *("hume_runner.emulator.server", "hume_runner.engine.run", "hume_runner.http.access"),
    *("hume_runner.http.json_stream", "hume_runner.http.retry", "hume_runner.http.transport"),
    *("hume_runner.http.upload", "hume_runner.manifest.load", "hume_runner.manifest.schema"),
    *("hume_runner.media.archives", "hume_runner.media.audio", "hume_runner.media.cache", "hume_runner.media.cuts"),
    *("hume_runner.media.frames", "hume_runner.media.stills", "hume_runner.registry", "hume_runner.results.finish"),
    *("hume_runner.services.batch_v0.client", "hume_runner.services.batch_v0.service"),
    *("hume_runner.services.expression_v1.client", "hume_runner.services.expression_v1.service"),
    *("hume_runner.services.local.service", "hume_runner.sources", "hume_runner.wiring"),
)
# Signals that a program has as the system gives them, whatever this process makes of them.
_PLAIN = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1, signal.SIGUSR2)


class Server:
    """Programs under way, by process number, and the connections that wait for their ends."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(path)
        self._socket.listen(64)
        self._running: dict[int, socket.socket] = {}
        self._reading, self._woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a child may get it at once, and says nothing

    def serve(self) -> Mapping[str, Any] | None:
        """What to be, in a child; None once whoever started this process is gone."""
        with selectors.DefaultSelector() as selector:
            for one in (self._socket, self._reading, sys.stdin):
                selector.register(one, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._socket:
                        told = self._begin()
                        if told is not None:
                            return told
                    elif key.fileobj is sys.stdin:
                        return None
                    else:
                        with contextlib.suppress(BlockingIOError):
                            os.read(self._reading, 4096)
                self._reap()

    def _begin(self) -> Mapping[str, Any] | None:
        connection, _ = self._socket.accept()
        head, streams, _, _ = socket.recv_fds(connection, 1 << 16, 3)
        while head and not head.endswith(b"\n"):
            head += connection.recv(1 << 16)
        if not head:  # somebody only looked whether this process listens
            connection.close()
            return None
        pid = os.fork()
        if pid:
            for one in streams:
                os.close(one)
            self._running[pid] = connection
            with contextlib.suppress(OSError):
                connection.sendall(f"{pid}\n".encode())
            return None
        self._leave(connection)
        told: dict[str, Any] = json.loads(head)
        if told["session"]:
            os.setsid()
        for number, one in enumerate(streams):
            os.dup2(one, number)
        for one in streams:
            if one > 2:
                os.close(one)
        return told

    def _leave(self, connection: socket.socket) -> None:
        """What is this process's own is not the child's."""
        signal.set_wakeup_fd(-1)
        for one in (self._socket, connection, *self._running.values()):
            one.close()
        for end in (self._reading, self._woken):
            os.close(end)

    def _reap(self) -> None:
        while self._running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            with self._running.pop(pid) as connection, contextlib.suppress(OSError):
                connection.sendall(f"{status}\n".encode())


def become(told: Mapping[str, Any]) -> None:
    """The program, in this process."""
    for number in _PLAIN:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in told["ignored"]:  # as what is ignored stays ignored in a program that is started
        signal.signal(number, signal.SIG_IGN)
    os.chdir(told["cwd"])
    os.environ.clear()
    os.environ.update(told["env"])
    time.tzset()
    tempfile.tempdir = None
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        errors = "backslashreplace" if name == "stderr" else "strict"
        stream = open(number, mode, encoding="utf-8", errors=errors, closefd=False, buffering=1)  # noqa: SIM115
        if name == "stdout" and not os.isatty(1):
            stream.reconfigure(line_buffering=False)  # type: ignore[attr-defined]
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    kind, what, *words = told["args"]
    given = told["env"].get("PYTHONPATH", "").split(os.pathsep)
    forget()
    sys.path[:] = [told["cwd"] if kind == "-m" else "", *filter(None, given), *sys.path[1:]]
    sys.argv = [what if kind == "-m" else "-c", *words]
    if kind == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        main = types.ModuleType("__main__")
        sys.modules["__main__"] = main
        exec(compile(what, "<string>", "exec"), main.__dict__)


def forget() -> None:
    """What was found once and kept: which packages there are depends on where a program looks."""
    for name, module in [*sys.modules.items()]:
        if name.partition(".")[0] == "hume_runner":
            for one in vars(module).values():
                if callable(clear := getattr(one, "cache_clear", None)):
                    clear()


def prepare() -> None:
    for name in IMPORTED:
        importlib.import_module(name)
    assert threading.active_count() == 1
    gc.collect()
    gc.freeze()  # or each child's first collection copies every page


if __name__ == "__main__":
    prepare()
    _, where = sys.argv
    _server = Server(where)
    _told = _server.serve()
    if _told is not None:
        become(_told)
