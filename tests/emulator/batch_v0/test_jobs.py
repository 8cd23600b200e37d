"""The queue: bounded slots, order, and what survives a restart."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path

import pytest

from hume_runner.emulator.batch_v0.storage import JobFilter, JobStore
from hume_runner.emulator.server import Emulator
from hume_runner.emulator.storage import Storage
from tests.emulator.api import JOBS, Api, wav


def states(api: Api) -> dict[str, str]:
    listed = api.call("GET", JOBS, params={"limit": 1000}).json()
    return {job["job_id"]: job["state"]["status"] for job in listed}


def test_no_more_jobs_run_than_there_are_slots_and_the_oldest_goes_first() -> None:
    server = Emulator(processing_time_s=0.05, max_concurrent_jobs=2)
    with server as emulator, Api(emulator.url, emulator.api_key) as api:
        ids = [api.submit({"text": [str(at)], "models": {}}) for at in range(8)]
        spans = []
        for job_id in ids:
            state = api.ended(job_id)["state"]
            assert state["created_timestamp_ms"] <= state["started_timestamp_ms"] < state["ended_timestamp_ms"]
            spans.append((state["started_timestamp_ms"], state["ended_timestamp_ms"]))
    assert [start for start, _ in spans] == sorted(start for start, _ in spans)
    for at, (start, _) in enumerate(spans):
        running_before = sum(1 for _, end in spans[:at] if end > start)
        assert running_before < 2


def test_a_job_shows_each_state_with_the_times_that_belong_to_it() -> None:
    server = Emulator(processing_time_s=60, max_concurrent_jobs=1)
    with server as emulator, Api(emulator.url, emulator.api_key) as api:
        first, second = (api.submit({"text": ["x"]}) for _ in range(2))
        while api.details(first)["state"]["status"] == "QUEUED":
            time.sleep(0.005)
        assert set(api.details(first)["state"]) == {"status", "created_timestamp_ms", "started_timestamp_ms"}
        assert api.details(first)["state"]["status"] == "IN_PROGRESS"
        assert set(api.details(second)["state"]) == {"status", "created_timestamp_ms"}
        assert api.details(second)["state"]["status"] == "QUEUED"


def test_queued_and_running_jobs_continue_after_a_restart_under_their_ids(tmp_path: Path) -> None:
    with Emulator(data=tmp_path, processing_time_s=60, max_concurrent_jobs=1) as emulator:
        key = emulator.api_key
        with Api(emulator.url, key) as api:
            ids = [api.submit({"models": {"prosody": {}}}, [("file", (f"{at}.wav", wav(2)))]) for at in range(3)]
            before = {job_id: api.details(job_id)["request"] for job_id in ids}
            assert "COMPLETED" not in states(api).values()
    with Emulator(data=tmp_path, processing_time_s=0.01) as emulator:
        assert emulator.api_key == key
        with Api(emulator.url, key) as api:
            for job_id in ids:
                assert api.ended(job_id)["state"]["status"] == "COMPLETED"
                assert api.details(job_id)["request"] == before[job_id]
                assert api.predictions(job_id)[0]["results"]["errors"] == []


def test_answers_are_the_same_bytes_after_a_restart_whatever_the_new_seed(tmp_path: Path) -> None:
    answers = []
    ids: list[str] = []
    for seed in (7, 8):
        server = Emulator(data=tmp_path, processing_time_s=0, seed=seed, api_keys=["k"])
        with server as emulator, Api(emulator.url, "k") as api:
            ids = ids or [api.submit({"text": ["a b", "c"], "urls": ["https://a.org/b.mp4"]})]
            api.ended(ids[0])
            answers.append(
                [api.call("GET", f"{JOBS}/{ids[0]}/{what}").content for what in ("predictions", "artifacts")]
            )
    assert answers[0] == answers[1]


def test_another_seed_gives_other_scores_of_the_same_structure() -> None:
    answers = []
    for seed in (1, 2):
        with Emulator(processing_time_s=0, seed=seed) as emulator, Api(emulator.url, emulator.api_key) as api:
            answers.append(api.measured({"text": ["a b c"], "models": {"language": {}}}))
    rows = [answer[0]["results"]["predictions"][0]["models"]["language"] for answer in answers]
    assert rows[0] != rows[1]
    words = [[row["text"] for row in model["grouped_predictions"][0]["predictions"]] for model in rows]
    assert words == [["a", "b", "c"]] * 2


def test_leftovers_of_a_killed_server_are_removed(tmp_path: Path) -> None:
    for leftover in ("incoming/x", "uploads/not-a-job"):
        folder = tmp_path / leftover
        folder.mkdir(parents=True)
        (folder / "0").write_bytes(b"half")
    with Emulator(data=tmp_path, processing_time_s=0) as emulator, Api(emulator.url, emulator.api_key) as api:
        api.measured({"models": {"language": {}}}, [("file", ("a.txt", b"hi"))])
        assert list(tmp_path.glob("incoming/*")) == []
        assert list(tmp_path.glob("uploads/*")) == []


def test_every_accepted_job_can_be_seen_with_what_it_was_asked(own_api: Api) -> None:
    body = {"text": ["hi"], "models": {"language": {}}}
    ids = [own_api.submit(body, [("file", (name, b"same"))]) for name in ("a.txt", "b.txt")]
    ids.append(own_api.submit(body, [("file", ("a.txt", b"other"))]))
    listed = own_api.call("GET", "/_emulator/jobs", headers={"X-Hume-Api-Key": ""}).json()
    assert [job["job_id"] for job in listed] == ids
    assert [job["files"][0]["filename"] for job in listed] == ["a.txt", "b.txt", "a.txt"]
    digests = [job["content_sha256"] for job in listed]
    assert digests[0] == digests[1] != digests[2]
    assert listed[0]["text"] == ["hi"]
    assert listed[0]["models"] == ["language"]


@pytest.mark.sweep
def test_a_list_among_ten_thousand_jobs_reads_an_index(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    store = JobStore(storage)
    request = json.dumps({"urls": []})
    for at in range(10_000):
        store.record_accepted(
            job_id=str(at), owner="me", seed=0, request=request, content_sha256="", created_ms=1_000 + at
        )
    listed = store.jobs("me", JobFilter(limit=3, statuses=("QUEUED",), created_after_ms=5_000))
    assert [job.id for job in listed] == ["9999", "9998", "9997"]
    storage.close()
    with sqlite3.connect(tmp_path / "emulator.sqlite3") as db:
        for column in ("created_ms", "started_ms", "ended_ms"):
            query = f"EXPLAIN QUERY PLAN SELECT * FROM jobs WHERE owner = 'me' ORDER BY {column} DESC, seq DESC LIMIT 3"
            plan = " ".join(row[3] for row in db.execute(query))
            assert "USING INDEX" in plan
            assert "TEMP B-TREE" not in plan
    db.close()
