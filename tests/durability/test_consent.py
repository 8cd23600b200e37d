"""Consent at a host of batch-v0 that refuses what was agreed to, loses jobs, and shows them or does not.

What `tests/state/test_doubts.py` and `tests/engine/test_consent.py` have as tables, over HTTP and with commands.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hume_runner.emulator.server import Emulator
from tests.cli.project import JOBS, Project
from tests.emulator.api import Api

PREDICTIONS = "GET /v0/batch/jobs/{id}/predictions"
BUSY = {"status": 503}
DETAILS = "GET /v0/batch/jobs/{id}"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with Emulator(data=tmp_path / "service", processing_time_s=0.01) as emulator:
        project = Project(tmp_path / "project", emulator)
        project.manifest["models"] = {"language": {}}
        project.manifest["batching"] = {"max_sources": 1}
        project.manifest["outputs"]["artifacts"] = False
        listed(project, "One.")
        yield project


def listed(project: Project, *texts: str) -> None:
    project.manifest["sources"] = {"text": [{"text": text, "id": text.lower().strip(".")} for text in texts]}


def paid(project: Project) -> int:
    """Jobs that were taken; each carries one text."""
    return int(project.emulator.requests()["jobs_accepted"])


def refusing(project: Project, status: int) -> None:
    project.emulator.inject([{"route": JOBS, "action": {"status": status}}])


def losing(project: Project) -> None:
    """Every answer to a submission is lost, and the list shows nothing."""
    hidden(project)
    project.emulator.inject([{"route": JOBS, "action": {"drop": "after"}}])


def hidden(project: Project) -> None:
    project.emulator.make_difficult({"jobs": {"empty": True}})


def shown(project: Project) -> None:
    project.emulator.make_difficult({})


def gone(project: Project) -> None:
    """No job can be had again."""
    project.emulator.inject([{"route": one, "action": {"status": 404}} for one in (PREDICTIONS, DETAILS)])


def well(project: Project) -> None:
    project.emulator.inject([])


def without_state(project: Project) -> None:
    for path in project.out.glob("state.sqlite3*"):
        path.unlink()


def a_lost_submission(project: Project) -> None:
    losing(project)
    assert project.run().code == 9
    well(project)


def a_stray(project: Project) -> None:
    assert project.run().code == 0
    without_state(project)
    hidden(project)


def one_that_tells_it_in_another_way(project: Project) -> None:
    with Api(project.emulator.url, project.emulator.api_key) as api:
        api.call("POST", JOBS.partition(" ")[2], json={"text": ["ONE."], "models": {"language": {}}})


@pytest.mark.sweep
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("edited", [False, True], ids=["the same", "edited"])
@pytest.mark.parametrize("doubt", [a_lost_submission, a_stray, one_that_tells_it_in_another_way])
def test_consent_is_not_used_up_by_an_attempt_that_was_refused(
    project: Project, doubt: Callable[[Project], None], status: int, edited: bool
) -> None:
    doubt(project)
    assert project.run().code == 9
    had = paid(project)
    refusing(project, status)
    assert project.run("--pay-again").code == 5
    well(project)
    # One that lies there as a whole tells what it is about.
    if edited:
        listed(project, "One.", "Unrelated.")
    for _ in range(2):
        ran = project.run()
        assert (ran.code, paid(project)) == (9, had + edited), ran.err
        assert project.statuses()["one"] == "pending"
    assert project.run("--pay-again").code == 0
    assert (project.run().code, paid(project)) == (0, had + 1 + edited)


@pytest.mark.sweep
def test_an_answer_that_was_given_up_is_back_after_a_refusal_and_counts_as_it_did(project: Project) -> None:
    assert project.run().code == 0
    away = project.folder / "away"
    shutil.copytree(project.out / "raw", away)
    for answer in (project.out / "raw").glob("*/predictions.json"):
        answer.unlink()
    gone(project)
    hidden(project)
    assert project.run().code == 9
    project.emulator.inject([{"route": PREDICTIONS, "action": {"status": 404}}, {"route": JOBS, "action": BUSY}])
    assert project.run("--pay-again").code == 5
    well(project)
    shutil.copytree(away, project.out / "raw", dirs_exist_ok=True)
    ran = project.run()
    assert (ran.code, project.statuses(), paid(project)) == (0, {"one": "done"}, 1), ran.err


@pytest.mark.sweep
@pytest.mark.parametrize("how", ["adopt", "by itself"])
def test_a_doubt_that_was_left_over_is_over_once_its_job_is_had_and_hides_no_later_one(
    project: Project, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUME_API_KEY", project.emulator.api_key)
    listed(project, "One.", "Two.")
    a_lost_submission(project)
    assert project.run("--limit", "1", "--pay-again").code == 0
    with Api(project.emulator.url, project.emulator.api_key) as api:
        shown(project)
        jobs = api.call("GET", JOBS.partition(" ")[2]).json()
    [two] = [job["job_id"] for job in jobs if job["request"]["text"] == ["Two."]]
    if how == "adopt":
        assert project.call("adopt", two).code == 0
    ran = project.run()
    assert (ran.code, project.statuses(), paid(project)) == (0, {"one": "done", "two": "done"}, 3), ran.err
    assert "may have been paid" not in project.call("plan").err
    away = project.folder / "away"
    shutil.copytree(project.out / "raw", away)
    shutil.rmtree(project.out / "raw" / two)
    gone(project)
    hidden(project)
    assert project.run().code == 9
    assert project.run("--limit", "1", "--pay-again").code == 0
    well(project)
    shutil.copytree(away, project.out / "raw", dirs_exist_ok=True)
    ran = project.run()
    assert (ran.code, project.statuses(), paid(project)) == (0, {"one": "done", "two": "done"}, 3), ran.err


@pytest.mark.sweep
@pytest.mark.parametrize("harm", ["whole", "missing", "cut", "of an earlier version"])
def test_consent_for_a_stray_answer_is_for_what_was_planned_then(project: Project, harm: str) -> None:
    assert project.run().code == 0
    without_state(project)
    hidden(project)
    [request] = (project.out / "raw").glob("*/request.json")
    if harm == "missing":
        request.unlink()
    elif harm == "cut":
        request.write_bytes(request.read_bytes()[:80])
    elif harm == "of an earlier version":
        told = json.loads(request.read_bytes())
        for source in told["sources"]:
            del source["content_sha256"]
        request.write_text(json.dumps(told))
    listed(project, "Other.")
    assert project.run().code == 9
    assert (project.run("--pay-again").code, paid(project)) == (0, 2)
    assert project.run().code == 0
    project.manifest["sources"] = {"text": ["Other.", {"text": "One.", "id": "renamed"}]}
    ran = project.run()
    assert (ran.code, paid(project)) == (9, 2), ran.err


@pytest.mark.sweep
def test_what_nothing_waits_for_any_more_is_told_once_and_asked_about_when_something_does(project: Project) -> None:
    a_lost_submission(project)
    assert project.run().code == 9
    listed(project, "Other.")
    ran = project.run()
    assert (ran.code, paid(project)) == (0, 2), ran.err
    assert "lists nothing that waits for it" in ran.err
    ran = project.run()
    assert (ran.code, "waits for it" in ran.err) == (0, False), ran.err
    listed(project, "Other.", "One.")
    ran = project.run()
    assert (ran.code, paid(project)) == (9, 2), ran.err
    shown(project)
    ran = project.run()
    assert (ran.code, paid(project), project.statuses()["one"]) == (0, 2, "done"), ran.err
