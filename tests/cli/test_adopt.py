"""`adopt`: jobs that were started elsewhere are fetched, not paid for again."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from hume_runner.http.retry import NO_RETRY
from hume_runner.http.transport import RequestsTransport
from hume_runner.http.upload import Upload
from hume_runner.services.batch_v0.client import AUTH_HEADER, BatchV0Api
from hume_runner.state.reader import StateReader
from tests.cli.project import JOBS, Project, tone
from tests.cli.quoting import quoting
from tests.tiers import sampled

MODELS = {"language": {"granularity": "sentence"}, "prosody": {}}


@pytest.fixture
def keyed(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("HUME_API_KEY", project.emulator.api_key)
    return project


def start_elsewhere(project: Project, *, models: object = MODELS, file: bool = True) -> str:
    """A job with all that the manifest lists, as another program would start it: its own file name, other order."""
    body = {"models": models, "urls": ["https://example.org/one.mp4"], "text": ["Goodbye.", "Hello."]}
    uploads = [Upload.of(project.folder / "media" / "one.wav", filename="take-7.wav")] if file else []
    with RequestsTransport(project.emulator.url, project.emulator.api_key, AUTH_HEADER) as transport:
        return BatchV0Api(transport, NO_RETRY).start_job(body, uploads, deadline_s=30).job_id


def test_an_adopted_job_is_fetched_and_nothing_is_submitted(keyed: Project) -> None:
    job_id = start_elsewhere(keyed)
    ran = keyed.call("adopt", job_id)
    assert ran.code == 0, ran.err
    assert "adopted as job-" in ran.out
    assert "with 4 items" in ran.out
    assert keyed.run().code == 0
    assert keyed.requests()[JOBS] == 1  # the one that was started elsewhere
    assert {line["status"] for line in keyed.results()} == {"done"}
    assert {line["remote_id"] for line in keyed.results()} == {job_id}


def test_each_result_belongs_to_its_own_text_whatever_the_order_was(keyed: Project) -> None:
    job_id = start_elsewhere(keyed)
    keyed.call("adopt", job_id)
    keyed.run()
    request = json.loads((keyed.out / "raw" / job_id / "request.json").read_text())
    positions = {source["ids"][0]: source["match"] for source in request["sources"] if source["kind"] == "text"}
    assert positions["hello"] == "2"


@pytest.mark.sweep
def test_only_what_the_job_does_not_carry_is_submitted(keyed: Project) -> None:
    job_id = start_elsewhere(keyed, file=False)
    keyed.call("adopt", job_id)
    assert keyed.run().code == 0
    assert keyed.requests()[JOBS] == 2
    (echo,) = [request for request in keyed.job_requests() if request["files"]]
    assert echo["urls"] == []
    assert echo["text"] == []


def test_a_job_that_measured_something_else_is_refused(keyed: Project) -> None:
    job_id = start_elsewhere(keyed, models={"face": {}}, file=False)
    ran = keyed.call("adopt", job_id)
    assert ran.code == 64
    assert "other models or settings" in ran.err


def test_adopting_twice_changes_nothing(keyed: Project) -> None:
    job_id = start_elsewhere(keyed)
    keyed.call("adopt", job_id)
    assert "this state has it already" in keyed.call("adopt", job_id).out


def test_an_unknown_job_is_told_with_the_next_step_and_without_a_traceback(keyed: Project) -> None:
    unknown = "00000000-0000-4000-8000-000000000000"
    ran = keyed.call("adopt", unknown)
    assert ran.code == 64
    assert unknown in ran.err
    assert "no such job" in ran.err
    assert "next: " in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.sweep
def test_one_unknown_job_keeps_no_other_away(keyed: Project) -> None:
    job_id = start_elsewhere(keyed)
    ran = keyed.call("adopt", "not-an-id", job_id)
    assert ran.code == 64
    assert "not-an-id: " in ran.err
    assert f"{job_id}: adopted as job-" in ran.out
    told = keyed.call("adopt", "--json", "not-an-id", job_id)
    assert told.code == 64
    assert [line["event"] for line in told.lines if "remote_id" in line] == ["skipped", "skipped"]
    assert keyed.run().code == 0
    assert keyed.requests()[JOBS] == 1


def test_a_closed_api_points_to_the_answer_on_disk_and_not_to_another_api(keyed: Project) -> None:
    said = {"code": 403, "message": "The Expression Measurement API has been discontinued."}
    keyed.emulator.inject([{"action": {"status": 403, "body": said}}])
    ran = keyed.call("adopt", "00000000-0000-4000-8000-000000000000")
    keyed.emulator.inject([])
    assert ran.code == 7
    assert "this API is closed" in ran.err
    assert "name that file in the place of the id" in ran.err
    assert "migrate" not in ran.err


def test_an_empty_name_is_bad_usage(keyed: Project) -> None:
    ran = keyed.call("adopt", " ")
    assert ran.code == 64
    assert "empty REMOTE_ID" in ran.err


def test_a_job_of_which_nothing_is_listed_is_told_and_is_no_success(keyed: Project) -> None:
    job_id = start_elsewhere(keyed)
    keyed.manifest["sources"] = {"text": ["Something else."]}
    ran = keyed.call("adopt", job_id)
    assert ran.code == 64
    assert f"{job_id}: this job carries nothing that the manifest lists" in ran.err


@pytest.mark.sweep
def test_a_job_that_the_service_gave_up_is_not_adopted_and_its_sources_are_sent(keyed: Project) -> None:
    job_id = start_elsewhere(keyed)

    def failing(method: str, path: str, status: int, body: bytes, key: str) -> tuple[int, str, bytes]:
        told = json.loads(body)
        for job in told if isinstance(told, list) else [told]:
            if job.get("job_id") == job_id and "state" in job:
                job["state"] |= {"status": "FAILED", "message": "out of memory"}
        return status, "", json.dumps(told).encode()

    with quoting(keyed.emulator.url, failing) as url:
        keyed.manifest["service"]["endpoint"] = url
        keyed.manifest["outputs"]["artifacts"] = False
        ran = keyed.call("adopt", job_id)
        assert ran.code == 64
        assert f"{job_id}: this job failed at the service (out of memory)" in ran.err
        assert "nothing to fetch" in ran.err
        assert keyed.run().code == 0
    assert keyed.requests()[JOBS] == 2
    assert job_id not in {line["remote_id"] for line in keyed.results()}


def test_what_is_measured_already_is_not_adopted_again(keyed: Project) -> None:
    assert keyed.run().code == 0
    ran = keyed.call("adopt", start_elsewhere(keyed))
    assert "none of its sources waits to be measured" in ran.out


@sampled(1)
@pytest.mark.parametrize("carried", [("urls",), ("text",), ("files",), ("urls", "files")])
def test_every_item_has_the_scores_that_the_raw_answer_gives_it(keyed: Project, carried: tuple[str, ...]) -> None:
    keyed.add_file("two.wav", tone(2))
    keyed.manifest["outputs"]["tables"] = ["csv"]
    models = keyed.manifest["models"] = {"language": {"granularity": "sentence"}, "face": {}, "prosody": {}}
    body = {"models": models}
    if "urls" in carried:
        body["urls"] = ["https://example.org/one.mp4"]
    if "text" in carried:
        body["text"] = ["Hello."]
    uploads = [Upload.of(keyed.folder / "media" / "one.wav", filename="take.wav")] if "files" in carried else []
    with RequestsTransport(keyed.emulator.url, keyed.emulator.api_key, AUTH_HEADER) as transport:
        job_id = BatchV0Api(transport, NO_RETRY).start_job(body, uploads, deadline_s=30).job_id
    assert keyed.call("adopt", job_id).code == 0
    assert keyed.run().code == 0

    assert {line["status"] for line in keyed.results()} == {"done"}
    scores = scores_of(keyed.out)
    assert len(scores) == 3  # both recordings are too short for speech
    # Scores follow from the content: a run that adopts nothing gives every item the same ones.
    plain = keyed.folder / "plain"
    assert keyed.run("--output-dir", str(plain)).code == 0
    assert scores == scores_of(plain)
    assert len({str(rows) for rows in scores.values()}) == 3
    with StateReader.peek(keyed.out / "state.sqlite3") as store:
        assert all(job.simulated for job in store.jobs())


def scores_of(out: Path) -> dict[str, list[tuple[str, tuple[str, ...]]]]:
    """Item id -> (table, cells but for the job's names) of each of its rows."""
    found: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    for path in sorted((out / "tables").glob("*.csv")):
        if path.stem in ("items", "errors"):
            continue
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                cells = tuple(value for name, value in row.items() if name not in ("job", "remote_id", "file"))
                found.setdefault(row["item_id"], []).append((path.stem, cells))
    return found


@sampled(2)
@pytest.mark.parametrize("theirs", [{"language": {}}, {"language": {}, "face": {}}, {"language": {}, "prosody": {}}])
@pytest.mark.parametrize("ours", [{"language": {}}, {"language": {}, "face": {}}, {"language": {}, "prosody": {}}])
@pytest.mark.parametrize("named", [True, False], ids=["named", "found"])
def test_a_text_is_adopted_whatever_the_settings_are_that_do_not_touch_it(
    keyed: Project, named: bool, ours: dict[str, object], theirs: dict[str, object]
) -> None:
    keyed.manifest["sources"] = {"text": [{"text": "Hello."}]}
    keyed.manifest["models"] = ours
    with RequestsTransport(keyed.emulator.url, keyed.emulator.api_key, AUTH_HEADER) as transport:
        api = BatchV0Api(transport, NO_RETRY)
        job_id = api.start_job({"models": theirs, "text": ["Hello."]}, [], deadline_s=30).job_id
    if named:
        ran = keyed.call("adopt", job_id)
        assert ran.code == 0, ran.err
    ran = keyed.run()
    assert ran.code == 0, ran.err
    assert keyed.requests()[JOBS] == 1
    assert [(line["status"], line["remote_id"]) for line in keyed.results()] == [("done", job_id)]
    assert keyed.call("verify").code == 0
