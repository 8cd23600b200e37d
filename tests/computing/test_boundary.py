"""Whatever an executor does comes back as an expected error or an answer: in this process, with real executors."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hume_runner.computing.base import Needs, NoAnswer, UnseenFile
from hume_runner.computing.executor import AnyExecutor
from hume_runner.computing.handed import Made
from hume_runner.computing.perform import tell
from hume_runner.computing.remote import RemotePool
from hume_runner.errors import HumeRunnerError, ServiceUnavailable, UsageError
from hume_runner.processes import Stopped

Pool = Callable[..., RemotePool]


class OneThread(Executor):
    """Each call is worked on in the one thread of all that are made here, whose child so serves all of them."""

    def __init__(self, one: ThreadPoolExecutor) -> None:
        self.one = one
        self.made = 0

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return self.one.submit(function, *args)


class Strange(OneThread):
    """Does what it should until it is asked for work."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return super().submit(function, *args) if function is tell else self.later(function, *args)

    def later(self, function: Callable[..., Any], *args: Any) -> Any:
        raise NotImplementedError


@pytest.fixture
def pool(tmp_path: Path, one: ThreadPoolExecutor) -> Iterator[Pool]:
    opened: list[RemotePool] = []

    def of(kind: Callable[[ThreadPoolExecutor], Executor], *, timeout_s: float = 60) -> RemotePool:
        place = AnyExecutor("--cluster here", lambda: kind(one), wait_s=20)
        opened.append(RemotePool(place, tmp_path, Needs(function=tuple, arguments=(), told=()), timeout_s=timeout_s))
        return opened[-1]

    yield of
    for each in opened:
        each.close()


class Base(BaseException):
    pass


def failing(error: BaseException) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(error)
    return future


def does(what: Callable[..., Any]) -> type[Strange]:
    return type("Does", (Strange,), {"later": what})


def raises(error: BaseException) -> Callable[..., Any]:
    def raising(*_: Any, **__: Any) -> Any:
        raise error

    return raising


def odd(**methods: Callable[..., Any]) -> Callable[..., Any]:
    """A future that is done, of a class with other methods."""

    def made(self: Strange, function: Callable[..., Any], *args: Any) -> Future[Any]:
        future: Future[Any] = type("Odd", (Future,), methods)()
        future.set_result(self.one.submit(function, *args).result())
        return future

    return made


def never_done(*_: Any) -> Future[Any]:
    early: Future[Any] = type("Early", (Future,), {"add_done_callback": lambda self, function: function(self)})()
    return early


BREAKS = {
    "submit raises KeyboardInterrupt": raises(KeyboardInterrupt()),
    "submit raises GeneratorExit": raises(GeneratorExit()),
    "submit raises a BaseException": raises(Base("b")),
    "a future fails with a BaseException": lambda *_: failing(Base("b")),
    "a future fails with KeyboardInterrupt": lambda *_: failing(KeyboardInterrupt()),
    "a future breaks": lambda *_: failing(BrokenExecutor("b")),
    "exception() raises": odd(exception=raises(RuntimeError("b"))),
    "exception() is no exception": odd(exception=lambda self, timeout=None: 42),
    "result() raises": odd(result=raises(Base("b"))),
    "add_done_callback() raises": odd(add_done_callback=raises(Base("b"))),
    "a future calls back too early": never_done,
}


@pytest.mark.parametrize("what", BREAKS.values(), ids=BREAKS)
def test_what_breaks_with_every_call_is_not_available(pool: Pool, what: Callable[..., Any]) -> None:
    with pytest.raises(ServiceUnavailable, match="--cluster here breaks again and again: "):
        pool(does(what)).call(len, "abc")


def test_a_future_is_asked_no_more_than_it_has_to_answer(pool: Pool) -> None:
    assert pool(does(odd(cancelled=raises(RuntimeError("c")), done=raises(Base("d"))))).call(len, "abc") == 3


# Not by KeyboardInterrupt, which is a person's wherever Python's own handler raises it: as here, and not in a command.
@pytest.mark.parametrize("error", [Base("b"), SystemExit(0), GeneratorExit(), ValueError("v")])
def test_an_executor_that_cannot_be_made_is_bad_usage(pool: Pool, error: BaseException) -> None:
    with pytest.raises(UsageError, match=f"--cluster here does not start: {type(error).__name__}"):
        pool(raises(error)).open()


@pytest.mark.parametrize("error", [Base("b"), KeyboardInterrupt(), SystemExit(0), GeneratorExit(), ValueError("v")])
def test_an_executor_that_answers_no_first_question_is_bad_usage(pool: Pool, error: BaseException) -> None:
    kind = type("First", (OneThread,), {"submit": raises(error)})
    with pytest.raises(UsageError, match=f"cannot run a function of this package: {type(error).__name__}"):
        pool(kind).open()


def told(**changes: Any) -> type[OneThread]:
    """What a worker tells of itself is changed on its way."""

    class Told(OneThread):
        def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            return super().submit(lambda: {**function(*args), **changes})

    return Told


