"""What this key has paid for already is adopted, whatever became of the state: the state is a cache of the service."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hume_runner.emulator.server import Emulator
from tests.cli.project import JOBS, Project, tone
from tests.durability.case import Case, accepted_by_key, make_case
from tests.durability.children import Nursery, not_killed
from tests.durability.service import ServiceProcess
from tests.emulator.api import Api
from tests.tiers import Tier, only_swept, sampled

ITEMS = 120
MANY = 500


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with Emulator(data=tmp_path / "service", processing_time_s=0.02) as emulator:
        yield Project(tmp_path / "project", emulator)


def of_many_kinds(project: Project, count: int) -> None:
    """As many items: a third of them files, links, texts."""
    third = count // 3
    for path in (project.folder / "media").iterdir():
        path.unlink()
    for number in range(third):
        project.add_file(f"clip {number:03d} ä.wav", tone(number + 1))
    project.manifest["sources"] = {
        "urls": [f"https://example.org/clips/{number}.mp4?take=%20{number}" for number in range(third)],
        "files": ["media/*"],
        "text": [f"Sentence number {number}: café, twice. " for number in range(count - 2 * third)],
    }
    project.manifest["outputs"] = {"directory": "out", "tables": ["jsonl"]}


def left(folder: Path) -> dict[str, Any]:
    """Every file but the state, without run ids, times, and marks that are made of them."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or path.name.startswith("state.sqlite3") or "emulator" in path.parts:
            continue
        content = path.read_bytes()
        if path.name == "run.json":
            content = json.dumps(without_times(json.loads(content))).encode()
        elif path.name in ("datapackage.json", "ro-crate-metadata.json"):
            content = re.sub(rb'"(created|startTime|endTime)": "[^"]+"', b"", content)
            content = re.sub(rb"hume_runner [a-z-]+ [0-9a-f]{32}", b"", content)  # a mark is made of all that
        found[path.relative_to(folder).as_posix()] = content
    return found


def without_times(value: dict[str, Any]) -> dict[str, Any]:
    passing = {"run_id", "started_at", "worked_until", "ended_at", "duration_s", "mark"}
    kept = {name: member for name, member in value.items() if name not in passing}
    kept["counts"] = {**kept["counts"], "requests": None}
    return kept


def forget(project: Project, *, all_of_it: bool = True) -> None:
    if all_of_it:
        shutil.rmtree(project.out)
        return
    for path in project.out.glob("state.sqlite3*"):
        path.unlink()


@pytest.mark.sweep
@pytest.mark.parametrize("items", [ITEMS, pytest.param(MANY, marks=pytest.mark.sweep)])
def test_a_finished_study_whose_state_is_gone_is_had_again_for_nothing(project: Project, items: int) -> None:
    of_many_kinds(project, items)
    assert project.run().code == 0
    paid = project.requests()[JOBS]
    before = left(project.out)
    forget(project)
    ran = project.run()
    assert ran.code == 0, ran.err
    assert project.requests()[JOBS] == paid
    assert {line["status"] for line in project.results()} == {"done"}
    assert len(project.results()) == items
    assert left(project.out) == before
    assert project.run().code == 0
    assert left(project.out) == before


@sampled(1)
@pytest.mark.parametrize("lost", ["the state", "the folder", "the backup"])
def test_half_a_study_is_had_again_and_only_the_other_half_is_paid(project: Project, lost: str) -> None:
    of_many_kinds(project, 12)
    project.manifest["batching"] = {"max_sources": 3}
    everything = dict(project.manifest["sources"])
    project.manifest["sources"] = {**everything, "text": everything["text"][:1]}
    assert project.run().code == 0
    backup = project.folder / "backup"
    shutil.copytree(project.out, backup, ignore=shutil.ignore_patterns("*.ctl"))
    project.manifest["sources"] = everything
    assert project.run().code == 0
    paid = project.emulator.requests()["jobs_accepted"]
    if lost == "the backup":
        shutil.rmtree(project.out)
        backup.rename(project.out)
    else:
        forget(project, all_of_it=lost == "the folder")
    project.manifest["sources"] = {**everything, "text": [*everything["text"], "One more."]}
    ran = project.run()
    assert ran.code == 0, ran.err
    assert project.emulator.requests()["jobs_accepted"] == paid + 1
    assert project.job_requests()[-1]["text"] == ["One more."]
    assert {line["status"] for line in project.results()} == {"done"}


