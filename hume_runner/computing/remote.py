"""Calls on somebody's executor: tried again where a worker is lost, given up where two died of one."""

from __future__ import annotations

import pickle
import secrets
import threading
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any, Protocol

from hume_runner._version import __version__
from hume_runner.computing.base import MOST_DEATHS, Away, Needs, NoAnswer, Unseen
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
from hume_runner.errors import HumeRunnerError, ServiceUnavailable, in_a_line
from hume_runner.frozen import frozen
from hume_runner.processes import Stopped, TookTooLong, WorkerDied

# A worker ends what takes too long by itself. So much later nobody does, and nothing will come.
_GRACE_S = 15.0
_LOOK_S = 5.0  # how often it is looked whether a call was begun
_MOST_STRANGE = 2  # so many times a call is answered by what is no answer to it
_MOST_REJECTED = 2  # so many times it comes back before anybody began with it, and it may be its own fault
_MOST_ALONE = 3  # so many times more it is tried by itself


class Place(Protocol):
    """An executor and whatever has to be known of it."""

    name: str  # as people call it

    @property
    def width(self) -> int:
        """How many calls it works on at one time."""
        ...

    def clock(self) -> float:
        """Seconds for which it has answered, from whatever moment: a call's time does not go on while nobody could
        bring its answer."""
        ...

    def open(self, run: Run) -> None:
        """Connect, and check who works there. Raises: HumeRunnerError, Stopped."""
        ...

    def submit(self, run: Run, call: str, work: bytes, timeout_s: float, *, alone: bool) -> Future[bytes]:
        """`perform` there, as soon as somebody is fit for it; it ends with Away where the place went away with it.
        `alone`: where it can break nothing that others wait for, and nobody else can break it. Raises: HumeRunnerError,
        Stopped."""
        ...

    def probe(self, run: Run, call: str, work: bytes, timeout_s: float, *, beside: Future[bytes]) -> Future[bytes]:
        """`perform` where that call failed, of something that anybody can work on. Raises: HumeRunnerError, Stopped."""
        ...

    def failed(self, future: Future[bytes], error: BaseException, *, began: bool) -> bool:
        """A call came back with an error that is not its own. `began`: somebody had begun with it. Whether it may be
        that it is not taken; else somebody was lost. Returns for another try. Raises: HumeRunnerError, WorkerDied."""
        ...

    def gave_nothing(self, future: Future[bytes], error: BaseException) -> None:
        """Neither that call nor a probe was answered: it is the place's fault. Returns for another try. Raises:
        HumeRunnerError."""
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


@frozen(kw_only=False)
class _Lost:
    """A try that came back without an outcome. `began`: after somebody had begun with it."""

    future: Future[bytes]
    error: BaseException
    began: bool


