"""A Dask cluster that the user has. Only workers that were checked get work; who they are is watched.

Dask runs a task again by itself where a worker is lost, so that a call may be begun more often than it was submitted;
`perform` counts that. Whatever Dask does may wait for ever for a scheduler that is silent: it is asked in threads of
ours that nobody waits for, or for so long and no longer. Whether the scheduler answers is seen each time it is asked
who is there.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import CancelledError, Executor, Future, InvalidStateError
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hume_runner.computing.base import Away
from hume_runner.computing.checks import cannot_import, is_told, other_versions, unfit
from hume_runner.computing.handed import aside
from hume_runner.computing.perform import Run, is_seen, perform, starts, tell, versions
from hume_runner.computing.presence import Answering, Scheduler, Seen, ruling
from hume_runner.errors import HumeRunnerError, MissingExtra, ServiceUnavailable, UsageError
from hume_runner.processes import Stopped, WorkerDied

_WATCH_S = 0.5
_CONNECT_S = 10.0
_AGAIN_S = 1.0  # the same, for a scheduler that may have come back
_LATER_S = 2.0  # so much later we give up what Dask gives up by itself, and says why
_CLOSE_S = 3.0
# A scheduler that has not said within so many seconds who is there is silent.
_LEAST_ANSWER_S, _MOST_ANSWER_S = 1.0, 5.0


@dataclass(slots=True)
class _Out:
    """A call that is at the cluster: which workers may take it, and Dask's future of it, once it has one."""

    call: str
    workers: frozenset[str]
    theirs: Future[bytes] | None = None


@dataclass(slots=True)
class _Workers:
    """Who is there: by address, with the number of threads. `checking` tells what the worker says of itself;
    `asked_at`: since when it is asked, by the time for which the scheduler answers."""

    fit: dict[str, int] = field(default_factory=dict)
    unfit: dict[str, HumeRunnerError] = field(default_factory=dict)
    checking: dict[str, Future[Any]] = field(default_factory=dict)
    asked_at: dict[str, float] = field(default_factory=dict)


