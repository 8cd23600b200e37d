"""Worker processes for what the processor does: module-level functions of plain values, one at a time in each process.

`concurrent.futures.ProcessPoolExecutor` would do but for what a batch runner meets: there the death of one worker
breaks every call that is under way, workers outlive a parent that was killed, and the caller's main module is imported
again in each. Here a death costs the call that it worked on, and a worker ends when the pipe from its parent does.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import IO, Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
_LOOK_S = 1.0  # how often a worker looks whether its parent lives
_LENGTH = struct.Struct("<Q")
# What every native library that the work may load asks for its number of threads: a worker is one of many.
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)


class WorkerDied(Exception):
    """The process that worked on a call ended before it answered. `how` says by what."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how


class TookTooLong(Exception):
    """A call was worked on for longer than it may be; its process is ended."""


class Stopped(Exception):
    """The executor was stopped while a call waited or was worked on."""


@dataclass(slots=True)
class _Call:
    future: Future[Any]
    work: tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


@dataclass(slots=True)
class _Lane:
    """One worker process, started with its first call and again after it died; none any more once it is `closed`."""

    child: subprocess.Popen[bytes] | None = None
    closed: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def call(
        self, work: tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]], timeout_s: float | None
    ) -> tuple[bool, Any]:
        """(whether it returned, what it returned or raised). Raises: WorkerDied; TookTooLong; Stopped; PickleError for
        what cannot be sent."""
        if timeout_s is None:
            return self._call(work)
        late = threading.Event()

        def give_up() -> None:
            late.set()
            self.end()

        timer = threading.Timer(timeout_s, give_up)
        timer.daemon = True
        timer.start()
        try:
            return self._call(work)
        except WorkerDied:
            if late.is_set():
                raise TookTooLong from None
            raise
        finally:
            timer.cancel()

    def _call(self, work: tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]) -> tuple[bool, Any]:
        packed = pickle.dumps(work)
        with self.lock:
            if self.closed:
                raise Stopped
            child = self.child = self.child or _start()
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            _write(child.stdin, packed)
            answer = _read(child.stdout)
        except OSError:
            answer = None
        if answer is None:
            self.end()
            raise WorkerDied(_how(child.wait()))
        returned: tuple[bool, Any] = pickle.loads(answer)  # noqa: S301 - of our own worker, over a pipe of ours
        return returned

    def end(self, *, close: bool = False) -> None:
        """Kill the process; nothing that it does has to be finished. `close`: no other is started."""
        with self.lock:
            self.closed = self.closed or close
            child, self.child = self.child, None
        if child is not None:
            child.kill()
            for pipe in (child.stdin, child.stdout):
                with contextlib.suppress(OSError):
                    assert pipe is not None
                    pipe.close()
            child.wait()


class ProcessExecutor(Executor):
    """Up to `workers` processes, started as they are needed. Calls are taken in the order in which they came.

    One that is worked on for longer than `timeout_s` raises `TookTooLong`: its process is ended, and another takes its
    place.
    """

    def __init__(self, workers: int, *, timeout_s: float | None = None) -> None:
        self._workers = workers
        self._timeout_s = timeout_s
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._lanes: list[_Lane] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._open = 0  # calls that wait or are worked on
        self._stopped = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """See `Executor.submit`. Function, arguments and result are pickled; the function is found by its name."""
        future: Future[T] = Future()
        with self._lock:
            if self._stopped:
                raise Stopped
            self._open += 1
            if self._open > len(self._threads) and len(self._threads) < self._workers:
                self._add_lane()
        self._calls.put(_Call(future, (fn, args, kwargs)))
        return future

    def _add_lane(self) -> None:
        lane = _Lane()
        thread = threading.Thread(target=self._work, args=(lane,), name="hume-runner-lane", daemon=True)
        thread.start()
        self._lanes.append(lane)
        self._threads.append(thread)

    def _work(self, lane: _Lane) -> None:
        while (call := self._calls.get()) is not None:
            try:
                if self._stopped:
                    raise Stopped
                if call.future.set_running_or_notify_cancel():
                    returned, value = lane.call(call.work, self._timeout_s)
                    call.future.set_result(value) if returned else call.future.set_exception(value)
            except BaseException as error:
                call.future.set_exception(Stopped() if self._stopped else error)
            finally:
                with self._lock:
                    self._open -= 1
        lane.end(close=True)

    def stop(self) -> None:
        """End all that is under way at once: every call that has not returned raises `Stopped`."""
        self._stopped = True
        with self._lock:
            lanes = list(self._lanes)
        for lane in lanes:
            lane.end(close=True)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """See `Executor.shutdown`. Calls that were submitted are worked on, unless `cancel_futures`."""
        if cancel_futures:
            self.stop()
        with self._lock:
            threads, self._threads = self._threads, []
            self._lanes = []
        for _ in threads:
            self._calls.put(None)
        if wait:
            for thread in threads:
                thread.join()


def _start() -> subprocess.Popen[bytes]:
    # The worker finds modules where its parent does, whatever put them there.
    begin = f"import sys; sys.path[:] = {sys.path!r}; from hume_runner.processes import serve; serve()"
    return subprocess.Popen(
        [sys.executable, "-c", begin],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **_ONE_THREAD},
        # Ctrl-C is for the parent to act on.
        process_group=0,
    )


def _how(code: int) -> str:
    if code >= 0:
        return f"it ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"it was ended by {name}" + (", as the system does where memory runs out" if name == "SIGKILL" else "")


def _write(pipe: IO[bytes], body: bytes) -> None:
    pipe.write(_LENGTH.pack(len(body)))
    pipe.write(body)
    pipe.flush()


def _read(pipe: IO[bytes]) -> bytes | None:
    """One message; None where the other side has gone."""
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    body = pipe.read(length)
    return body if len(body) == length else None


def serve() -> None:
    """What a worker process does: call after call, until its parent goes, and not much longer."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    calls, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not stand among the answers
    while (packed := _read(calls)) is not None:
        answer = answer_to(packed)
        try:
            _write(answers, answer)
        except BrokenPipeError:
            os._exit(0)  # nobody waits for it: the parent was killed. What is left in the pipe's buffer is not flushed


def _end_with(parent: int) -> None:
    never = threading.Event()
    while os.getppid() == parent:
        never.wait(_LOOK_S)
    os._exit(0)


def answer_to(packed: bytes) -> bytes:
    """What comes of a packed (function, args, kwargs): (whether it returned, what it returned or raised), packed."""
    try:
        function, args, kwargs = pickle.loads(packed)  # noqa: S301 - of our own parent, over a pipe of its
        return pickle.dumps((True, function(*args, **kwargs)))
    except Exception as error:
        return _raised(error)


def _raised(error: Exception) -> bytes:
    """An exception on its way back; one that cannot travel is told in words."""
    try:
        packed = pickle.dumps((False, error))
        pickle.loads(packed)  # noqa: S301 - what was packed a line above
    except Exception:
        return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))
    return packed
