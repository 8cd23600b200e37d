from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.project import JOBS, Project, tone


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
    ran = project.call("plan", "--json")
    assert [line["event"] for line in ran.lines] == ["launch", "plan", "done"]
    event, plan = ran.json, project.plan()
    assert event["manifest"] == str(project.path)
    assert {name: event[name] for name in ("summary", "service", "jobs", "basis", "reasons")} == {
        name: plan[name] for name in ("summary", "service", "jobs", "basis", "reasons")
    }
    assert {name: event[name] for name in ("name", "path", "sha256")} == plan["manifest"]


def test_the_text_form_lists_items_and_says_when_there_is_nothing_to_do(project: Project) -> None:
    project.manifest["sources"] = {"text": [{"text": "Hello.", "id": "hello"}]}
    assert "  new       hello  (not measured yet)" in project.call("plan", "--items").out
    project.run()
    assert "a run would do nothing" in project.call("plan").out
    assert project.call("plan", "-q").out == ""


def test_a_missing_answer_is_something_to_do(project: Project) -> None:
    project.run()
    answer = next(project.out.glob("raw/*/predictions.json"))
    answer.unlink()
    planned = project.call("plan", "--detailed-exitcode")
    assert planned.code == 2
    assert "answers  1 missing or changed on disk; a run has it again, at no cost" in planned.out
    assert "a run would do nothing" not in planned.out
    summary = json.loads(project.call("plan", "--format", "json").out)["summary"]
    assert (summary["answers_again"], summary["answers_lost"]) == (1, 0)
    assert project.call("run").code == 0
    assert answer.exists()
    assert project.call("plan", "--detailed-exitcode").code == 0


def test_the_markdown_form_is_a_table(project: Project) -> None:
    out = project.call("plan", "--format", "markdown", "--items").out
    assert "| new | 4 |" in out
    assert "| hello | new | not measured yet |" in out


def face(project: Project, fps: float, count: int = 3) -> None:
    """So many recordings of faces at this rate."""
    project.manifest["sources"] = {"urls": [f"https://example.org/{number}.mp4" for number in range(count)]}
    project.manifest["models"] = {"face": {"fps_pred": fps}}


def test_reasons_are_counted_and_empty_rows_left_out(project: Project) -> None:
    face(project, 3)
    project.run()
    project.manifest["models"]["face"]["fps_pred"] = 2
    text = project.call("plan").out
    assert "  items  3 changed\n  why    3 × models.face.fps_pred 3 → 2\n  jobs   1 to submit, " in text
    shown = project.call("plan", "--format", "markdown").out
    assert "| changed | 3 |" in shown
    assert "| changed: models.face.fps_pred 3 → 2 | 3 |" in shown
    assert "1 job to submit, 1 request, " in shown
    assert "| 0 |" not in shown
    assert project.plan()["reasons"] == [{"action": "changed", "reason": "models.face.fps_pred: 3 -> 2", "items": 3}]


def test_why_items_failed_or_will_is_counted_too(project: Project) -> None:
    project.manifest["sources"] = {"files": ["media/*"]}
    for name in ("a.wav", "b.wav"):
        project.add_file(name, b"")
    assert " × will fail: " in project.call("plan").out
    project.run()
    text = project.call("plan").out
    assert "2 × failed: empty" in text
    assert "| failed: empty | 2 |" in project.call("plan", "--format", "markdown").out


def test_a_default_that_is_changed_is_told_by_the_value_that_it_had(project: Project) -> None:
    face(project, 3)
    project.manifest["models"]["face"] = {}
    project.run()
    project.manifest["models"]["face"] = {"fps_pred": 5}
    assert "3 × models.face.fps_pred 3 → 5\n" in project.call("plan").out


@pytest.mark.sweep
def test_settings_are_compared_with_those_that_the_item_was_measured_with(project: Project) -> None:
    """The last plan was about another one, and made with settings that this one never had."""
    face(project, 3, count=2)
    project.run()
    project.manifest["models"]["face"]["fps_pred"] = 5
    project.run("--limit", "1")
    project.manifest["models"]["face"]["fps_pred"] = 7
    reasons = {reason["reason"]: reason["items"] for reason in project.plan()["reasons"]}
    assert reasons == {"models.face.fps_pred: 5 -> 7": 1, "models.face.fps_pred: 3 -> 7": 1}


