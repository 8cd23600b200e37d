"""The end of a run: write what it leaves behind, and say in a few lines how it went."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from hume_runner._version import __version__
from hume_runner.errors import HumeRunnerError
from hume_runner.manifest.model import Manifest
from hume_runner.results.outputs import RESULTS, RUN, write_results, write_run
from hume_runner.results.summary import summary_text
from hume_runner.state.disk import Disk
from hume_runner.state.store import Counts, Store


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


class Finisher:
    """Writes the outputs while the state is still locked. Call it once, then ask for the summary."""

    def __init__(self, manifest: Manifest, outputs: Path, disk: Disk, *, warn: Callable[[str], None]) -> None:
        self._manifest = manifest
        self._outputs = outputs
        self._disk = disk
        self._warn = warn
        self._run: Mapping[str, Any] = {}

    def __call__(self, store: Store, ended: Ended) -> None:
        """Write results, tables and report where they are due, and `run.json` last."""
        changed = write_results(store, self._outputs, self._disk, now=ended.ended_at) is not None
        written = self._derived(store, changed=changed)
        self._run = self._describe(store, ended, written)
        stored = write_run(self._outputs, self._disk, self._run)
        store.record_outputs([stored], ended.ended_at)

    def _derived(self, store: Store, *, changed: bool) -> Mapping[str, Any]:
        """Paths of what was made from the answers."""
        del store, changed
        return {"tables": None, "report": None}

    def _describe(self, store: Store, ended: Ended, written: Mapping[str, Any]) -> dict[str, Any]:
        manifest = self._manifest
        return {
            "run_id": ended.run_id,
            "name": manifest.name,
            "manifest": {"path": str(manifest.path), "sha256": manifest.sha256},
            "versions": {"hume_runner": __version__, "python": platform.python_version()},
            "service": {"api": manifest.service.api, "endpoint": manifest.service.endpoint},
            "simulated": store.any_simulated(),
            "started_at": _instant(ended.started_at),
            "ended_at": _instant(ended.ended_at),
            "duration_s": round(ended.ended_at - ended.started_at, 3),
            "counts": {
                "items": ended.counts.items,
                "jobs": ended.counts.jobs,
                "requests": store.requests(),
            },
            "failures": store.failures(),
            "paid_twice": [remote_id for remote_id, _ in store.duplicates()],
            "bill": {"billable_seconds": store.billed_seconds()},
            "settings": manifest.settings,
            "outputs": {"directory": str(self._outputs), "results": RESULTS, "raw": "raw", "run": RUN, **written},
            "error": str(ended.error) if ended.error else None,
            "exit_code": ended.exit_code,
        }

    def summary_text(self) -> str:
        """A few lines for a person."""
        return summary_text(self._run)


def _instant(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