def _nothing() -> None:
    """What anybody can work on."""


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
        self._heard = 0.0  # when the last call came back, by the place's clock
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
                if self._stopped:
                    raise Stopped
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
        folder = Path(run["folder"])
        strange = rejected = deaths = 0
        works = alone = False
        while True:
            alone = alone or deaths > 0 or (rejected >= _MOST_REJECTED and not works)
            try:
                came = self._tried(run, call, work, alone=alone)
            except NoAnswer as none:
                strange += 1
                if none.reason != "no_answer" or strange >= _MOST_STRANGE:
                    raise
                continue  # what was handed to somebody else, or damaged, is worked on again
            if isinstance(came, _Lost):
                if isinstance(came.error, Away):  # whoever had begun with it may still work, and did not die of it
                    call = secrets.token_hex(16)
                    continue
                deaths += came.began
                if deaths >= MOST_DEATHS:  # also where what was taken for lost came to its end, and left no mark
                    raise WorkerDied("it was lost")
                if self._place.failed(came.future, came.error, began=came.began):
                    rejected += 1
                    works = self._works(run, came, rejected, works=works)
                continue
            match came.kind:
                case "returned":
                    return came.value
                case "raised":
                    raise self._ours(came)
                case "slow":
                    raise TookTooLong
                case "deadly":
                    raise WorkerDied("it was lost")
                case "died":
                    if starts(folder, call) >= MOST_DEATHS:
                        raise WorkerDied(came.value)
                case "unfit" if self._is_there():
                    error = unfit(
                        f"the worker on {came.where}", came.value, run, versions(), seen="wrote" in came.value
                    )
                    raise error or AssertionError(came.value)
                case "unfit" | "gone":
                    raise self._gone(came)

    def _tried(self, run: Run, call: str, work: bytes, *, alone: bool) -> Outcome | _Lost:
        """One try, and what came of it or that it was lost on the way. Raises: Stopped, NoAnswer, HumeRunnerError,
        WorkerDied."""
        if self._stopped:
            raise Stopped
        folder = Path(run["folder"])
        before = starts(folder, call)
        future = self._place.submit(run, call, work, self._timeout_s, alone=alone)
        error = self._ended(future, folder, call)
        if error is None:
            return outcome_of(future.result(), run, call, work)
        begun = starts(folder, call)
        if begun >= MOST_DEATHS and not isinstance(error, Away):
            raise WorkerDied("it was lost")
        return _Lost(future, error, begun > before)

    def _ended(self, future: Future[bytes], folder: Path, call: str) -> BaseException | None:
        """With what it ended. Raises: Stopped, NoAnswer."""
        self._wait(future, folder, call)
        if future.cancelled():  # not by us, who would not wait
            return CancelledError("it cancels what it was given")
        return future.exception()

    def _works(self, run: Run, lost: _Lost, rejected: int, *, works: bool) -> bool:
        """Whether the place works where it did not take a call, so often. Returns for another try. Raises: NoAnswer
        where it is the call's own fault; HumeRunnerError where nothing can be worked on.

        `works`: it did the last time. What is not taken before and after something else is answered is at fault.
        """
        if rejected < _MOST_REJECTED:
            return False  # it may have been meant for a worker that was lost
        not_taken = NoAnswer(f"{self._place.name} does not take it: {in_a_line(lost.error)}", reason="not_taken")
        if works:
            raise not_taken
        if self._answers(run, lost.future):
            return True
        self._place.gave_nothing(lost.future, lost.error)
        if rejected >= _MOST_REJECTED + _MOST_ALONE:  # others came back meanwhile, or the place would have given up
            raise not_taken
        return False

    def _answers(self, run: Run, beside: Future[bytes]) -> bool:
        """Whether a call that anybody can work on is answered where that one was not. Raises: Stopped,
        HumeRunnerError."""
        call, work = secrets.token_hex(16), pickle.dumps((_nothing, (), {}))
        future = self._place.probe(run, call, work, self._timeout_s, beside=beside)
        try:
            if self._ended(future, Path(run["folder"]), call) is not None:
                return False
            return outcome_of(future.result(), run, call, work).kind == "returned"
        except NoAnswer:
            return False

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
        since, begun = self._place.clock(), 0
        while not done.wait(min(_LOOK_S, self._timeout_s / 4)):
            if (now_begun := starts(folder, call)) > begun:
                since, begun = self._place.clock(), now_begun
            elif not begun:
                since = max(since, self._heard)  # others have their turn: it waits for its own
            if self._place.clock() - since > self._timeout_s + _GRACE_S:
                self._place.forget(future)
                # A future that does not tell may be of work that was done, between two looks.
                what = "it was begun, and its future did not end" if begun else "nothing came back of it"
                raise NoAnswer(f"{what} within execution.job_timeout, {self._timeout_s:g} s", reason="timed_out")
        self._heard = self._place.clock()

    def _is_there(self) -> bool:
        return self._folder is not None and self._folder.is_there()

    def _gone(self, outcome: Outcome) -> BaseException:
        """Why a worker does not find what all share."""
        assert self._folder is not None
        if self._stopped:
            return Stopped()
        if self._is_there():
            return unseen_file(f"the worker on {outcome.where}", str(self._folder.path), "it is gone there")
        return ServiceUnavailable(
            f"{self._folder.path}, which the run shares with its workers, is gone or not whole: somebody removed it or "
            "what is in it, or its file system went away",
            hint="leave it there while a run works; run the same command again: it resumes",
        )

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
