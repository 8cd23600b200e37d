"""Who works at a Dask cluster, watched in a thread of ours: each is checked before it gets work, and whoever is lacking
for too long ends the run. Whether the scheduler answers is seen each time it is asked who is there."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hume_runner.computing.base import Away
from hume_runner.computing.checks import cannot_import, is_told, other_versions, unfit
from hume_runner.computing.dask_calls import Calls, bring, cancel_soon, settle
from hume_runner.computing.dask_link import Link, first_line, is_import
from hume_runner.computing.handed import aside
from hume_runner.computing.perform import Run, is_seen, tell, versions
from hume_runner.computing.presence import Answering, Scheduler, Seen, ruling
from hume_runner.errors import HumeRunnerError, ServiceUnavailable, UsageError
from hume_runner.processes import Stopped

_WATCH_S = 0.5


@dataclass(slots=True)
class _Workers:
    """Who is there: by address, with the number of threads. `checking` tells what the worker says of itself;
    `asked_at`: since when it is asked, by the time for which the scheduler answers."""

    fit: dict[str, int] = field(default_factory=dict)
    unfit: dict[str, HumeRunnerError] = field(default_factory=dict)
    checking: dict[str, Future[Any]] = field(default_factory=dict)
    asked_at: dict[str, float] = field(default_factory=dict)


class Watch:
    """Watches who is at the other end of a link. What it knows is guarded by the link's `changed`.

    `executor` is Dask's of the workers that are fit now, None while nobody is; `error` is what ends the run. `wait_s`:
    how long a run waits for a scheduler that went away or is silent, and for a worker. `answer_s`: how long an answer
    of the scheduler may take where nothing is wrong. `warn` takes what people should know,
    in the thread that watches.
    """

    def __init__(
        self, link: Link, calls: Calls, *, wait_s: float, answer_s: float, warn: Callable[[str], None]
    ) -> None:
        self.executor: Executor | None = None
        self.error: HumeRunnerError | None = None
        self._link = link
        self._calls = calls
        self._changed = link.changed
        self._wait_s = wait_s
        self._most_s = _WATCH_S + answer_s
        self._warn = warn
        self._run: Run | None = None
        self._workers = _Workers()
        self._begun = False  # those that were there at the beginning are checked
        self._scheduler: str | None = None
        self._answering = Answering(time.monotonic, most_s=self._most_s)
        self._worked_at = 0.0  # by that clock: when somebody was fit last
        self._thread: threading.Thread | None = None

    @property
    def width(self) -> int:
        """How many calls those who are fit work on at one time."""
        with self._changed:
            return sum(self._workers.fit.values())

    @property
    def fit(self) -> frozenset[str]:
        return frozenset(self._workers.fit)

    @property
    def answered_s(self) -> float:
        """For how long the scheduler has answered."""
        return self._answering.total_s

    def begin(self, run: Run) -> None:
        """Watch from now on, and return when somebody may get work. Raises: HumeRunnerError where one that is there is
        not fit, or nobody came; Stopped."""
        self._run = run
        self._answering = Answering(time.monotonic, most_s=self._most_s)
        self._thread = threading.Thread(target=self._watch, name="hume-runner-cluster", daemon=True)
        self._thread.start()
        with self._changed:
            # Those that are there at the beginning are told of at once; later ones join when they are checked.
            self._changed.wait_for(lambda: self._is_told() or self._all_checked(), self._wait_s)
            # One that never answers holds nobody up for longer. Where there is no other, the watch says what lacks.
            self._changed.wait_for(lambda: self._is_told() or self._workers.fit)
            if self._link.stopped:
                raise Stopped
            wrong = self.error or next(iter(self._workers.unfit.values()), None)
        if wrong is not None:
            raise wrong
        self._begun = True

    def _is_told(self) -> bool:
        return self._link.stopped or self.error is not None or bool(self._workers.unfit)

    def _all_checked(self) -> bool:
        return bool(self._workers.fit) and not self._workers.checking

    def checking(self) -> list[Future[Any]]:
        """What workers are asked of themselves just now."""
        with self._changed:
            return list(self._workers.checking.values())

    def drop(self, executor: Executor) -> None:
        """It lost its scheduler since it was looked, and the next look gives another."""
        with self._changed:
            if self.executor is executor:
                self.executor = None

    def _watch(self) -> None:
        while not self._link.closing:
            try:
                self._look()
            except HumeRunnerError as error:
                self._give_up(error)
                return
            except Exception as error:  # whatever a library says of a connection that ends
                if not self._link.closing and self._link.stands:
                    logging.getLogger(__name__).debug("watching %s: %r", self._link.address, error)
            with self._changed:
                self._changed.wait_for(lambda: self._link.closing or self._any_told(), _WATCH_S)

    def _any_told(self) -> bool:
        return any(future.done() for future in self._workers.checking.values())

    def _look(self) -> None:
        """Who is there now. Raises: HumeRunnerError for what has been lacking for too long."""
        told = self._link.who_is_there()
        scheduler: Scheduler = "answers"
        if told is not None:
            self._answering.heard()
            self._note(told)
        elif self._link.stands:
            scheduler = "silent"
        else:
            scheduler = "gone"
            self._lost()
        self._judge_all(scheduler)
        self._link.renew()

    def _note(self, told: Mapping[str, Any]) -> None:
        if told["id"] != self._scheduler:  # another one at the same place: it knows nothing of what was submitted
            self._scheduler = told["id"]
            self._lost()
        assert self._run is not None
        present = {address: int(one.get("nthreads", 1)) for address, one in told["workers"].items()}
        with self._changed:
            workers = self._workers
            before = set(workers.fit)
            known: dict[str, Any]
            for known in (workers.fit, workers.unfit, workers.asked_at):
                for address in set(known) - set(present):
                    del known[address]
            stuck = [workers.checking.pop(address) for address in set(workers.checking) - set(present)]
            for address in present:
                if address not in workers.fit and address not in workers.unfit and address not in workers.checking:
                    workers.checking[address] = self._asked(address)
                    workers.asked_at.setdefault(address, self._answering.total_s)
            for address, future in list(workers.checking.items()):
                if future.done():
                    del workers.checking[address]
                    self._judge(address, present[address], future)
            if set(workers.fit) != before or (self.executor is None and workers.fit):
                fit = sorted(workers.fit)
                self.executor = self._link.client.get_executor(pure=False, workers=fit) if fit else None
                stuck += self._calls.stuck(Path(self._run["folder"]), set(workers.fit), before)
            self._changed.notify_all()
        self._calls.let_go(stuck, CancelledError())  # and it is submitted again, to those that are there

    def _judge_all(self, scheduler: Scheduler) -> None:
        """Raises: HumeRunnerError for what has been lacking for too long."""
        now = self._answering.total_s
        with self._changed:
            workers = self._workers
            if workers.fit:
                self._worked_at = now
            seen = Seen(
                scheduler=scheduler,
                away_s=self._answering.away_s,
                fit=bool(workers.fit),
                lacking_s=now - self._worked_at,
                asked_s=min((now - workers.asked_at[one] for one in workers.checking), default=None),
            )
            unfit = next(iter(workers.unfit.values()), None)
        match ruling(seen, self._wait_s):
            case "works" | "waits":
                return
            case "nobody":
                raise unfit or self._nobody()
            case away:
                raise self._link.away(away, self._wait_s)

    def _asked(self, address: str) -> Future[Any]:
        asked: Future[Any] = Future()
        asked.add_done_callback(lambda _: self._link.wake())
        # In a thread of its own: a worker that hangs answers nobody.
        aside(_ask, self._link.client, address, self._run, asked)
        return asked

    def _judge(self, address: str, threads: int, future: Future[Any]) -> None:
        from distributed.comm.core import CommClosedError

        who = f"the Dask worker {address}"
        assert self._run is not None
        if future.cancelled():
            return  # asked again, if it is still there
        error = future.exception()
        if isinstance(error, Away | CommClosedError):  # the connection was lost: the same
            return
        wrong: HumeRunnerError | None
        if error is not None and is_import(error):
            wrong = cannot_import(who, self._run["hume_runner"], first_line(error))
        elif error is not None:
            wrong = UsageError(
                f"{who} cannot run a function of this package: {type(error).__name__}: {first_line(error)}",
                hint="it must be able to import hume_runner",
            )
        elif not is_told(told := future.result()):
            wrong = UsageError(
                f"{who} gives back a {type(told).__name__} that no worker of ours returned",
                hint=f"install hume_runner {self._run['hume_runner']} where it runs, then start it again",
            )
        else:
            wrong = unfit(who, told, self._run, versions(), is_seen(self._run, told))
        if wrong is None:
            self._workers.fit[address] = threads
            return
        self._workers.unfit[address] = wrong
        if self._begun:
            self._warn(f"{wrong}; it gets no work")

    def _nobody(self) -> HumeRunnerError:
        return ServiceUnavailable(
            f"the Dask scheduler at {self._link.address} had no worker that could be used for {self._wait_s:g} s",
            hint=f"start some, as `dask worker {self._link.address} --nthreads 1`, then run the same command again: it "
            "resumes",
        )

    def _lost(self) -> None:
        """The scheduler went away, and what it was to bring: who comes back is checked anew."""
        with self._changed:
            self._workers = _Workers()
            self.executor = None
            waiting = self._calls.all()
        self._calls.let_go(waiting, Away())

    def _give_up(self, error: HumeRunnerError) -> None:
        with self._changed:
            self.error = error
            waiting = self._calls.all()
            self._changed.notify_all()
        self._calls.let_go(waiting, Away())


def _ask(client: Any, address: str, run: Run, asked: Future[Any]) -> None:
    """What a worker tells of itself. First by a call that needs no task: one whose module a worker cannot import ends
    the worker."""
    try:
        told = client.run(versions, workers=[address], on_error="return")[address]
        if isinstance(told, BaseException):
            raise told
        if other_versions("", told, versions()) is not None:
            settle(asked, {"where": address, **told}, None)
            return
        future: Future[Any] = client.get_executor(pure=False, workers=[address]).submit(tell, run)
    except Exception as error:
        settle(asked, None, error)
        return
    future.add_done_callback(lambda done: bring(done, asked))
    asked.add_done_callback(lambda done: cancel_soon([future]) if done.cancelled() else None)
