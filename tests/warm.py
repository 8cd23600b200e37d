"""Programs of Python that cost a fork instead of an interpreter's start, see `tests.warm_server`.

`WarmPopen` is `subprocess.Popen` for `[sys.executable, "-m" or "-c", …]`; `program` writes a file that a shell calls.
"""

from __future__ import annotations

import atexit
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

_MAY_BE_IGNORED = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)

# What a shell starts: an interpreter with next to nothing in it, which hands its streams on and ends as the child does.
_CALL = """
import json, os, socket, sys
to = socket.socket(socket.AF_UNIX)
to.connect({path!r})
told = dict(args=["-m", {module!r}, *sys.argv[1:]], cwd=os.getcwd(), env=dict(os.environ), session=False, ignored=[])
socket.send_fds(to, [json.dumps(told).encode() + b"\\n"], [0, 1, 2])
answer = to.makefile()
answer.readline()
code = os.waitstatus_to_exitcode(int(answer.readline()))
if code < 0:
    os.kill(os.getpid(), -code)
os._exit(code)
"""


class _Server:
    """The process that forks, started when somebody first asks and ended with this one."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="warm-")
        self.path = str(Path(self._folder.name) / "s")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.warm_server", self.path],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        self._until_it_listens()

    def _until_it_listens(self) -> None:
        while True:  # the test's own limit ends it
            with socket.socket(socket.AF_UNIX) as trying:
                if trying.connect_ex(self.path) == 0:
                    return
            assert self._process.poll() is None, "the server of warm programs ended"
            time.sleep(0.02)

    def close(self) -> None:
        self._process.communicate()
        self._folder.cleanup()


_servers: list[_Server] = []


def server() -> _Server:
    if not _servers:
        _servers.append(_Server())
        atexit.register(close)  # for those who are no test session
    return _servers[0]


def close() -> None:
    while _servers:
        _servers.pop().close()


class WarmPopen(subprocess.Popen[Any]):
    """`Popen`, whose process is the child of another: started and waited for over a connection to that one.

    It stands on three methods of `Popen` that are its own; all that is public (pipes, time-outs, signals) stays as is.
    """

    def _execute_child(self, args: Any, *rest: Any) -> None:  # type: ignore[override]
        _executable, preexec, _close, pass_fds, cwd, env, _info, _flags, shell, *left = rest
        in_read, in_write, out_read, out_write, err_read, err_write, _signals, *_ids, session, _group = left
        assert not any((preexec, pass_fds, shell))
        assert args[0] == sys.executable
        told = {
            "args": [os.fspath(word) for word in args[1:]],
            "cwd": os.fspath(cwd or Path.cwd()),
            "env": dict(os.environ if env is None else env),
            "session": bool(session),
            "ignored": [one for one in _MAY_BE_IGNORED if signal.getsignal(one) is signal.SIG_IGN],
        }
        streams = [0 if in_read == -1 else in_read, 1 if out_write == -1 else out_write]
        streams.append(2 if err_write == -1 else err_write)
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(server().path)
        socket.send_fds(self._connection, [json.dumps(told).encode() + b"\n"], streams)
        self._child_created = True
        self.pid = int(self._line())
        self._close_pipe_fds(in_read, in_write, out_read, out_write, err_read, err_write)  # type: ignore[attr-defined]

    def _line(self) -> bytes:
        found = b""
        while not found.endswith(b"\n"):
            block = self._connection.recv(1)
            assert block, "the server of warm programs ended"
            found += block
        return found

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        if wait_flags & os.WNOHANG:
            self._connection.setblocking(False)
            try:
                self._connection.recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                return 0, 0
            finally:
                self._connection.setblocking(True)
        status = int(self._line())
        self._connection.close()
        return self.pid, status

    def _internal_poll(self, _deadstate: Any = None, *_: Any) -> int | None:
        if self.returncode is None and self._waitpid_lock.acquire(False):
            try:
                if self.returncode is None:
                    pid, status = self._try_wait(os.WNOHANG)
                    if pid:
                        self._handle_exitstatus(status)
            finally:
                self._waitpid_lock.release()
        return self.returncode


def run(args: list[str], **how: Any) -> subprocess.CompletedProcess[Any]:
    """`subprocess.run` of such a program, without its `input`."""
    timeout, check = how.pop("timeout", None), how.pop("check", False)
    if how.pop("capture_output", False):
        how |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with WarmPopen(args, **how) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(args, process.returncode, out, err)
    if check:
        done.check_returncode()
    return done


def program(path: Path, module: str = "hume_runner") -> None:
    """An executable file that a shell calls in place of an installed command."""
    path.with_suffix(".py").write_text(_CALL.format(path=server().path, module=module))
    path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -I -S {path.with_suffix(".py")} "$@"\n')
    path.chmod(0o755)
