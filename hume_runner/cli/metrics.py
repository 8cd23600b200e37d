"""The file of `--metrics-file`: where runs stand, in the text format of Prometheus, for a textfile collector.

It is written anew and renamed, so that a reader never sees half of it: now and then while a run works, and at the end.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hume_runner import aside, events
from hume_runner._version import __version__
from hume_runner.api import RunResult
from hume_runner.api.kept_files import refuse_metrics
from hume_runner.errors import UsageError, refuse_scarce
from hume_runner.regular_files import open_regular

_EVERY_S = 5.0
_MOST_BYTES = 1 << 24  # of an earlier file
_LAST_SUCCESS = "hume_runner_last_success_timestamp_seconds"
# name, type, help
_FAMILIES = (
    ("hume_runner_info", "gauge", "Version of hume_runner."),
    ("hume_runner_running", "gauge", "1 while a run works."),
    ("hume_runner_items", "gauge", "Items of the manifest by state."),
    ("hume_runner_jobs", "gauge", "Jobs by state."),
    ("hume_runner_requests_total", "counter", "Requests of this run by method and status."),
    ("hume_runner_sent_bytes_total", "counter", "Bytes of bodies that this run sent."),
    ("hume_runner_received_bytes_total", "counter", "Bytes of bodies that this run received."),
    ("hume_runner_billed_seconds", "gauge", "Seconds that the state knows as billed."),
    ("hume_runner_start_timestamp_seconds", "gauge", "When the run began."),
    ("hume_runner_end_timestamp_seconds", "gauge", "When the run ended."),
    ("hume_runner_exit_code", "gauge", "Exit code of the run."),
    (_LAST_SUCCESS, "gauge", "When a run last ended with 0."),
)
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})

# (family, labels, value)
Sample = tuple[str, Mapping[str, str], float]


@dataclass(slots=True, kw_only=True)
class _Run:
    """What is known of one manifest's run."""

    started_at: float
    items: Mapping[str, int] = field(default_factory=dict)
    jobs: Mapping[str, int] = field(default_factory=dict)
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    sent: int = 0
    received: int = 0
    billed_s: float | None = None
    ended_at: float | None = None
    exit_code: int | None = None


