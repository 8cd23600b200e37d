"""SIGINT, SIGTERM and SIGHUP, and a reader that went away: what they mean at each moment of a command.

While nothing was begun, a signal leaves at once. While a run's loop works, it is a message: the first one stops the
submissions and finishes what is on its way, the second leaves. While outputs are written, the first is remembered and
the second leaves. From the third on nothing is waited for. Whatever the moment, the exit code tells of it.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Literal

from hume_runner.cli.entry import EXIT_CODES

if TYPE_CHECKING:
    from hume_runner.api import Post

# A reader that went away ends a run as a hang-up does. Shells would report 141, and nobody would know that it resumes.
READER_GONE = 143
# What takes no more (a full disk) takes no more in the next run either: a scheduler must not begin it again by itself.
OUTPUT_LOST = 64
# Long enough for a finalizer to be over, too short to be noticed.
_AGAIN_S = 0.01


class Mailbox:
    """Where signals go. `signalled` is the exit code that the last one asks for; None before any."""

    def __init__(self) -> None:
        self.signalled: int | None = None
        self.signals = 0
        self._phase: Literal["idle", "working", "ending"] = "idle"
        self._post: Post | None = None
        self._gone: int | None = None  # the exit code that is asked for since our output reaches nobody
        self._told = False
        self._latest: int = signal.SIGINT
        self._swallowed = False  # it wanted to leave from where nothing can be raised
        self._came_early: deque[bool] = deque()
        self.begun = False  # whether this manifest's work began: something may have been sent
        # The last words are said: whatever comes is remembered and ends nothing. Not a method: one may be interrupted.
        self.over = False

    # -- the moments of a command

    def open(self, post: Post) -> None:
        """A loop takes messages from here on. Raises: Interrupted if something came before it began."""
        self.check()
        self._post = post
        self._phase = "working"
        self.begun = True

    def ending(self) -> None:
        """The work is over, and what it leaves is written: a first signal does not cut that short."""
        self._phase = "ending"
        self._post = None

    def finishing(self) -> None:
        """The same, for a run's outputs: whoever asked twice does not wait for them. Raises: Interrupted."""
        self.ending()
        if self.signals > 1 and self.signalled is not None:
            raise Interrupted(self.signalled)

    def idle(self) -> None:
        """Nothing is begun: a signal may leave at once."""
        self._phase = "idle"
        self._told = self.begun = False
        self.check()

    def check(self) -> None:
        """Raises: Interrupted if the command is to end before it begins anything more."""
        if self.signalled is not None:
            raise Interrupted(self.signalled)
        if self._gone is not None:
            raise Interrupted(self._gone)

    # -- what comes in

    def deliver(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal. Raises: Interrupted when there is nothing to wait for."""
        name = signal.Signals(number).name
        self.signalled = EXIT_CODES[name]
        if self._swallowed:
            early = _is_dropped_at(frame)
            self._swallowed = early
            self._came_early.append(early)
            if not (early or self.over):
                raise Interrupted(self.signalled)
            return
        self.signals += 1
        self._latest = number
        waits_for = {"idle": 0, "working": 2, "ending": 1}[self._phase]
        if self.signals > waits_for and not self.over:
            if _is_dropped_at(frame):
                self.swallowed()
                return
            raise Interrupted(self.signalled)
        # A shell's Ctrl-C ends both sides of a pipe: the reader's end was no wish to leave at once.
        if self._post is not None and not (self._told and self.signals == 1):
            self._post(self.signalled, name)

    def unraisable(self, before: Callable[[sys.UnraisableHookArgs], object], what: sys.UnraisableHookArgs) -> None:
        """What Python calls with what it drops: in a finalizer, in a weak reference's callback."""
        if isinstance(what.exc_value, Interrupted):
            self.swallowed()
        else:
            before(what)

    def swallowed(self) -> None:
        """An Interrupted was raised where Python drops what is raised, or would be: have it raised in a moment."""
        if self.over or self.signalled is None:
            return
        self._swallowed = True
        came_early: deque[bool] = deque()
        self._came_early = came_early
        main = threading.get_ident()  # Python handles signals nowhere else

        def again() -> None:
            while self._swallowed:
                signal.pthread_kill(main, self._latest)  # ends a system call, too
                while not came_early:
                    time.sleep(_AGAIN_S)
                if not came_early.popleft():
                    return
                time.sleep(_AGAIN_S)

        timer = threading.Timer(_AGAIN_S, again)
        timer.daemon = True
        with contextlib.suppress(RuntimeError):  # no more threads: the next signal leaves
            timer.start()

    def reader_gone(self) -> None:
        """Nobody reads our output any more: submit nothing more. Never raises."""
        self._unheard(READER_GONE, "SIGPIPE")

    def output_lost(self) -> None:
        """What our output goes to takes no more: submit nothing more. Never raises."""
        self._unheard(OUTPUT_LOST, "output")

    def _unheard(self, exit_code: int, name: str) -> None:
        self._gone = exit_code
        if self._post is not None and not self.signals and not self._told:
            self._told = True
            self._post(exit_code, name)


def _is_dropped_at(frame: FrameType | None) -> bool:
    """Whether Python drops what is raised there, too: it is still handing over what it dropped before."""
    while frame is not None:
        if frame.f_code is Mailbox.unraisable.__code__:
            return True
        frame = frame.f_back
    return False


class Interrupted(BaseException):
    """A signal when nothing is to be waited for."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


def interrupted_before(error: BaseException | None) -> Interrupted | None:
    """The signal that ended what `error` comes from: leaving in the middle of something may break its tidying up."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, Interrupted):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


@contextlib.contextmanager
def delivered_to(mailbox: Mailbox) -> Iterator[None]:
    """Deliver signals to `mailbox` for as long as the block lasts."""
    before = {}
    dropped = sys.unraisablehook
    try:
        sys.unraisablehook = partial(mailbox.unraisable, dropped)
        for name in EXIT_CODES:
            number = getattr(signal, name, None)
            # What was ignored on purpose stays so: `nohup`, or a job that a shell put into the background.
            if number is not None and (was := signal.getsignal(number)) is not signal.SIG_IGN:
                before[number] = was
                with contextlib.suppress(ValueError):  # not the main thread
                    signal.signal(number, mailbox.deliver)
        yield
    finally:
        for number, handler in before.items():
            with contextlib.suppress(ValueError):
                signal.signal(number, handler)
        sys.unraisablehook = dropped
