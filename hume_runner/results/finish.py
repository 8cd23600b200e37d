"""The end of a run: write what it leaves behind, and say in a few lines how it went."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

from hume_runner import events, installing
from hume_runner._version import __version__
from hume_runner.aside import folder_below
from hume_runner.errors import HumeRunnerError, MissingExtra, NoKey, refuse_scarce
from hume_runner.frozen import frozen
from hume_runner.manifest.model import Manifest
from hume_runner.registry import registered
from hume_runner.results import derived
from hume_runner.results.authorship import PACKAGE_FILES, kind_at, made_by_us
from hume_runner.results.credits import credits_of
from hume_runner.results.derived import REPORT
from hume_runner.results.due import refuse_others_due, refuse_others_here
from hume_runner.results.event_sources import Listed, check_sources
from hume_runner.results.from_state import StateResults
from hume_runner.results.intervals import ManifestSays
from hume_runner.results.options import PLAIN, TableOptions
from hume_runner.results.outputs import RESULTS, RUN, keep_run, write_results, write_run, write_run_again
from hume_runner.results.summary import summary_text, told_jobs
from hume_runner.results.telling import Telling
from hume_runner.results.untold import untold
from hume_runner.settings import mask_secrets
from hume_runner.state.disk import Disk
from hume_runner.state.reader import StateReader
from hume_runner.state.rows import Counts
from hume_runner.state.store import Store

FORMATS: tuple[Literal["parquet", "csv", "jsonl", "xlsx"], ...] = ("parquet", "csv", "jsonl", "xlsx")
_FAILURES_SHOWN = 5

# Posts the summary (JSON) to the manifest's callback. Raises: ApiError.
Tell = Callable[[bytes], None]


class Ended(Protocol):
    """What is told about the run that ended. Times are Unix seconds."""

    @property
    def run_id(self) -> str: ...
    @property
    def started_at(self) -> float: ...
    @property
    def ended_at(self) -> float: ...
    @property
    def exit_code(self) -> int: ...
    @property
    def error(self) -> HumeRunnerError | None: ...
    @property
    def counts(self) -> Counts: ...
    @property
    def requests(self) -> Mapping[str, int]: ...
    @property
    def harmed(self) -> tuple[str, ...]: ...


@frozen
class OfRun:
    """What only a run has to say of itself. `tell`: who is told of its end; `selection`: which items it is about;
    `clock` (Unix seconds) tells when the outputs are written: without it, they are when the work is over."""

    tell: Tell | None = None
    selection: Mapping[str, Any] = field(default_factory=dict)
    traceparent: str | None = None
    clock: Callable[[], float] | None = None


class Finisher:
    """Writes the outputs while the state is still locked. Call it once, then ask for the summary.

    Reads the manifest's lists of events when it is made. Raises: ManifestError, SourceError.
    """

    def __init__(
        self,
        manifest: Manifest,
        outputs: Path,
        disk: Disk,
        *,
        report: events.Report,
        telling: Telling | None = None,
        of_run: OfRun | None = None,
    ) -> None:
        """`report` is warned of what is wrong with outputs; `telling` hears what is being written."""
        self._manifest = manifest
        self._says = ManifestSays.of(manifest)
        self._outputs = outputs
        self._disk = disk
        self._report = report
        self._telling = telling or Telling(lambda event: None, lambda: 0.0)
        self._of_run = of_run or OfRun()
        self._run: Mapping[str, Any] = {}
        self._now = 0.0
        self.ended_at = 0.0
        self._without_key = False
        self._harmed: tuple[str, ...] = ()
        self._told: set[str] = set()
        self._failures: list[tuple[str, str]] = []
        self._media = (0, 0)
        self._links: dict[str, int] = {}

    @property
    def manifest(self) -> Manifest:
        """What it writes outputs of."""
        return self._manifest

    def check(self, planned: Listed) -> None:
        """Tell of events whose sources are not there. Raises: ManifestError, as `check_sources`."""
        intervals = self._says.intervals
        if intervals.by_item:
            for told in check_sources(intervals, planned.absent(intervals.by_item), planned.ids):
                self._warn(told)

    def _warn(self, message: str) -> None:
        self._report(events.Warned(message=message))

    def __call__(self, store: Store, ended: Ended) -> None:
        """Write results, tables and report where they are due, and `run.json` last."""
        self._now, self._harmed = ended.ended_at, ended.harmed
        self._without_key = isinstance(ended.error, NoKey)
        # Somebody may have put it there while it was measured: all that was is in the state.
        refuse_others_due(store, self._outputs, self._manifest)
        # The report and the package tell of this run, so `run.json` is there before them: without an end, which whoever
        # is killed meanwhile has not had. It is written again with what came of them.
        self._telling.begin(RESULTS)
        write_results(store, self._outputs, self._disk, now=ended.ended_at)
        if self._manifest.outputs.report or self._manifest.outputs.tables:
            none_yet = {"tables": None, "report": None}
            write_run(self._outputs, self._disk, self._describe(store, ended, none_yet, ended_at=None))
        written = self._derived(store)
        self.ended_at = max(ended.ended_at, ended.ended_at if self._of_run.clock is None else self._of_run.clock())
        self._run = self._describe(store, ended, written, ended_at=self.ended_at)
        self._media = store.of_media()
        self._failures = [(name, mask_secrets(error)) for name, error in store.first_failures(_FAILURES_SHOWN)]
        self._links = store.failed_links() if self._failures else {}
        stored = write_run(self._outputs, self._disk, self._run)
        store.record_outputs([stored], ended.ended_at)
        keep_run(store, self._run)
        self._call_back(store, ended)

    def rebuild(self, store: Store, harmed: tuple[str, ...], now: float) -> None:
        """Make again what is not current of what is derived, without a run to tell of: `run.json` as it was."""
        self._now, self._harmed = now, harmed
        refuse_others_due(store, self._outputs, self._manifest)
        write_run_again(store, self._outputs, self._disk, now=now)
        self._telling.begin(RESULTS)
        write_results(store, self._outputs, self._disk, now=now)
        self._derived(store)

    def _call_back(self, store: Store, ended: Ended) -> None:
        """Once every item has its outcome: tell, and remember that it was told, so that a run with nothing to do does
        not tell again."""
        items, url = ended.counts.items, self._manifest.notify.callback_url
        if url is None or items["done"] + items["failed"] < items["total"] or store.meta("told") == store.serial:
            return
        said = untold(url, self._run, self._outputs / RUN, by_service=self._of_run.tell is None)
        if said is not None and store.meta("untold") != store.serial:
            self._warn(said)
            store.remember(untold=store.serial)  # not `told`: the address may change to one that is
        if said is not None or self._of_run.tell is None:
            return
        body = json.dumps({"schema": 1, "event": "finished", **self._run}, ensure_ascii=False, allow_nan=False).encode()
        try:
            self._of_run.tell(body)
        except HumeRunnerError as error:
            self._warn(f"notify.callback_url: {error}; the next run tries again")
            return
        store.remember(told=store.serial)

    def _derived(self, store: Store) -> Mapping[str, Any]:
        """Make tables and report from the answers where they are due; return the paths of those asked for.

        Due is what the manifest asks for, and what somebody had made by hand and is still there: it must not go
        stale. Each group is looked at on its own.
        """
        outputs = self._manifest.outputs
        known = derived.marks(store)
        for form in FORMATS:
            group = derived.tables_group(form)
            by_hand = group in known and self._kept_up(store, group, known[group], form in outputs.tables)
            if form in outputs.tables or by_hand:
                options = known[group].options if group in known else PLAIN
                self._make(store, group, known.get(group), asked=form in outputs.tables, options=options)
        self._package(store)
        by_hand = REPORT in known and self._kept_up(store, REPORT, known[REPORT], outputs.report)
        if outputs.report or by_hand:
            self._make(store, REPORT, known.get(REPORT), asked=outputs.report)
        return {
            "tables": derived.TABLES if outputs.tables else None,
            "report": REPORT if outputs.report else None,
        }

    def _package(self, store: Store) -> None:
        """Say what the columns of the tables mean, wherever there are tables."""
        if any(group.startswith(derived.TABLES) for group in derived.marks(store)):
            there = [name for name in PACKAGE_FILES if os.path.lexists(self._outputs / name)]
            others = [name for name in there if not self._is_made_by_us(name)]
            if others and not self._manifest.outputs.tables:
                self._warn(f"{self._outputs / others[0]}: not as it was written, and not asked for: left as it is")
                return
            if find_spec("pyarrow") is None:  # tables that were made elsewhere, or before it was uninstalled
                self._warn(f"datapackage.json stays as it is: {installing.extras('tables')} brings what renews it")
                return
            from hume_runner.results.package.write import renew

            self._telling.begin("datapackage.json")
            renew(
                store,
                self._results(store),
                self._outputs,
                self._disk,
                says=self._says,
                harmed=self._harmed,
                now=self._now,
            )

    def _results(self, store: StateReader) -> StateResults:
        manifest = self._manifest
        return StateResults(
            store,
            self._outputs,
            api=manifest.service.api,
            name=manifest.name,
            settings=manifest.settings,
            on_answer=self._telling.step,
        )

    def _kept_up(self, store: Store, group: str, mark: derived.Mark, asked: bool) -> bool:
        """Whether files of a group are there; one that nobody asks for is forgotten when it was removed, and when it is
        no longer what was written: somebody goes on with it, or put something else there."""
        there = [path for path in mark.files if os.path.lexists(self._outputs / path)]
        if asked:
            return bool(there)
        others = [path for path in there if not self._is_as_written(path, mark)]
        if others:
            more = f" and {len(others) - 1} more" if len(others) > 1 else ""
            self._warn(f"{self._outputs / others[0]}{more}: not as it was written, and not asked for: left as it is")
        if others or not there:
            store.forget_derived(group, sorted(mark.files))
        return bool(there) and not others

    def _is_as_written(self, path: str, mark: derived.Mark) -> bool:
        return derived.is_as_marked(mark, self._outputs, path) or self._is_made_by_us(path)

    def _is_made_by_us(self, path: str) -> bool:
        try:
            return made_by_us(self._outputs / path, kind_at(path))
        except OSError as error:
            refuse_scarce(error)
            return False

    def _make(
        self,
        store: Store,
        group: str,
        mark: derived.Mark | None,
        *,
        asked: bool,
        options: TableOptions = PLAIN,
    ) -> None:
        serial, by = store.serial, derived.maker(self._manifest.settings, (*self._says.makers, *self._harmed))
        if derived.is_current(mark, self._outputs, serial=serial, by=by, options=options):
            return
        form = group.rpartition("/")[2]
        told = REPORT if group == REPORT else f"{derived.TABLES} ({form})"
        self._telling.begin(told, store.counts().jobs["done"])
        try:
            paths = self._write(store, group, options)
        except MissingExtra as missing:
            if asked:
                raise
            self._warn(f"{group} is not up to date any more: {missing}; {missing.hint}")
            return
        derived.record(store, self._outputs, group, paths, serial=serial, by=by, now=self._now, options=options)

    def _write(self, store: StateReader, group: str, options: TableOptions) -> tuple[Path, ...]:
        results = self._results(store)
        if group == REPORT:
            from hume_runner.results.report.page import write_report

            refuse_others_here(store.is_recorded, self._outputs, [REPORT])
            return (write_report(results, self._outputs / REPORT, unread=self._unread),)
        from hume_runner.results.tables import write_tables

        form = next(form for form in FORMATS if derived.tables_group(form) == group)
        out_dir = folder_below(self._outputs, derived.TABLES)
        return write_tables(
            results,
            out_dir,
            format=form,
            options=options,
            intervals=self._says.intervals,
            unread=self._unread,
            check=lambda paths: refuse_others_here(store.is_recorded, self._outputs, paths),
        )

    def _unread(self, told: str) -> None:
        """What the run found out itself it tells with the next step; this is what only reading shows."""
        if not self._harmed and told not in self._told:
            self._told.add(told)
            self._warn(f"{told}; `errors` and the report say which items have no rows for it")

    def _describe(
        self, store: StateReader, ended: Ended, written: Mapping[str, Any], *, ended_at: float | None
    ) -> dict[str, Any]:
        """What `run.json` says. `ended_at`: None while the outputs are written, when it has neither end nor code."""
        manifest = self._manifest
        return {
            "run_id": ended.run_id,
            **({"traceparent": self._of_run.traceparent} if self._of_run.traceparent else {}),
            "name": manifest.name,
            **({"description": manifest.description} if manifest.description else {}),
            "manifest": {"path": str(manifest.path), "sha256": manifest.sha256},
            "versions": {"hume_runner": __version__, "python": platform.python_version()},
            "service": {"api": manifest.service.api, "endpoint": manifest.service.endpoint},
            "simulated": store.simulated(),
            "started_at": _instant(ended.started_at),
            "worked_until": _instant(ended.ended_at),
            "ended_at": None if ended_at is None else _instant(ended_at),
            "duration_s": None if ended_at is None else round(ended_at - ended.started_at, 3),
            "counts": {
                "items": ended.counts.items,
                "jobs": ended.counts.jobs,
                "requests": dict(ended.requests),
            },
            **self._selected(store),
            "failures": store.failures(),
            "paid_twice": [remote_id for remote_id, _ in store.duplicates()],
            "perhaps_paid_twice": list(dict.fromkeys(remote_id for remote_id, _ in store.perhaps_paid_twice())),
            "bill": _bill(store),
            "settings": manifest.settings,
            **_who(manifest),
            "outputs": {
                "directory": str(self._outputs),
                **_elsewhere(manifest),
                "results": RESULTS,
                "raw": "raw",
                "run": RUN,
                **written,
            },
            "error": mask_secrets(str(ended.error)) if ended.error else None,
            "exit_code": None if ended_at is None else ended.exit_code,
        }

    def _selected(self, store: StateReader) -> dict[str, Any]:
        """What the run was about, where it was not everything, and what became of those items."""
        if not self._of_run.selection:
            return {}
        # What a shard leaves out is the other shards'.
        left_out = {} if "shard" in self._of_run.selection else {"left_out": store.never_chosen}
        return {"selection": {**self._of_run.selection, "items": store.selected_numbers, **left_out}}

    @property
    def billed_seconds(self) -> float | None:
        """What the state knows as billed; None where nothing is billed by the second."""
        billed: float | None = self._run.get("bill", {}).get("billable_seconds")
        return billed

    def summary_text(self, took_s: float | None = None) -> str:
        """A few lines for a person. `took_s`: how long all of it took, which ends with what `run.json` cannot tell."""
        run = {**self._run, "duration_s": self._run["duration_s"] if took_s is None else took_s}
        run["counts"] = {**run["counts"], "jobs": told_jobs(run["counts"]["jobs"], self._media)}
        found = registered(run["service"]["api"])
        here = found is not None and found.here
        return summary_text(run, self._failures, links=self._links, without_key=self._without_key, here=here)


def _bill(store: StateReader) -> dict[str, Any]:
    billed, possible = store.billed_seconds(), store.possible_seconds()
    more = {} if billed is None and not possible else {"possible_seconds": possible}
    return {"billable_seconds": billed, **more}


def _who(manifest: Manifest) -> dict[str, Any]:
    """Who measures, where the API tells."""
    told = credits_of(manifest.service.api, manifest.settings)
    return {} if told is None else {"measurers": told.document()}


def _elsewhere(manifest: Manifest) -> dict[str, Any]:
    """Where a copy of the outputs is kept."""
    return {} if manifest.outputs.remote is None else {"remote": manifest.outputs.remote}


def _instant(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
