"""One request's life on the wire: whether any of it was sent, and a total deadline that a slow server cannot stretch.

A read timeout starts anew with every byte, so a server that sends one byte every few seconds holds a worker for ever. A
watchdog thread, shared by all requests, shuts the socket down instead; whoever waits on it wakes up at once.
"""

from __future__ import annotations

import heapq
import itertools
import socket
import threading
import time
from contextlib import suppress

IDLE_S = 5.0  # how long the watchdog thread stays when there is nothing to watch, and how often it tidies up


class Exchange:
    """What is known about one request and its answer while they are on their way.

    `sent` turns True immediately before the first byte of the request is handed to the operating system, and not for
    a TLS handshake or a proxy's CONNECT: while it is False, the service cannot have seen anything of the request.
    """

    def __init__(self, *, deadline_s: float, read_timeout_s: float) -> None:
        self.deadline_s = deadline_s
        self.read_timeout_s = read_timeout_s
        self.ends_at = time.monotonic() + deadline_s
        self.sent = False
        self.expired = False
        self._lock = threading.Lock()
        self._guard: socket.socket | None = None
        self._finished = False

    def attach(self, sock: socket.socket) -> None:
        """Remember the socket, by a descriptor of our own: TLS wraps it, and the HTTP library closes it at will."""
        guard = socket.fromfd(sock.fileno(), sock.family, sock.type)
        with self._lock:
            old, self._guard = self._guard, guard
            if self.expired:
                _shut(guard)
        if old is not None:
            old.close()

    @property
    def attached(self) -> bool:
        return self._guard is not None

    def expire(self) -> None:
        """The time is up: end the connection, unless the answer is complete."""
        with self._lock:
            if self._finished:
                return
            self.expired = True
            if self._guard is not None:
                _shut(self._guard)

    def finish(self) -> None:
        """The answer is complete, or nobody wants the rest. Safe to call twice."""
        with self._lock:
            self._finished = True
            guard, self._guard = self._guard, None
        if guard is not None:
            guard.close()

    @property
    def finished(self) -> bool:
        return self._finished


def _shut(sock: socket.socket) -> None:
    with suppress(OSError):  # already closed by the other side
        sock.shutdown(socket.SHUT_RDWR)


class Watchdog:
    """Ends exchanges at their deadlines. One daemon thread, started when needed, gone when idle.

    An exchange that is finished is forgotten within `idle_s` seconds, however far its deadline is: neither the thread
    nor the memory of thousands of short requests stays until then.
    """

    def __init__(self, idle_s: float = IDLE_S) -> None:
        self._idle_s = idle_s
        self._changed = threading.Condition()
        self._queue: list[tuple[float, int, Exchange]] = []
        self._count = itertools.count()
        self._thread: threading.Thread | None = None
        self._closed = False

    def watch(self, exchange: Exchange) -> None:
        with self._changed:
            heapq.heappush(self._queue, (exchange.ends_at, next(self._count), exchange))
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="hume-runner-deadlines", daemon=True)
                thread.start()  # raises RuntimeError when the machine has no more threads
                self._thread = thread
            elif self._queue[0][2] is exchange:
                self._changed.notify()

    def close(self) -> None:
        """Let the thread go. Exchanges that still run lose their total deadline and keep their read timeout."""
        with self._changed:
            self._closed = True
            self._queue.clear()
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                due = self._next_due()
                if due is None:
                    return
            due.expire()

    def _next_due(self) -> Exchange | None:
        """Wait for the next exchange whose time is up; None when the thread should end."""
        while not self._closed:
            self._queue = [entry for entry in self._queue if not entry[2].finished]
            heapq.heapify(self._queue)
            if not self._queue:
                if not self._changed.wait(self._idle_s) and not self._queue:
                    break
                continue
            wait = self._queue[0][0] - time.monotonic()
            if wait <= 0:
                return heapq.heappop(self._queue)[2]
            self._changed.wait(min(wait, self._idle_s))
        self._thread = None
        return None
