"""What every run leaves beside the raw answers: `results.jsonl`, one line an item, and `run.json`, the run itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hume_runner import small_json
from hume_runner.results import derived
from hume_runner.results.from_state import item_records
from hume_runner.results.marks import Kind, in_json
from hume_runner.state.disk import Disk
from hume_runner.state.reader import StateReader
from hume_runner.state.rows import StoredAnswer
from hume_runner.state.store import Store

RESULTS = "results.jsonl"
RUN = "run.json"


def write_results(store: Store, outputs: Path, disk: Disk, *, now: float) -> StoredAnswer | None:
    """Write `results.jsonl` from the state, streamed; None if it is current."""
    # Writing outputs does not move the serial, so an unchanged state means unchanged lines.
    serial, by = store.serial, derived.maker()
    if derived.is_current(derived.marks(store).get(RESULTS), outputs, serial=serial, by=by):
        return None
    target = outputs / RESULTS
    _write_lines(target, _lines(store), disk)
    (stored,) = derived.record(store, outputs, RESULTS, [target], serial=serial, by=by, now=now)
    return stored


def _lines(store: StateReader) -> Iterator[bytes]:
    for record in item_records(store):
        line = {
            "schema": 1,
            "id": record.id,
            "kind": record.kind,
            "source": record.source,
            "labels": record.labels,
            "status": record.status,
            "error": record.error,
            "job": record.job,
            "remote_id": record.remote_id,
            "raw": record.raw,
            "simulated": record.simulated,
        }
        yield json.dumps(line, ensure_ascii=False, allow_nan=False).encode("utf-8", "surrogatepass") + b"\n"


def _write_lines(target: Path, lines: Iterator[bytes], disk: Disk) -> None:
    disk.make_directory(target.parent)
    with disk.written(target) as file:
        for line in lines:
            file.write(line)


def write_run(outputs: Path, disk: Disk, run: Mapping[str, Any]) -> StoredAnswer:
    """Write `run.json`, for machines."""
    content = _run_text(run).encode("utf-8", "surrogatepass")
    disk.write_new(outputs / RUN, content)
    return _stored_run(content)


def _run_text(run: Mapping[str, Any]) -> str:
    marked = in_json(Kind.RUN, {"schema": 1, **run})
    return json.dumps(marked, ensure_ascii=False, allow_nan=False, indent=2) + "\n"


def _stored_run(content: bytes) -> StoredAnswer:
    return StoredAnswer(name=RUN, path=RUN, size=len(content), sha256=hashlib.sha256(content).hexdigest())


def work_ended(run: Mapping[str, Any]) -> str | None:
    """When a run's work was over, and its outputs were begun to be written; earlier versions told no other end."""
    return run.get("worked_until") or run.get("ended_at")


def keep_run(store: Store, run: Mapping[str, Any]) -> None:
    """Remember what `run.json` says: nothing else tells of a run once it is over."""
    store.remember(run=json.dumps({"schema": 1, **run}, allow_nan=False, indent=2))


def write_run_again(store: Store, outputs: Path, disk: Disk, *, now: float) -> None:
    """Put `run.json` back as the last run wrote it, if it is gone or was changed. Earlier versions kept nothing."""
    kept = store.meta("run")
    if kept is None:
        return
    run = {name: value for name, value in small_json.kept(kept).items() if name not in ("schema", "mark")}
    stored = _stored_run(_run_text(run).encode("utf-8", "surrogatepass"))
    try:
        there = (outputs / RUN).read_bytes()
    except OSError:
        there = b""
    if hashlib.sha256(there).hexdigest() != stored.sha256:
        store.record_outputs([write_run(outputs, disk, run)], now)
