"""The difficult host: each knob changes what it says, and nothing of what it has done."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import requests

from hume_runner.emulator.server import Emulator
from tests.emulator.api import JOBS, Api
from tests.emulator.expression_api import AUDIO, RUNS, send, speech
from tests.waiting import until

TEXTS = {"models": {"language": {}}, "text": ["  One\tday. "]}
FILES = [("file", ("0123456789-000-Ä b.txt", b"Two days.", "text/plain"))]


def make(api: Api, **difficulties: Any) -> None:
    answer = api.call("POST", "/_emulator/difficulties", json=difficulties)
    assert answer.status_code == 200, answer.text


def advance(api: Api, seconds: float) -> None:
    assert api.call("POST", "/_emulator/clock", json={"advance": seconds}).status_code == 200


def listed(api: Api, **query: Any) -> list[Any]:
    return list(api.call("GET", JOBS, params=query).json())


def accepted(api: Api) -> list[Any]:
    return list(api.call("GET", "/_emulator/jobs").json())


def test_a_late_list_shows_a_job_once_the_dial_has_moved_on(own_api: Api) -> None:
    make(own_api, jobs={"late": "30s", "details_late": "1h"})
    job = own_api.submit(TEXTS)
    assert listed(own_api) == []
    assert own_api.call("GET", f"{JOBS}/{job}").status_code == 404
    advance(own_api, 30)
    assert [entry["job_id"] for entry in listed(own_api)] == [job]
    advance(own_api, 3600)
    assert own_api.details(job)["job_id"] == job


def test_jobs_run_by_the_clock_of_the_emulator() -> None:
    with (
        Emulator(processing_time_s=900) as emulator,
        Api(emulator.url, emulator.api_key) as api,
    ):
        job = api.submit(TEXTS)
        assert api.details(job)["state"]["status"] in ("QUEUED", "IN_PROGRESS")
        emulator.advance(900)
        assert api.ended(job)["state"]["status"] == "COMPLETED"
        assert api.call("POST", "/_emulator/clock", json={"stopped": True, "advance": "1m"}).status_code == 200
        dates = {api.call("POST", "/_emulator/clock", json={}).json()["now_ms"] for _ in range(3)}
        assert len(dates) == 1


def test_a_capped_list_keeps_the_newest_or_the_oldest_and_does_not_page(own_api: Api) -> None:
    jobs = []
    for _ in range(4):
        jobs.append(own_api.submit(TEXTS))
        advance(own_api, 1)
    for keeps, kept in (("newest", jobs[:1:-1]), ("oldest", jobs[1::-1]), ("asked", jobs[:1:-1])):
        make(own_api, jobs={"cap": 2, "cap_keeps": keeps})
        assert [entry["job_id"] for entry in listed(own_api, limit=100)] == kept
    oldest_first = listed(own_api, limit=100, direction="asc")
    assert [entry["job_id"] for entry in oldest_first] == jobs[:2]  # "asked" does page


@pytest.mark.sweep
def test_order_and_filters_are_ignored(own_api: Api) -> None:
    jobs = []
    for _ in range(3):
        jobs.append(own_api.submit(TEXTS))
        advance(own_api, 1)
    make(own_api, jobs={"ignores": ["when", "status", "limit", "direction"]})
    answer = listed(own_api, when="created_before", timestamp_ms=1, status="FAILED", limit=1, direction="asc")
    assert [entry["job_id"] for entry in answer] == jobs[::-1]
    make(own_api, jobs={"order": "oldest"})
    assert [entry["job_id"] for entry in listed(own_api)] == jobs
    make(own_api, jobs={"order": "shuffled"})
    orders = {tuple(entry["job_id"] for entry in listed(own_api)) for _ in range(60)}
    assert len(orders) > 1


def test_members_are_left_out_of_the_list_and_of_the_details_by_themselves(own_api: Api) -> None:
    job = own_api.submit(TEXTS, FILES)
    make(own_api, jobs={"leaves_out": ["request.files", "state.created_timestamp_ms"], "details_leave_out": "request"})
    (entry,) = listed(own_api)
    assert "files" not in entry["request"]
    assert "created_timestamp_ms" not in entry["state"]
    assert "text" in entry["request"]
    assert "request" not in own_api.details(job)
    make(own_api, jobs={"nameless_every": 1, "extra": [None, 3, {}]})
    assert "job_id" not in listed(own_api)[0]
    assert listed(own_api)[1:] == [None, 3, {}]


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("upper", "0123456789-000-Ä B.TXT"),
        ("nfd", "0123456789-000-A\u0308 b.txt"),
        ("percent", "0123456789-000-%C3%84%20b.txt"),
        ("path", "uploads/2026/0123456789-000-Ä b.txt"),
        ([{"without": r"^[0-9a-f]+-\d+-"}, "lower"], "ä b.txt"),
    ],
)
def test_file_names_are_spelt_another_way_everywhere(own_api: Api, spelling: Any, name: str) -> None:
    job = own_api.submit({"models": {"language": {}}}, FILES)
    make(own_api, jobs={"filenames": spelling, "predictions_spell": True})
    assert own_api.ended(job)["request"]["files"][0]["filename"] == name
    assert listed(own_api)[0]["request"]["files"][0]["filename"] == name
    (source,) = own_api.predictions(job)
    assert source["source"]["filename"] == name
    assert source["source"]["md5sum"] == listed(own_api)[0]["request"]["files"][0]["md5sum"]


def test_texts_and_urls_are_normalised(own_api: Api) -> None:
    own_api.submit({**TEXTS, "urls": ["https://a.example/%C3%A4%2fb?x=1"]})
    make(own_api, jobs={"texts": ["strip", "collapse"], "urls": "decode"})
    request = listed(own_api)[0]["request"]
    assert request["text"] == ["One day."]
    assert request["urls"] == ["https://a.example/ä/b?x=1"]


def test_ids_are_numbers_by_which_a_job_is_found(own_api: Api) -> None:
    make(own_api, jobs={"integer_ids": True})
    number = own_api.call("POST", JOBS, json=TEXTS).json()["job_id"]
    assert isinstance(number, int)
    assert own_api.ended(str(number))["job_id"] == number == listed(own_api)[0]["job_id"]
    assert own_api.predictions(str(number))


@pytest.mark.parametrize("status", [400, 404, 405, 501])
def test_a_list_that_is_not_there(own_api: Api, status: int) -> None:
    job = own_api.submit(TEXTS)
    make(own_api, jobs={"status": status})
    assert own_api.call("GET", JOBS).status_code == status
    assert own_api.details(job)["job_id"] == job
    make(own_api, jobs={"empty": True, "details_status": status})
    assert listed(own_api) == []
    assert own_api.call("GET", f"{JOBS}/{job}").status_code == status


def test_date_and_created_are_off_independently(own_api: Api) -> None:
    own_api.submit(TEXTS)
    (true,) = listed(own_api)
    make(own_api, jobs={"off": "-1h"}, date={"off": 7200})
    answer = own_api.call("GET", JOBS)
    assert answer.json()[0]["state"]["created_timestamp_ms"] == true["state"]["created_timestamp_ms"] - 3_600_000
    told = parsedate_to_datetime(answer.headers["Date"]).timestamp()
    assert abs(told - time.time() - 7200) < 10
    make(own_api, date={"missing": True})
    assert "Date" not in own_api.call("GET", JOBS).headers


@pytest.mark.parametrize("body", [TEXTS, None])
def test_a_submission_is_accepted_long_after_the_client_left(own_api: Api, body: Any) -> None:
    files = None if body else FILES
    how: dict[str, Any] = {"json": body} if body else {"files": files}
    make(own_api, submissions={"accepted": "15m", "answer": "cut", "times": 1})
    with pytest.raises(requests.ConnectionError):
        own_api.call("POST", JOBS, **how)
    assert accepted(own_api) == []
    advance(own_api, 899)
    assert accepted(own_api) == []
    advance(own_api, 2)
    until(lambda: len(accepted(own_api)) == 1)
    assert own_api.ended(accepted(own_api)[0]["job_id"])["state"]["status"] == "COMPLETED"
    own_api.submit(body, files)
    assert len(accepted(own_api)) == 2


def test_a_client_that_does_not_wait_any_longer_is_accepted_afterwards(own_api: Api) -> None:
    make(own_api, submissions={"accepted": "1m", "answer": "hang"})
    with pytest.raises(requests.ReadTimeout):
        own_api.post(own_api.url + JOBS, json=TEXTS, timeout=0.05)
    advance(own_api, 61)
    until(lambda: bool(advance(own_api, 1) or accepted(own_api)))


def test_only_what_holds_the_words_is_lost(own_api: Api) -> None:
    make(own_api, submissions=[{"holding": "lose me", "answer": 504, "accepted": "never"}, {"answer": "truncated"}])
    refused = own_api.call("POST", JOBS, json={"text": ["lose me"]})
    assert refused.status_code == 504
    assert accepted(own_api) == []
    with pytest.raises(requests.RequestException):
        own_api.call("POST", JOBS, json=TEXTS)
    assert len(accepted(own_api)) == 1


def test_a_silent_run_reads_errored_then_live_then_ended(own_api: Api) -> None:
    make(own_api, uploads={"answer": "cut", "silent": "5m", "live": "1m", "times": 1})
    with pytest.raises(requests.ConnectionError):
        send(own_api, AUDIO, [speech(500)])
    seen: list[Any] = []

    def there() -> bool:
        seen[:] = own_api.call("GET", RUNS).json()["runs"]
        return bool(seen)

    until(there)
    assert (seen[0]["status"], seen[0]["bytes_received"], seen[0]["metered_seconds"]) == ("errored", None, 0)
    advance(own_api, 301)
    live = own_api.call("GET", f"{RUNS}/{seen[0]['run_id']}").json()
    assert (live["status"], live["ended_at"]) == ("live", None)
    assert own_api.call("GET", RUNS, params={"status": "errored"}).json()["runs"] == []
    advance(own_api, 61)
    until(lambda: own_api.call("GET", RUNS).json()["runs"][0]["status"] == "ended")
    assert own_api.call("GET", RUNS).json()["runs"][0]["metered_seconds"] == 10


@pytest.mark.parametrize(("says_bytes", "received"), [(True, 16_000), (False, None)])
def test_a_client_that_leaves_is_not_billed_where_the_host_is_kind(
    own_api: Api, says_bytes: bool, received: int | None
) -> None:
    make(own_api, uploads={"answer": "cut", "billed": False, "says_bytes": says_bytes})
    with pytest.raises(requests.ConnectionError):
        send(own_api, AUDIO, [speech(500)])
    until(lambda: [run["status"] for run in own_api.call("GET", RUNS).json()["runs"]] == ["errored"])
    (run,) = own_api.call("GET", RUNS).json()["runs"]
    assert (run["bytes_received"], run["metered_seconds"]) == (received, 0)


def test_an_upload_that_was_never_taken_in_leaves_no_run(own_api: Api) -> None:
    make(own_api, uploads={"answer": "cut", "accepted": "never"})
    with pytest.raises(requests.ConnectionError):
        send(own_api, AUDIO, [speech(500)])
    assert own_api.call("GET", "/_emulator/runs").json() == []


def test_the_list_of_runs_is_late_capped_and_leaves_members_out(own_api: Api) -> None:
    for seed in range(3):
        assert send(own_api, AUDIO, [speech(500, seed=seed)]).status_code == 200
        advance(own_api, 1)
    make(own_api, runs={"cap": 2, "cap_keeps": "oldest", "leaves_out": "metered_seconds", "order": "oldest"})
    runs = own_api.call("GET", RUNS).json()["runs"]
    assert len(runs) == 2
    assert all("metered_seconds" not in run and "bytes_received" in run for run in runs)
    assert runs == sorted(runs, key=lambda run: run["started_at"])
    make(own_api, runs={"ignores": ["started_after", "page_size"]})
    query = {"started_after": "2099-01-01T00:00:00Z", "page_size": 1}
    assert len(own_api.call("GET", RUNS, params=query).json()["runs"]) == 3
    make(own_api, runs={"late": "1h"})
    assert own_api.call("GET", RUNS).json()["runs"] == []
    make(own_api, runs={"status": 405})
    assert own_api.call("GET", RUNS).status_code == 405


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ("media", 16_000),
        ("form", 16_330),
        ("headers", 17_030),
        ("tls", 16_361),
        ("http2", 16_339),
        ("packets", 16_954),
        ("kib", 16_384),
        ("blocks", 16_384),
        ("base64", 21_336),
        ("packed", 9_600),
    ],
)
def test_a_host_counts_bytes_in_its_own_way(own_api: Api, counts: str, told: int) -> None:
    assert send(own_api, AUDIO, [speech(500)]).status_code == 200
    make(own_api, runs={"counts": counts})
    (run,) = own_api.call("GET", RUNS).json()["runs"]
    assert run["bytes_received"] == told
    assert own_api.call("GET", f"{RUNS}/{run['run_id']}").json()["bytes_received"] == told
    (truth,) = own_api.call("GET", "/_emulator/runs").json()
    assert truth["bytes_received"] == 16_000


def test_a_host_may_count_less_of_an_upload_whose_answer_is_lost(own_api: Api) -> None:
    make(own_api, uploads={"answer": "cut", "uncounted_bytes": 1000})
    with pytest.raises(requests.ConnectionError):
        send(own_api, AUDIO, [speech(500)])
    until(lambda: [run["status"] for run in own_api.call("GET", RUNS).json()["runs"]] == ["ended"])
    (run,) = own_api.call("GET", RUNS).json()["runs"]
    assert (run["bytes_received"], run["metered_seconds"]) == (15_000, 10)


@pytest.mark.sweep
def test_answers_may_be_gzip_and_some_of_them_bombs(own_api: Api, emulator: Emulator) -> None:
    job = own_api.submit(TEXTS)
    own_api.ended(job)
    plain = own_api.predictions(job)
    make(own_api, gzip=True)
    answer = own_api.call("GET", f"{JOBS}/{job}/predictions", stream=True)
    assert answer.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(answer.raw.read(decode_content=False))) == plain
    for like, first in (("spaces", b"["), ("string", b'["'), ("text", b"a")):
        emulator.inject([{"action": {"bomb": 30_000_000, "like": like}}])
        raw = own_api.call("GET", JOBS, stream=True).raw.read(decode_content=False)
        assert len(raw) < 100_000
        whole = zlib.decompress(raw, 31)  # checks the checksum and the length
        assert len(whole) == 30_000_000
        assert whole.startswith(first)


@pytest.mark.parametrize("way", ["plain", "url", "base64", "escapes", "split"])
def test_the_key_is_quoted_in_every_spelling(own_api: Api, emulator: Emulator, way: str) -> None:
    make(own_api, quote_key={"in": True, "as": way})
    body = {"urls": ["https://gone.invalid/a.txt"], "models": {"language": {}}}
    job = own_api.submit(body)
    details = own_api.ended(job)
    error = own_api.predictions(job)[0]["error"]
    failed = own_api.ended(own_api.submit({"text": ["[emulator:fail]"]}))
    refusal = own_api.call("GET", f"{JOBS}/nothing").json()["message"]
    emulator.inject([{"action": {"html": True}}])
    page = own_api.call("GET", JOBS).text
    raw_key = emulator.api_key
    for said in (details["name"], error, failed["state"]["message"], refusal):
        assert (raw_key in said) == (way in ("plain", "escapes", "split"))
    assert (raw_key in page) == (way == "plain")
