"""The connection to a Dask scheduler: made and made again, checked, asked who is there, ended.

Whatever Dask does may wait for ever for a scheduler that is silent: it is asked in threads of ours that nobody waits
for, or for so long and no longer.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import threading
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from hume_runner.computing.checks import cannot_import, other_versions
from hume_runner.computing.dask_calls import settle
from hume_runner.computing.handed import aside
from hume_runner.computing.perform import versions
from hume_runner.errors import HumeRunnerError, MissingExtra, ServiceUnavailable, UsageError
from hume_runner.processes import Stopped

_CONNECT_S = 10.0
_AGAIN_S = 1.0  # the same, for a scheduler that may have come back
_LATER_S = 2.0  # so much later we give up what Dask gives up by itself, and says why
_CLOSE_S = 3.0


class Link:
    """The connection to the scheduler at `address`, which is silent where it does not answer within `answer_s`.

    `changed` guards all that is known of the cluster, and wakes whoever waits for news of it: also that the run is
    `stopped`, or the link `closing`.
    """

    def __init__(self, address: str, *, answer_s: float) -> None:
        self.address = address
        self.client: Any = None
        self.changed = threading.Condition()
        self.stopped = False
        self.closing = False
        self._answer_s = answer_s
        self._quiet = _Quiet()

    @property
    def stands(self) -> bool:
        return bool(self.client.status == "running")

    def open(self, wait_s: float) -> None:
        """Connect, and check that the scheduler runs functions of this version. Raises: HumeRunnerError, Stopped."""
        try:
            import distributed.comm
        except ImportError:
            raise MissingExtra("cluster", f"--cluster {self.address}") from None
        try:  # a client that is begun for what Dask does not know ends late, and with much to say
            distributed.comm.get_address_host_port(self.address)  # type: ignore[attr-defined]
            if self.address.startswith(("tls://", "wss://")):
                _check_certificates()
        except (ValueError, TypeError, NotImplementedError, OSError) as error:
            raise _not_taken(self.address, error) from error
        self._quiet.begin()
        patience_s = max(_CONNECT_S, wait_s)  # with one that takes the connection and is silent then
        self.client = self._connected(_CONNECT_S, within_s=patience_s + _LATER_S)
        self._check_scheduler(within_s=patience_s)

    def renew(self) -> None:
        """Connect again where Dask has closed the connection, if somebody answers."""
        if self.client.status == "closed":
            with contextlib.suppress(ServiceUnavailable):
                self.client = self._connected(_AGAIN_S, within_s=_AGAIN_S + _LATER_S)

    def wake(self) -> None:
        with self.changed:
            self.changed.notify_all()

    def who_is_there(self) -> Mapping[str, Any] | None:
        """What the scheduler tells; None where it does not answer. Dask's own `scheduler_info` waits for ever, and
        where the connection breaks it gives what was told before."""
        client = self.client
        if client.status != "running":
            return None
        try:
            told: Mapping[str, Any] = client.sync(
                client.scheduler.identity, callback_timeout=self._answer_s, **_everybody(client)
            )
        except Exception as error:  # whatever a library says of a connection that ends
            logging.getLogger(__name__).debug("asking %s: %r", self.address, error)
            return None
        return told

    def away(self, scheduler: str, seconds: float) -> HumeRunnerError:
        """What a run that ends for it says of a scheduler that is "gone" or "silent"."""
        if scheduler == "gone":
            return ServiceUnavailable(
                f"the Dask scheduler at {self.address} went away and did not come back within {seconds:g} s",
                hint="start it and its workers again, then run the same command again: it resumes",
            )
        return ServiceUnavailable(
            f"the Dask scheduler at {self.address} has not answered for {seconds:g} s, and its connection stands",
            hint="look whether it, its machine or the network hangs, then run the same command again: it resumes",
        )

    def close(self) -> None:
        """End the connection, and wait for that no longer than a moment."""
        with self.changed:
            self.closing = True
            self.changed.notify_all()
        ending = aside(self._end)
        ending.join(_CLOSE_S)

    def _end(self) -> None:
        if self.client is not None:
            _closed(self.client)
        self._quiet.end()  # Dask has words to say of an end that takes long

    def _connected(self, timeout_s: float, *, within_s: float) -> Any:
        """`within_s`: for how long a scheduler may be silent that has taken the connection. Raises: ServiceUnavailable,
        UsageError, Stopped."""
        import distributed

        def make() -> Any:
            of: Callable[..., Any] = distributed.Client
            return of(self.address, timeout=timeout_s, set_as_default=False, name="hume-runner")

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of versions that differ, which is told in our words
            try:
                return self._within(within_s, make, undo=_closed)
            except (OSError, TimeoutError) as error:
                why = str(error).strip() and first_line(error)
                raise ServiceUnavailable(
                    f"no Dask scheduler answers at {self.address}: {why or f'it was silent for {within_s:g} s'}",
                    hint="start it with `dask scheduler`, and workers with `dask worker ADDRESS --nthreads 1`",
                ) from error
            except (ValueError, ImportError, TypeError, KeyError) as error:
                raise _not_taken(self.address, error) from error

    def _check_scheduler(self, *, within_s: float) -> None:
        who = f"the Dask scheduler at {self.address}"
        ours = versions()
        try:
            told = self._within(within_s, self.client.run_on_scheduler, versions)
        except Stopped:
            raise
        except TimeoutError as error:
            raise self.away("silent", within_s) from error
        except OSError as error:
            raise self.away("gone", within_s) from error
        except Exception as error:
            if is_import(error):
                raise cannot_import(who, ours["hume_runner"], first_line(error)) from error
            raise UsageError(
                f"{who} runs no function of ours: {type(error).__name__}: {first_line(error)}",
                hint="it must be able to import hume_runner, and allow what Dask calls distributed.scheduler.pickle",
            ) from error
        wrong = other_versions(who, told, ours)
        if wrong is not None:
            raise wrong

    def _within(
        self, seconds: float, function: Callable[..., Any], *args: Any, undo: Callable[[Any], object] | None = None
    ) -> Any:
        """What a function of Dask's gives; what comes too late is undone. Raises: what it raises; TimeoutError;
        Stopped."""
        asked: Future[Any] = Future()
        asked.add_done_callback(lambda _: self.wake())
        aside(_answer, asked, function, args, undo)
        try:
            with self.changed:
                self.changed.wait_for(lambda: asked.done() or self.stopped or self.closing, seconds)
        finally:
            late = asked.cancel()
        if late and (self.stopped or self.closing):
            raise Stopped
        if late:
            raise TimeoutError
        return asked.result()


def _answer(
    asked: Future[Any], function: Callable[..., Any], args: tuple[Any, ...], undo: Callable[[Any], object] | None
) -> None:
    try:
        result = function(*args)
    except Exception as error:
        settle(asked, None, error)
        return
    if not settle(asked, result, None) and undo is not None:
        undo(result)


def _closed(client: Any) -> None:
    with contextlib.suppress(Exception):
        client.close(timeout=_CLOSE_S)


def _everybody(client: Any) -> Mapping[str, Any]:
    """How a scheduler is asked for all of its workers: some versions tell of a few, unless they are asked."""
    return {"n_workers": -1} if "n_workers" in inspect.signature(client.scheduler_info).parameters else {}


def _check_certificates() -> None:
    """Raises: ValueError, OSError if Dask has none that it could use."""
    import distributed

    make: Callable[..., Any] = distributed.Security
    if make().get_connection_args("client").get("ssl_context") is None:
        raise ValueError("its configuration names no certificates")


def _not_taken(address: str, error: Exception) -> UsageError:
    return UsageError(
        f"--cluster {address}: Dask does not take this: {first_line(error)}",
        hint="an address is like tcp://host:8786; tls:// takes its certificates from Dask's configuration",
    )


def is_import(error: BaseException) -> bool:
    """Dask may put the words of one into an exception of its own."""
    return isinstance(error, ImportError) or "ModuleNotFoundError" in str(error) or "ImportError" in str(error)


def first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


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
