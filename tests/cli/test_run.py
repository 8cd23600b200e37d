"""`run` from end to end: real files, real HTTP to an emulator on loopback, real SQLite."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from hume_runner.emulator.server import Emulator
from tests.cli.project import JOBS, Project, tone
from tests.cli.quoting import quoting
from tests.commands import Ran
from tests.durability.between import Between
from tests.small_disk import mounted
from tests.tiers import sampled

SCHEMAS = Path(__file__).parents[2] / "schemas"


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8")))


# -- the usual course ------------------------------------------------------------------------------------------------


def test_a_fresh_run_measures_everything_and_says_so(project: Project) -> None:
    ran = project.run()
    assert ran.code == 0, ran.err
    assert "trial: done in" in ran.out
    assert "SIMULATED SCORES" in ran.out
    assert "4 of 4 measured" in ran.out
    assert "4 items to submit in 1 job" in ran.err
    assert set(project.statuses().values()) == {"done"}
    assert project.requests()[JOBS] == 1


def test_a_manifest_alone_means_run(project: Project) -> None:
    project.write()
    process = project.start(str(project.path), "-q")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")


def test_a_second_run_sends_no_request(project: Project) -> None:
    project.run()
    before = project.requests()
    ran = project.run()
    assert ran.code == 0
    assert "nothing to do, 4 items are measured" in ran.err
    assert project.requests() == before


def test_results_and_run_fit_their_published_schemas(project: Project) -> None:
    project.run()
    assert len(project.results()) == 4
    for line in project.results():
        validator("results-line-v1").validate(line)
    validator("run-v1").validate(project.run_json())


def test_each_line_of_the_results_says_all_about_its_item(project: Project) -> None:
    project.manifest["sources"]["urls"] = [
        {"url": "https://example.org/one.mp4?token=canary", "id": "one", "labels": {"wave": 2, "kept": True}}
    ]
    project.run()
    lines = {line["id"]: line for line in project.results()}
    assert [line["kind"] for line in project.results()] == ["url", "file", "text", "text"]
    one = lines["one"]
    assert list(one) == [
        *("schema", "id", "kind", "source", "labels", "status", "error", "job", "remote_id", "raw", "simulated")
    ]
    assert one["schema"] == 1
    assert one["source"] == "https://example.org/one.mp4?…"
    assert one["labels"] == {"wave": 2, "kept": True}
    assert (one["status"], one["error"], one["job"], one["simulated"]) == ("done", None, "job-000001", True)
    folder = f"raw/{one['remote_id']}"
    assert one["raw"] == [f"{folder}/predictions.json", f"{folder}/request.json"]
    assert all((project.out / path).is_file() for path in one["raw"])
    assert [line["source"] for line in lines.values() if line["kind"] == "file"] == ["media/one.wav"]
    assert lines["hello"]["source"] == f"sources.text[0] (manifest.yaml:{line_of(project, 'text: Hello.')})"


def line_of(project: Project, text: str) -> int:
    lines = project.path.read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, start=1) if text in line)


def test_run_json_says_all_about_the_run(project: Project) -> None:
    project.run()
    run = project.run_json()
    assert run["manifest"]["path"] == str(project.path)
    assert run["service"] == {"api": "batch-v0", "endpoint": project.emulator.url}
    assert (run["schema"], run["name"], run["simulated"], run["exit_code"], run["error"]) == (1, "trial", True, 0, None)
    assert run["counts"]["items"]["done"] == 4
    assert run["counts"]["jobs"]["done"] == 1
    assert run["counts"]["requests"]["submit"] == 1
    assert run["counts"]["requests"]["predictions"] == 1
    assert (run["failures"], run["paid_twice"]) == ({}, [])
    assert run["bill"] == {"billable_seconds": None}
    assert run["started_at"] <= run["ended_at"]
    assert run["outputs"]["results"] == "results.jsonl"


def test_the_raw_answer_is_kept_and_told_apart_by_item(project: Project) -> None:
    project.run()
    (folder,) = (project.out / "raw").iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["predictions.json", "request.json"]
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    assert request["remote_id"] == folder.name
    assert request["request"]["models"] == project.manifest["models"]
    assert [source["ids"] for source in request["sources"]] == [[line["id"]] for line in project.results()]
    assert len(json.loads((folder / "predictions.json").read_bytes())) == 3  # URL, file, all texts


def test_the_key_is_written_nowhere(project: Project) -> None:
    ran = project.run("-v", "-v", "--json")
    key = project.emulator.api_key.encode()
    assert key not in (ran.out + ran.err).encode()
    for path in project.out.rglob("*"):
        assert path.is_dir() or key not in path.read_bytes(), path


def test_the_state_is_for_its_owner_alone(project: Project) -> None:
    project.run()
    assert (project.out / "state.sqlite3").stat().st_mode & 0o777 == 0o600


@pytest.mark.sweep
def test_artifacts_are_fetched_when_asked_for(project: Project) -> None:
    project.manifest["outputs"]["artifacts"] = True
    project.run()
    (folder,) = (project.out / "raw").iterdir()
    with zipfile.ZipFile(folder / "artifacts.zip") as archive:
        assert archive.testzip() is None
    assert f"raw/{folder.name}/artifacts.zip" in project.results()[0]["raw"]


def test_notify_callback_and_transcription_reach_the_service(project: Project) -> None:
    project.manifest["notify"] = {"email": True, "callback_url": "https://hook.invalid/done?token=canary"}
    project.manifest["transcription"] = None
    ran = project.run()
    (request,) = project.job_requests()
    assert request["notify"] is True
    assert request["callback_url"] == "https://hook.invalid/done?token=canary"
    assert request["transcription"] is None
    assert "hook.invalid is not told; it would have got for each job its answer" in ran.err
    assert not [path for path in project.out.rglob("*.json*") if b"canary" in path.read_bytes()]


def test_the_settings_reach_the_service_as_they_are_written(project: Project) -> None:
    project.manifest["transcription"] = {"language": "en", "identify_speakers": True}
    project.run()
    (request,) = project.job_requests()
    assert {name for name, value in request["models"].items() if value is not None} == {"language", "prosody"}
    assert request["models"]["language"]["granularity"] == "sentence"
    assert request["transcription"]["language"] == "en"
    assert (request["notify"], request["callback_url"]) == (False, None)


def test_uploads_have_names_of_their_own_that_keep_the_ending(project: Project) -> None:
    project.add_file("two words (é).wav", tone(2))
    project.run()
    (request,) = project.job_requests()
    names = [file["filename"] for file in request["files"]]
    assert len(set(names)) == 2
    assert all(name.endswith(".wav") and name.isascii() and " " not in name for name in names)


def test_each_text_gets_the_outcome_of_its_own_place(project: Project) -> None:
    project.manifest["sources"] = {"text": [f"This is sentence number {n}." for n in range(12)]}
    project.run()
    (folder,) = (project.out / "raw").iterdir()
    (element,) = json.loads((folder / "predictions.json").read_bytes())
    spoken = {
        entry["file"]: " ".join(
            row["text"] for group in entry["models"]["language"]["grouped_predictions"] for row in group["predictions"]
        )
        for entry in element["results"]["predictions"]
    }
    request = json.loads((folder / "request.json").read_bytes())
    assert [source["match"] for source in request["sources"]] == [str(n) for n in range(1, 13)]
    for source in request["sources"]:
        assert str(source["position"]) in spoken[source["match"]]


def test_an_emulator_of_its_own_needs_no_key(project: Project) -> None:
    project.manifest["service"]["endpoint"] = "emulator"
    project.environ.clear()
    ran = project.run()
    assert ran.code == 0, ran.err
    assert (project.out / "emulator").is_dir()
    assert project.run_json()["simulated"] is True
    assert project.run().code == 0


def test_the_command_line_may_choose_emulator_state_and_outputs(project: Project, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    project.manifest["service"].pop("endpoint")
    project.environ.clear()
    ran = project.run("--endpoint", "emulator", "--output-dir", str(elsewhere), "--state", str(tmp_path / "my.sqlite3"))
    assert ran.code == 0, ran.err
    assert (tmp_path / "my.sqlite3").exists()
    assert (elsewhere / "results.jsonl").exists()
    assert not project.out.exists()


# -- an edited manifest ----------------------------------------------------------------------------------------------


@pytest.mark.sweep
def test_one_more_source_is_one_job_with_one_source(project: Project) -> None:
    project.run()
    project.manifest["sources"]["text"].append("One more.")
    assert project.run().code == 0
    first, second = project.job_requests()
    assert (second["text"], second["urls"], second["files"]) == (["One more."], [], [])
    assert len(first["text"]) == 2


@pytest.mark.sweep
def test_a_changed_setting_is_named_for_every_item_and_measured_anew(project: Project) -> None:
    project.run()
    project.manifest["models"]["language"]["granularity"] = "word"
    plan = project.plan("--items")
    assert plan["summary"]["changed"] == 4
    reason = 'models.language.granularity: "sentence" -> "word"'
    assert {item["reason"] for item in plan["items"]} == {reason}
    assert project.run().code == 0
    assert len(project.job_requests()) == 2


def test_changing_how_a_setting_is_written_changes_nothing(project: Project) -> None:
    project.manifest["models"]["prosody"] = {"window": {"length": 4, "step": 1}}
    project.run()
    project.manifest["models"] = {
        "prosody": {"window": {"step": 1.0, "length": 4.0}},
        "language": {"granularity": "sentence"},
    }
    project.manifest["description"] = "Said otherwise"
    before = project.requests()
    assert project.run().code == 0
    assert project.requests() == before


def test_a_renamed_file_is_the_same_item(project: Project) -> None:
    project.run()
    (project.folder / "media" / "one.wav").rename(project.folder / "media" / "renamed.wav")
    before = project.requests()
    assert project.run().code == 0
    assert project.requests() == before
    assert [line["source"] for line in project.results() if line["kind"] == "file"] == ["media/renamed.wav"]


@pytest.mark.sweep
def test_a_file_with_other_content_is_measured_again(project: Project) -> None:
    project.run()
    project.add_file("one.wav", tone(9))
    plan = project.plan("--items")
    assert [(item["action"], item["reason"]) for item in plan["items"] if item["kind"] == "file"] == [
        ("changed", "its content changed")
    ]
    project.run()
    assert len(project.job_requests()[1]["files"]) == 1


def test_the_same_bytes_listed_twice_are_submitted_once_and_reported_twice(project: Project) -> None:
    project.add_file("copy.wav", tone(1))
    project.manifest["sources"]["text"] = ["Hello.", {"text": "Hello.", "id": "again"}]
    project.run()
    (request,) = project.job_requests()
    assert (len(request["files"]), request["text"]) == (1, ["Hello."])
    lines = project.results()
    assert [line["status"] for line in lines] == ["done"] * 5
    assert len({line["remote_id"] for line in lines}) == 1


def test_what_is_taken_out_is_told_and_its_answers_stay(project: Project) -> None:
    project.run()
    project.manifest["sources"].pop("urls")
    plan = project.plan("--items")
    assert plan["summary"]["removed"] == 1
    assert plan["items"][-1]["action"] == "removed"
    before = project.requests()
    project.run()
    assert project.requests() == before
    assert len(project.results()) == 3
    assert list((project.out / "raw").glob("*/predictions.json"))


@pytest.mark.sweep
def test_a_link_signed_anew_is_the_same_item(project: Project) -> None:
    link = "https://example.org/a.mp4?X-Amz-Date=20990101T000000Z&X-Amz-Expires=900&X-Amz-Signature={}"
    project.manifest["sources"] = {"urls": [link.format("aaa")]}
    project.run()
    project.manifest["sources"] = {"urls": [link.format("bbb")]}
    before = project.requests()
    assert project.run().code == 0
    assert project.requests() == before


# -- failures --------------------------------------------------------------------------------------------------------


@pytest.fixture
def with_a_bad_file(project: Project) -> Project:
    project.add_file("bad.wav", b"this is no sound")
    return project


def test_a_medium_that_is_no_medium_fails_alone_with_its_reason(with_a_bad_file: Project) -> None:
    project = with_a_bad_file
    ran = project.run()
    assert ran.code == 3
    assert "finished, some items failed" in ran.out
    bad = [line for line in project.results() if line["status"] == "failed"]
    assert [line["source"] for line in bad] == ["media/bad.wav"]
    assert bad[0]["error"]
    assert sum(project.run_json()["failures"].values()) == 1
    assert project.statuses() == {**project.statuses(), "hello": "done"}


@pytest.mark.sweep
def test_failures_are_tried_again_only_when_asked(with_a_bad_file: Project) -> None:
    project = with_a_bad_file
    project.run()
    before = project.requests()
    assert project.run().code == 3
    assert project.requests() == before
    assert project.plan("--retry-failed")["summary"]["retry"] == 1
    assert project.run("--retry-failed").code == 3
    assert [len(request["files"]) for request in project.job_requests()] == [2, 1]


def test_too_many_failures_stop_the_run(with_a_bad_file: Project) -> None:
    project = with_a_bad_file
    project.manifest["execution"]["max_failures"] = 0
    ran = project.run()
    assert ran.code == 4
    assert "1 of 5 items failed" in ran.err


def test_without_a_key_the_run_is_refused_without_a_trace(project: Project) -> None:
    project.environ.clear()
    ran = project.run()
    assert ran.code == 7
    assert "no API key: the environment variable HUME_API_KEY is empty or not set" in ran.err
    assert "next: set it" in ran.err
    assert "Traceback" not in ran.err
    assert project.requests() == {}


@pytest.mark.parametrize("api", ["batch-v0", "expression-v1"])
@pytest.mark.parametrize("look_back", ["7d", 0])
def test_without_a_key_nothing_is_asked_and_nothing_is_counted(
    project: Project, api: str, look_back: str | int
) -> None:
    project.environ.clear()
    project.manifest["service"]["api"] = api
    project.manifest["sources"] = {"files": ["media/*"]}
    project.manifest["models"] = {"prosody": {}} if api == "batch-v0" else {"audio": {}}
    project.manifest["execution"]["look_back"] = look_back
    assert project.run().code == 7
    assert project.requests() == {}
    assert project.run_json()["counts"]["requests"] == {}


@pytest.mark.sweep
@pytest.mark.parametrize(("query", "mode"), [("", 0o644), ("?X-Amz-Signature=5ecret", 0o600)])
def test_answers_that_quote_a_link_which_grants_access_are_their_owners_alone(
    project: Project, query: str, mode: int
) -> None:
    project.manifest["sources"] = {"urls": [f"https://example.org/one.mp4{query}"]}
    before = os.umask(0o022)
    try:
        assert project.run().code == 0
        (answer,) = project.out.glob("raw/*/predictions.json")
        assert answer.stat().st_mode & 0o777 == mode
        assert ("5ecret" in answer.read_text()) == bool(query)  # the service's own bytes
        answer.unlink()
        assert project.run().code == 0  # had again
        assert answer.stat().st_mode & 0o777 == mode
    finally:
        os.umask(before)
    assert not [path for path in project.out.rglob("*") if path.is_file() and b"5ecret" in path.read_bytes()
                and path.stat().st_mode & 0o077]  # fmt: skip


@pytest.mark.sweep
def test_a_wrong_key_is_found_out_before_anything_is_uploaded(project: Project) -> None:
    project.environ["HUME_API_KEY"] = "wrong"
    ran = project.run()
    assert ran.code == 7
    assert "Traceback" not in ran.err
    assert JOBS not in project.requests()
    project.environ["HUME_API_KEY"] = project.emulator.api_key
    assert project.run().code == 0


def test_a_key_file_does_as_well(project: Project) -> None:
    (project.folder / "key.txt").write_text(project.emulator.api_key + "\n")
    project.manifest["service"]["api_key"] = {"file": "key.txt"}
    project.environ.clear()
    assert project.run().code == 0


def test_a_service_that_is_not_there_is_told_as_unavailable(project: Project) -> None:
    project.emulator.stop()
    ran = project.run()
    assert ran.code == 5
    assert "Traceback" not in ran.err
    assert "next: " in ran.err
    assert {line["status"] for line in project.results()} == {"pending"}


@sampled(2)
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"models": {"fase": {}}}, 65),
        ({"sources": {}}, 65),
        ({"sources": {"files": ["absent.wav"]}}, 66),
        ({"sources": {"text": [{"text": "a", "id": "x"}, {"text": "b", "id": "x"}]}}, 65),
        ({"sources": {"files": ["media"]}}, 66),
    ],
)
def test_bad_input_leaves_nothing_behind_and_sends_nothing(project: Project, change: dict[str, Any], code: int) -> None:
    project.manifest.update(change)
    ran = project.run()
    assert ran.code == code, ran.err
    assert ran.err.startswith(f"{project.path}:")
    assert "next: " in ran.err
    assert not project.out.exists()
    assert project.requests() == {}


def test_an_expired_link_is_refused_before_anything_is_sent(project: Project) -> None:
    project.manifest["sources"]["urls"] = ["https://example.org/a.mp4?Expires=1000000000&Signature=canary"]
    ran = project.run()
    assert ran.code == 66
    assert f"{project.path}:" in ran.err
    assert "expired at 2001-09-09" in ran.err
    assert "canary" not in ran.err
    assert project.requests() == {}


@pytest.mark.sweep
def test_an_expired_link_that_is_measured_already_does_not_matter(project: Project) -> None:
    link = "https://example.org/a.mp4?Expires={}&Signature=x"
    project.manifest["sources"]["urls"] = [link.format(9_000_000_000)]
    project.run()
    project.manifest["sources"]["urls"] = [link.format(1_000_000_000)]
    assert project.run().code == 0


@pytest.mark.parametrize("error", [400, 413, 422])
def test_a_job_that_is_refused_as_a_whole_is_halved(project: Project, error: int) -> None:
    project.emulator.inject([{"route": JOBS, "nth": [1], "action": {"status": error}}])
    ran = project.run()
    assert ran.code == 0, ran.err
    assert "trying its halves" in ran.err
    assert len(project.job_requests()) == 2


def test_a_lost_answer_is_found_again_and_not_paid_twice(project: Project) -> None:
    project.emulator.inject([{"route": JOBS, "nth": [1], "action": {"drop": "after"}}])
    ran = project.run()
    assert ran.code == 0, ran.err
    assert "the service has it" in ran.err
    assert project.emulator.requests()["jobs_accepted"] == 1


def test_a_lost_request_is_sent_again(project: Project) -> None:
    project.emulator.inject([{"route": JOBS, "nth": [2], "action": {"drop": "before"}}])
    project.manifest["batching"] = {"max_sources": 2}  # the list shows the job from before, so it would show this one
    project.manifest["execution"]["transfer_workers"] = 1
    ran = project.run()
    assert ran.code == 0, ran.err
    assert "sending it again" in ran.err
    assert project.emulator.requests()["jobs_accepted"] == 2


@pytest.mark.sweep
def test_where_the_service_lists_no_job_at_all_a_lost_request_is_asked_about(project: Project) -> None:
    project.emulator.inject([{"route": JOBS, "nth": [1], "action": {"drop": "before"}}])
    ran = project.run()
    assert ran.code == 9
    assert "the list shows no other job of this state" in ran.err
    assert "--pay-again" in ran.err
    looked = project.requests()["GET /v0/batch/jobs"]
    assert project.run().code == 9
    assert project.requests()["GET /v0/batch/jobs"] - looked <= 3  # one look: it was waited for to the end already
    assert project.run("--pay-again").code == 0
    assert project.emulator.requests()["jobs_accepted"] == 1


def three_texts(project: Project) -> None:
    project.manifest["sources"] = {"text": ["One.", "Two.", "Three."]}
    project.manifest["models"] = {"language": {}}
    project.manifest["batching"] = {"max_sources": 1}


@pytest.mark.sweep
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_what_is_lost_of_a_first_burst_is_asked_about_and_paid_for_once(project: Project, nth: int) -> None:
    """In an account without jobs nothing shows that its list reaches back far enough, however it grows."""
    three_texts(project)
    project.emulator.inject([{"route": JOBS, "nth": [nth], "action": {"drop": "before"}}])
    ran = project.run()
    assert ran.code in (0, 9), ran.err  # one of ours from before it may show
    assert project.emulator.requests()["jobs_accepted"] == (3 if ran.code == 0 else 2)
    assert nth > 1 or ran.code == 9
    assert project.run("--pay-again").code == 0
    assert project.emulator.requests()["jobs_accepted"] == 3


@pytest.mark.sweep
@pytest.mark.parametrize("newest", [1, 2])
def test_a_host_that_shows_the_newest_so_many_proves_nothing_of_a_first_submission(
    project: Project, newest: int
) -> None:
    three_texts(project)
    project.emulator.make_difficult(
        {
            "jobs": {"cap": newest, "cap_keeps": "newest", "late": "500ms"},
            "submissions": {"holding": "One.", "times": 1, "answer": "cut"},
        }
    )
    project.settle_s = 1.0
    ran = project.run()
    assert project.emulator.requests()["jobs_accepted"] == 3, ran.err
    assert ran.code in (0, 9), ran.err  # found where a look came before it was pushed out, else asked about


@pytest.mark.sweep
@sampled(4)
@pytest.mark.parametrize(
    ("route", "action"),
    [
        ("GET /v0/batch/jobs/{id}/predictions", {"truncate": 0.5}),
        ("GET /v0/batch/jobs/{id}/predictions", {"corrupt": True}),
        ("GET /v0/batch/jobs/{id}/predictions", {"status": 503, "headers": {"Retry-After": "0"}}),
        ("GET /v0/batch/jobs/{id}/predictions", {"html": True}),
        ("GET /v0/batch/jobs/{id}/artifacts", {"truncate": 0.9}),
        ("GET /v0/batch/jobs", {"status": 502}),
        (JOBS, {"status": 429, "headers": {"Retry-After": "0"}}),
        (JOBS, {"status": 503}),
    ],
)
def test_what_goes_wrong_once_goes_right_the_next_time(project: Project, route: str, action: dict[str, Any]) -> None:
    project.manifest["outputs"]["artifacts"] = True
    project.emulator.inject([{"route": route, "times": 1, "action": action}])
    ran = project.run()
    assert ran.code == 0, ran.err
    assert project.emulator.requests()["jobs_accepted"] == 1
    assert not list(project.out.rglob("*.part"))


def test_a_host_without_a_list_is_asked_job_by_job(project: Project) -> None:
    project.emulator.inject([{"route": "GET /v0/batch/jobs", "action": {"status": 404}}])
    project.manifest["batching"] = {"max_sources": 2}
    ran = project.run()
    assert ran.code == 0, ran.err
    assert project.requests()["GET /v0/batch/jobs/{id}"] >= 2


# -- lost jobs and edited manifests ------------------------------------------------------------------------------------


def killed_after_a_lost_answer(project: Project) -> None:
    """The service took a job, its answer was lost, and the run could not ask."""
    project.emulator.inject(
        [
            {"route": JOBS, "nth": [1], "action": {"drop": "after"}},
            # All but the first two, which ask what is there already.
            {
                "route": "GET /v0/batch/jobs",
                "nth": list(range(3, 99)),
                "action": {"status": 503, "headers": {"Retry-After": "0"}},
            },
        ]
    )
    project.manifest["execution"]["retry"]["attempts"] = 1
    assert project.run().code == 5
    assert project.emulator.requests()["jobs_accepted"] == 1
    project.manifest["execution"]["retry"]["attempts"] = 3
    project.emulator.inject([])


@pytest.mark.sweep
def test_a_lost_job_is_found_although_its_links_are_signed_anew(project: Project) -> None:
    link = "https://example.org/a.mp4?X-Amz-Date=20990101T000000Z&X-Amz-Expires=900&X-Amz-Signature={}"
    project.manifest["sources"] = {"urls": [link.format("aaa")], "text": ["Hello."]}
    killed_after_a_lost_answer(project)
    project.manifest["sources"]["urls"] = [link.format("bbb")]
    ran = project.run()
    assert ran.code == 0, ran.err
    assert project.emulator.requests()["jobs_accepted"] == 1
    assert set(project.statuses().values()) == {"done"}


@pytest.mark.sweep
@sampled(2)
@pytest.mark.parametrize("kind", ["urls", "files", "text"])
def test_a_lost_job_is_found_although_an_item_was_taken_out(project: Project, kind: str) -> None:
    killed_after_a_lost_answer(project)
    project.manifest["sources"].pop(kind)
    ran = project.run()
    assert ran.code == 0, ran.err
    assert project.emulator.requests()["jobs_accepted"] == 1
    assert set(project.statuses().values()) == {"done"}


@pytest.mark.sweep
def test_a_lost_job_is_found_although_a_setting_was_changed(project: Project) -> None:
    killed_after_a_lost_answer(project)
    project.manifest["models"]["language"]["granularity"] = "word"
    assert project.run().code == 0
    project.manifest["models"]["language"]["granularity"] = "sentence"
    assert project.run().code == 0
    assert project.emulator.requests()["jobs_accepted"] == 2


def test_a_cap_on_a_bill_that_an_api_does_not_have_is_refused_wherever_it_is_written(project: Project) -> None:
    ran = project.run("--max-billable-seconds", "100")
    assert ran.code == 64
    words = "max-billable-seconds: batch-v0 states no bill that could be capped"
    assert words in ran.err
    assert "next: " in ran.err
    project.manifest["execution"]["max_billable_seconds"] = 100
    ran = project.run()
    assert ran.code == 65
    assert words.replace("-", "_", 2) in ran.err
    assert project.requests() == {}


@pytest.mark.parametrize("cap", ["0", "-1", "nan", "inf", "many"])
def test_a_cap_has_to_be_a_number_of_seconds(project: Project, cap: str) -> None:
    ran = project.run(f"--max-billable-seconds={cap}")
    assert ran.code == 64
    assert "--max-billable-seconds" in ran.err


# -- machines reading along ------------------------------------------------------------------------------------------


def test_json_lines_begin_with_launch_and_end_with_done(project: Project) -> None:
    ran = project.run("--json")
    lines = ran.lines
    assert all(line["schema"] == 1 for line in lines)
    assert lines[0]["event"] == "launch"
    assert lines[0]["manifests"] == [str(project.path)]
    assert lines[-1]["event"] == "done"
    assert lines[-1]["exit_code"] == 0
    assert lines[-1]["counts"]["done"] == 4
    assert [line["event"] for line in lines[1:-1]] == ["planned", "submitted", "ended", "finished"]


@pytest.mark.parametrize(
    ("change", "code"),
    [({"models": {"fase": {}}}, 65), ({"sources": {"files": ["absent.wav"]}}, 66)],
)
def test_json_lines_end_with_done_when_the_run_is_refused(project: Project, change: dict[str, Any], code: int) -> None:
    project.manifest.update(change)
    ran = project.run("--json")
    assert ran.code == code
    assert [line["event"] for line in ran.lines] == ["launch", "done"]
    assert ran.lines[-1]["exit_code"] == code
    assert "next: " in ran.err


# -- several, detached, interrupted, killed --------------------------------------------------------------------------


def second(project: Project, **changes: Any) -> str:
    """Another manifest beside the first, of another source: what the first has paid for would not be sent again."""
    first = dict(project.manifest)
    sources = {"text": ["Another thing altogether."]}
    project.manifest = {**first, "name": "second", "sources": sources, "outputs": {"directory": "out2"}, **changes}
    path = project.write(project.folder / "second.yaml")
    project.manifest = first
    return str(path)


@pytest.mark.sweep
def test_several_manifests_run_one_after_another(project: Project) -> None:
    ran = project.run(second(project))
    assert ran.code == 0, ran.err
    assert (project.folder / "out2" / "results.jsonl").exists()
    assert len(project.job_requests()) == 2


@pytest.mark.sweep
def test_what_another_manifest_paid_for_is_not_paid_again(project: Project) -> None:
    ran = project.run(second(project, sources=project.manifest["sources"]))
    assert ran.code == 0, ran.err
    assert "already at the service" in ran.err
    assert len(project.job_requests()) == 1
    first, other = ((project.folder / out / "results.jsonl").read_text() for out in ("out", "out2"))
    assert first == other.replace("second.yaml", "manifest.yaml")


def test_nothing_runs_before_every_manifest_is_known_to_be_good(project: Project) -> None:
    ran = project.run(second(project, models={"fase": {}}))
    assert ran.code == 65
    assert project.requests() == {}


def test_a_manifest_that_cannot_run_does_not_keep_the_next_one_from_it(project: Project) -> None:
    other = second(project)
    project.manifest["sources"] = {"files": ["absent.wav"]}
    ran = project.run(other, "--json")
    assert ran.code == 66
    done = ran.lines[-1]
    assert (done["event"], done["exit_code"], done["manifest"]) == ("done", 66, None)
    assert [(error["manifest"], error["reason"]) for error in done["errors"]] == [(str(project.path), "source_error")]
    assert (project.folder / "out2" / "results.jsonl").exists()


def test_two_manifests_do_not_share_an_output_directory(project: Project) -> None:
    ran = project.run(second(project, outputs={"directory": "out"}))
    assert ran.code == 64
    assert "share the output directory" in ran.err


def wait_for_job(project: Project) -> None:
    deadline = time.monotonic() + 30
    while not project.emulator.requests()["jobs_accepted"]:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_detached_it_leaves_and_a_later_run_fetches(project: Project) -> None:
    project.emulator.inject([{"route": "GET /v0/batch/jobs/{id}/predictions", "action": {"status": 503}}])
    ran = project.run("--detach")
    assert ran.code == 0, ran.err
    assert project.call("status", "--json").json["items"]["in_flight"] == 4
    project.emulator.inject([])
    assert project.run().code == 0
    assert project.emulator.requests()["jobs_accepted"] == 1
    assert set(project.statuses().values()) == {"done"}


@pytest.fixture
def slow_project(tmp_path: Path) -> Iterator[Project]:
    """Jobs take a while, so that a test can get in between."""
    with Emulator(processing_time_s=1.5) as emulator:
        yield Project(tmp_path / "project", emulator)


@pytest.mark.sweep
def test_a_killed_run_is_resumed_and_nothing_is_paid_twice(slow_project: Project) -> None:
    process = slow_project.start("run", str(slow_project.path))
    wait_for_job(slow_project)
    process.kill()
    process.communicate()
    ran = slow_project.run()
    assert ran.code == 0, ran.err
    assert slow_project.emulator.requests()["jobs_accepted"] == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_in_good_order(slow_project: Project, number: signal.Signals, code: int) -> None:
    process = slow_project.start("run", str(slow_project.path), "--no-progress")
    wait_for_job(slow_project)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code, err
    assert "the state is safe" in out
    assert "Traceback" not in err
    assert slow_project.run_json()["exit_code"] == code
    assert slow_project.run().code == 0
    assert slow_project.emulator.requests()["jobs_accepted"] == 1


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_first_of_several_manifests_and_keeps_the_next_from_beginning(
    slow_project: Project, number: signal.Signals, code: int
) -> None:
    other = second(slow_project)
    process = slow_project.start("run", str(slow_project.path), other, "--json")
    wait_for_job(slow_project)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code, err
    lines = [json.loads(line) for line in out.splitlines()]
    assert next(line for line in lines if line["event"] == "interrupted")["signal"] == number.name
    assert (lines[-1]["event"], lines[-1]["exit_code"]) == ("done", code)
    assert not (slow_project.folder / "out2").exists()
    assert slow_project.run(other).code == 0
    assert (slow_project.folder / "out2" / "results.jsonl").exists()
    assert set(slow_project.statuses().values()) == {"done"}


@sampled(2)
@pytest.mark.parametrize("command", [["plan"], ["emulate"]])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_other_commands_without_a_trace(
    project: Project, command: list[str], number: signal.Signals, code: int
) -> None:
    endless = endless_file(project)
    words = command if command == ["emulate"] else [command[0], str(project.path), *command[1:]]
    process = project.start(*words)
    if command == ["emulate"]:
        assert process.stdout is not None
        process.stdout.readline()
        code = 0  # that is how a service is ended
    else:
        wait_until_open(process, endless)
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == code, err
    assert "Traceback" not in err


def test_while_a_run_goes_on_status_tells_and_a_second_run_is_refused(slow_project: Project) -> None:
    process = slow_project.start("run", str(slow_project.path))
    try:
        wait_for_job(slow_project)
        refused = slow_project.run()
        assert refused.code == 6
        assert f"process {process.pid} on" in refused.err
        status: Ran = slow_project.call("status", "--json")
        assert status.code == 0
        assert status.json["lock"]["pid"] == process.pid
        assert status.json["items"]["total"] == 4
        unlock = slow_project.plain_call("state", "unlock", str(slow_project.path))
        assert unlock.code == 6
        plan = slow_project.plan()
        assert plan["summary"]["new"] == 0
    finally:
        process.wait(timeout=30)
        process.communicate()
    assert process.returncode == 0
    assert slow_project.call("status", "--json").json["lock"] is None


def test_an_interrupted_scan_leaves_at_once_and_sends_nothing(project: Project) -> None:
    endless = endless_file(project)
    process = project.start("run", str(project.path), "--json")
    wait_until_open(process, endless)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert [(line["event"], line.get("exit_code")) for line in map(json.loads, out.splitlines())] == [
        ("launch", None),
        ("done", 130),
    ]
    assert "interrupted before anything was sent" in err
    assert not project.out.exists()
    assert project.requests() == {}


def endless_file(project: Project) -> Path:
    """A file of holes, which takes minutes to be read, among the sources."""
    endless = project.add_file("endless.wav", b"")
    os.truncate(endless, 200 * 10**9)
    project.manifest["service"]["limits"] = {"upload_bytes": "900GB"}
    return endless


def wait_until_open(process: subprocess.Popen[str], path: Path) -> None:
    """Return once the process has `path` open."""
    handles = Path(f"/proc/{process.pid}/fd")
    if not handles.exists():
        pytest.skip("no way to see what a process has open")
    deadline = time.monotonic() + 30
    while not any(str(path) == link for link in map(_link, handles.iterdir())):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def _link(handle: Path) -> str:
    try:
        return str(handle.readlink())
    except OSError:
        return ""


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("told", ["../../x", "..", "another"])
def test_a_job_that_the_service_calls_otherwise_than_it_told_is_found_by_what_it_carries(
    project: Project, told: str
) -> None:
    def misnaming(method: str, path: str, status: int, body: bytes, key: str) -> tuple[int, str, bytes]:
        return status, "", json.dumps({"job_id": told}).encode() if method == "POST" else body

    with quoting(project.emulator.url, misnaming) as url:
        project.manifest["service"]["endpoint"] = url
        ran = project.run()
        assert ran.code == 0, ran.err
        assert project.run().code == 0
    assert project.requests()[JOBS] == 1
    [job] = {line["remote_id"] for line in project.results()}
    assert job != told
    assert {line["status"] for line in project.results()} == {"done"}


@pytest.mark.parametrize("status", [408, 499])
def test_what_a_proxy_says_of_a_connection_is_no_refusal_and_a_job_that_was_taken_is_found(
    project: Project, status: int
) -> None:
    project.manifest["sources"] = {"text": ["Hello.", "Goodbye.", "See you."]}
    project.manifest["models"] = {"language": {}}
    project.manifest["batching"] = {"max_sources": 2}
    project.emulator.make_difficult({"submissions": {"times": 1, "answer": status}})
    ran = project.run()
    assert ran.code == 0, ran.err
    # Neither sent again nor in halves: found under what it carries.
    assert project.emulator.requests()["jobs_accepted"] == 2
    assert {line["status"] for line in project.results()} == {"done"}


@pytest.mark.sweep
def test_a_job_that_was_taken_although_it_was_refused_for_now_is_told_as_paid_twice(project: Project) -> None:
    project.manifest["sources"] = {"text": ["Hello.", "Goodbye."]}
    project.manifest["models"] = {"language": {}}
    project.emulator.make_difficult({"submissions": {"times": 1, "answer": 429}})
    ran = project.run("--json")
    assert ran.code == 0, ran.err
    assert project.emulator.requests()["jobs_accepted"] == 2
    (told,) = [event for event in ran.lines if event["event"] == "paid_twice"]
    assert told["remote_id"] not in {line["remote_id"] for line in project.results()}


@pytest.mark.parametrize("how", ["LOCK_EX", "LOCK_SH"])
def test_a_manifest_that_somebody_has_locked_is_run_all_the_same(project: Project, how: str) -> None:
    """As `flock -n manifest.yaml hume-runner manifest.yaml` does, so that a timer starts none twice."""
    with project.write().open() as file:
        fcntl.flock(file, getattr(fcntl, how))
        ran = project.run()
    assert ran.code == 0, ran.err


MAPPING = """
import sys, yaml, hume_runner
manifest = yaml.safe_load(open(sys.argv[1], encoding="utf-8"))
manifest["outputs"] = {"directory": sys.argv[2]}
try:
    print(hume_runner.run(manifest).exit_code)
