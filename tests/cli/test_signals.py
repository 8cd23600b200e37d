"""What a signal does that comes at a bad moment."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable

import pytest

from hume_runner.cli.signals import Interrupted, Mailbox, delivered_to, interrupted_before


class Thing:
    """Something that is finalized."""


class Last:
    """Something whose finalizer is what it is made with."""

    def __init__(self, last: Callable[[], None]) -> None:
        self._last = last

    def __del__(self) -> None:
        self._last()


def in_a_callback(last: Callable[[], None]) -> None:
    thing = Thing()
    kept = weakref.ref(thing, lambda _: last())
    del thing
    assert kept() is None


def in_a_finalizer(last: Callable[[], None]) -> None:
    Last(last)


@pytest.mark.parametrize("drops", [in_a_callback, in_a_finalizer])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_that_comes_where_python_drops_what_is_raised_leaves_all_the_same(
    drops: Callable[[Callable[[], None]], None],
    number: signal.Signals,
    code: int,
    capfd: pytest.CaptureFixture[str],
) -> None:
    mailbox = Mailbox()

    def last() -> None:
        os.kill(os.getpid(), number)
        for _ in range(1000):  # the handler runs within the first few
            pass

    with delivered_to(mailbox), pytest.raises(Interrupted) as raised:  # noqa: PT012 - it comes when it comes
        drops(last)
        time.sleep(30)
    assert raised.value.exit_code == code
    assert mailbox.signals == 1
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("raised", [RuntimeError, Interrupted])
def test_a_signal_that_comes_while_python_tells_what_it_dropped_leaves_once_that_is_over(
    raised: type[BaseException],
) -> None:
    """Nothing that the teller raises gets out either; and a busy machine takes longer to tell than we wait."""
    mailbox, told = Mailbox(), []

    def tell(what: sys.UnraisableHookArgs) -> None:
        told.append(type(what.exc_value))
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.05)

    def last() -> None:
        if raised is RuntimeError:
            raise RuntimeError
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(1000):
            pass

    class Slow(threading.Timer):
        def start(self) -> None:
            super().start()
            time.sleep(0.05)  # as if others had the processor: it has sent its signal when we go on

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "unraisablehook", tell)
        patch.setattr(threading, "Timer", Slow)
        with delivered_to(mailbox), pytest.raises(Interrupted) as left:  # noqa: PT012 - it comes when it comes
            in_a_finalizer(last)
            time.sleep(30)
    assert left.value.exit_code == 143
    assert mailbox.signals == 1
    assert told == ([RuntimeError] if raised is RuntimeError else [])


def test_what_else_python_drops_is_told_as_before() -> None:
    told = []
    before, sys.unraisablehook = sys.unraisablehook, lambda what: told.append(type(what.exc_value))
    try:
        with delivered_to(Mailbox()):
            in_a_finalizer(lambda: 1 / 0)  # type: ignore[arg-type,return-value]
    finally:
        sys.unraisablehook = before
    assert told == [ZeroDivisionError]


def test_what_breaks_while_an_interrupted_command_tidies_up_is_that_interruption() -> None:
    def tidy(after: BaseException) -> None:
        try:
            raise after
        finally:
            raise ValueError("I/O operation on closed file")

    for after, code in ((Interrupted(143), 143), (OSError("disk"), None)):
        try:
            tidy(after)
        except ValueError as error:
            left = interrupted_before(error)
            assert (left and left.exit_code) == code
