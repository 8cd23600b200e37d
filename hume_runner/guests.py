"""Others' code in the process of a command: where what it writes goes, and that it does not end the process.

A guest is whoever's code came in: a measurer of another package, or what makes an executor and that executor. Imported
at every start: it imports little."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from hume_runner.errors import HumeRunnerError

# So long a process waits for what others' code left in it to tidy up.
_LEAVE_S = 2.0
# So long a thread goes on that others wait for: more than it takes to end some processes, and no time to wait for where
# a thread of theirs computes for ever.
_TURN_S = 0.2
# Where words go is one place for all threads.
_ASKING = threading.RLock()
# Before anybody could put another in its place.
_exit = os._exit
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class WantedToLeave(Exception):
    """Others' code called for the end of this process."""


class _Guests:
    """What holds from the moment on at which others' code came into this process: its threads, and what it registered
    for the end, outlive the question that it was asked."""

    def __init__(self) -> None:
        self.came = False
        self.stays = False  # whether the process is the command's, and no other program's that calls us
        self._process = 0  # which it is: a child that others' code forks has all of this as well
        self._code: int | None = None  # with which the process ends, once all is said

    def copied_output(self) -> int:
        """A descriptor of the command's own for its result. From then on others' code, whatever it is written in and
        whichever thread of it writes, finds behind 1 what people read, and has no other way to end the process than
        past Python."""
        self.stays = True
        return os.dup(1)

    def let_in(self) -> None:
        """Others' code is about to be asked, and may go on for as long as this process lives."""
        self.came = True
        self._process = os.getpid()
        if self.stays:
            os.dup2(2, 1)
            self.bar()

    def bar(self) -> None:
        """Whoever asks for the end of this process is refused."""
        os._exit = self._stay

    def _stay(self, status: int) -> NoReturn:
        if os.getpid() != self._process:
            _exit(status)
        if self._code is not None:  # all is said, and they may have their will
            self.leave(self._code)
        raise WantedToLeave(f"it ends the process that asks it, with exit code {status}")

    def unset_handlers(self) -> None:
        """No signal is theirs any more: what a handler of theirs raises while the last words are said would be taken
        for what the command itself ends with. For the main thread."""
        if not (self.came and self.stays):
            return
        for number in signal.valid_signals():
            handler = signal.getsignal(number)
            if callable(handler) and handler is not signal.default_int_handler and not _is_ours(handler):
                signal.signal(number, signal.SIG_IGN)

    def leave_soon(self, code: int) -> None:
        """All is said. The process ends within seconds, and with this code, whatever others' threads, pools and last
        words do; what they raise is no traceback of the command's."""
        self._code = code
        sys.unraisablehook = lambda what: _say_unheard(what.exc_value)
        threading.excepthook = lambda what: _say_unheard(what.exc_value)

        def wait() -> None:
            threading.Event().wait(_LEAVE_S)
            self.leave(code)

        with contextlib.suppress(RuntimeError, MemoryError):  # a machine without a thread for it waits
            threading.Thread(target=wait, daemon=True).start()

    def leave(self, code: int) -> NoReturn:
        """At once, and with the processes that others' code has by `multiprocessing`, as pools do: they would wait for
        work for ever."""
        if self.came:
            with contextlib.suppress(BaseException):
                _end_children()
        _exit(code)


GUESTS = _Guests()


def _end_children() -> None:
    processes = sys.modules.get("multiprocessing.process")
    if processes is None:
        return
    living = processes.active_children()
    sys.setswitchinterval(_TURN_S)  # a pool's thread would start a process anew for each that ends
    for one in living:
        one.kill()


def _say_unheard(error: BaseException | None) -> None:
    # SystemExit and this one are an end that was asked for, and it comes.
    if error is not None and not isinstance(error, WantedToLeave | SystemExit):
        with contextlib.suppress(Exception):
            from hume_runner.errors import in_a_line

            print(f"what others' code left for the end failed: {in_a_line(error)}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def others_code() -> Iterator[None]:
    """Others' code is asked something in this process meanwhile: what it prints goes where words for people go, since
    standard output carries the result alone (whoever writes that has its stream already). Nor does it end the process:
    whoever waits for us would take its exit code for ours. Signals stay whose they were."""
    with _ASKING, contextlib.redirect_stdout(sys.stderr), signals_kept():
        before = os._exit
        GUESTS.let_in()
        GUESTS.bar()
        try:
            with no_child_of_theirs():
                yield
        finally:
            if not GUESTS.stays:  # another program's process, which it may end as it likes
                os._exit = before


@contextlib.contextmanager
def no_child_of_theirs() -> Iterator[None]:
    """A child that others' code forks meanwhile, and that comes back to us, ends: it would do a second time what we do,
    and hold the lock of the state."""
    here = os.getpid()
    try:
        yield
    finally:
        if os.getpid() != here:
            _exit(0)


@contextlib.contextmanager
def signals_kept() -> Iterator[None]:
    """Whatever others' code makes of signals meanwhile, afterwards they are whose they were."""
    if threading.current_thread() is not threading.main_thread():  # elsewhere nobody can change them
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # None: of somebody who is not Python, and cannot be put back
                signal.signal(number, handler)


def _is_ours(what: object) -> bool:
    """Whether it stands in this package."""
    return str(getattr(what, "__module__", "")).partition(".")[0] == __name__.partition(".")[0]


def of_a_signal(error: BaseException) -> bool:
    """Whether an exception came from outside, and not from the code that was under way: what our own handlers raise,
    or Python's where nobody else handles Ctrl-C."""
    if isinstance(error, KeyboardInterrupt):
        return signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return _is_ours(type(error)) and not isinstance(error, Exception)


def of_guest(error: BaseException) -> HumeRunnerError | None:
    """What others' code wanted to end the whole program with, at whatever moment of ours it came: from a handler of a
    signal that it set, a finalizer, or what a library of it calls. None where it is no such thing, or nobody came."""
    if not GUESTS.came or isinstance(error, Exception) or of_a_signal(error):
        return None
    from hume_runner.errors import UsageError, in_a_line

    return UsageError(
        f"code of another package ended the command: {in_a_line(error)}",
        hint="what was measured is safe, and the same command goes on; a package that offers a measurer, or the module "
        "of --cluster, sets a handler or a timer that ends the program: mend, update or uninstall it",
    )
