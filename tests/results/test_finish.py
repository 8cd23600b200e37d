"""What is told of a run while its outputs are written, and once they are."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import hume_runner
from hume_runner import events
from hume_runner.state.lock import StateLock

OUTPUTS = {"directory": "out", "tables": ["parquet", "csv"], "report": True}


def manifest(folder: Path, **sections: Any) -> Path:
    path = folder / "m.yaml"
    document = {
        "version": 1,
        "name": "m",
        "service": {"api": "local"},
        "sources": {"text": ["I am glad.", "I am sad."]},
        "models": {"language": {}},
        "outputs": OUTPUTS,
        **sections,
    }
    path.write_text(json.dumps(document))
    return path


def told(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "out" / "run.json").read_text())  # type: ignore[no-any-return]


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.sweep
def test_run_json_tells_no_end_before_the_outputs_are_there(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []

    def look(event: events.Event) -> None:
        if isinstance(event, events.Writing) and event.what != "results.jsonl":
            seen.append(told(tmp_path))

    result = hume_runner.run(manifest(tmp_path), on_event=look)
    assert seen
    for run in seen:
        assert (run["exit_code"], run["ended_at"], run["duration_s"]) == (None, None, None)
        assert (run["outputs"]["tables"], run["outputs"]["report"]) == (None, None)
    after = told(tmp_path)
    assert after["exit_code"] == 0
    assert (after["outputs"]["tables"], after["outputs"]["report"]) == ("tables", "report.html")
    assert moment(after["ended_at"]) == pytest.approx(result.ended_at, abs=0.001)


@pytest.mark.sweep
def test_a_run_ends_when_its_outputs_are_written(tmp_path: Path) -> None:
    hume_runner.run(manifest(tmp_path))
    run = told(tmp_path)
    report = (tmp_path / "out" / "report.html").stat().st_mtime
    assert moment(run["worked_until"]) - 0.1 <= report <= moment(run["ended_at"]) + 0.1
    assert moment(run["worked_until"]) < moment(run["ended_at"])
    assert run["duration_s"] == pytest.approx(moment(run["ended_at"]) - moment(run["started_at"]), abs=0.002)


@pytest.mark.sweep
def test_a_report_says_the_same_during_the_run_and_after_it(tmp_path: Path) -> None:
    path = manifest(tmp_path)
    hume_runner.run(path)
    report, package = tmp_path / "out" / "report.html", tmp_path / "out" / "datapackage.json"
    before = report.read_bytes(), package.read_bytes()
    report.unlink()
    package.unlink()
    hume_runner.verify(path, repair=True)
    assert (report.read_bytes(), package.read_bytes()) == before


def test_what_is_written_is_told_with_how_far_it_is(tmp_path: Path) -> None:
    heard: list[events.Event] = []
    hume_runner.run(manifest(tmp_path), on_event=heard.append)
    writing = [event for event in heard if isinstance(event, events.Writing)]
    begun = list(dict.fromkeys(event.what for event in writing))
    assert begun == ["results.jsonl", "tables (parquet)", "tables (csv)", "datapackage.json", "report.html"]
    assert {event.total for event in writing if event.what.startswith("tables")} == {1}
    assert heard.index(events.Phase(phase="writing")) < heard.index(writing[0])


def test_who_looks_from_outside_is_told_what_a_run_does(tmp_path: Path) -> None:
    lock, seen = StateLock(tmp_path / "out" / "state.sqlite3"), dict[str, str]()

    def look(event: events.Event) -> None:
        if isinstance(event, events.Phase) and (holder := lock.holder()) is not None:
            seen[event.phase] = holder.phase

    hume_runner.run(manifest(tmp_path), on_event=look)
    assert {"planning", "working", "writing"} <= set(seen)
    assert all(phase == noted for phase, noted in seen.items())