@pytest.mark.sweep
def test_files_are_known_by_their_bytes_whatever_they_are_called(project: Project) -> None:
    of_many_kinds(project, 9)
    assert project.run().code == 0
    forget(project)
    for number, path in enumerate(sorted((project.folder / "media").iterdir())):
        path.rename(path.with_name(f"renamed-{9 - number}.wav"))
    assert project.run().code == 0
    assert project.emulator.requests()["jobs_accepted"] == 1
    scores = {line["id"]: line["status"] for line in project.results()}
    assert set(scores.values()) == {"done"}


@pytest.mark.sweep
def test_every_item_gets_its_own_scores_back_in_whatever_order_it_is_listed(project: Project) -> None:
    of_many_kinds(project, 9)
    assert project.run().code == 0
    rows = measured(project)
    forget(project)
    sources = project.manifest["sources"]
    project.manifest["sources"] = {
        "text": sources["text"][::-1],
        "files": sources["files"],
        "urls": sources["urls"][1:],
    }
    project.manifest["batching"] = {"max_sources": 4}
    assert project.run().code == 0
    assert project.emulator.requests()["jobs_accepted"] == 1
    again = measured(project)
    assert again
    assert set(again) < set(rows)
    assert again == {source: rows[source] for source in again}


def measured(project: Project) -> dict[str, Any]:
    """Rows of the tables by what was measured: a text by itself, a file by its name, a link by itself."""
    texts = {f"text[{n}]": text for n, text in enumerate(project.manifest["sources"]["text"])}
    names = {}
    for line in project.results():
        place = re.search(r"text\[\d+\]", line["source"] or "")
        names[line["id"]] = texts[place[0]] if line["kind"] == "text" and place else line["source"]
    found: dict[str, Any] = {}
    for path in sorted((project.out / "tables").glob("*.jsonl")):
        if path.name in ("items.jsonl", "errors.jsonl", "sources.jsonl"):
            continue
        for text in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(text)
            name = names[row.pop("id", None) or row.pop("item_id")]
            scores = {key: value for key, value in row.items() if isinstance(value, float | int)}
            found.setdefault(name, []).append((path.name, json.dumps(scores, sort_keys=True)))
    return found


@pytest.mark.sweep
def test_a_setting_that_differs_is_not_taken_for_the_same(project: Project) -> None:
    of_many_kinds(project, 6)
    assert project.run().code == 0
    forget(project)
    project.manifest["models"] = {"language": {"granularity": "word"}, "prosody": {}}
    assert project.run().code == 0
    assert project.emulator.requests()["jobs_accepted"] == 2


@pytest.mark.sweep
def test_looking_back_no_time_at_all_pays_again(project: Project) -> None:
    of_many_kinds(project, 6)
    assert project.run().code == 0
    forget(project)
    project.manifest["execution"]["look_back"] = 0
    assert project.run().code == 0
    assert project.emulator.requests()["jobs_accepted"] == 2


@pytest.mark.sweep
def test_a_copied_folder_and_its_original_pay_once_whichever_runs_first(project: Project) -> None:
    of_many_kinds(project, 6)
    project.manifest["execution"]["max_jobs_in_flight"] = 1
    project.emulator.inject([{"route": JOBS, "action": {"status": 503}}])
    assert project.run().code == 5
    copy = project.folder / "copy"
    shutil.copytree(project.out, copy, ignore=shutil.ignore_patterns("*.ctl"))
    project.emulator.inject([])
    assert project.run("--output-dir", str(copy)).code == 0
    assert project.run().code == 0
    assert project.emulator.requests()["jobs_accepted"] == 1
    assert (copy / "results.jsonl").read_bytes() == (project.out / "results.jsonl").read_bytes()


# -- a host whose list lies -------------------------------------------------------------------------------------------


def twice(path: str) -> dict[str, list[str]]:
    return {"leaves_out": [path], "details_leave_out": [path]}


