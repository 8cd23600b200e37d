"""The boundary to somebody's executor: whatever its code does comes back as what a plain future of ours holds.

It may raise what ends a program, block for ever, or give futures that lie about themselves. So it is asked in threads
of ours that nobody waits for. What is raised there is its own, whatever it is: signals reach the main thread alone.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future, InvalidStateError
from typing import Any

from hume_runner.errors import HumeRunnerError, UsageError, in_a_line, kind_of, of_system
from hume_runner.guests import GUESTS, no_child_of_theirs, of_a_signal, signals_kept

_MOST_WIDTH = 100_000  # more is no number of workers, and what is counted with it has to stay a number for SQL


class Unusable(Exception):
    """What was given is no executor, or its futures are none: another try would bring the same. `error` tells it."""

    def __init__(self, error: HumeRunnerError) -> None:
        super().__init__(str(error))
        self.error = error


class Handed(Future[Any]):
    """What comes of a function that an executor was handed. `by`: that executor."""

    def __init__(self, by: Made) -> None:
        super().__init__()
        self.by = by
        self._theirs: Future[Any] | None = None

    def follow(self, theirs: Future[Any]) -> None:
        """End as this future ends."""
        self._theirs = theirs
        if self.cancelled():  # given up while it was being handed over
            theirs.cancel()
        theirs.add_done_callback(self._came)

    def _came(self, theirs: Future[Any]) -> None:
        error: Any
        result = None
        try:  # not asked without a time: one that calls back too early would never answer
            error = theirs.exception(timeout=0)
            result = theirs.result(timeout=0) if error is None else None
        except CancelledError:
            error = CancelledError("it cancels what it was given")
        except TimeoutError:
            error = RuntimeError("its future says that it is done before it is")
        except BaseException as raised:
            error = raised
        if error is not None and not isinstance(error, BaseException):
            error = TypeError(f"its future fails with a {kind_of(error)}")
        self.settle(result, error)

    def settle(self, result: object, error: BaseException | None) -> None:
        """End, unless it ended before."""
        with contextlib.suppress(InvalidStateError):
            self.set_result(result) if error is None else self.set_exception(error)

    def give_up(self) -> None:
        """Nobody waits for it any more. At once, whatever the executor does."""
        self.cancel()
        if (theirs := self._theirs) is not None:
            _tidied(theirs.cancel)


class Made:
    """An executor that `make` gives, or is about to give. `name` is what people call it.

    `here`: made in this thread, which may be the only one where `make` can do it. Its failures come with the first
    future, as all else. `lone`: it is to work on one call alone.
    """

    def __init__(self, name: str, make: Callable[[], Executor], *, here: bool = False, lone: bool = False) -> None:
        self.name = name
        self.lone = lone
        self.width: int | None = None  # what most executors call `_max_workers`, where they tell it
        self.useless = False  # somebody found that nothing comes back from it
        self._executor: Future[Executor] = Future()
        if here:
            self._begin(make)
        else:
            aside(self._begin, make)

    def _begin(self, make: Callable[[], Executor]) -> None:
        try:
            GUESTS.let_in()
            with signals_kept(), no_child_of_theirs():
                made: object = make()
            if not isinstance(made, Executor):
                raise Unusable(
                    UsageError(
                        f"{self.name} gives a {kind_of(made)}, which is no concurrent.futures.Executor",
                        hint="let it return one, as `return concurrent.futures.ProcessPoolExecutor(4)`",
                    )
                )
            if type(made).submit is Executor.submit:
                raise Unusable(
                    UsageError(
                        f"{self.name} gives a {kind_of(made)}, which has no submit() of its own",
                        hint="let its class say how a function is handed over: "
                        "`def submit(self, function, /, *args, **kwargs)`, which gives a concurrent.futures.Future",
                    )
                )
            self.width = _width(made)
        except Unusable as error:
            self._executor.set_exception(error)
        except HumeRunnerError as error:
            self._executor.set_exception(Unusable(error))
        except BaseException as error:
            if _in_main_thread() and of_a_signal(error):
                raise
            unusable = UsageError(
                f"{self.name} does not start: {in_a_line(error)}", hint="mend what makes the executor, then run again"
            )
            unusable.__cause__ = error
            self._executor.set_exception(Unusable(unusable))
        else:
            self._executor.set_result(made)

    @property
    def is_made(self) -> bool:
        """Whether it is there, or will never be."""
        return self._executor.done()

    def hand(self, function: Callable[..., Any], *args: Any) -> Handed:
        """Have it work on this. At once, however long it takes to take it."""
        handed = Handed(self)
        aside(self._hand, handed, function, args)
        return handed

    def _hand(self, handed: Handed, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        try:
            executor = self._executor.result()
            if handed.cancelled():
                return
            theirs: object = executor.submit(function, *args)
            if not isinstance(theirs, Future):
                raise Unusable(
                    UsageError(
                        f"{self.name}: its submit() gives a {kind_of(theirs)}, which is no concurrent.futures.Future",
                        hint="let submit() give the future of the function's result, as concurrent.futures.Executor "
                        "says",
                    )
                )
            handed.follow(theirs)
        except BaseException as error:
            handed.settle(None, error)

    def end(self, *, cancel: bool) -> threading.Thread | None:
        """Have it end, and not wait for that. `cancel`: what waits there, too; else it is worked on to its end."""
        return _tidied(self._end, cancel)

    def _end(self, cancel: bool) -> None:
        self._executor.result().shutdown(wait=True, cancel_futures=cancel)


def _width(executor: Executor) -> int | None:
    try:
        number = getattr(executor, "_max_workers", None)
    except BaseException as error:
        if _in_main_thread() and of_a_signal(error):
            raise
        return None
    if type(number) is not int or number < 1:
        return None
    return min(number, _MOST_WIDTH)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _tidied(function: Callable[..., object], *args: Any) -> threading.Thread | None:
    """What would be well to have done, and stays undone where this machine has no thread for it."""
    try:
        return aside(function, *args)
    except HumeRunnerError:
        return None


def aside(function: Callable[..., object], *args: Any) -> threading.Thread:
    """Run somebody else's code in a thread of its own, where what it raises is nobody's. Raises: ServiceUnavailable
    where this machine has no thread for it."""

    def run() -> None:
        with contextlib.suppress(BaseException), no_child_of_theirs():
            function(*args)

    thread = threading.Thread(target=run, daemon=True)
    try:
        thread.start()
    except (RuntimeError, MemoryError) as error:
        raise of_system(error) or error from error
    return thread