except hume_runner.HumeRunnerError as error:
    print(error.exit_code, error)
"""


@pytest.mark.sweep
def test_while_a_submission_is_on_its_way_nobody_else_pays_for_the_same(project: Project, tmp_path: Path) -> None:
    project.manifest["sources"] = {"text": ["Hello."]}
    asked, judged = threading.Event(), threading.Event()

    def started(job_id: str) -> str:
        asked.set()
        assert judged.wait(120)
        return job_id

    # Folders of its own, as the programs that are started here have them.
    environ = {name: value for name, value in os.environ.items() if name != "HUME_RUNNER_RUNS"}
    environ |= {**project.environ, "PYTHONPATH": str(Path(__file__).parents[2])}

    def start(*words: str, cwd: Path = project.folder, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *words], cwd=cwd, env={**environ, **more}, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    with Between(project.emulator.url) as between:
        between.started = started
        project.manifest["service"]["endpoint"] = between.url
        project.write()
        first = start("-m", "hume_runner", "run", "manifest.yaml", "--no-progress")
        assert asked.wait(60), first.poll()
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        project.path.rename(project.folder / "renamed.yaml")
        renamed = str(project.folder / "renamed.yaml")
        run = ("-m", "hume_runner", "run", renamed, "--no-progress", "--output-dir")
        others = [
            start(*run, "renamed"),
            start(*run, "a-job", TMPDIR=str(elsewhere), HOME=str(elsewhere), XDG_RUNTIME_DIR=str(elsewhere)),
            start("-c", MAPPING, renamed, "mapping"),
            start("-c", MAPPING, renamed, "mapping", cwd=elsewhere),
        ]
        said = [other.communicate(timeout=60)[0] for other in others]
        judged.set()
        said.append(first.communicate(timeout=60)[0])
    assert [other.returncode for other in others] == [6, 6, 0, 0], said
    assert all("under way at the same service: process" in one for one in said[:-1]), said
    assert all(one.startswith("6 ") for one in said[2:4]), said
    assert (first.returncode, project.emulator.requests()["jobs_accepted"]) == (0, 1), said


@pytest.mark.sweep
def test_what_waits_for_its_answers_is_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = tmp_path / "runs"
    monkeypatch.setenv("HUME_RUNNER_RUNS", str(runs))
    with Emulator(processing_time_s=60) as emulator:
        project = Project(tmp_path / "project", emulator)
        assert project.run("--detach").code == 0
        waiting = project.start("run", "manifest.yaml", "--no-progress")  # with nothing to send
        try:
            # Not before it has told others: of two that come at once, either may be the one to go on.
            until = time.monotonic() + 60
            while not any(runs.glob("*.keys")):
                assert waiting.poll() is None
                assert time.monotonic() < until
                time.sleep(0.02)
            ran = project.run("--output-dir", str(project.folder / "another"), "--detach")
            assert (ran.code, "under way at the same service" in ran.err) == (6, True), ran.err
        finally:
            waiting.kill()
            waiting.communicate()
        assert emulator.requests()["jobs_accepted"] == 1


def detaches(project: Project) -> None:
    assert project.run("--detach").code == 0


def is_killed(project: Project) -> None:
    before = project.emulator.requests()["jobs_accepted"]
    process = project.start("run", "manifest.yaml", "--no-progress")
    until = time.monotonic() + 60
    while project.emulator.requests()["jobs_accepted"] == before:
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.02)
    process.kill()
    process.communicate()


@pytest.mark.sweep
@pytest.mark.parametrize("goes", [detaches, is_killed])
def test_what_a_run_that_is_gone_sent_is_not_paid_for_from_another_directory(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, goes: Callable[[Project], None]
) -> None:
    """The service shows it some time after it took it."""
    monkeypatch.setenv("HUME_RUNNER_RUNS", str(tmp_path / "runs"))
    project.settle_s = 30
    project.emulator.make_difficult({"jobs": {"late": "4s"}})
    goes(project)
    ran = project.run("--output-dir", str(project.folder / "another"))
    assert ran.code == 0, ran.err
    assert "a run that is gone may have sent some of it" in ran.err
    assert "already at the service and paid for" in ran.err
    assert project.emulator.requests()["jobs_accepted"] == 1


@pytest.mark.sweep
def test_what_an_ended_run_sent_is_awaited_though_a_later_one_of_its_state_is_gone(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process is killed, and the service shows what it took some time later."""
    monkeypatch.setenv("HUME_RUNNER_RUNS", str(tmp_path / "runs"))
    project.settle_s = 30
    project.manifest["models"] = {"language": {}}
    project.manifest["sources"] = {"text": ["Hello."]}
    project.emulator.make_difficult({"jobs": {"late": "6s"}})
    assert project.run().code == 0
    project.manifest["sources"]["text"].append("Something more.")
    project.write()
    is_killed(project)
    project.manifest["sources"]["text"] = ["Hello."]
    ran = project.run("--output-dir", str(project.folder / "another"))
    assert ran.code == 0, ran.err
    assert "a run that is gone may have sent some of it" in ran.err
    assert project.emulator.requests()["jobs_accepted"] == 2


