from __future__ import annotations

import pytest

from tests.cli.project import JOBS, Project


def test_before_the_first_run_there_is_nothing(project: Project) -> None:
    status = project.call("status", "--json").json
    assert status["items"]["total"] == 0
    assert status["simulated"] is False
    assert not project.out.exists()


def test_the_json_form_has_exactly_the_documented_members(project: Project) -> None:
    project.run()
    status = project.call("status", "--json").json
    assert list(status) == ["schema", "name", "state", "simulated", "lock", "items", "jobs"]
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
        [{"route": JOBS, "action": {"drop": "before"}}, {"route": "GET /v0/batch/jobs", "action": {"status": 503}}]
    )
    project.manifest["execution"]["retry"]["attempts"] = 1
    assert project.run().code == 5
    assert project.call("status", "--json").json["items"]["ambiguous"] == 4
    assert "the next run asks the service" in project.call("status").out


def test_watching_ends_with_the_run(project: Project) -> None:
    project.run()
    assert project.call("status", "--watch").code == 0


@pytest.mark.parametrize("command", ["status", "plan"])
def test_a_damaged_state_is_10_with_the_way_out(project: Project, command: str) -> None:
    project.run()
    state = project.out / "state.sqlite3"
    content = state.read_bytes()
    state.write_bytes(content[: len(content) // 2])
    ran = project.call(command)
    assert ran.code == 10
    assert "cut off" in ran.err
    assert "hume-runner adopt" in ran.err
    assert state.read_bytes() == content[: len(content) // 2]


def test_another_manifest_s_state_is_10(project: Project) -> None:
    project.run()
    project.manifest["name"] = "other"
    for command in ("status", "plan", "run"):
        assert project.call(command).code == 10
