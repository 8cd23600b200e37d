"""Any `concurrent.futures.Executor`, made by a factory that the user names."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from importlib import import_module
from pathlib import Path
from typing import Any

from hume_runner.computing.checks import cannot_import, unfit
from hume_runner.computing.perform import NONCE, Run, perform, tell, versions
from hume_runner.errors import HumeRunnerError, ServiceUnavailable, UsageError, in_a_line
from hume_runner.processes import Stopped

# An executor that breaks so often, without any call that it began, is of no use.
_MOST_BROKEN = 3
_CLOSE_S = 5.0
_LOOK_S = 1.0


def named_factory(name: str) -> Callable[[], Executor]:
    """What `module:factory` stands for. Raises: UsageError."""
    module, _, member = name.partition(":")
    hint = "name it as in --cluster mycluster:make, where mycluster.py is here or installed"
    try:
        found: Any = _imported(module)
    except ImportError as error:
        raise UsageError(f"--cluster {name}: cannot import {module}: {error}", hint=hint) from error
    except (Exception, SystemExit) as error:  # a script that ends itself would end the run, and well
        raise UsageError(
            f"--cluster {name}: {module} does not load: {in_a_line(error)}",
            hint=f"mend it until `python -c 'import {module}'` says nothing and ends well",
        ) from error
    for part in member.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise UsageError(f"--cluster {name}: {module} has nothing to call of the name {member}", hint=hint)
    factory: Callable[[], Executor] = found
    return factory


def _imported(module: str) -> Any:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        here = str(Path.cwd())
        if error.name != module.partition(".")[0] or here in sys.path:
            raise
    # A file beside the manifest's user, as with `python -m`. For good: workers that are started from here look there.
    sys.path.append(here)
    return import_module(module)


class AnyExecutor:
    """An executor that `make` gives, and gives again where one is broken. `wait_s`: how long it may take to begin."""

    def __init__(self, name: str, make: Callable[[], Executor], *, wait_s: float) -> None:
        self._name = name
        self._make = make
        self._wait_s = wait_s
        self._executor: Executor | None = None
        self._by: dict[Future[bytes], Executor] = {}
        self._lone: dict[Future[bytes], Callable[[], None]] = {}  # what is worked on by itself, and how that ends
        self._broken = 0
        self._stopped = False
        self._lock = threading.Lock()
        self._alone = threading.Semaphore(1)

    @property
    def width(self) -> int:
        """See `Place.width`: what most executors call `_max_workers`; else as many as this machine would work on."""
        with self._lock:
            number = getattr(self._executor, "_max_workers", None)
        return number if isinstance(number, int) else os.cpu_count() or 1

    def open(self, run: Run) -> None:
        """See `Place.open`. A worker that is started later is checked when it gets its first call."""
        told = self._told(run)
        if not isinstance(told, dict) or "where" not in told:
            raise UsageError(
                f"{self._name} gives back {_kind(told)} that no worker of ours returned",
                hint="the future that its submit() gives must bring what the function returned",
            )
        seen = Path(run["folder"], str(told.get("wrote", "")), NONCE).is_file()
        wrong = unfit(f"the worker on {told['where']}", told, run, versions(), seen)
        if wrong is not None:
            raise wrong

    def _told(self, run: Run) -> object:
        """What a worker tells of itself. Raises: HumeRunnerError."""
        try:
            future: Future[Any] = self._future(self._current().submit(tell, run))
            error = future.exception(self._wait_s)  # told and not raised: what ends a program there ends none here
        except TimeoutError:
            raise ServiceUnavailable(
                f"{self._name}: nobody began to work within {self._wait_s:g} s",
                hint="look whether its workers start; HUME_RUNNER_CLUSTER_WAIT sets how many seconds are waited",
            ) from None
        except HumeRunnerError:
            raise
        except Exception as failed:
            error = failed
        if error is None:
            return future.result()
        if isinstance(error, ImportError):
            raise cannot_import(f"a worker of {self._name}", run["hume_runner"], str(error)) from error
        raise UsageError(
            f"{self._name} cannot run a function of this package: {in_a_line(error)}",
            hint="its workers must be able to import hume_runner",
        ) from error

    def _future(self, given: object) -> Future[Any]:
        """What `submit` gave, which has to be one. Raises: UsageError."""
        if not isinstance(given, Future):
            raise UsageError(
                f"{self._name}: its submit() gives {_kind(given)}, which is no concurrent.futures.Future",
                hint="let submit() give the future of the function's result, as concurrent.futures.Executor says",
            )
        return given

    def submit(self, run: Run, call: str, work: bytes, timeout_s: float, *, again: bool) -> Future[bytes]:
        """See `Place.submit`. Where one death breaks all that an executor works on, nobody knows whose fault it was:
        what was begun there is tried again by itself."""
        if again:
            return self._by_itself(run, call, work, timeout_s)
        while True:
            executor = self._current()
            try:
                given: object = executor.submit(perform, run, call, work, timeout_s)
            except (Exception, SystemExit) as error:
                self._drop(executor, error)
                continue
            future = self._future(given)
            with self._lock:
                self._by[future] = executor
            future.add_done_callback(self._done)
            return future

    def _by_itself(self, run: Run, call: str, work: bytes, timeout_s: float) -> Future[bytes]:
        while not self._alone.acquire(timeout=_LOOK_S):
            if self._stopped:
                raise Stopped
        executor: Executor | None = None

        def over() -> None:
            self._alone.release()
            # In a thread of its own: this one may be the executor's, which cannot end itself.
            threading.Thread(target=_shut, args=(executor,), daemon=True).start()

        try:
            executor = self._made()
            future = self._future(executor.submit(perform, run, call, work, timeout_s))
        except HumeRunnerError:
            over()
            raise
        except (Exception, SystemExit) as error:
            over()
            raise self._breaks(error) from error
        with self._lock:
            self._lone[future] = over
        future.add_done_callback(self.forget)
        return future

    def forget(self, future: Future[bytes]) -> None:
        """See `Place.forget`."""
        with self._lock:
            self._by.pop(future, None)
            over = self._lone.pop(future, None)
        if over is not None:
            over()
        if not future.done():
            threading.Thread(target=_cancel, args=(future,), daemon=True).start()

    def _done(self, future: Future[bytes]) -> None:
        if not future.cancelled() and future.exception() is None:
            with self._lock:
                self._by.pop(future, None)
                self._broken = 0

    def failed(self, future: Future[bytes], error: BaseException, begun: int) -> None:
        """See `Place.failed`."""
        with self._lock:
            executor = self._by.pop(future, None)
        if executor is not None:
            self._drop(executor, error)

    def _drop(self, executor: Executor, error: BaseException) -> None:
        with self._lock:
            if executor is not self._executor:
                return  # somebody else did
            self._executor = None
            self._broken += 1
            broken = self._broken
        threading.Thread(target=_shut, args=(executor,), daemon=True).start()
        if broken >= _MOST_BROKEN:
            raise self._breaks(error)

    def _breaks(self, error: BaseException) -> ServiceUnavailable:
        return ServiceUnavailable(
            f"{self._name} breaks again and again: {in_a_line(error)}",
            hint="look at its workers, then run the same command again: it resumes",
        )

    def _current(self) -> Executor:
        with self._lock:
            if self._stopped:
                raise Stopped
            if self._executor is None:
                self._executor = self._made()
            return self._executor

    def _made(self) -> Executor:
        try:
            made: object = self._make()
        except HumeRunnerError:
            raise
        except (Exception, SystemExit) as error:
            raise UsageError(
                f"{self._name} does not start: {in_a_line(error)}", hint="mend what makes the executor, then run again"
            ) from error
        if not isinstance(made, Executor):
            raise UsageError(
                f"{self._name} gives a {type(made).__name__}, which is no concurrent.futures.Executor",
                hint="let it return one, as `return concurrent.futures.ProcessPoolExecutor(4)`",
            )
        return made

    def stop(self) -> None:
        """See `Place.stop`."""
        with self._lock:
            self._stopped = True
            waiting = [*self._by, *self._lone]
        for future in waiting:
            _cancel(future)

    def close(self) -> None:
        """See `Place.close`."""
        with self._lock:
            executor, self._executor = self._executor, None
        if executor is not None:
            # What is worked on ends by itself, and nobody waits for it here.
            ending = threading.Thread(target=_shut, args=(executor,), daemon=True)
            ending.start()
            ending.join(_CLOSE_S)


def _kind(value: object) -> str:
    return f"a {type(value).__name__}"


def _cancel(future: Future[Any]) -> None:
    with contextlib.suppress(Exception):
        future.cancel()


def _shut(executor: Executor | None) -> None:
    if executor is None:
        return
    with contextlib.suppress(Exception):
        executor.shutdown(wait=True, cancel_futures=True)
