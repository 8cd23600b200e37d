"""What a command advises can be typed as it stands: it looks where this command looked, and it helps."""

from __future__ import annotations

import re
import shlex

import pytest

from hume_runner.cli.progress import RunProgress
from hume_runner.results.summary import summary_text
from tests.cli.project import Project


@pytest.fixture(autouse=True)
def key(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUME_API_KEY", project.emulator.api_key)


def advised(text: str) -> list[list[str]]:
    return [shlex.split(found)[1:] for found in re.findall(r"`(hume-runner [^`]+)`", text)]


def small(project: Project) -> None:
    project.manifest["sources"] = {"text": ["Hello."]}
    project.manifest["models"] = {"language": {}}


def test_an_advised_command_repeats_the_place_that_was_named(project: Project) -> None:
    small(project)
    place = str(project.folder / "an other place")
    assert project.run("--output-dir", place).code == 0
    next((project.folder / "an other place" / "raw").glob("*/predictions.json")).unlink()
    ran = project.call("verify", "--output-dir", place)
    assert ran.code == 3
    (words,) = advised(ran.err)
    assert words == ["verify", str(project.path), "--output-dir", place, "--repair"]
    assert project.plain_call(*words).code == 0
    assert project.call("verify", "--output-dir", place).code == 0


@pytest.mark.parametrize("command", ["tables", "report"])
def test_no_command_advises_a_literal_placeholder(project: Project, command: str) -> None:
    small(project)
    assert project.run().code == 0
    next((project.out / "raw").glob("*/predictions.json")).unlink()
    ran = project.call(command)
    assert ran.code == 3
    assert "MANIFEST" not in ran.err
    (words,) = advised(ran.err)
    assert project.plain_call(*words).code == 0
    assert project.call(command).code == 0


def test_a_mistyped_command_is_told_by_its_right_name(project: Project) -> None:
    ran = project.plain_call("runn", str(project.write()))
    assert ran.code == 64
    (words,) = advised(ran.err)
    assert words == ["run", str(project.path)]
    # What is there is a manifest, however it is called; and what looks like no command is a missing file.
    assert "did you mean" not in project.plain_call("study.yaml").err


def test_before_the_first_run_status_says_that_nothing_ran(project: Project) -> None:
    ran = project.call("status")
    assert (ran.code, ran.err) == (0, "")
    assert "nothing ran yet" in ran.out
    assert "0 of 0" not in ran.out
    assert project.call("status", "--json").json["items"]["total"] == 0


def test_an_empty_file_is_named_once_and_advised_to_be_replaced(project: Project) -> None:
    project.manifest["sources"] = {"files": ["media/*"], "text": ["Hello."]}
    project.add_file("empty.wav", b"")
    ran = project.run()
    assert ran.code == 3
    (line,) = [line for line in ran.out.splitlines() if "empty.wav" in line]
    assert line.count("empty.wav") == 1
    assert "--retry-failed" not in ran.out
    assert "replace the files" in ran.out


def _summary(**more: object) -> str:
    items = {"done": 0, "total": 3, "failed": 0, "in_flight": 3, "ambiguous": 0, "pending": 0}
    jobs = {"done": 0, "failed": 0, "submitted": 2, "submitting": 0, "ambiguous": 0, "planned": 0}
    run = {
        "name": "study", "simulated": False, "exit_code": 130, "duration_s": 1.0, "failures": {}, "paid_twice": [],
        "counts": {"items": items, "jobs": jobs}, "bill": {"billable_seconds": None}, "outputs": {"directory": "out"},
    }  # fmt: skip
    return summary_text(run | more)


def test_an_interrupted_run_says_that_its_jobs_go_on() -> None:
    assert "2 at the service, which works on; the next run fetches the answers" in _summary()
    done = {"items": {"done": 3, "total": 3}, "jobs": {"done": 2, "submitted": 0}}
    assert "at the service" not in _summary(exit_code=0, counts=done)


def test_what_was_said_of_each_lost_answer_is_not_said_again_as_their_sum(project: Project) -> None:
    from hume_runner import events
    from hume_runner.cli.console import Console

    progress = RunProgress(Console(out=None, err=None), "study")
    progress(events.AnswerLost(job="job-000001", message="job-000001: it is gone"))
    progress(events.AnswerLost(job="job-000002", message="job-000002: it is gone"))
    assert progress.has_said("job-000001: it is gone; and the answers of 1 more jobs")
    assert not progress.has_said("job-000003: it is gone; and the answers of 1 more jobs")


# -- what verify finds -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("harm", ["missing", "changed"])
def test_repair_puts_back_what_the_last_run_told_of_itself(project: Project, harm: str) -> None:
    small(project)
    assert project.run().code == 0
    before = (project.out / "run.json").read_bytes()
    if harm == "missing":
        (project.out / "run.json").unlink()
    else:
        (project.out / "run.json").write_bytes(before[:-9])
    assert project.call("verify").code == 3
    assert project.call("verify", "--repair").code == 0
    assert (project.out / "run.json").read_bytes() == before
    assert project.call("verify").code == 0


def test_tables_of_a_format_that_is_not_asked_for_any_more_stay_current(project: Project) -> None:
    small(project)
    project.manifest["outputs"] = {"directory": "out", "tables": ["csv", "jsonl"]}
    assert project.run().code == 0
    project.manifest["outputs"]["tables"] = ["jsonl"]
    project.manifest["sources"]["text"].append("Goodbye.")
    assert project.run().code == 0
    assert len((project.out / "tables" / "items.csv").read_text().splitlines()) == 3
    assert "made before" not in project.call("verify").err