def test_a_file_that_was_replaced_failed_for_no_reason_any_more(project: Project) -> None:
    project.manifest["sources"] = {"files": ["media/*"]}
    for name in ("c.wav", "d.wav"):
        project.add_file(name, b"")
    project.run()
    project.add_file("c.wav", tone(11))
    text = project.call("plan").out
    assert "1 × its content changed\n" in text
    assert "1 × failed: empty\n" in text
    project.add_file("d.wav", tone(12))
    assert "failed" not in project.call("plan").out


def test_what_was_never_sent_was_not_measured_by_other_rules(project: Project) -> None:
    project.manifest["sources"] = {"text": ["I could not be happier."]}
    project.manifest["models"] = {"language": {}}
    project.environ.clear()
    assert project.run().code == 7
    project.manifest["service"] = {"api": "local"}
    project.manifest.pop("execution", None)
    (item,) = project.plan("--items")["items"]
    assert (item["action"], item["reason"]) == ("new", "not measured yet")


def test_a_plan_ends_as_the_run_would_that_has_no_room_for_its_outputs(project: Project) -> None:
    (project.folder / "taken").write_text("a file")
    for place in (project.folder / "taken", project.folder / "taken" / "below"):
        planned, ran = (project.call(command, "--output-dir", str(place)) for command in ("plan", "run"))
        assert (planned.code, ran.code) == (64, 64)
        assert "items  4 new" in planned.out
        refused = f"{project.folder / 'taken'}: a file is where a folder should be"
        assert (refused in planned.err, refused in ran.err) == (True, True)


@pytest.mark.sweep
def test_a_plan_ends_as_the_run_would_that_would_measure_beside_a_shard(project: Project) -> None:
    project.manifest["sources"] = {"text": [f"Number {n}." for n in range(4)]}
    project.manifest["models"] = {"language": {}}
    assert project.run("--shard", "1/2").code == 0
    for words in ((), ("--shard", "1/3")):
        planned, ran = (project.call(command, *words) for command in ("plan", "run"))
        assert (planned.code, ran.code) == (64, 64)
        assert planned.err == ran.err
        assert "state merge" in planned.err
    assert project.call("plan", "--shard", "2/2").code == 0


def test_a_plan_ends_as_the_run_would_that_finds_a_link_in_its_way(project: Project) -> None:
    project.out.mkdir()
    (project.out / "raw").symlink_to(project.folder)
    planned, ran = (project.call(command) for command in ("plan", "run"))
    assert (planned.code, ran.code) == (10, 10)
    assert planned.err == ran.err


def several(project: Project) -> list[str]:
    """Three manifests: one of three faces, one of two texts, one whose file is missing."""
    face(project, 3)
    paths = [str(project.write())]
    first = dict(project.manifest)
    for name, sources in (("second", {"text": ["One.", "Two."]}), ("third", {"files": ["absent.wav"]})):
        project.manifest = {**first, "name": name, "sources": sources, "models": {"language": {}}}
        project.manifest["outputs"] = {"directory": name}
        paths.append(str(project.write(project.folder / f"{name}.yaml")))
    project.manifest = first
    return paths


@pytest.mark.sweep
def test_several_manifests_are_planned_one_after_another_with_a_total(project: Project) -> None:
    one, two, missing = several(project)
    ran = project.plain_call("plan", one, two)
    assert ran.code == 0, ran.err
    assert [line for line in ran.out.splitlines() if not line.startswith(" ")] == [
        f"trial: batch-v0 at {project.emulator.url}",
        f"second: batch-v0 at {project.emulator.url}",
        "total of 2 manifests: 5 items to do in 2 jobs, 8 B of media",
    ]
    lines = project.plain_call("plan", one, two, "--format", "json").lines
    assert [line["manifest"]["name"] for line in lines] == ["trial", "second"]
    shown = project.plain_call("plan", one, two, "--format", "markdown").out
    assert shown.startswith("## Plans of 2 manifests\n\n### Plan for `trial`\n")
    assert shown.endswith("**Total of 2 manifests: 5 items to do in 2 jobs, 8 B of media.**\n")
    wrong = project.plain_call("plan", one, missing, two, "--detailed-exitcode")
    assert wrong.code == 66
    assert "there is no file" in wrong.err
    assert "second: batch-v0 at " in wrong.out
    # Whoever reads the result alone is not told that this was all.
    assert "total of 2 of 3 manifests (1 refused): 5 items to do" in wrong.out
    shown = project.plain_call("plan", one, missing, two, "--format", "markdown").out
    assert shown.endswith("**Total of 2 of 3 manifests (1 refused): 5 items to do in 2 jobs, 8 B of media.**\n")


