"""--metrics-file: numbers of a run for Prometheus' textfile collector."""

from __future__ import annotations

import logging
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hume_runner import events
from hume_runner.cli.metrics import Metrics, text
from hume_runner.emulator.server import Emulator
from tests.cli.project import JOBS, Project
from tests.fakes import FakeClock

SAMPLE = re.compile(r'([a-z_]+)\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)*)\} (-?\d+(?:\.\d+)?)')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')

Found = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def parsed(content: str) -> Found:
    """The samples of a file in the text format: each family once, help and type before its samples, no sample twice."""
    assert content.endswith("\n")
    found: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    seen: list[str] = []
    family = kind = ""
    for line in content.splitlines():
        if line.startswith("# HELP "):
            family, kind = line.split()[2], ""
            assert family not in seen
            seen.append(family)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name == family
            assert kind in ("gauge", "counter")
            assert name.endswith("_total") == (kind == "counter")
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            assert (match[1], bool(kind)) == (family, True)
            key = (match[1], frozenset((name, value) for name, value in LABEL.findall(match[2])))
            assert key not in found
            found[key] = float(match[3])
    return found


def value(found: Found, name: str, **labels: str) -> float:
    return found[f"hume_runner_{name}", frozenset(labels.items())]


def read(path: Path) -> Found:
    return parsed(path.read_text(encoding="utf-8"))