@pytest.mark.parametrize(
    "changes",
    [
        {"told": None},
        {"told": [1, 2]},
        {"lacks": "x"},
        {"lacks": ["a", "b", ["c"]]},
        {"where": None},
        {"hume_runner": {}},
        {"read": 1},
        {"wrote": b"seen"},
    ],
    ids=str,
)
def test_a_worker_that_tells_what_none_of_ours_does_is_bad_usage(pool: Pool, changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="--cluster here gives back a dict that no worker of ours returned"):
        pool(told(**changes)).open()


@pytest.mark.parametrize("wrote", ["x" * 5000, "\0", "..", ""])
def test_what_a_worker_says_that_it_wrote_is_found_or_not(pool: Pool, wrote: str) -> None:
    with pytest.raises(UnseenFile, match="what it writes there is not found here"):
        pool(told(wrote=wrote)).open()


@pytest.mark.parametrize(
    ("number", "width"),
    [(7, 7), (0, None), (-3, None), (True, None), ("4", None), pytest.param(10**400, 100_000, id="huge")],
)
def test_a_width_is_a_number_of_workers(one: ThreadPoolExecutor, number: object, width: int | None) -> None:
    kind = type("Wide", (OneThread,), {"_max_workers": number})
    assert Made("here", lambda: kind(one), here=True).width == width


def test_a_width_that_cannot_be_told_is_not_known(one: ThreadPoolExecutor) -> None:
    kind = type("Wide", (OneThread,), {"_max_workers": property(raises(Base("b")))})
    assert Made("here", lambda: kind(one), here=True).width is None


def _poisoned(self: Strange, function: Callable[..., Any], *args: Any) -> Future[Any]:
    return failing(ValueError("too large")) if b"POISON" in args[2] else self.one.submit(function, *args)


def test_a_call_that_is_not_taken_is_told_apart_from_an_executor_that_takes_none(pool: Pool) -> None:
    there = pool(does(_poisoned))
    for _ in range(4):  # it is not held against the executor, however often
        with pytest.raises(NoAnswer, match="--cluster here does not take it: ValueError: too large") as caught:
            there.call(len, "POISON")
        assert caught.value.reason == "not_taken"
        assert caught.value.divisible
    assert there.call(len, "abc") == 3


def test_a_call_that_breaks_every_executor_before_it_begins_is_found(pool: Pool) -> None:
    class Breaks(Strange):
        broken = False

        def later(self, function: Callable[..., Any], *args: Any) -> Any:
            self.broken = self.broken or b"POISON" in args[2]
            return failing(BrokenExecutor("b")) if self.broken else self.one.submit(function, *args)

    there = pool(Breaks)
    with pytest.raises(NoAnswer, match="does not take it: BrokenExecutor: b"):
        there.call(len, "POISON")
    assert there.call(len, "abc") == 3


def test_one_call_that_is_not_taken_once_is_taken_the_next_time(pool: Pool) -> None:
    times: list[None] = []

    def once(self: Strange, function: Callable[..., Any], *args: Any) -> Future[Any]:
        times.append(None)
        return failing(OSError("busy")) if len(times) == 1 else self.one.submit(function, *args)

    assert pool(does(once)).call(len, "abc") == 3
    assert len(times) == 2


def _blocks(*_: Any) -> Any:
    threading.Event().wait()


@pytest.mark.parametrize("what", [_blocks, lambda *_: Future()], ids=["submit", "future"])
def test_stopping_ends_a_call_that_nobody_takes(pool: Pool, what: Callable[..., Any]) -> None:
    there = pool(does(what))
    there.open()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(there.call, len, "abc")
        time.sleep(0.1)  # until it waits
        began = time.monotonic()
        there.stop()
        assert isinstance(waiting.exception(5), Stopped)
        assert time.monotonic() - began < 2


def test_stopping_ends_a_question_that_nobody_answers(pool: Pool) -> None:
    kind = type("First", (OneThread,), {"submit": _blocks})
    there = pool(kind)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(there.open)
        time.sleep(0.1)  # until it waits
        there.stop()
        assert isinstance(waiting.exception(5), Stopped)


def test_an_executor_that_is_made_anew_and_blocks_is_stopped(pool: Pool) -> None:
    made: list[None] = []

    def make(one: ThreadPoolExecutor) -> Executor:
        made.append(None)
        return _blocks() if len(made) > 1 else does(lambda *_: failing(BrokenExecutor("b")))(one)

    there = pool(make)
    there.open()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(there.call, len, "abc")
        while len(made) < 2:
            time.sleep(0.01)
        there.stop()
        assert isinstance(waiting.exception(5), Stopped)


def test_a_shared_folder_that_is_gone_is_told(pool: Pool, tmp_path: Path) -> None:
    there = pool(OneThread)
    assert there.call(len, "abc") == 3
    [folder] = (tmp_path / "cluster").iterdir()
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(ServiceUnavailable, match="which the run shares with its workers, is gone") as caught:
        there.call(len, "abc")
    assert isinstance(caught.value, HumeRunnerError)
    (tmp_path / "elsewhere").rename(folder)
