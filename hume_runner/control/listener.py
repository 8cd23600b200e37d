"""The run's end: takes one line after another, hands each to the run, and sends back what it says.

Whoever connects can do nothing but ask: lines are short, few are served at a time, nobody is waited for long, and what
goes wrong with one is told to that one alone.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hume_runner import small_json
from hume_runner.control.address import is_socket, short_name

# What the run says to a request.
Answer = Mapping[str, Any]
Handle = Callable[[Mapping[str, Any]], Answer]

MOST_BYTES = 4096
_MOST_CLIENTS = 8
_PATIENCE_S = 10.0


class Listener:
    """Listens at `path` until it is closed. Whoever makes one holds the state's lock, so that a socket which is there
    already was left by a run that is dead.

    Raises: OSError where there can be no socket, or something else is in its place.
    """

    def __init__(self, path: Path, handle: Handle) -> None:
        self._path = path
        self._handle = handle
        self._served = threading.BoundedSemaphore(_MOST_CLIENTS)
        self._open = True
        if is_socket(path):
            path.unlink()
        elif os.path.lexists(path):
            raise FileExistsError(
                errno.EEXIST, "the name is in use by something else; remove it for the next run", str(path)
            )
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # Before it has a name: at no moment may another user connect.
            os.fchmod(self._socket.fileno(), 0o600)
            with short_name(path) as name:
                self._socket.bind(name)
            path.chmod(0o600)
            self._inode = path.lstat().st_ino
            self._socket.listen(_MOST_CLIENTS)
        except BaseException:
            self._socket.close()
            raise
        threading.Thread(target=self._accept, name="hume-runner-ctl", daemon=True).start()

    def close(self) -> None:
        """Listen no more, and take the socket away; one that another run has put there stays."""
        self._open = False
        with contextlib.suppress(OSError):
            # Wakes the thread that waits in accept, which closing alone does not.
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        with contextlib.suppress(OSError):
            if self._path.lstat().st_ino == self._inode:
                self._path.unlink()

    def _accept(self) -> None:
        while self._open:
            try:
                client, _ = self._socket.accept()
            except OSError:
                continue  # closed, or out of descriptors for a moment
            if not self._served.acquire(blocking=False):
                _send(client, {"ok": False, "error": "too many are talking to this run", "hint": "try again"})
                client.close()
                continue
            try:
                threading.Thread(target=self._serve, args=(client,), name="hume-runner-ctl", daemon=True).start()
            except (RuntimeError, MemoryError):  # no more threads: the work goes first
                client.close()
                self._served.release()

    def _serve(self, client: socket.socket) -> None:
        try:
            client.settimeout(_PATIENCE_S)
            with client, client.makefile("rb") as lines:
                while self._open:
                    line = lines.readline(MOST_BYTES + 1)
                    if not line:
                        return
                    if len(line) > MOST_BYTES:
                        _send(client, {"ok": False, "error": f"longer than {MOST_BYTES} bytes"})
                        return
                    _send(client, self._answer(line))
        except OSError:
            return  # it went away, or said nothing for too long
        finally:
            self._served.release()

    def _answer(self, line: bytes) -> Answer:
        try:
            asked = small_json.parsed(line)
        except ValueError:
            return {"ok": False, "error": "not JSON"}
        if not isinstance(asked, dict):
            return {"ok": False, "error": "not a JSON object"}
        try:
            return self._handle(asked)
        except Exception as error:  # whatever it is, the run goes on
            return {"ok": False, "error": f"{type(error).__name__}: {error}"}


def _send(client: socket.socket, answer: Answer) -> None:
    with contextlib.suppress(OSError):
        client.sendall(json.dumps(answer, ensure_ascii=False).encode() + b"\n")
