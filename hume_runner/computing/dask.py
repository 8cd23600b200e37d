"""A Dask cluster that the user has. Only workers that were checked get work.

Dask runs a task again by itself where a worker is lost, so that a call may be begun more often than it was submitted;
`perform` counts that. The connection is `dask_link`, who is there `dask_watch`, and what waits for Dask `dask_calls`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future

from hume_runner.computing.base import Away
from hume_runner.computing.dask_calls import Calls, bring, cancel_soon, settle
from hume_runner.computing.dask_link import Link, first_line
from hume_runner.computing.dask_watch import Watch
from hume_runner.computing.perform import Run, perform
from hume_runner.errors import UsageError
from hume_runner.processes import Stopped, WorkerDied

# A scheduler that has not said within so many seconds who is there is silent.
_LEAST_ANSWER_S, _MOST_ANSWER_S = 1.0, 5.0


class DaskCluster:
    """The cluster whose scheduler is at `address`.

    `wait_s`: how long a run waits for a scheduler that went away or is silent, and for a worker. `warn` takes what
    people should know.
    """

    def __init__(self, address: str, *, wait_s: float, warn: Callable[[str], None]) -> None:
        self.name = f"the Dask cluster at {address}"
        self._wait_s = wait_s
        answer_s = max(_LEAST_ANSWER_S, min(_MOST_ANSWER_S, wait_s / 2))
        self._link = Link(address, answer_s=answer_s)
        self._changed = self._link.changed
        self._calls = Calls(self._changed)
        self._watch = Watch(self._link, self._calls, wait_s=wait_s, answer_s=answer_s, warn=warn)

    @property
    def width(self) -> int:
        """See `Place.width`."""
        return self._watch.width

    def clock(self) -> float:
        """See `Place.clock`."""
        return self._watch.answered_s

    def open(self, run: Run) -> None:
        """See `Place.open`: every worker that is there is checked, and one that is not fit refuses the run."""
        self._link.open(self._wait_s)
        self._watch.begin(run)

    def submit(self, run: Run, call: str, work: bytes, timeout_s: float, *, alone: bool) -> Future[bytes]:
        """See `Place.submit`."""
        del alone  # Dask loses one worker at a time
        watch = self._watch
        with self._changed:
            self._changed.wait_for(lambda: watch.error or self._link.stopped or watch.executor is not None)
            if watch.error is not None:
                raise watch.error
            if self._link.stopped or watch.executor is None:
                raise Stopped
            executor = watch.executor
            future, out = self._calls.add(call, watch.fit)
        try:
            out.theirs = theirs = executor.submit(perform, run, call, work, timeout_s)
        except Exception as error:
            self._not_handed(future, executor, error)
            return future
        theirs.add_done_callback(lambda done: bring(done, future))
        if future.done():  # meanwhile, by who did not know of Dask's
            cancel_soon([theirs])
        return future

    def _not_handed(self, future: Future[bytes], executor: Executor, error: Exception) -> None:
        if self._link.stands:
            settle(future, None, error)
            return
        self._watch.drop(executor)
        settle(future, None, Away())

    def probe(self, run: Run, call: str, work: bytes, timeout_s: float, *, beside: Future[bytes]) -> Future[bytes]:
        """See `Place.probe`."""
        del beside
        return self.submit(run, call, work, timeout_s, alone=False)

    def failed(self, future: Future[bytes], error: BaseException, *, began: bool) -> bool:
        """See `Place.failed`."""
        from distributed.scheduler import KilledWorker

        if isinstance(error, KilledWorker):
            if began:  # by the count of a scheduler that allows fewer deaths than we do
                raise WorkerDied("it was lost")
            return True
        # Else who was to work on it is lost, or somebody else came who may.
        return self._link.stands and not isinstance(error, OSError | CancelledError)

    def gave_nothing(self, future: Future[bytes], error: BaseException) -> None:
        """See `Place.gave_nothing`."""
        raise UsageError(
            f"{self.name} cannot run a function of this package: {type(error).__name__}: {first_line(error)}",
            hint="look at the logs of its scheduler and workers",
        )

    def forget(self, future: Future[bytes]) -> None:
        """See `Place.forget`."""
        self._calls.let_go([future], CancelledError())

    def stop(self) -> None:
        """See `Place.stop`."""
        with self._changed:
            self._link.stopped = True
            waiting = [*self._calls.all(), *self._watch.checking()]
            self._changed.notify_all()
        self._calls.let_go(waiting, CancelledError())

    def close(self) -> None:
        """See `Place.close`."""
        self._link.close()