@pytest.mark.sweep
@pytest.mark.parametrize("goes", [detaches, is_killed])
def test_a_state_that_was_put_back_waits_for_what_its_own_run_sent(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, goes: Callable[[Project], None]
) -> None:
    """Where it lies tells nothing. One that was not put back waits for nothing: it knows."""
    monkeypatch.setenv("HUME_RUNNER_RUNS", str(tmp_path / "runs"))
    project.settle_s = 30
    project.manifest["models"] = {"language": {}}
    project.manifest["sources"] = {"text": ["An older text."]}
    assert project.run().code == 0
    backup = tmp_path / "backup"
    shutil.copytree(project.out, backup, ignore=shutil.ignore_patterns("*.ctl"))
    accepted = project.emulator.requests()["jobs_accepted"]
    project.manifest["sources"]["text"].append("Hello.")
    project.emulator.make_difficult({"jobs": {"late": "5s"}})
    project.write()
    goes(project)
    project.out.rename(tmp_path / "gone")
    shutil.copytree(backup, project.out)
    ran = project.run()
    assert ran.code == 0, ran.err
    assert "a run that is gone may have sent some of it" in ran.err
    assert project.emulator.requests()["jobs_accepted"] == accepted + 1
    shutil.rmtree(project.out)
    (tmp_path / "gone").rename(project.out)
    ran = project.run()
    assert (ran.code, "a run that is gone" in ran.err) == (0, False), ran.err
    assert project.emulator.requests()["jobs_accepted"] == accepted + 1


def test_a_folder_for_notes_that_takes_none_is_refused_before_anything_is_sent(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mounted(tmp_path / "runs", megabytes=1) as full:
        monkeypatch.setenv("HUME_RUNNER_RUNS", str(full))
        with suppress(OSError):
            (full / "all of it").write_bytes(bytes(2_000_000))
        ran = project.run()
        assert (ran.code, "HUME_RUNNER_RUNS" in ran.err, "No space left" in ran.err) == (64, True, True), ran.err
    assert JOBS not in project.requests()
    assert not (project.out / "state.sqlite3").exists()