@pytest.mark.sweep
def test_the_exit_code_of_several_tells_whether_any_has_something_to_do(project: Project) -> None:
    one, two, _ = several(project)
    assert project.plain_call("run", one).code == 0
    assert project.plain_call("plan", one, "--detailed-exitcode").code == 0
    assert project.plain_call("plan", one, two, "--detailed-exitcode").code == 2
    assert project.plain_call("plan", one, two).code == 0


def test_a_plan_that_is_saved_is_of_one_manifest(project: Project) -> None:
    one, two, _ = several(project)
    ran = project.plain_call("plan", one, two, "--out", str(project.folder / "plan.json"))
    assert (ran.code, ran.out) == (64, "")
    assert not (project.folder / "plan.json").exists()


def test_a_plan_with_a_bill_tells_it_in_each_form(project: Project) -> None:
    project.manifest = {
        "version": 1,
        "name": "faces",
        "service": {"api": "expression-v1", "endpoint": project.emulator.url},
        "sources": {"files": ["media/one.wav"]},
        "models": {"audio": {}},
        "outputs": {"directory": "out"},
    }
    assert "10 billable seconds (10 without packing)" in project.call("plan").out
    shown = project.call("plan", "--format", "markdown").out
    assert "Bill: 10 billable seconds (10 without packing)." in shown
    assert "to upload" in shown


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


@pytest.mark.sweep
def test_what_only_renames_or_relabels_says_that_the_outputs_are_written_anew(project: Project) -> None:
    project.manifest["sources"] = {"files": ["media/*"], "text": [{"text": "Hello.", "id": "hello"}, "Goodbye."]}
    assert project.run().code == 0
    sent = project.requests()
    (project.folder / "media" / "one.wav").rename(project.folder / "media" / "other.wav")
    project.manifest["sources"]["text"] = [{"text": "Hello.", "id": "hello", "labels": {"wave": 2}}]

    planned, anew = project.call("plan", "--detailed-exitcode"), project.plan()

    assert planned.code == 2
    assert "1 × 'media/one.wav' is listed as 'media/other.wav' now, with its results\n" in planned.out
    assert "is not listed any more; what was measured of it stays" in planned.out
    assert "1 × has other labels now\n" in planned.out
    assert "a run would measure nothing, and write the outputs as the manifest is now" in planned.out
    assert "A run would measure nothing" in project.call("plan", "--format", "markdown").out
    assert anew["summary"]["removed"] == 2
    told = {(one["action"], one["items"]) for one in anew["reasons"]}
    assert told == {("removed", 1), ("done", 1)}
    assert project.run().code == 0
    assert project.requests() == sent
    assert [item["id"] for item in project.results()] == ["media/other.wav", "hello"]
    assert "a run would do nothing" in project.call("plan", "--detailed-exitcode").out


def test_the_same_under_one_more_id_is_told_and_costs_nothing(project: Project) -> None:
    project.manifest["sources"] = {"text": [{"text": "Hello.", "id": "hello"}]}
    assert project.run().code == 0
    project.manifest["sources"]["text"].append({"text": "Hello.", "id": "again"})

    out = project.call("plan").out

    assert "1 × is measured already, under another id" in out
    assert "a run would measure nothing" in out
    assert "would do nothing" in project.call("plan", "--select", "id == 'hello'").out


