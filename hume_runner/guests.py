"""Others' code in the process of a command: where what it writes goes, and that it does not end the process.

Imported at every start: it imports little."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from typing import NoReturn

# So long a process waits for what others' code left in it to tidy up.
_LEAVE_S = 2.0
# Where words go is one place for all threads.
_ASKING = threading.RLock()


class WantedToLeave(Exception):
    """Others' code called for the end of this process."""


class _Guests:
    """What holds from the moment on at which others' code came into this process: its threads, and what it registered
    for the end, outlive the question that it was asked."""

    def __init__(self) -> None:
        self.came = False
        self._output_is_copied = False

    def copied_output(self) -> int:
        """A descriptor of the command's own for its result. From then on others' code, whatever it is written in and
        whichever thread of it writes, finds behind 1 what people read."""
        self._output_is_copied = True
        return os.dup(1)

    def let_in(self) -> None:
        self.came = True
        if self._output_is_copied:
            os.dup2(2, 1)

    @staticmethod
    def leave_soon(code: int) -> None:
        """The process ends within seconds, and with this code, whatever others' threads and last words do."""
        leave = os._exit

        def wait() -> None:
            threading.Event().wait(_LEAVE_S)
            leave(code)

        with contextlib.suppress(RuntimeError, MemoryError):  # a machine without a thread for it waits
            threading.Thread(target=wait, daemon=True).start()
        here = os.getpid()
        os._exit = lambda status: leave(code if os.getpid() == here else status)


GUESTS = _Guests()


@contextlib.contextmanager
def others_code() -> Iterator[None]:
    """Others' code is asked something in this process meanwhile: what it prints goes where words for people go, since
    standard output carries the result alone (whoever writes that has its stream already). Nor does it end the process:
    whoever waits for us would take its exit code for ours."""
    with _ASKING, contextlib.redirect_stdout(sys.stderr):
        GUESTS.let_in()
        leave, here = os._exit, os.getpid()

        def stay(status: int) -> NoReturn:
            if os.getpid() != here:  # a child that it forked
                leave(status)
            raise WantedToLeave(f"it ends the process that asks it, with exit code {status}")

        os._exit = stay
        try:
            yield
        finally:
            os._exit = leave