# What the list does -> exit code of a run without a state, of everything: adopted (0) or asked (9). Never paid again.
LYING: dict[str, tuple[dict[str, Any], int]] = {
    "honest": ({}, 0),
    "without texts": ({"leaves_out": ["request.text"]}, 0),
    "without files": ({"leaves_out": ["request.files"]}, 0),
    "without links": ({"leaves_out": ["request.urls"]}, 0),
    "without models": ({"leaves_out": ["request.models"]}, 0),
    "without requests": ({"leaves_out": ["request"]}, 0),
    "nowhere texts": (twice("request.text"), 9),
    "nowhere files": (twice("request.files"), 9),
    "nowhere models": (twice("request.models"), 9),
    "nowhere one option": (twice("request.models.language.granularity"), 9),
    "nowhere requests": (twice("request"), 9),
    # All that is planned was found: what else there may be is nobody's concern.
    "without times": ({"leaves_out": ["state.created_timestamp_ms"]}, 0),
    "no order": ({"order": "shuffled"}, 0),
    "no filter": ({"ignores": ["when", "timestamp_ms"]}, 0),
    "newest first, no filter": ({"order": "newest", "ignores": ["when", "timestamp_ms"]}, 0),
    "newest first": ({"order": "newest"}, 0),
    "oldest first": ({"order": "oldest"}, 0),
    "without ids": ({"leaves_out": ["job_id"]}, 9),
    "every other without id": ({"nameless_every": 2}, 0),  # not the same ones in the other order
    "two at a time": ({"cap": 2}, 0),
    "two at a time, newest first": ({"cap": 2, "order": "newest"}, 0),
    # A host that shows the same two whatever it is asked, and always as if they were all, cannot be found out; one that
    # goes by the order alone can.
    "the newest two, no filter, no order": (
        {"cap": 2, "order": "newest", "ignores": ["when", "timestamp_ms", "sort_by", "direction"]},
        9,
    ),
    "numbered ids": ({"integer_ids": True}, 0),
    "names in capitals": ({"filenames": ["upper"], "predictions_spell": True}, 0),
}


@pytest.mark.sweep
@sampled(4)
@pytest.mark.parametrize("list_", LYING)
def test_whatever_a_list_leaves_out_is_adopted_or_asked_about_and_never_paid_again(
    project: Project, list_: str
) -> None:
    lies, code = LYING[list_]
    of_many_kinds(project, 12)
    project.manifest["batching"] = {"max_sources": 3}
    assert project.run().code == 0
    paid = project.emulator.requests()["jobs_accepted"]
    assert paid == 4
    rows = measured(project)
    forget(project)
    project.emulator.make_difficult({"jobs": lies})
    ran = project.run()
    assert project.emulator.requests()["jobs_accepted"] == paid, ran.err
    assert ran.code == code, ran.err
    if code == 9:
        assert "cannot be told for sure" in ran.err
        assert "--pay-again" in ran.err
        assert project.run().code == 9  # and it goes on asking
        assert project.emulator.requests()["jobs_accepted"] == paid
    else:
        assert measured(project) == rows


def foreign_job(project: Project, uploads: list[tuple[str, bytes]]) -> str:
    """A job of the same settings that somebody started with another program."""
    with Api(project.emulator.url, project.emulator.api_key) as api:
        body = json.dumps({"models": project.manifest["models"]})
        files = [("file", (name, content, "audio/wav")) for name, content in uploads]
        answer = api.call("POST", JOBS.partition(" ")[2], data={"json": body}, files=files)
        return str(answer.json()["job_id"])