def test_of_many_that_are_not_listed_any_more_the_first_are_named(project: Project) -> None:
    project.manifest["sources"] = {"text": [{"text": f"Text {n}.", "id": f"t{n}"} for n in range(9)]}
    assert project.run().code == 0
    project.manifest["sources"]["text"] = project.manifest["sources"]["text"][-1:]

    out = project.call("plan").out

    assert "8 removed" in out
    assert "'t0' is not listed any more" in out
    assert "'t3'" not in out
    assert "5 × more that are not listed" in out


@pytest.mark.sweep
def test_why_a_job_was_not_taken_is_the_reason_to_try_it_again(project: Project) -> None:
    project.manifest["sources"] = {"text": [{"text": "Hello.", "id": "hello"}]}
    project.emulator.inject([{"route": JOBS, "action": {"status": 503, "body": {"message": "too busy"}}}])
    assert project.run().code == 5

    (reason,) = project.plan()["reasons"]

    assert (reason["action"], reason["items"]) == ("retry", 1)
    assert reason["reason"].startswith("tried before: ")
    assert "503" in reason["reason"]


@pytest.mark.sweep
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


@pytest.mark.sweep
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


def test_the_markdown_form_goes_to_a_file_beside_any_other(project: Project) -> None:
    one, two, missing = several(project)
    page = project.folder / "plan.md"
    ran = project.plain_call("plan", one, missing, two, "--json", "--markdown", str(page))
    assert ran.code == 66
    text = page.read_text(encoding="utf-8")
    titles = [line for line in text.splitlines() if line.startswith("#")]
    assert titles == [
        "## Plans of 3 manifests",
        "### Plan for `trial`",
        "### No plan for `third`",
        "### Plan for `second`",
    ]
    assert "there is no file 'absent.wav'" in text
    assert project.plain_call("plan", one, "--markdown", str(page), "-q").code == 0
    text, mark, _ = page.read_text(encoding="utf-8").partition("<!-- hume_runner plan-page ")
    assert mark
    assert text == project.plain_call("plan", one, "--format", "markdown").out


def test_weights_that_are_not_here_are_told_before_the_run_that_they_would_end(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUME_RUNNER_MODELS", str(project.folder / "models"))
    project.manifest |= {"service": {"api": "local"}, "sources": {"files": ["media/*"]}}
    project.manifest["models"] = {"acoustics": {}, "speech": {}, "face": {}}
    del project.manifest["execution"]
    told = project.call("validate")
    assert told.code == 0
    lines = [line for line in told.err.splitlines() if "not ready" in line]
    assert [line.partition(":")[0] for line in lines] == ["models.face", "models.speech"]
    assert all("first `hume-runner models pull " in line for line in lines)
    # A plan says what there is to do, and ends as the run would.
    planned = project.call("plan")
    assert planned.code == 64
    assert "to measure" in planned.out
    assert "next: hume-runner models pull face-short-range" in planned.err
    # Where media are elsewhere, the run is too.
    assert "not ready" not in project.call("validate", "--no-files").err
    assert project.run().code == 64


@pytest.mark.sweep
def test_jobs_that_were_planned_and_not_taken_are_packed_to_the_limits_of_today(project: Project) -> None:
    project.manifest["sources"] = {"text": [f"Sentence {n}." for n in range(40)]}
    project.emulator.inject([{"route": JOBS, "action": {"status": 503}}])
    assert project.run().code == 5
    project.emulator.inject([])

    project.manifest["service"]["limits"] = {"sources_per_job": 10}
    assert [job["sources"] for job in project.plan()["jobs"]] == [10, 10, 10, 10]
    assert project.run().code == 0
    assert [len(request["text"]) for request in project.job_requests()] == [10, 10, 10, 10]


def test_what_the_service_has_stays_as_it_was_sent_when_the_limits_change(project: Project) -> None:
    project.manifest["sources"] = {"text": [f"Sentence {n}." for n in range(40)]}
    assert project.run("--detach").code == 0
    project.manifest["service"]["limits"] = {"sources_per_job": 10}
    assert project.plan()["summary"]["jobs"] == 0
    assert project.run().code == 0
    assert [len(request["text"]) for request in project.job_requests()] == [40]
