"""Small workers that act while the loop decides. Threads are daemons: a second Ctrl-C must not wait for an upload."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Done:
    """The end of one action: its tag, and either its value or the exception it raised."""

    tag: Any
    value: Any = None
    error: BaseException | None = None


class Workers(Protocol):
    """Where actions run. Results come back one by one, to the loop's own thread."""

    def start(self, tag: Any, action: Callable[[], Any]) -> None: ...

    def take(self, timeout_s: float) -> Done | None:
        """The next result, waiting at most that long; None if none came."""
        ...

    def post(self, done: Done) -> None:
        """Hand the loop a message from outside, such as a signal."""
        ...

    def close(self) -> None: ...


class ThreadWorkers:
    """`size` threads, started as they are needed; fewer where the machine has no more.

    Raises: RuntimeError where it has none at all.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._todo: queue.SimpleQueue[tuple[Any, Callable[[], Any]] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Done] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._active = 0
        # One at once, so that a machine without a thread to spare is found out before anything is begun.
        self._add_thread()

    def start(self, tag: Any, action: Callable[[], Any]) -> None:
        self._active += 1
        if len(self._threads) < min(self._size, self._active):
            self._add_thread()
        self._todo.put((tag, action))

    def _add_thread(self) -> None:
        thread = threading.Thread(target=self._work, name=f"hume-runner-{len(self._threads)}", daemon=True)
        try:
            thread.start()
        except (RuntimeError, MemoryError):
            # The machine has no more threads: those that there are do the work, one action after another.
            if not self._threads:
                raise
            self._size = len(self._threads)
        else:
            self._threads.append(thread)

    def _work(self) -> None:
        while (task := self._todo.get()) is not None:
            tag, action = task
            try:
                self._done.put(Done(tag, value=action()))
            except BaseException as error:
                self._done.put(Done(tag, error=error))

    def take(self, timeout_s: float) -> Done | None:
        try:
            done = self._done.get(timeout=timeout_s) if timeout_s > 0 else self._done.get_nowait()
        except queue.Empty:
            if self._active and not all(thread.is_alive() for thread in self._threads):
                # Only want of memory ends one of them, and what it worked on will never be answered.
                raise MemoryError("a worker has died") from None
            return None
        if not isinstance(done.tag, str):
            self._active -= 1
        return done

    def post(self, done: Done) -> None:
        self._done.put(done)

    def close(self) -> None:
        for _ in self._threads:
            self._todo.put(None)