def test_the_end_of_a_run_tells_items_jobs_requests_bytes_and_code(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "hume.prom"
    assert project.run("--metrics-file", str(path)).code == 0
    found = read(path)
    trial = {"manifest": "trial"}
    assert value(found, "items", **trial, state="done") == 4
    assert value(found, "items", **trial, state="pending") == 0
    assert value(found, "jobs", **trial, state="done") == 1
    assert value(found, "running", **trial) == 0
    assert value(found, "exit_code", **trial) == 0
    assert value(found, "requests_total", **trial, method="POST", status="200") == project.requests()[JOBS]
    requests = sum(number for (name, _), number in found.items() if name == "hume_runner_requests_total")
    assert requests == sum(project.requests().values())
    received = project.emulator.requests()["bytes_received"]
    assert value(found, "sent_bytes_total", **trial) == received
    assert value(found, "received_bytes_total", **trial) > 1000
    began, ended = (value(found, f"{name}_timestamp_seconds", **trial) for name in ("start", "end"))
    assert began <= ended == value(found, "last_success_timestamp_seconds", **trial)


def test_the_file_is_for_everybody_and_nothing_else_is_left(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "metrics" / "hume.prom"
    path.parent.mkdir()
    project.run("--metrics-file", str(path))
    assert stat.S_IMODE(path.stat().st_mode) & 0o444 == 0o444
    assert list(path.parent.iterdir()) == [path]


def test_the_parser_of_prometheus_reads_it(project: Project, tmp_path: Path) -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    path = tmp_path / "hume.prom"
    project.run("--metrics-file", str(path))
    families = list(parser.text_string_to_metric_families(path.read_text(encoding="utf-8")))
    theirs = {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}
    assert theirs == read(path)
    assert {family.type for family in families} == {"gauge", "counter"}


def test_a_failure_keeps_the_last_success_and_tells_its_code(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "hume.prom"
    project.run("--metrics-file", str(path))
    before = value(read(path), "last_success_timestamp_seconds", manifest="trial")
    project.manifest["sources"] = {"files": ["absent.wav"]}
    assert project.run("--metrics-file", str(path)).code == 66
    found = read(path)
    assert value(found, "exit_code", manifest="trial") == 66
    assert value(found, "last_success_timestamp_seconds", manifest="trial") == before


def test_a_bill_is_told(project: Project, tmp_path: Path) -> None:
    project.manifest |= {"models": {"audio": {}}, "sources": {"files": ["media/one.wav"]}}
    project.manifest["service"] = {"api": "expression-v1", "endpoint": project.emulator.url}
    path = tmp_path / "hume.prom"
    ran = project.run("--metrics-file", str(path))
    assert ran.code == 0, ran.err
    assert value(read(path), "billed_seconds", manifest="trial") == project.run_json()["bill"]["billable_seconds"]


@pytest.mark.sweep
def test_while_a_run_works_the_file_is_written(tmp_path: Path) -> None:
    with Emulator(processing_time_s=3600) as emulator:  # until its clock says so
        project = Project(tmp_path / "project", emulator)
        path = tmp_path / "hume.prom"
        running = project.start("run", str(project.path), "--no-progress", "--metrics-file", str(path))
        try:
            found: Found = {}
            while not any(name == "hume_runner_requests_total" for name, _ in found):
                assert running.poll() is None
                found = read(path) if path.exists() else {}
            assert value(found, "running", manifest="trial") == 1
            unfinished = [value(found, "items", manifest="trial", state=name) for name in ("pending", "in_flight")]
            assert sum(unfinished) == 4
            assert ("hume_runner_exit_code", frozenset({("manifest", "trial")})) not in found
        finally:
            emulator.advance(4000)
            running.communicate(timeout=60)
    assert value(read(path), "items", manifest="trial", state="done") == 4


@pytest.mark.parametrize("place", ["folder", "nowhere/hume.prom"])
def test_a_place_that_cannot_be_written_is_bad_usage(project: Project, tmp_path: Path, place: str) -> None:
    (tmp_path / "folder").mkdir()
    ran = project.run("--metrics-file", str(tmp_path / place))
    assert ran.code == 64
    assert "cannot write the metrics" in ran.err
    assert project.requests() == {}


def exchange(**facts: Any) -> logging.LogRecord:
    record = logging.LogRecord("hume_runner.http", logging.DEBUG, "", 0, "", (), None)
    record.exchange = SimpleNamespace(**{"method": "GET", "status": 200, "sent_bytes": 0, "received_bytes": 0, **facts})
    return record


def test_it_is_written_now_and_then_and_not_at_each_request(tmp_path: Path) -> None:
    clock, path = FakeClock(100.0), tmp_path / "hume.prom"
    metrics = Metrics(path, warn=pytest.fail, clock=clock, monotonic=clock)
    metrics.begin("trial")
    written = path.stat().st_ino
    for _ in range(50):
        metrics.emit(exchange())
    assert path.stat().st_ino == written
    clock.now += 5
    metrics.emit(exchange(status=None))
    found = read(path)
    assert value(found, "requests_total", manifest="trial", method="GET", status="200") == 50
    assert value(found, "requests_total", manifest="trial", method="GET", status="none") == 1


def test_counts_of_the_state_take_the_place_of_the_plan(tmp_path: Path) -> None:
    clock, path = FakeClock(100.0), tmp_path / "hume.prom"
    metrics = Metrics(path, warn=pytest.fail, clock=clock, monotonic=clock)
    metrics.begin("trial")
    clock.now += 5
    metrics.event(events.Planned(new=3, changed=1, retry=0, done=2, failed=1, jobs=2))
    assert value(read(path), "items", manifest="trial", state="pending") == 4
    clock.now += 5
    metrics.event(events.Counted(items={"total": 7, "done": 6, "failed": 1}, jobs={"done": 2}))
    found = read(path)
    assert value(found, "items", manifest="trial", state="done") == 6
    assert value(found, "jobs", manifest="trial", state="done") == 2
    assert ("hume_runner_items", frozenset({("manifest", "trial"), ("state", "total")})) not in found


def test_a_place_that_vanishes_is_told_once_and_ends_nothing(tmp_path: Path) -> None:
    clock, told = FakeClock(100.0), list[str]()
    path = tmp_path / "metrics" / "hume.prom"
    path.parent.mkdir()
    metrics = Metrics(path, warn=told.append, clock=clock, monotonic=clock)
    path.unlink()
    path.parent.rmdir()
    for _ in range(3):
        clock.now += 10
        metrics.begin("trial")
    metrics.ended("trial", 5, None)
    assert len(told) == 1
    assert "cannot write the metrics" in told[0]


def test_values_of_labels_are_escaped() -> None:
    content = text([("hume_runner_running", {"manifest": 'a"b\\c\nd'}, 1)])
    assert content.splitlines()[-1] == 'hume_runner_running{manifest="a\\"b\\\\c\\nd"} 1'
    assert len(parsed(content)) == 1
