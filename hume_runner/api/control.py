"""What may end a run before it is done."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from hume_runner.errors import Cancelled

# Takes the exit code and the name of what asks for the end.
Post = Callable[[int, str], None]


class Control(Protocol):
    """What may end a run before it is done."""

    @property
    def signalled(self) -> int | None:
        """The exit code that was asked for; None as long as nobody asked."""
        ...

    def open(self, post: Post) -> None:
        """The run's loop takes messages from here on. May raise, if something came before."""
        ...

    def finishing(self) -> None:
        """The work is over, and the outputs are written. May raise to leave without them."""
        ...


class Cancel:
    """Ends a run from another thread, or from its `on_event`: call it.

    Once: nothing more is submitted, and what is on its way is finished. Twice: the run leaves at once. Both leave a
    state that resumes, and the run's result has the exit code 130. While the run starts up, before anything was begun:
    `run` raises Cancelled, unless there is nothing to do. One that was called is spent: the next run takes a new one.
    """

    def __init__(self) -> None:
        self.signalled: int | None = None
        self._lock = threading.Lock()
        self._post: Post | None = None

    def __call__(self) -> None:
        with self._lock:
            self.signalled = 130
            if self._post is not None:
                self._post(130, "cancel")

    def open(self, post: Post) -> None:
        with self._lock:
            if self.signalled is not None:
                raise Cancelled("cancelled before anything was sent", hint="run it again whenever you like")
            self._post = post

    def finishing(self) -> None:
        with self._lock:
            self._post = None
