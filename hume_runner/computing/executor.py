"""Any `concurrent.futures.Executor`, made by a factory that the user names."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from importlib import import_module
from pathlib import Path
from typing import Any

from hume_runner.computing.checks import cannot_import, is_told, unfit
from hume_runner.computing.handed import Handed, Made, Unusable
from hume_runner.computing.perform import Run, is_seen, perform, tell, versions
from hume_runner.errors import ServiceUnavailable, UsageError, in_a_line, kind_of
from hume_runner.guests import of_a_signal, others_code
from hume_runner.processes import Stopped

# Executors that break one after another, without any call that they began or answered, are of no use.
_MOST_BROKEN = 3
_CLOSE_S = 5.0
_LOOK_S = 1.0


def named_factory(name: str) -> Callable[[], Executor]:
    """What `module:factory` stands for. Raises: UsageError."""
    module, _, member = name.partition(":")
    hint = "name it as in --cluster mycluster:make, where mycluster.py is here or installed"
    found: Any = None
    try:
        with others_code():
            found = _imported(module)
            for part in member.split("."):
                found = getattr(found, part, None)
    except ImportError as error:
        if module.endswith(".py"):
            hint = f"a module is named as Python imports it: --cluster {module.removesuffix('.py')}:{member}"
        raise UsageError(f"--cluster {name}: cannot import {module}: {in_a_line(error)}", hint=hint) from error
    except BaseException as error:  # a script that ends itself would end the run, and well
        if of_a_signal(error):
            raise
        raise UsageError(
            f"--cluster {name}: {module} does not load: {in_a_line(error)}",
            hint=f"mend it until `python -c 'import {module}'` says nothing and ends well",
        ) from error
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
        self.name = name
        self._make = make
        self._wait_s = wait_s
        self._made: Made | None = None
        self._out: set[Handed] = set()
        self._broken = 0
        self._stopped = False
        self._lock = threading.Lock()
        self._turn = threading.Semaphore(1)

    @property
    def width(self) -> int:
        """See `Place.width`: as the executor says, else as many as this machine would work on."""
        with self._lock:
            width = None if self._made is None else self._made.width
        return width or os.cpu_count() or 1

    def clock(self) -> float:
        """See `Place.clock`: who brings its answers is not asked."""
        return time.monotonic()

    def open(self, run: Run) -> None:
        """See `Place.open`. A worker that is started later is checked when it gets its first call."""
        made = self._made = Made(self.name, self._make, here=True)
        told = self._told(run, made)
        if not is_told(told):
            raise UsageError(
                f"{self.name} gives back a {kind_of(told)} that no worker of ours returned",
                hint="the future that its submit() gives must bring what the function returned",
            )
        wrong = unfit(f"the worker on {told['where']}", told, run, versions(), is_seen(run, told))
        if wrong is not None:
            raise wrong

    def _told(self, run: Run, made: Made) -> object:
        """What a worker tells of itself. Raises: HumeRunnerError."""
        asked = self._handed(made, tell, run)
        try:
            error = asked.exception(self._wait_s)  # told and not raised: what ends a program there ends none here
        except TimeoutError:
            raise ServiceUnavailable(
                f"{self.name}: nobody began to work within {self._wait_s:g} s",
                hint="look whether its workers start; HUME_RUNNER_CLUSTER_WAIT sets how many seconds are waited",
            ) from None
        except CancelledError:
            raise Stopped from None
        if error is None:
            return asked.result()
        if isinstance(error, Unusable):
            raise error.error
        if isinstance(error, ImportError):
            raise cannot_import(f"a worker of {self.name}", run["hume_runner"], str(error)) from error
        raise UsageError(
            f"{self.name} cannot run a function of this package: {in_a_line(error)}",
            hint="its workers must be able to import hume_runner",
        ) from error

    def submit(self, run: Run, call: str, work: bytes, timeout_s: float, *, alone: bool) -> Future[bytes]:
        """See `Place.submit`. Where one death breaks all that an executor works on, nobody knows whose fault it was:
        what has to be alone has an executor of its own."""
        if not alone:
            return self._handed(self._current(), perform, run, call, work, timeout_s)
        while not self._turn.acquire(timeout=_LOOK_S):
            if self._stopped:
                raise Stopped
        try:
            future = self._of_its_own(run, call, work, timeout_s)
        except BaseException:
            self._turn.release()
            raise
        future.add_done_callback(lambda _: self._turn.release())
        return future

    def probe(self, run: Run, call: str, work: bytes, timeout_s: float, *, beside: Future[bytes]) -> Future[bytes]:
        """See `Place.probe`. What was alone may have broken its executor for good, and the probe has another one."""
        assert isinstance(beside, Handed)
        if beside.by.lone:
            return self._of_its_own(run, call, work, timeout_s)
        return self._handed(beside.by, perform, run, call, work, timeout_s)

    def _of_its_own(self, *work: Any) -> Handed:
        made = Made(self.name, self._make, lone=True)
        future = self._handed(made, perform, *work)
        future.add_done_callback(lambda _: made.end(cancel=True))
        return future

    def _current(self) -> Made:
        with self._lock:
            if self._stopped:
                raise Stopped
            if self._made is None:
                self._made = Made(self.name, self._make)
            return self._made

    def _handed(self, made: Made, *work: Any) -> Handed:
        with self._lock:
            if self._stopped:
                raise Stopped
            handed = made.hand(*work)
            self._out.add(handed)
        handed.add_done_callback(self._came)
        return handed

    def _came(self, future: Future[Any]) -> None:
        assert isinstance(future, Handed)
        with self._lock:
            self._out.discard(future)
            if not future.cancelled() and future.exception() is None:
                self._broken = 0

    def failed(self, future: Future[bytes], error: BaseException, *, began: bool) -> bool:
        """See `Place.failed`."""
        assert isinstance(future, Handed)
        if isinstance(error, Unusable):
            raise error.error
        if began:  # an executor that begins calls works, whatever became of this one
            with self._lock:
                self._broken = 0
            self._drop(future.by)
            return False
        if isinstance(error, BrokenExecutor):  # it says itself that it takes nothing any more
            self._drop(future.by)
        return True

    def gave_nothing(self, future: Future[bytes], error: BaseException) -> None:
        """See `Place.gave_nothing`."""
        assert isinstance(future, Handed)
        with self._lock:
            if future.by.useless:
                return  # by another call of which it was found
            future.by.useless = True
            self._broken += 1
            broken = self._broken
        self._drop(future.by)
        if broken >= _MOST_BROKEN:
            raise ServiceUnavailable(
                f"{self.name} breaks again and again: {in_a_line(error)}",
                hint="look at its workers, then run the same command again: it resumes",
            ) from error

    def _drop(self, made: Made) -> None:
        """Have the next call go to another executor. What this one has it may work on."""
        with self._lock:
            if made is not self._made:
                return
            self._made = None
        made.end(cancel=False)

    def forget(self, future: Future[bytes]) -> None:
        """See `Place.forget`."""
        assert isinstance(future, Handed)
        future.give_up()

    def stop(self) -> None:
        """See `Place.stop`."""
        with self._lock:
            self._stopped = True
            out = list(self._out)
        for handed in out:
            handed.give_up()

    def close(self) -> None:
        """See `Place.close`."""
        with self._lock:
            made, self._made = self._made, None
        if made is not None:
            # What is worked on ends by itself, and nobody waits for it here.
            ending = made.end(cancel=True)
            if ending is not None and made.is_made:
                ending.join(_CLOSE_S)
