from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from hume_runner.emulator.server import Emulator
from hume_runner.state.disk import Disk
from hume_runner.state.lock import StateLock
from hume_runner.state.store import Store
from tests.cli.project import JOBS, Project


def test_before_the_first_run_there_is_nothing(project: Project) -> None:
    status = project.call("status", "--json").json
    assert status["items"]["total"] == 0
    assert status["simulated"] is False
    assert not project.out.exists()


def test_the_json_form_has_exactly_the_documented_members(project: Project) -> None:
    project.run()
    status = project.call("status", "--json").json
    envelope = ["schema", "event", "at", "manifest"]
    assert list(status) == [*envelope, "name", "state", "simulated", "lock", "items", "jobs"]
    assert status["schema"] == 1
    assert status["name"] == "trial"
    assert status["state"] == str(project.out / "state.sqlite3")
    assert (status["simulated"], status["lock"]) == (True, None)
    assert status["items"] == {"total": 4, "pending": 0, "in_flight": 0, "done": 4, "failed": 0, "ambiguous": 0}
    assert status["jobs"] == {
        "planned": 0,
        "submitting": 0,
        "submitted": 0,
        "done": 1,
        "failed": 0,
        "ambiguous": 0,
    }


def test_jobs_are_listed_when_asked_for(project: Project) -> None:
    project.run()
    (job,) = project.call("status", "--json", "--jobs").json["job_list"]
    assert set(job) == {"key", "remote_id", "status", "sources", "error"}
    assert (job["status"], job["sources"], job["error"]) == ("done", 4, None)
    assert job["remote_id"] == project.results()[0]["remote_id"]
    text = project.call("status", "--jobs").out
    assert "job-000001" in text
    assert job["remote_id"] in text


def test_a_person_reads_counts_reasons_and_that_it_is_simulated(project: Project) -> None:
    project.add_file("bad.wav", b"this is no sound")
    project.run()
    out = project.call("status").out
    assert out.splitlines()[0] == "trial: 4 of 5 items measured"
    assert "SIMULATED SCORES" in out
    assert "1 × " in out


def test_it_asks_neither_sources_nor_service(project: Project) -> None:
    project.run()
    project.manifest["sources"] = {"files": ["absent.wav"]}
    project.environ.clear()
    before = project.requests()
    assert project.call("status").code == 0
    assert project.requests() == before


def test_a_lost_answer_is_told_with_what_comes_next(project: Project) -> None:
    project.emulator.inject(
        [
            {"route": JOBS, "action": {"drop": "before"}},
            {"route": "GET /v0/batch/jobs", "nth": list(range(3, 99)), "action": {"status": 503}},
        ]
    )
    project.manifest["execution"]["retry"]["attempts"] = 1
    assert project.run().code == 5
    assert project.call("status", "--json").json["items"]["ambiguous"] == 4
    assert "the next run asks the service" in project.call("status").out
    with StateLock(project.out / "state.sqlite3"):
        assert "; this run asks the service" in project.call("status").out


@pytest.mark.sweep
def test_watching_goes_on_while_the_run_does_and_ends_with_it(tmp_path: Path) -> None:
    with Emulator(processing_time_s=3600) as emulator:  # done when its clock says so, and not before both watch
        project = Project(tmp_path / "project", emulator)
        running = project.start("run", str(project.path), "--no-progress")
        deadline = time.monotonic() + 60
        while project.plain_call("status", str(project.path), "--json").json["jobs"]["submitted"] != 1:
            assert time.monotonic() < deadline
            assert running.poll() is None, running.communicate()
        watching = project.start("status", str(project.path), "--watch", "--json")
        assert watching.stdout is not None
        launch, first = (json.loads(watching.stdout.readline()) for _ in range(2))  # at once, not when a buffer is full
        assert launch["event"] == "launch"
        assert (running.poll(), first["lock"]["pid"], first["items"]["in_flight"]) == (None, running.pid, 4)
        assert watching.poll() is None
        emulator.advance(4000)
        running.communicate(timeout=60)
        rest, err = watching.communicate(timeout=60)
    assert (running.returncode, watching.returncode) == (0, 0), err
    last = json.loads(rest.splitlines()[-2])
    assert (last["lock"], last["items"]["done"]) == (None, 4)


def test_watching_a_run_that_is_over_tells_once(project: Project) -> None:
    project.run()
    ran = project.call("status", "--watch", "--json")
    assert (ran.code, [line["event"] for line in ran.lines]) == (0, ["launch", "status", "done"])


@pytest.mark.parametrize("command", ["status", "plan"])
def test_a_damaged_state_is_10_with_the_way_out(project: Project, command: str) -> None:
    project.run()
    state = project.out / "state.sqlite3"
    content = state.read_bytes()
    state.write_bytes(content[: len(content) // 2])
    ran = project.call(command)
    assert ran.code == 10
    assert "cut off" in ran.err
    assert "is adopted" in ran.err
    assert state.read_bytes() == content[: len(content) // 2]


def test_another_manifest_s_state_is_10(project: Project) -> None:
    project.run()
    project.manifest["name"] = "other"
    for command in ("status", "plan", "run"):
        assert project.call(command).code == 10


@pytest.mark.sweep
def test_a_run_that_has_not_planned_yet_is_said_to_plan_and_one_that_writes_to_write(project: Project) -> None:
    state = project.out / "state.sqlite3"
    project.out.mkdir()
    Store.create_or_open(state, disk=Disk(), name="trial", lineage="test").close()
    with StateLock(state) as lock:
        lock.tell("planning")
        first, second = project.call("status").out.splitlines()
        assert first == "trial: planning"
        assert "a run is on: process" in second
    project.run()
    with StateLock(state) as lock:
        lock.tell("writing")
        assert ", writing the outputs\n" in project.call("status").out
        assert project.call("status", "--json").json["lock"]["phase"] == "writing"
        lock.tell("working")
        assert project.call("status", "--json").json["lock"]["phase"] == "working"