@pytest.mark.sweep
def test_two_files_of_one_name_are_never_mixed_up(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUME_API_KEY", project.emulator.api_key)
    of_many_kinds(project, 3)
    project.manifest["sources"] = {"files": ["media/*"]}
    (ours,) = (project.folder / "media").iterdir()
    job_id = foreign_job(project, [("clip.wav", ours.read_bytes()), ("clip.wav", tone(99))])
    ran = project.run()
    assert ran.code == 9
    assert "several files under one name" in ran.err
    told = project.call("adopt", job_id)
    assert told.code == 64
    assert "clip.wav" in told.err
    assert project.run("--pay-again").code == 0
    assert project.emulator.requests()["jobs_accepted"] == 2


def test_a_lost_job_that_a_person_finds_is_adopted(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUME_API_KEY", project.emulator.api_key)
    of_many_kinds(project, 6)
    project.emulator.make_difficult({"jobs": {"empty": True}})
    project.emulator.inject([{"route": JOBS, "action": {"drop": "after"}}])
    ran = project.run()
    assert ran.code == 9
    assert ran.err.count("the answer to its submission was lost") == 1
    assert f"adopt {project.path} REMOTE_ID" in ran.err
    project.emulator.inject([])
    project.emulator.make_difficult({})
    with Api(project.emulator.url, project.emulator.api_key) as api:
        (job,) = api.call("GET", JOBS.partition(" ")[2]).json()
    project.emulator.make_difficult({"jobs": {"empty": True}})
    told = project.call("adopt", job["job_id"])
    assert told.code == 0
    assert "6 items" in told.out
    assert project.run().code == 0
    assert project.emulator.requests()["jobs_accepted"] == 1


# -- more of a job that was adopted for some of its sources -----------------------------------------------------------

RAIN, SNOW, WIND = "One speaks of rain.", "Two speaks of snow.", "Three speaks of wind."


def partly_adopted(project: Project) -> dict[str, Any]:
    """One job of three texts, of which a later state took the second; the rows of all three."""
    project.manifest["outputs"] = {"directory": "out", "tables": ["jsonl"]}
    project.manifest["sources"] = {"text": [RAIN, SNOW, WIND]}
    assert project.run().code == 0
    rows = measured(project)
    forget(project)
    project.manifest["sources"] = {"text": [SNOW]}
    assert project.run().code == 0
    assert measured(project) == {SNOW: rows[SNOW]}
    return rows


def positions(project: Project) -> list[tuple[int, str]]:
    (answer,) = (project.out / "raw").glob("*/request.json")
    return [(one["position"], one["match"]) for one in json.loads(answer.read_bytes())["sources"]]


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("by", ["a run", "adopt"])
@pytest.mark.parametrize("answer", ["is in raw", "is fetched again", "was changed on disk"])
def test_what_an_adopted_job_carries_besides_is_taken_in_for_nothing_when_it_is_listed_later(
    project: Project, monkeypatch: pytest.MonkeyPatch, answer: str, by: str
) -> None:
    monkeypatch.setenv("HUME_API_KEY", project.emulator.api_key)
    rows = partly_adopted(project)
    (predictions,) = (project.out / "raw").glob("*/predictions.json")
    fetched = project.requests()["GET /v0/batch/jobs/{id}/predictions"]
    if answer == "is fetched again":
        predictions.unlink()
    elif answer == "was changed on disk":
        predictions.write_bytes(predictions.read_bytes() + b" ")
    project.manifest["sources"] = {"text": [WIND, SNOW, RAIN]}
    if by == "adopt":
        told = project.call("adopt", predictions.parent.name)
        assert told.code == 0, told.err
        assert "with 2 items" in told.out
    ran = project.run()
    assert ran.code == 0, ran.err
    assert project.emulator.requests()["jobs_accepted"] == 1
    assert (project.requests()["GET /v0/batch/jobs/{id}/predictions"] > fetched) == (answer != "is in raw")
    assert measured(project) == rows
    assert positions(project) == [(0, "2"), (1, "1"), (2, "3")]
    assert {line["status"] for line in project.results()} == {"done"}
    assert project.call("verify").code == 0
    before = left(project.out)
    assert project.run().code == 0
    assert left(project.out) == before


@pytest.mark.sweep
def test_one_more_source_at_a_time_is_taken_in_and_what_was_had_stays_where_it_is(project: Project) -> None:
    rows = partly_adopted(project)
    for texts in ([SNOW, RAIN], [SNOW, RAIN, WIND], [RAIN]):
        project.manifest["sources"] = {"text": [*texts, "And one is new."]}
        ran = project.run()
        assert ran.code == 0, ran.err
        now = measured(project)
        assert {text: now[text] for text in texts} == {text: rows[text] for text in texts}
    assert project.emulator.requests()["jobs_accepted"] == 2  # the new one, once


@pytest.mark.sweep
def test_what_an_adopted_job_failed_to_measure_is_sent_again_when_somebody_asks(project: Project) -> None:
    project.manifest["sources"] = {"urls": [f"https://unreachable.invalid/{n}.mp4" for n in range(2)], "text": [RAIN]}
    assert project.run().code == 3
    forget(project)
    del project.manifest["sources"]["text"]
    assert project.run().code == 3
    assert project.emulator.requests()["jobs_accepted"] == 1
    assert project.run("--retry-failed").code == 3
    assert project.emulator.requests()["jobs_accepted"] == 2
    assert project.run().code == 3
    assert project.emulator.requests()["jobs_accepted"] == 2


@pytest.mark.sweep
def test_a_run_that_ends_before_the_rest_is_taken_in_keeps_the_tables_whole(project: Project) -> None:
    rows = partly_adopted(project)
    (predictions,) = (project.out / "raw").glob("*/predictions.json")
    predictions.unlink()
    project.manifest["sources"] = {"text": [WIND, SNOW]}
    project.emulator.inject([{"route": "GET /v0/batch/jobs/{id}/predictions", "action": {"status": 500}}])
    assert project.run().code == 5
    project.emulator.inject([])
    assert project.run().code == 0
    assert measured(project) == {text: rows[text] for text in (WIND, SNOW)}
    assert project.emulator.requests()["jobs_accepted"] == 1


@sampled(1)
@only_swept
@pytest.mark.parametrize("moment", [pytest.param("before", marks=pytest.mark.sweep), "after"])
@pytest.mark.parametrize("answer", ["is in raw", "is fetched again"])
def test_killed_at_any_durable_operation_the_rest_of_an_adopted_job_is_had_for_nothing(
    tmp_path: Path, nursery: Nursery, service: ServiceProcess, answer: str, moment: str, tier: Tier
) -> None:
    whole = make_case(tmp_path / "whole", service.url, service.new_key(), max_sources=10)
    assert nursery.run([whole.child()]) == [0], whole.said()
    reference = results_of(whole)
    assert len(reference) == 6
    shutil.rmtree(whole.outputs)
    everything = whole.manifest.read_text()
    whole.manifest.write_text(
        everything.replace("    - https://example.org/one.txt\n", "").replace("    - Nothing is lost.\n", "")
    )
    assert nursery.run([whole.child()]) == [0], whole.said()
    whole.manifest.write_text(everything)
    if answer == "is fetched again":
        next((whole.outputs / "raw").glob("*/predictions.json")).unlink()

    def copy(name: str) -> Case:
        shutil.copytree(whole.folder, tmp_path / name, ignore=shutil.ignore_patterns("*.ctl"))
        return Case(folder=tmp_path / name, key=whole.key)

    unbroken = copy("unbroken")
    assert nursery.run([unbroken.child()]) == [0], unbroken.said()
    assert results_of(unbroken) == reference
    operations = (unbroken.folder / "run.trace").read_text().splitlines()
    assert len(operations) > 8
    places = tier.first_of_each(operations)
    cases = [copy(f"{at:02d}") for at in places]
    kills = [
        case.child(disk={"kind": "kill", "at": at, "moment": moment}, runs=str(case.folder / "runs"))
        for at, case in zip(places, cases, strict=True)
    ]
    assert not_killed(kills, nursery.run(kills)) == {}
    assert set(nursery.run([case.child(runs=str(case.folder / "runs")) for case in cases])) == {0}
    assert [results_of(case) == reference for case in cases] == [True] * len(places)
    assert len(accepted_by_key(service)[whole.owner]) == 1


def results_of(case: Case) -> dict[str, tuple[str, str]]:
    """Item -> how it ended, and in which job at the service."""
    lines = [json.loads(line) for line in (case.outputs / "results.jsonl").read_text(encoding="utf-8").splitlines()]
    return {line["id"]: (line["status"], line["remote_id"]) for line in lines}


@sampled(2)
@pytest.mark.parametrize(
    ("earlier", "extra", "code"),
    [
        (False, [None, {}, [], "", False], 0),  # nothing at all, five times
        (True, [None, {}, 3, "word", [1]], 0),  # beside a job none of them is one
        (False, ["a-name"], 9),  # alone it may be the name of a job
        (False, [7], 9),
        (True, [{"state": {"status": "COMPLETED"}}], 9),  # a job without a name
    ],
    ids=["empty", "beside a job", "a word alone", "a number alone", "a job without an id"],
)
def test_junk_in_a_list_keeps_nobody_from_a_first_run_unless_it_may_be_a_job(
    project: Project, earlier: bool, extra: list[Any], code: int
) -> None:
    if earlier:
        project.manifest["sources"] = {"text": ["An older text."]}
        assert project.run().code == 0
        forget(project)
    project.manifest["sources"] = {"text": ["A new text."]}
    before = project.emulator.requests()["jobs_accepted"]
    project.emulator.make_difficult({"jobs": {"extra": extra}})
    ran = project.run()
    assert ran.code == code, ran.err
    assert project.emulator.requests()["jobs_accepted"] - before == (code == 0)
