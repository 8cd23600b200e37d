from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.project import JOBS, Project


def test_a_plan_sends_nothing_needs_no_key_and_leaves_nothing(project: Project) -> None:
    project.environ.clear()
    ran = project.call("plan")
    assert ran.code == 0
    assert ran.out.splitlines()[:2] == [
        f"trial: batch-v0 at {project.emulator.url}",
        "  items  4 new",
    ]
    assert "1 to submit" in ran.out
    assert project.requests() == {}
    assert not project.out.exists()


def test_the_json_form_has_the_documented_members(project: Project) -> None:
    plan = project.plan()
    assert plan["schema"] == 1
    assert set(plan["manifest"]) == {"name", "path", "sha256"}
    assert plan["service"] == {"api": "batch-v0", "endpoint": project.emulator.url}
    documented = {"new", "changed", "retry", "done", "failed", "removed", "jobs", "requests"}
    assert documented | {"billable_seconds", "billable_seconds_unpacked"} <= set(plan["summary"])
    assert plan["summary"]["billable_seconds"] is None
    (job,) = plan["jobs"]
    assert set(job) == {"key", "sources", "bytes", "billable_seconds"}
    assert (job["sources"], job["billable_seconds"]) == (4, None)
    assert "items" not in plan


def test_items_are_told_with_action_and_reason_in_manifest_order(project: Project) -> None:
    items = project.plan("--items")["items"]
    assert [set(item) for item in items] == [{"id", "kind", "action", "reason"}] * 4
    assert [item["kind"] for item in items] == ["url", "file", "text", "text"]
    assert {(item["action"], item["reason"]) for item in items} == {("new", "not measured yet")}


def test_json_on_the_command_line_means_the_json_form(project: Project) -> None:
    assert project.call("plan", "--json").json == project.plan()


def test_the_text_form_lists_items_and_says_when_there_is_nothing_to_do(project: Project) -> None:
    project.manifest["sources"] = {"text": [{"text": "Hello.", "id": "hello"}]}
    assert "  new       hello  (not measured yet)" in project.call("plan", "--items").out
    project.run()
    assert "a run would do nothing" in project.call("plan").out
    assert project.call("plan", "-q").out == ""


def test_the_markdown_form_is_a_table(project: Project) -> None:
    out = project.call("plan", "--format", "markdown", "--items").out
    assert "| new | 4 |" in out
    assert "| hello | new | not measured yet |" in out


def test_nothing_in_a_table_breaks_it(project: Project) -> None:
    project.manifest["sources"] = {"files": ["media/*"]}
    project.add_file("a|b<script>.wav", b"x")
    out = project.call("plan", "--format", "markdown", "--items").out
    assert "<script" not in out
    rows = [line for line in out.splitlines() if "| new |" in line and "not measured" in line]
    assert [line.replace("\\|", "").count("|") for line in rows] == [4, 4]


def test_the_exit_code_tells_whether_there_is_something_to_do(project: Project) -> None:
    assert project.call("plan", "--detailed-exitcode").code == 2
    project.run()
    assert project.call("plan", "--detailed-exitcode").code == 0
    project.manifest["sources"]["text"].append("More.")
    assert project.call("plan", "--detailed-exitcode").code == 2
    assert project.call("plan").code == 0


def test_error_texts_with_links_are_masked(project: Project) -> None:
    project.manifest["sources"] = {"urls": [{"url": "https://example.org/a.mp4?sig=canary&se=2099-01-01", "id": "a"}]}
    fault = {"status": 400, "body": {"message": "cannot fetch https://example.org/a.mp4?sig=canary&se=2099-01-01"}}
    project.emulator.inject([{"route": JOBS, "action": fault}])
    ran = project.run()
    assert ran.code == 3
    assert "cannot fetch https://example.org/a.mp4?…" in project.results()[0]["error"]
    shown = ran.out + ran.err + project.call("plan", "--items").out + project.call("status", "--jobs").out
    shown += json.dumps(project.plan("--items")) + json.dumps(project.run_json()) + json.dumps(project.results())
    assert "canary" not in shown


def save(project: Project, *words: str) -> str:
    path = str(project.folder / "plan.json")
    ran = project.call("plan", "--out", path, *words)
    assert ran.code == 0, ran.err
    return path


def test_a_saved_plan_is_run_as_it_was_shown(project: Project) -> None:
    path = save(project)
    assert json.loads(Path(path).read_text())["summary"]["new"] == 4
    assert not list(project.folder.glob("*.part"))
    assert project.run("--plan", path).code == 0


def test_a_plan_that_was_run_is_stale(project: Project) -> None:
    path = save(project)
    project.run()
    before = project.requests()
    ran = project.run("--plan", path)
    assert ran.code == 64
    assert "the saved plan is stale: another run happened since" in ran.err
    assert "next: make a new one" in ran.err
    assert project.requests() == before


def test_a_plan_of_another_manifest_text_is_stale(project: Project) -> None:
    path = save(project)
    project.manifest["description"] = "Later"
    assert "the manifest changed" in project.run("--plan", path).err


def test_a_plan_of_other_bytes_is_stale(project: Project) -> None:
    path = save(project)
    project.add_file("one.wav", b"other bytes")
    assert "the sources changed" in project.run("--plan", path).err


def test_a_plan_to_retry_is_run_as_one(project: Project) -> None:
    project.add_file("bad.wav", b"this is no sound")
    project.run()
    path = save(project, "--retry-failed")
    assert "it was made with --retry-failed" in project.run("--plan", path).err
    assert project.run("--plan", path, "--retry-failed").code == 3
    assert len(project.job_requests()) == 2


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"manifest": {"sha256": "x"}, "basis": 3}'])
def test_a_file_that_is_no_plan_is_bad_usage(project: Project, content: str) -> None:
    (project.folder / "plan.json").write_text(content)
    ran = project.run("--plan", str(project.folder / "plan.json"))
    assert ran.code == 64
    assert "this is not a saved plan" in ran.err
    assert not project.out.exists()


def test_a_plan_goes_with_one_manifest(project: Project) -> None:
    assert project.run(str(project.path), "--plan", "plan.json").code == 64


def test_a_plan_that_cannot_be_written_is_told(project: Project) -> None:
    ran = project.call("plan", "--out", str(project.folder / "nowhere" / "plan.json"))
    assert ran.code == 64
    assert "cannot write the plan" in ran.err


def test_bad_sources_are_found_without_sending_anything(project: Project) -> None:
    project.manifest["sources"]["urls"] = ["https://example.org/a.mp4?Expires=1000000000&Signature=s"]
    ran = project.call("plan")
    assert ran.code == 66
    assert "expired at" in ran.err
    assert project.requests() == {}
