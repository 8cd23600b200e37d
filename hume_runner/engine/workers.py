"""Small workers that act while the loop decides. Threads are daemons: a second Ctrl-C must not wait for an upload."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from typing import Protocol

from hume_runner.engine.errands import Came, Errand
from hume_runner.engine.view import Action
from hume_runner.frozen import frozen


@frozen(kw_only=False)
class Done:
    """An action whose errand is done, and what it came back with."""

    action: Action
    came: Came


@frozen(kw_only=False)
class Failed:
    """An action whose errand raised."""

    action: Action
    error: BaseException


@frozen(kw_only=False)
class Interrupt:
    """A signal, as the loop sees it. `exit_code` is 130 or 143, or 64 where nobody can be told any more."""

    exit_code: int
    name: str


@frozen(kw_only=False)
class Order:
    """What somebody asks of the run while it goes on: `status`, `pause`, `resume`, `drain` or `set`, with what is to be
    set. `answer` takes what the loop says, in the loop's thread."""

    command: str
    settings: Mapping[str, int | float]
    answer: Callable[[Mapping[str, object]], None]


Message = Done | Failed | Interrupt | Order


class Workers(Protocol):
    """Where actions run. Results come back one by one, to the loop's own thread."""

    def start(self, action: Action, errand: Errand) -> None: ...

    def take(self, timeout_s: float) -> Message | None:
        """The next result, waiting at most that long; None if none came."""
        ...

    def post(self, message: Interrupt | Order) -> None:
        """Hand the loop a signal, or what somebody asks."""
        ...

    def resize(self, more: int) -> None:
        """So many more at one time, or fewer if it is below zero."""
        ...

    def close(self) -> None: ...


class ThreadWorkers:
    """`size` threads, started as they are needed; fewer where the machine has no more.

    Raises: RuntimeError where it has none at all.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._todo: queue.SimpleQueue[tuple[Action, Errand] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._active = 0
        # One at once, so that a machine without a thread to spare is found out before anything is begun.
        self._add_thread()

    def start(self, action: Action, errand: Errand) -> None:
        self._active += 1
        if len(self._threads) < min(self._size, self._active):
            self._add_thread()
        self._todo.put((action, errand))

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
            action, errand = task
            try:
                self._done.put(Done(action, errand()))
            except Exception as error:
                self._done.put(Failed(action, error))
            except BaseException as error:
                # What breaks off inside a library is no Exception: the loop takes it for the fault that it is, and
                # waits for all that is on its way.
                fault = RuntimeError(f"{type(error).__name__}: {error}")
                fault.__cause__ = error
                self._done.put(Failed(action, fault))

    def take(self, timeout_s: float) -> Message | None:
        try:
            done = self._done.get(timeout=timeout_s) if timeout_s > 0 else self._done.get_nowait()
        except queue.Empty:
            if self._active and not all(thread.is_alive() for thread in self._threads):
                # Only want of memory ends one of them, and what it worked on will never be answered.
                raise MemoryError("a worker has died") from None
            return None
        if not isinstance(done, Interrupt | Order):
            self._active -= 1
        return done

    def resize(self, more: int) -> None:
        # Threads that are there stay; what they are given is the loop's to bound.
        self._size = max(1, self._size + more)

    def post(self, message: Interrupt | Order) -> None:
        self._done.put(message)

    def close(self) -> None:
        for _ in self._threads:
            self._todo.put(None)