class Metrics(logging.Handler):
    """Takes events, exchanges (as a handler of `hume_runner.http`) and results, and keeps the file.

    `clock` gives Unix seconds, `monotonic` spaces the writing. A file that cannot be written is told of once, by
    `warn`, and ends nothing.
    """

    def __init__(
        self,
        path: Path,
        *,
        warn: Callable[[str], None],
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises: UsageError where nothing can be written there, or something is that is no such file."""
        super().__init__(logging.DEBUG)
        refuse_metrics(path)
        self._path = path
        self._warn = warn
        self._clock = clock
        self._monotonic = monotonic
        self._successes = dict(_successes(path))
        self._runs: dict[str, _Run] = {}
        self._current: _Run | None = None
        self._next = 0.0
        self._told = False
        self._guard = threading.Lock()
        try:
            self._write()
        except OSError as error:
            refuse_scarce(error)
            hint = "choose another --metrics-file"
            raise UsageError(f"{path}: cannot write the metrics: {error.strerror}", hint=hint) from None

    # -- what is told

    def begin(self, name: str) -> None:
        """A manifest's run begins."""
        with self._guard:
            self._current = self._runs[name] = _Run(started_at=self._clock())
        self._now_and_then()

    def event(self, event: events.Event) -> None:
        run = self._current
        if run is None:
            return
        with self._guard:
            match event:
                case events.Planned():
                    pending = event.new + event.changed + event.retry
                    known = {"done": event.done, "failed": event.failed, "in_flight": event.in_flight}
                    run.items = {"pending": pending, **known, "ambiguous": event.ambiguous}
                    run.jobs = {"planned": event.jobs}
                case events.Counted():
                    run.items = {name: number for name, number in event.items.items() if name != "total"}
                    run.jobs = event.jobs
        self._now_and_then()

    def emit(self, record: logging.LogRecord) -> None:
        """A request is over."""
        exchange, run = getattr(record, "exchange", None), self._current
        if exchange is None or run is None:
            return
        with self._guard:
            run.requests[exchange.method, str(exchange.status or "none")] += 1
            run.sent += exchange.sent_bytes
            run.received += exchange.received_bytes
        self._now_and_then()

    def ended(self, name: str, exit_code: int, result: RunResult | None) -> None:
        """A manifest's run ended; without a result where it could not begin."""
        with self._guard:
            run = self._runs.setdefault(name, _Run(started_at=self._clock()))
            run.ended_at, run.exit_code = self._clock(), exit_code
            if result is not None:
                run.items = {state: number for state, number in result.counts.items.items() if state != "total"}
                run.jobs = result.counts.jobs
                run.billed_s = result.billed_seconds
            if exit_code == 0:
                self._successes[name] = run.ended_at
            self._current = None
            self._save()

    # -- the file

    def _now_and_then(self) -> None:
        if not self._guard.acquire(blocking=False):
            return  # somebody writes it just now
        try:
            if self._monotonic() >= self._next:
                self._save()
        finally:
            self._guard.release()

    def _save(self) -> None:
        self._next = self._monotonic() + _EVERY_S
        try:
            self._write()
        except OSError as error:
            if not self._told:
                self._told = True
                self._warn(f"{self._path}: cannot write the metrics: {error.strerror}")

    def _write(self) -> None:
        aside.write(self._path, text(self._samples()).encode(), durable=False)

    def _samples(self) -> Iterator[Sample]:
        yield "hume_runner_info", {"version": __version__}, 1
        for name, run in self._runs.items():
            labels = {"manifest": name}
            yield "hume_runner_running", labels, int(run.ended_at is None)
            for family, numbers in (("hume_runner_items", run.items), ("hume_runner_jobs", run.jobs)):
                for state, number in numbers.items():
                    yield family, {**labels, "state": state}, number
            for (method, status), number in sorted(run.requests.items()):
                yield "hume_runner_requests_total", {**labels, "method": method, "status": status}, number
            yield "hume_runner_sent_bytes_total", labels, run.sent
            yield "hume_runner_received_bytes_total", labels, run.received
            if run.billed_s is not None:
                yield "hume_runner_billed_seconds", labels, run.billed_s
            yield "hume_runner_start_timestamp_seconds", labels, run.started_at
            if run.ended_at is not None and run.exit_code is not None:
                yield "hume_runner_end_timestamp_seconds", labels, run.ended_at
                yield "hume_runner_exit_code", labels, run.exit_code
        for name, at in self._successes.items():
            yield _LAST_SUCCESS, {"manifest": name}, at


def text(samples: Iterable[Sample]) -> str:
    """The text format, version 0.0.4: each family once, with its help and type before its samples."""
    by_family: dict[str, list[str]] = {}
    for family, labels, value in samples:
        pairs = ",".join(f'{name}="{told.translate(_ESCAPES)}"' for name, told in labels.items())
        number = str(value) if isinstance(value, int) else repr(round(value, 3))
        by_family.setdefault(family, []).append(f"{family}{{{pairs}}} {number}\n")
    return "".join(
        f"# HELP {name} {told}\n# TYPE {name} {kind}\n{''.join(by_family[name])}"
        for name, kind, told in _FAMILIES
        if name in by_family
    )


def _successes(path: Path) -> Iterator[tuple[str, float]]:
    """When runs last ended well, as the file of an earlier run tells: a failure does not make that forgotten."""
    try:
        with open_regular(path) as file:
            lines = file.read(_MOST_BYTES).decode("utf-8", "replace").splitlines()
    except OSError:
        return
    for line in lines:
        before, _, after = line.partition('"} ')
        head, _, name = before.partition('{manifest="')
        if head == _LAST_SUCCESS and after:
            try:
                yield name, float(after)
            except ValueError:
                continue