class DaskCluster:
    """The cluster whose scheduler is at `address`.

    `wait_s`: how long a run waits for a scheduler that went away or is silent, and for a worker. `warn` takes what
    people should know.
    """

    def __init__(self, address: str, *, wait_s: float, warn: Callable[[str], None]) -> None:
        self._address = address
        self.name = f"the Dask cluster at {address}"
        self._wait_s = wait_s
        self._warn = warn
        self._client: Any = None
        self._run: Run | None = None
        self._workers = _Workers()
        self._executor: Executor | None = None  # of the workers that are fit now
        self._out: dict[Future[bytes], _Out] = {}
        self._error: HumeRunnerError | None = None
        self._begun = False  # those that were there at the beginning are checked
        self._stopped = False
        self._closing = False
        self._scheduler: str | None = None
        self._answer_s = max(_LEAST_ANSWER_S, min(_MOST_ANSWER_S, wait_s / 2))
        # An answer may come so long after the one before, where nothing is wrong.
        self._answering = Answering(time.monotonic, most_s=_WATCH_S + self._answer_s)
        self._worked_at = 0.0  # by that clock: when somebody was fit last
        self._changed = threading.Condition()
        self._watching: threading.Thread | None = None
        self._quiet = _Quiet()

    @property
    def width(self) -> int:
        """See `Place.width`."""
        with self._changed:
            return sum(self._workers.fit.values())

    def clock(self) -> float:
        """See `Place.clock`."""
        return self._answering.total_s

    # -- beginning --------------------------------------------------------------------------------------------------

    def open(self, run: Run) -> None:
        """See `Place.open`: every worker that is there is checked, and one that is not fit refuses the run."""
        try:
            import distributed.comm
        except ImportError:
            raise MissingExtra("cluster", f"--cluster {self._address}") from None
        try:  # a client that is begun for what Dask does not know ends late, and with much to say
            distributed.comm.get_address_host_port(self._address)  # type: ignore[attr-defined]
            if self._address.startswith(("tls://", "wss://")):
                _check_certificates()
        except (ValueError, TypeError, NotImplementedError, OSError) as error:
            raise _not_taken(self._address, error) from error
        self._run = run
        self._quiet.begin()
        patience_s = max(_CONNECT_S, self._wait_s)  # with one that takes the connection and is silent then
        self._client = self._connected(_CONNECT_S, within_s=patience_s + _LATER_S)
        self._check_scheduler(within_s=patience_s)
        self._answering = Answering(time.monotonic, most_s=_WATCH_S + self._answer_s)
        self._watching = threading.Thread(target=self._watch, name="hume-runner-cluster", daemon=True)
        self._watching.start()
        with self._changed:
            # Those that are there at the beginning are told of at once; later ones join when they are checked.
            self._changed.wait_for(lambda: self._is_told() or self._all_checked(), self._wait_s)
            # One that never answers holds nobody up for longer. Where there is no other, the watch says what lacks.
            self._changed.wait_for(lambda: self._is_told() or self._workers.fit)
            if self._stopped:
                raise Stopped
            wrong = self._error or next(iter(self._workers.unfit.values()), None)
        if wrong is not None:
            raise wrong
        self._begun = True

    def _is_told(self) -> bool:
        return self._stopped or self._error is not None or bool(self._workers.unfit)

    def _all_checked(self) -> bool:
        return bool(self._workers.fit) and not self._workers.checking

    def _within(
        self, seconds: float, function: Callable[..., Any], *args: Any, undo: Callable[[Any], object] | None = None
    ) -> Any:
        """What a function of Dask's gives; what comes too late is undone. Raises: what it raises; TimeoutError;
        Stopped."""
        asked: Future[Any] = Future()
        asked.add_done_callback(lambda _: self._wake())
        aside(_answer, asked, function, args, undo)
        try:
            with self._changed:
                self._changed.wait_for(lambda: asked.done() or self._stopped or self._closing, seconds)
        finally:
            late = asked.cancel()
        if late and (self._stopped or self._closing):
            raise Stopped
        if late:
            raise TimeoutError
        return asked.result()

    def _connected(self, timeout_s: float, *, within_s: float) -> Any:
        """`within_s`: for how long a scheduler may be silent that has taken the connection. Raises: ServiceUnavailable,
        UsageError, Stopped."""
        import distributed

        def make() -> Any:
            of: Callable[..., Any] = distributed.Client
            return of(self._address, timeout=timeout_s, set_as_default=False, name="hume-runner")

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of versions that differ, which is told in our words
            try:
                return self._within(within_s, make, undo=_closed)
            except (OSError, TimeoutError) as error:
                why = str(error).strip() and _first_line(error)
                raise ServiceUnavailable(
                    f"no Dask scheduler answers at {self._address}: {why or f'it was silent for {within_s:g} s'}",
                    hint="start it with `dask scheduler`, and workers with `dask worker ADDRESS --nthreads 1`",
                ) from error
            except (ValueError, ImportError, TypeError, KeyError) as error:
                raise _not_taken(self._address, error) from error

    def _check_scheduler(self, *, within_s: float) -> None:
        who = f"the Dask scheduler at {self._address}"
        ours = self._ours()
        try:
            told = self._within(within_s, self._client.run_on_scheduler, versions)
        except Stopped:
            raise
        except TimeoutError as error:
            raise self._away("silent", within_s) from error
        except OSError as error:
            raise self._away("gone", within_s) from error
        except Exception as error:
            if _is_import(error):
                raise cannot_import(who, ours["hume_runner"], _first_line(error)) from error
            raise UsageError(
                f"{who} runs no function of ours: {type(error).__name__}: {_first_line(error)}",
                hint="it must be able to import hume_runner, and allow what Dask calls distributed.scheduler.pickle",
            ) from error
        wrong = other_versions(who, told, ours)
        if wrong is not None:
            raise wrong

    def _ours(self) -> Mapping[str, Any]:
        return versions()

    # -- watching ---------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        while not self._closing:
            try:
                self._look()
            except HumeRunnerError as error:
                self._give_up(error)
                return
            except Exception as error:  # whatever a library says of a connection that ends
                if not self._closing and self._client.status == "running":
                    logging.getLogger(__name__).debug("watching %s: %r", self._address, error)
            with self._changed:
                self._changed.wait_for(lambda: self._closing or self._any_told(), _WATCH_S)

    def _any_told(self) -> bool:
        return any(future.done() for future in self._workers.checking.values())

    def _look(self) -> None:
        """Who is there now. Raises: HumeRunnerError for what has been lacking for too long."""
        told = self._who_is_there()
        scheduler: Scheduler = "answers"
        if told is not None:
            self._answering.heard()
            self._note(told)
        elif self._client.status == "running":
            scheduler = "silent"
        else:
            scheduler = "gone"
            self._lost()
        self._judge_all(scheduler)
        if self._client.status == "closed":
            with contextlib.suppress(ServiceUnavailable):
                self._client = self._connected(_AGAIN_S, within_s=_AGAIN_S + _LATER_S)

    def _who_is_there(self) -> Mapping[str, Any] | None:
        """What the scheduler tells; None where it does not answer. Dask's own `scheduler_info` waits for ever, and
        where the connection breaks it gives what was told before."""
        client = self._client
        if client.status != "running":
            return None
        try:
            told: Mapping[str, Any] = client.sync(
                client.scheduler.identity, callback_timeout=self._answer_s, **_everybody(client)
            )
        except Exception as error:  # whatever a library says of a connection that ends
            logging.getLogger(__name__).debug("asking %s: %r", self._address, error)
            return None
        return told

    def _note(self, told: Mapping[str, Any]) -> None:
        if told["id"] != self._scheduler:  # another one at the same place: it knows nothing of what was submitted
            self._scheduler = told["id"]
            self._lost()
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
            if set(workers.fit) != before or (self._executor is None and workers.fit):
                fit = sorted(workers.fit)
                self._executor = self._client.get_executor(pure=False, workers=fit) if fit else None
                stuck += self._stuck(before)
            self._changed.notify_all()
        self._let_go(stuck, CancelledError())  # and it is submitted again, to those that are there

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
                raise self._away(away, self._wait_s)

    def _asked(self, address: str) -> Future[Any]:
        asked: Future[Any] = Future()
        asked.add_done_callback(lambda _: self._wake())
        # In a thread of its own: a worker that hangs answers nobody.
        aside(_ask, self._client, address, self._run, asked)
        return asked

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

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
        if error is not None and _is_import(error):
            wrong = cannot_import(who, self._run["hume_runner"], _first_line(error))
        elif error is not None:
            wrong = UsageError(
                f"{who} cannot run a function of this package: {type(error).__name__}: {_first_line(error)}",
                hint="it must be able to import hume_runner",
            )
        elif not is_told(told := future.result()):
            wrong = UsageError(
                f"{who} gives back a {type(told).__name__} that no worker of ours returned",
                hint=f"install hume_runner {self._run['hume_runner']} where it runs, then start it again",
            )
        else:
            wrong = unfit(who, told, self._run, self._ours(), is_seen(self._run, told))
        if wrong is None:
            self._workers.fit[address] = threads
            return
        self._workers.unfit[address] = wrong
        if self._begun:
            self._warn(f"{wrong}; it gets no work")

    def _stuck(self, before: set[str]) -> list[Future[bytes]]:
        """Calls that nobody who is there may take; and, where somebody came, those that wait for others."""
        assert self._run is not None
        fit, folder = set(self._workers.fit), Path(self._run["folder"])
        came = fit - before
        return [
            future
            for future, out in self._out.items()
            if not out.workers & fit or (came and before and not starts(folder, out.call))
        ]

    def _nobody(self) -> HumeRunnerError:
        return ServiceUnavailable(
            f"the Dask scheduler at {self._address} had no worker that could be used for {self._wait_s:g} s",
            hint=f"start some, as `dask worker {self._address} --nthreads 1`, then run the same command again: it "
            "resumes",
        )

    def _away(self, scheduler: Scheduler, seconds: float) -> HumeRunnerError:
        if scheduler == "gone":
            return ServiceUnavailable(
                f"the Dask scheduler at {self._address} went away and did not come back within {seconds:g} s",
                hint="start it and its workers again, then run the same command again: it resumes",
            )
        return ServiceUnavailable(
            f"the Dask scheduler at {self._address} has not answered for {seconds:g} s, and its connection stands",
            hint="look whether it, its machine or the network hangs, then run the same command again: it resumes",
        )

    def _lost(self) -> None:
        """The scheduler went away, and what it was to bring: who comes back is checked anew."""
        with self._changed:
            self._workers = _Workers()
            self._executor = None
            waiting = list(self._out)
        self._let_go(waiting, Away())

    def _give_up(self, error: HumeRunnerError) -> None:
        with self._changed:
            self._error = error
            waiting = list(self._out)
            self._changed.notify_all()
        self._let_go(waiting, Away())

    def _let_go(self, waiting: Iterable[Future[Any]], error: BaseException) -> None:
        """Whoever waits for these hears of it. At once, whatever Dask does."""
        theirs: list[Future[Any]] = []
        for future in waiting:
            with self._changed:
                out = self._out.get(future)
            if out is not None and out.theirs is not None:
                theirs.append(out.theirs)
            if isinstance(error, CancelledError):
                future.cancel()
            else:
                _settle(future, None, error)
        _cancel_soon(theirs)

    # -- working ----------------------------------------------------------------------------------------------------

    def submit(self, run: Run, call: str, work: bytes, timeout_s: float, *, alone: bool) -> Future[bytes]:
        """See `Place.submit`."""
        del alone  # Dask loses one worker at a time
        with self._changed:
            self._changed.wait_for(lambda: self._error or self._stopped or self._executor is not None)
            if self._error is not None:
                raise self._error
            if self._stopped or self._executor is None:
                raise Stopped
            future: Future[bytes] = Future()
            out = self._out[future] = _Out(call, frozenset(self._workers.fit))
            executor = self._executor
        future.add_done_callback(self._came)
        try:
            out.theirs = theirs = executor.submit(perform, run, call, work, timeout_s)
        except Exception as error:
            self._not_handed(future, executor, error)
            return future
        theirs.add_done_callback(lambda done: _bring(done, future))
        if future.done():  # meanwhile, by who did not know of Dask's
            _cancel_soon([theirs])
        return future

    def _not_handed(self, future: Future[bytes], executor: Executor, error: Exception) -> None:
        if self._client.status == "running":
            _settle(future, None, error)
            return
        with self._changed:  # it lost its scheduler since it was looked, and the next look gives another
            if self._executor is executor:
                self._executor = None
        _settle(future, None, Away())

    def _came(self, future: Future[bytes]) -> None:
        with self._changed:
            self._out.pop(future, None)

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
        return self._client.status == "running" and not isinstance(error, OSError | CancelledError)

    def gave_nothing(self, future: Future[bytes], error: BaseException) -> None:
        """See `Place.gave_nothing`."""
        raise UsageError(
            f"{self.name} cannot run a function of this package: {type(error).__name__}: {_first_line(error)}",
            hint="look at the logs of its scheduler and workers",
        )

    def forget(self, future: Future[bytes]) -> None:
        """See `Place.forget`."""
        self._let_go([future], CancelledError())

    def stop(self) -> None:
        """See `Place.stop`."""
        with self._changed:
            self._stopped = True
            waiting = [*self._out, *self._workers.checking.values()]
            self._changed.notify_all()
        self._let_go(waiting, CancelledError())

    def close(self) -> None:
        """See `Place.close`."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        ending = aside(self._end)
        ending.join(_CLOSE_S)

    def _end(self) -> None:
        if self._client is not None:
            _closed(self._client)
        self._quiet.end()  # Dask has words to say of an end that takes long


def _closed(client: Any) -> None:
    with contextlib.suppress(Exception):
        client.close(timeout=_CLOSE_S)


def _everybody(client: Any) -> Mapping[str, Any]:
    """How a scheduler is asked for all of its workers: some versions tell of a few, unless they are asked."""
    return {"n_workers": -1} if "n_workers" in inspect.signature(client.scheduler_info).parameters else {}


def _answer(
    asked: Future[Any], function: Callable[..., Any], args: tuple[Any, ...], undo: Callable[[Any], object] | None
) -> None:
    try:
        result = function(*args)
    except Exception as error:
        _settle(asked, None, error)
        return
    if not _settle(asked, result, None) and undo is not None:
        undo(result)


def _ask(client: Any, address: str, run: Run, asked: Future[Any]) -> None:
    """What a worker tells of itself. First by a call that needs no task: one whose module a worker cannot import ends
    the worker."""
    try:
        told = client.run(versions, workers=[address], on_error="return")[address]
        if isinstance(told, BaseException):
            raise told
        if other_versions("", told, versions()) is not None:
            _settle(asked, {"where": address, **told}, None)
            return
        future: Future[Any] = client.get_executor(pure=False, workers=[address]).submit(tell, run)
    except Exception as error:
        _settle(asked, None, error)
        return
    future.add_done_callback(lambda done: _bring(done, asked))
    asked.add_done_callback(lambda done: _cancel_soon([future]) if done.cancelled() else None)


def _bring(done: Future[Any], ours: Future[Any]) -> None:
    """End ours as Dask's ended: it cancels what it loses with its connection, and nobody else cancels it before
    ours."""
    if done.cancelled():
        _settle(ours, None, Away())
    else:
        error = done.exception()
        _settle(ours, None if error else done.result(), error)


def _settle(asked: Future[Any], told: Any, error: BaseException | None) -> bool:
    """Whether anybody still wanted to know."""
    try:
        asked.set_result(told) if error is None else asked.set_exception(error)
    except InvalidStateError:
        return False
    return True


def _cancel_soon(waiting: list[Future[Any]]) -> None:
    """Nobody waits for that: Dask does it in its own thread, which may be over."""
    if waiting:
        with contextlib.suppress(HumeRunnerError):  # this machine has no thread for it: they are worked on for nothing
            aside(_cancel, waiting)


def _cancel(waiting: list[Future[Any]]) -> None:
    for future in waiting:
        with contextlib.suppress(Exception):
            future.cancel()


class _Quiet:
    """Dask tells on stderr, with tracebacks, what we tell in a line: not while we use it."""

    def __init__(self) -> None:
        self._was: list[tuple[logging.Logger, int]] = []

    def begin(self) -> None:
        # Dask sets levels of its own to some of its loggers when it is imported.
        names = [name for name in logging.root.manager.loggerDict if name.startswith("distributed.")]
        for name in ("distributed", "tornado.application", "asyncio", *names):
            logger = logging.getLogger(name)
            self._was.append((logger, logger.level))
            logger.setLevel(logging.CRITICAL + 1)

    def end(self) -> None:
        for logger, level in self._was:
            logger.setLevel(level)
        self._was.clear()


def _is_import(error: BaseException) -> bool:
    """Dask may put the words of one into an exception of its own."""
    return isinstance(error, ImportError) or "ModuleNotFoundError" in str(error) or "ImportError" in str(error)


def _check_certificates() -> None:
    """Raises: ValueError, OSError if Dask has none that it could use."""
    import distributed

    make: Callable[..., Any] = distributed.Security
    if make().get_connection_args("client").get("ssl_context") is None:
        raise ValueError("its configuration names no certificates")


def _not_taken(address: str, error: Exception) -> UsageError:
    return UsageError(
        f"--cluster {address}: Dask does not take this: {_first_line(error)}",
        hint="an address is like tcp://host:8786; tls:// takes its certificates from Dask's configuration",
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
