"""`--limit` and `--select`: a part of a manifest in its one state."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.cli.project import JOBS, Project

SCHEMAS = Path(__file__).parents[2] / "schemas"


@pytest.fixture
def waves(project: Project) -> Project:
    """Ten texts with labels, and one of them twice."""
    project.manifest["models"] = {"language": {}}
    project.manifest["sources"] = {
        "text": [
            *(
                {"text": f"Number {n}.", "id": f"n{n}", "labels": {"wave": n % 2 + 1, "site": "ab"[n // 5]}}
                for n in range(10)
            ),
            {"text": "Number 0.", "id": "again", "labels": {"wave": 2}},
        ]
    }
    project.manifest["batching"] = {"max_sources": 1}
    return project


def test_a_limit_sends_the_first_items_and_later_runs_go_on_with_the_rest(waves: Project) -> None:
    ran = waves.run("--limit", "3")
    assert ran.code == 0, ran.err
    assert "selected 3 of 3 measured (--limit 3)" in ran.out
    assert waves.sent_texts() == ["Number 0.", "Number 1.", "Number 2."]
    assert list(waves.statuses()) == ["n0", "n1", "n2"]
    waves.run("--limit", "3")
    assert waves.requests()[JOBS] == 3
    waves.run("--limit", "5")
    assert waves.requests()[JOBS] == 5
    assert waves.run().code == 0
    assert waves.sent_texts() == [f"Number {n}." for n in range(10)]
    assert list(waves.statuses().values()) == ["done"] * 11
    assert list(waves.statuses()) == [*(f"n{n}" for n in range(10)), "again"]


@pytest.mark.sweep
def test_what_nobody_has_run_yet_is_told_with_its_number(waves: Project) -> None:
    ran = waves.run("--limit", "3")
    assert "left out 8 items that the manifest lists as well: run without --limit" in ran.out
    assert waves.run_json()["selection"]["left_out"] == 8
    status = waves.call("status").out
    assert (
        f"left out 8 items that the manifest lists as well: `hume-runner run {waves.path}` goes on with them" in status
    )
    assert "left out 1 item " in waves.run("--limit", "10").out
    assert waves.run().code == 0
    assert "left out" not in waves.call("status").out
    # What a run was about already stays as it is, and is not left out of anything.
    assert "left out" not in waves.run("--select", "label.wave == 1").out
    assert waves.run_json()["selection"]["left_out"] == 0


def test_what_other_shards_have_is_not_called_left_out(waves: Project) -> None:
    ran = waves.run("--shard", "1/2", "--limit", "1")
    assert "left out" not in ran.out + waves.call("status", "--shard", "1/2").out
    assert "left_out" not in json.loads((waves.out / "shards" / "1-of-2" / "run.json").read_text())["selection"]


@pytest.mark.sweep
def test_what_is_not_selected_stays_as_it_is_and_is_not_removed(waves: Project) -> None:
    waves.run()
    before = waves.requests()[JOBS]
    summary = waves.plan("--limit", "2")["summary"]
    assert (summary["done"], summary["removed"], summary["new"]) == (2, 0, 0)
    assert waves.run("--limit", "2").code == 0
    assert waves.requests()[JOBS] == before
    assert list(waves.statuses().values()) == ["done"] * 11
    assert list(waves.statuses()) == [*(f"n{n}" for n in range(10)), "again"]


@pytest.mark.sweep
def test_what_is_gone_is_removed_by_the_next_run_of_everything(waves: Project) -> None:
    waves.run()
    del waves.manifest["sources"]["text"][4]
    assert waves.plan("--select", "label.wave == 1")["summary"]["removed"] == 0
    waves.run("--select", "label.wave == 1")
    assert "n4" in waves.statuses()
    assert waves.plan()["summary"]["removed"] == 1
    waves.run()
    assert "n4" not in waves.statuses()


@pytest.mark.sweep
def test_an_expression_selects_by_labels_kind_and_id(waves: Project) -> None:
    ran = waves.run("--select", "label.wave == 2 and label.site == 'b'")
    assert ran.code == 0, ran.err
    assert waves.sent_texts() == ["Number 5.", "Number 7.", "Number 9."]
    waves.run("--select", "label.wave == 2", "--limit", "1")
    assert waves.sent_texts() == ["Number 1.", "Number 5.", "Number 7.", "Number 9."]
    waves.run("--select", "id in ('n0', 'n2')")
    assert waves.plan("--select", "kind == 'url'")["summary"]["new"] == 0
    assert waves.requests()[JOBS] == 6
    assert waves.run().code == 0
    assert waves.requests()[JOBS] == 10


@pytest.mark.sweep
def test_a_selection_may_follow_a_manifest_that_changed(waves: Project) -> None:
    waves.run("--limit", "4")
    texts = waves.manifest["sources"]["text"]
    texts.insert(0, {"text": "A new one.", "id": "new", "labels": {"wave": 9}})
    texts[2]["text"] = "Another text."
    waves.run("--limit", "3")
    found = [line["id"] for line in waves.results()]
    assert found[:3] == ["new", "n0", "n1"]
    assert sorted(found[3:]) == ["n2", "n3"]
    assert waves.requests()[JOBS] == 6
    waves.run()
    assert [line["id"] for line in waves.results()] == ["new", *(f"n{n}" for n in range(10)), "again"]
    assert waves.requests()[JOBS] == 12


@pytest.mark.sweep
def test_exit_code_and_budget_count_what_is_selected(waves: Project) -> None:
    waves.manifest["sources"]["files"] = [{"path": "media/broken.wav", "id": "broken", "labels": {"wave": 1}}]
    waves.add_file("broken.wav", b"")
    waves.manifest["execution"]["max_failures"] = "50%"
    assert waves.run("--select", "label.wave == 1").code == 3
    ran = waves.run("--select", "label.wave == 2")
    assert ran.code == 0, ran.err
    assert waves.run().code == 3


@pytest.mark.sweep
def test_run_json_says_the_selection_and_fits_its_schema(waves: Project) -> None:
    waves.run()
    assert "selection" not in waves.run_json()
    waves.run("--limit", "3", "--select", "label.wave == 1")
    told = waves.run_json()
    assert told["selection"]["limit"] == 3
    assert told["selection"]["select"] == "label.wave == 1"
    assert told["selection"]["items"]["done"] == told["selection"]["items"]["total"] == 3
    assert told["counts"]["items"]["done"] == 11
    Draft202012Validator(json.loads((SCHEMAS / "run-v1.schema.json").read_text(encoding="utf-8"))).validate(told)


@pytest.mark.sweep
def test_a_saved_plan_keeps_its_selection_and_refuses_another(waves: Project) -> None:
    plan = str(waves.folder / "plan.json")
    assert waves.plan("--limit", "2", "--out", plan)["selection"] == {"limit": 2}
    refused = waves.run("--plan", plan, "--limit", "3")
    assert refused.code == 64
    assert "another selection: --limit 2" in refused.err
    ran = waves.run("--plan", plan)
    assert ran.code == 0, ran.err
    assert waves.requests()[JOBS] == 2
    assert waves.run_json()["selection"]["limit"] == 2
    whole = str(waves.folder / "whole.json")
    waves.plan("--out", whole)
    assert waves.run("--plan", whole, "--limit", "2").code == 64


def test_wrong_expressions_are_told_before_anything_is_made(waves: Project) -> None:
    for expression, told in (
        ("label.wav == 2", "did you mean label.wave?"),
        ("label.wave == ", "column"),
        ("knd == 'text'", "did you mean kind?"),
    ):
        ran = waves.run("--select", expression)
        assert (ran.code, told in ran.err) == (64, True), ran.err
        assert waves.call("plan", "--select", expression).code == 64
    assert waves.run("--limit", "0").code == 64
    assert not (waves.out / "state.sqlite3").exists()


@pytest.mark.sweep
def test_files_that_are_not_selected_are_not_read(waves: Project) -> None:
    locked = waves.add_file("locked.wav", b"x")
    waves.manifest["sources"]["files"] = [{"path": "media/locked.wav", "labels": {"wave": 7}}]
    locked.unlink()
    locked.symlink_to("/proc/self/mem")  # cannot be read, but is there
    assert waves.run().code == 66
    ran = waves.run("--select", "label.wave == 1")
    assert ran.code == 0, ran.err


@pytest.mark.sweep
def test_a_job_that_waits_for_its_answer_is_fetched_although_it_is_left_out(waves: Project) -> None:
    waves.run("--detach")
    ran = waves.run("--limit", "1")
    assert ran.code == 0
    assert set(waves.statuses().values()) == {"done"}
    assert waves.requests()[JOBS] == 10
