"""Calls on somebody's executor: tried again where a worker is lost, given up where two died of one."""

from __future__ import annotations

import pickle
import secrets
import threading
import time
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any, Protocol

from hume_runner._version import __version__
from hume_runner.computing.base import MOST_DEATHS, Needs, NoAnswer, Unseen
from hume_runner.computing.checks import unfit, unseen_file
from hume_runner.computing.perform import (
    Outcome,
    Run,
    outcome_of,
    python_version,
    starts,
    versions,
)
from hume_runner.computing.shared_folder import SharedFolder
from hume_runner.errors import HumeRunnerError
from hume_runner.processes import Stopped, TookTooLong, WorkerDied

# A worker ends what takes too long by itself. So much later nobody does, and nothing will come.
_GRACE_S = 15.0
_LOOK_S = 5.0  # how often it is looked whether a call was begun
_MOST_STRANGE = 2  # so many times a call is answered by what is no answer to it


class Place(Protocol):
    """An executor and whatever has to be known of it."""

    @property
    def width(self) -> int:
        """How many calls it works on at one time."""
        ...

    def open(self, run: Run) -> None:
        """Connect, and check who works there. Raises: HumeRunnerError."""
        ...

    def submit(self, run: Run, call: str, work: bytes, timeout_s: float, *, again: bool) -> Future[bytes]:
        """`perform` there, as soon as somebody is fit for it. `again`: it was begun before, and who worked on it was
        lost. Raises: HumeRunnerError."""
        ...

    def failed(self, future: Future[bytes], error: BaseException, begun: int) -> None:
        """A call came back with an error that is not its own, after so many tries that were begun. Returns for another
        one. Raises: HumeRunnerError, WorkerDied."""
        ...

    def forget(self, future: Future[bytes]) -> None:
        """Nobody waits for this call any more. At once, whatever answers."""
        ...

    def stop(self) -> None:
        """Cancel what waits; nothing is taken any more. At once, whatever answers."""
        ...

    def close(self) -> None:
        """Disconnect. Soon, whatever answers."""
        ...


class RemotePool:
    """A `Pool` at a place. What its workers share with us lies in `<outputs>/cluster` for as long as it is open.

    `needs`: what each of them has to have. `timeout_s`: for how long a call may be worked on.
    """

    elsewhere = True

    def __init__(self, place: Place, outputs: Path, needs: Needs, *, timeout_s: float) -> None:
        self._place = place
        self._outputs = outputs
        self._needs = needs
        self._timeout_s = timeout_s
        self._run: Run | None = None
        self._folder: SharedFolder | None = None
        self._refused: HumeRunnerError | None = None  # nobody is asked twice what is wrong
        self._opening = threading.Lock()
        self._stopped = False
        self._waiting: set[threading.Event] = set()
        self._heard = 0.0  # when the last call came back, by the monotonic clock
        self._lock = threading.Lock()

    @property
    def width(self) -> int:
        """See `Pool.width`."""
        return self._place.width

    def open(self) -> None:
        """See `Pool.open`."""
        self._opened()

    def _opened(self) -> Run:
        with self._opening:
            if self._refused is not None:
                raise self._refused
            if self._run is None:
                run = self._new_run()
                try:
                    self._place.open(run)
                except HumeRunnerError as error:
                    self._refused = error
                    raise
                self._run = run
            return self._run

    def _new_run(self) -> Run:
        self._folder = folder = SharedFolder(self._outputs)
        needs = pickle.dumps((self._needs.function, self._needs.arguments, {}))
        return {
            "folder": str(folder.path),
            "nonce": folder.nonce,
            "needs": needs,
            "told": list(self._needs.told),
            "python": python_version(),
            "hume_runner": __version__,
        }

    def call(self, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """See `Pool.call`."""
        run = self._opened()
        call, work = secrets.token_hex(16), pickle.dumps((function, args, kwargs))
        lost = False
        strange = 0
        while True:
            try:
                outcome = self._tried(run, call, work, lost=lost)
            except NoAnswer as none:
                strange += 1
                if none.late or strange >= _MOST_STRANGE:
                    raise
                continue  # what was handed to somebody else, or damaged, is worked on again
            if outcome is None:
                lost = True
                continue
            match outcome.kind:
                case "returned":
                    return outcome.value
                case "raised":
                    raise self._ours(outcome)
                case "slow":
                    raise TookTooLong
                case "deadly":
                    raise WorkerDied("it was lost")
                case "died":
                    if starts(Path(run["folder"]), call) >= MOST_DEATHS:
                        raise WorkerDied(outcome.value)
                case "unfit":
                    error = unfit(f"the worker on {outcome.where}", outcome.value, run, versions(), seen=True)
                    raise error or AssertionError(outcome.value)
                case "gone":
                    raise Stopped

    def _tried(self, run: Run, call: str, work: bytes, *, lost: bool) -> Outcome | None:
        """One try; None where it was lost on the way. `lost`: an earlier one was. Raises: Stopped, NoAnswer,
        HumeRunnerError."""
        if self._stopped:
            raise Stopped
        again = lost and starts(Path(run["folder"]), call) > 0
        future = self._place.submit(run, call, work, self._timeout_s, again=again)
        self._wait(future, Path(run["folder"]), call)
        begun = starts(Path(run["folder"]), call)
        if future.cancelled():  # not by us, who would not wait
            self._place.failed(future, CancelledError("it cancels what it was given"), begun)
            return None
        error = future.exception()
        if error is None:
            return outcome_of(future.result(), run, call, work)
        if begun >= MOST_DEATHS:
            raise WorkerDied("it was lost")
        self._place.failed(future, error, begun)
        return None

    def _wait(self, future: Future[bytes], folder: Path, call: str) -> None:
        """Until it is done, or cancelled, which `Future.result` may never learn of. Raises: Stopped; NoAnswer for one
        that nobody ends: begun for longer than it may be, or not begun while for so long nothing else came back."""
        done = threading.Event()
        with self._lock:
            self._waiting.add(done)
        future.add_done_callback(lambda _: done.set())
        try:
            if not self._stopped:
                self._wait_for(done, future, folder, call)
        finally:
            with self._lock:
                self._waiting.discard(done)
        if self._stopped:
            raise Stopped

    def _wait_for(self, done: threading.Event, future: Future[bytes], folder: Path, call: str) -> None:
        since, begun = time.monotonic(), 0
        while not done.wait(min(_LOOK_S, self._timeout_s / 4)):
            if (now_begun := starts(folder, call)) > begun:
                since, begun = time.monotonic(), now_begun
            elif not begun:
                since = max(since, self._heard)  # others have their turn: it waits for its own
            if time.monotonic() - since > self._timeout_s + _GRACE_S:
                self._place.forget(future)
                what = "it was begun, and its future did not end" if begun else "nobody began with it"
                raise NoAnswer(f"{what} within execution.job_timeout, {self._timeout_s:g} s", late=True)
        self._heard = time.monotonic()

    def _ours(self, outcome: Outcome) -> BaseException:
        error = outcome.value
        if isinstance(error, Unseen) and Path(error.path).exists():  # else it vanished for us, too
            return unseen_file(f"the worker on {outcome.where}", error.path, error.why)
        return error if isinstance(error, BaseException) else AssertionError(error)

    def stop(self) -> None:
        """See `Pool.stop`."""
        self._stopped = True
        with self._lock:
            waiting = list(self._waiting)
        for one in waiting:
            one.set()
        self._place.stop()

    def close(self) -> None:
        """See `Pool.close`. What is still worked on finds the folder gone, and ends."""
        self.stop()
        if self._folder is not None:
            self._folder.close()
        self._place.close()
