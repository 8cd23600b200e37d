"""The five operations over HTTP: bodies, checks, echo, keys, list."""

from __future__ import annotations

import hashlib
import json
import socket
import time
import uuid
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from hume_runner.emulator.server import Emulator
from tests.emulator.api import JOBS, Api, wav

FAULT = {"fault": {"faultstring": "Invalid ApiKey", "detail": {"errorcode": "oauth.v2.InvalidApiKey"}}}
ALL_DEFAULTS = {
    "burst": {},
    "face": {
        "descriptions": None,
        "facs": None,
        "fps_pred": 3.0,
        "identify_faces": False,
        "min_face_size": 60,
        "prob_threshold": 0.99,
        "save_faces": False,
    },
    "facemesh": {},
    "language": {"granularity": "word", "identify_speakers": False, "sentiment": None, "toxicity": None},
    "ner": {"identify_speakers": False},
    "prosody": {"granularity": "utterance", "identify_speakers": False, "window": None},
}


def test_a_job_id_is_a_uuid(api: Api) -> None:
    job_id = api.submit({"text": ["hello"]})
    assert str(uuid.UUID(job_id)) == job_id


def test_details_echo_a_job_without_settings_with_every_default(api: Api) -> None:
    job = api.details(api.submit({"urls": ["https://example.org/a.mp4"]}))
    assert job["type"] == "INFERENCE"
    assert job["request"] == {
        "callback_url": None,
        "files": [],
        "models": ALL_DEFAULTS,
        "notify": False,
        "text": [],
        "urls": ["https://example.org/a.mp4"],
    }


def test_models_that_were_not_asked_for_are_null_in_the_echo(api: Api) -> None:
    models = api.details(api.submit({"text": ["hi"], "models": {"language": {"sentiment": {}}, "face": None}}))[
        "request"
    ]["models"]
    assert models["language"] == {**ALL_DEFAULTS["language"], "sentiment": {}}
    assert [name for name, options in models.items() if options is not None] == ["language"]


@pytest.mark.parametrize(
    ("given", "echoed"),
    [
        ({}, {"language": None, "identify_speakers": False, "confidence_threshold": 0.5}),
        ({"language": "no"}, {"language": "no", "identify_speakers": False, "confidence_threshold": 0.5}),
        (None, None),
    ],
)
def test_transcription_is_echoed_as_given_with_its_defaults(api: Api, given: Any, echoed: Any) -> None:
    request = api.details(api.submit({"text": ["hi"], "transcription": given}))["request"]
    assert request["transcription"] == echoed


def test_a_window_gets_its_default_length_and_step(api: Api) -> None:
    models = {"prosody": {"window": {"step": 2}}}
    request = api.details(api.submit({"text": ["hi"], "models": models}))["request"]
    assert request["models"]["prosody"]["window"] == {"length": 4.0, "step": 2}


def test_unknown_members_are_tolerated_and_not_echoed(api: Api) -> None:
    request = api.details(api.submit({"text": ["hi"], "extra": 1, "models": {"face": {"smile": True}}}))["request"]
    assert "extra" not in request
    assert "smile" not in request["models"]["face"]


def test_a_job_without_any_source_completes_with_no_predictions(api: Api) -> None:
    assert api.measured({}) == []
    assert api.measured({"urls": None, "text": []}) == []


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"urls": "https://a.org"}, "urls"),
        ({"urls": [1]}, "urls[0]"),
        ({"urls": ["ftp://a.org/x"]}, "urls[0]"),
        ({"urls": ["https://a.org/x", "not a url"]}, "urls[1]"),
        ({"urls": ["https://a.org/x"] * 101}, "urls"),
        ({"text": ["x"] * 101}, "text"),
        ({"text": [None]}, "text[0]"),
        ({"callback_url": "mailto:me"}, "callback_url"),
        ({"callback_url": 5}, "callback_url"),
        ({"notify": "yes"}, "notify"),
        ({"models": []}, "models"),
        ({"models": {"face": []}}, "models.face"),
        ({"models": {"face": {"fps_pred": -1}}}, "models.face.fps_pred"),
        ({"models": {"face": {"fps_pred": True}}}, "models.face.fps_pred"),
        ({"models": {"face": {"prob_threshold": 1.1}}}, "models.face.prob_threshold"),
        ({"models": {"face": {"min_face_size": 1.5}}}, "models.face.min_face_size"),
        ({"models": {"face": {"identify_faces": 1}}}, "models.face.identify_faces"),
        ({"models": {"prosody": {"granularity": "letter"}}}, "models.prosody.granularity"),
        ({"models": {"prosody": {"window": {"length": 0.4}}}}, "models.prosody.window.length"),
        ({"models": {"language": {"sentiment": True}}}, "models.language.sentiment"),
        ({"transcription": {"language": "xx"}}, "transcription.language"),
        ({"transcription": {"confidence_threshold": 2}}, "transcription.confidence_threshold"),
        ({"transcription": True}, "transcription"),
    ],
)
def test_a_request_outside_the_definition_is_refused_naming_the_member(api: Api, body: Any, path: str) -> None:
    answer = api.call("POST", JOBS, json=body)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(path + ":")


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b'"x"', b"\xff\xfe", b'{"text": ["\\ud800"]}', b'{"notify": NaN}', b"[" * 100_000],
)
def test_a_body_that_is_no_json_object_is_refused(api: Api, raw: bytes) -> None:
    answer = api.call("POST", JOBS, data=raw, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert set(answer.json()) == {"message"}


def test_a_body_of_another_type_is_refused(api: Api) -> None:
    assert api.call("POST", JOBS, data={"urls": "x"}).status_code == 400


@pytest.mark.parametrize(
    "parts",
    [
        [("json", (None, '{"notify": true}')), ("file", ("a.wav", b"RIFF"))],
        [("json", ("json", '{"notify": true}')), ("file", ("a.wav", b"RIFF"))],
        [("file", ("a.wav", b"RIFF")), ("json", ("json", '{"notify": true}'))],
        [("file", ("a.wav", b"RIFF")), ("json", ("upload", '{"notify": true}', "application/octet-stream"))],
        [("json", (None, '{"notify": true}', "application/json")), ("file", ("a.wav", b"RIFF"))],
    ],
    ids=["field", "file-like, first", "file-like, last", "octet-stream, last", "typed field"],
)
def test_every_shape_of_the_json_part_is_read(api: Api, parts: list[Any]) -> None:
    answer = api.call("POST", JOBS, files=parts)
    assert answer.status_code == 200, answer.text
    request = api.details(answer.json()["job_id"])["request"]
    assert request["notify"] is True
    assert [file["filename"] for file in request["files"]] == ["a.wav"]


def test_an_upload_without_a_json_part_runs_with_defaults(api: Api) -> None:
    request = api.details(api.submit(None, [("file", ("a.wav", wav(0.2)))]))["request"]
    assert request["models"] == ALL_DEFAULTS
    assert "transcription" not in request


def test_uploads_are_echoed_with_name_type_and_md5(api: Api) -> None:
    files = [
        ("file", ("héllo \u3042.txt", b"one")),
        ("file", ("b.wav", b"", "audio/x-wav")),
        ("file", ("", b"three")),
    ]
    echoed = api.details(api.submit({}, files))["request"]["files"]
    assert echoed == [
        {"filename": "héllo \u3042.txt", "content_type": None, "md5sum": hashlib.md5(b"one").hexdigest()},
        {"filename": "b.wav", "content_type": "audio/x-wav", "md5sum": hashlib.md5(b"").hexdigest()},
        {"filename": "file", "content_type": None, "md5sum": hashlib.md5(b"three").hexdigest()},
    ]


def test_a_large_upload_keeps_its_md5_across_chunks(api: Api) -> None:
    # Dashes and line ends everywhere: the boundary is looked for in each of them.
    content = (b"\r\n--" + bytes(range(256))) * 20_000
    echoed = api.details(api.submit({"models": {}}, [("file", ("big.bin", content))]))["request"]["files"]
    assert echoed[0]["md5sum"] == hashlib.md5(content).hexdigest()


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([("files", ("a", b"x"))], "unexpected part"),
        ([("file[]", ("a", b"x"))], "unexpected part"),
        ([("json", (None, "{}"))], "file"),
        ([("json", (None, "{}")), ("json", (None, "{}")), ("file", ("a", b"x"))], "once"),
        ([("json", (None, "nope")), ("file", ("a", b"x"))], "invalid JSON"),
        ([("file", (str(at), b"x")) for at in range(101)], "too many files"),
    ],
)
def test_a_multipart_body_outside_the_definition_is_refused(api: Api, parts: list[Any], words: str) -> None:
    answer = api.call("POST", JOBS, files=parts)
    assert answer.status_code == 400
    assert words in answer.json()["message"]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"no boundary in here"),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nnever ends'),
        ("multipart/form-data; boundary=" + "b" * 400, b"x"),
    ],
)
def test_a_damaged_multipart_body_is_refused(api: Api, content_type: str, body: bytes) -> None:
    answer = api.call("POST", JOBS, data=body, headers={"Content-Type": content_type})
    assert answer.status_code == 400
    assert "message" in answer.json()


def test_a_file_over_the_limit_is_refused_after_it_was_read(own_api: Api) -> None:
    assert own_api.call("POST", "/_emulator/limits", json={"upload_bytes": 1000}).status_code == 200
    own_api.submit({}, [("file", ("fits.txt", b"x" * 1000))])
    answer = own_api.call("POST", JOBS, files=[("file", ("large.txt", b"x" * 3_000_000))])
    assert answer.status_code == 400
    assert "larger than 1000 bytes" in answer.json()["message"]
    assert own_api.call("GET", "/_emulator/requests").json()["jobs_accepted"] == 1


def test_a_limit_on_queued_jobs_refuses_with_429_and_when_to_come_back() -> None:
    with Emulator(processing_time_s=60, max_concurrent_jobs=1) as emulator, Api(emulator.url, emulator.api_key) as api:
        api.call("POST", "/_emulator/limits", json={"queued_jobs": 1})
        answers = [api.call("POST", JOBS, json={"text": ["x"]}) for _ in range(8)]
        refused = [answer for answer in answers if answer.status_code != 200]
        assert refused
        assert {answer.status_code for answer in refused} == {429}
        assert refused[0].headers["Retry-After"] == "1"


@pytest.mark.parametrize("key", [None, "", "wrong", "k\u00e9y".encode("latin-1")])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", JOBS),
        ("GET", JOBS),
        ("GET", f"{JOBS}/x"),
        ("GET", f"{JOBS}/x/predictions"),
        ("GET", f"{JOBS}/x/artifacts"),
    ],
)
def test_a_missing_or_wrong_key_gets_the_gateway_fault(api: Api, key: Any, method: str, path: str) -> None:
    headers = {} if key is None else {"X-Hume-Api-Key": key}
    answer = requests.request(
        method, api.url + path, headers=headers, data=b"x" * 500_000 if method == "POST" else None, timeout=10
    )
    assert answer.status_code == 401
    assert answer.json() == FAULT


def test_a_job_belongs_to_the_key_that_started_it() -> None:
    with Emulator(api_keys=["one", "two"], processing_time_s=0.01) as emulator:
        assert emulator.api_key == "one"
        with Api(emulator.url, "one") as one, Api(emulator.url, "two") as two:
            job_id = one.submit({"text": ["mine"]})
            one.ended(job_id)
            for path in ("", "/predictions", "/artifacts"):
                answer = two.call("GET", f"{JOBS}/{job_id}{path}")
                assert answer.status_code == 404
                assert answer.json() == {"message": "job not found"}
            assert two.call("GET", JOBS).json() == []
            assert len(one.call("GET", JOBS).json()) == 1


@pytest.mark.parametrize("job_id", [str(uuid.UUID(int=0)), "nonsense", "%00"])
@pytest.mark.parametrize("path", ["", "/predictions", "/artifacts"])
def test_an_unknown_job_is_not_found(api: Api, job_id: str, path: str) -> None:
    answer = api.call("GET", f"{JOBS}/{job_id}{path}")
    assert answer.status_code == 404
    assert answer.json() == {"message": "job not found"}


def test_results_before_the_end_are_refused_with_the_reason() -> None:
    with Emulator(processing_time_s=60) as emulator, Api(emulator.url, emulator.api_key) as api:
        job_id = api.submit({"text": ["hi"]})
        for what in ("predictions", "artifacts"):
            answer = api.call("GET", f"{JOBS}/{job_id}/{what}")
            assert answer.status_code == 400
            assert "COMPLETED" in answer.json()["message"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"urls": ["https://fail.invalid/a.mp4"]}, "user 'emulator' has exceeded their usage limit"),
        ({"text": ["fine", "[emulator:fail out of paper]"]}, "out of paper"),
    ],
)
def test_a_job_fails_on_request(api: Api, body: Any, message: str) -> None:
    job = api.ended(api.submit(body))
    assert job["state"]["status"] == "FAILED"
    assert job["state"]["message"] == message
    assert set(job["state"]) == {
        "status", "message", "created_timestamp_ms", "started_timestamp_ms", "ended_timestamp_ms",
    }  # fmt: skip
    assert api.call("GET", f"{JOBS}/{job['job_id']}/predictions").status_code == 400


def test_an_unknown_path_and_a_wrong_method_are_refused_as_json(api: Api) -> None:
    assert api.call("GET", "/v0/batch").json() == {"message": "not found"}
    answer = api.call("DELETE", JOBS)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, HEAD, POST"


def test_every_answer_says_that_it_is_simulated_and_carries_the_time(api: Api) -> None:
    for method, path in (("GET", JOBS), ("POST", JOBS), ("GET", "/nowhere"), ("GET", "/_emulator/requests")):
        headers = api.call(method, path).headers
        assert headers["X-Hume-Emulator"] == "simulated"
        assert headers["Date"].endswith("GMT")


def test_a_client_that_waits_for_100_continue_is_served(api: Api) -> None:
    body = json.dumps({"text": ["hi"]}).encode()
    parts = urlsplit(api.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        head = (
            f"POST {JOBS} HTTP/1.1\r\nHost: x\r\nX-Hume-Api-Key: {api.headers['X-Hume-Api-Key']}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
        )
        connection.sendall(head.encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 100")
        connection.sendall(body)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")


class TestList:
    @pytest.fixture
    def jobs(self, own_api: Api) -> list[str]:
        ids = []
        for at in range(6):
            body = {"text": [f"text {at}" if at % 2 == 0 else "[emulator:fail]"]}
            ids.append(own_api.submit(body))
            time.sleep(0.003)  # a millisecond of its own for each
        for job_id in ids:
            own_api.ended(job_id)
        return ids

    def ids(self, api: Api, **query: Any) -> list[str]:
        answer = api.call("GET", JOBS, params=query)
        assert answer.status_code == 200, answer.text
        return [job["job_id"] for job in answer.json()]

    def test_newest_first_unless_told_otherwise(self, own_api: Api, jobs: list[str]) -> None:
        assert self.ids(own_api) == jobs[::-1]
        assert self.ids(own_api, direction="asc") == jobs
        assert self.ids(own_api, limit=2) == jobs[:-3:-1]
        assert self.ids(own_api, limit=0) == []

    def test_an_entry_is_what_details_say(self, own_api: Api, jobs: list[str]) -> None:
        listed = own_api.call("GET", JOBS, params={"limit": 1}).json()[0]
        assert listed == own_api.details(jobs[-1])

    def test_states_are_repeated_parameters(self, own_api: Api, jobs: list[str]) -> None:
        assert self.ids(own_api, status="FAILED") == jobs[5::-2]
        assert self.ids(own_api, status=["COMPLETED", "FAILED"]) == jobs[::-1]
        assert self.ids(own_api, status="QUEUED") == []

    def test_times_bound_the_list_on_either_side(self, own_api: Api, jobs: list[str]) -> None:
        pivot = own_api.details(jobs[2])["state"]["created_timestamp_ms"]
        before = self.ids(own_api, when="created_before", timestamp_ms=pivot, direction="asc")
        after = self.ids(own_api, when="created_after", timestamp_ms=pivot, direction="asc")
        assert before == jobs[:2]
        assert after == jobs[3:]
        # Without a time it is now; without a side the time means nothing.
        assert self.ids(own_api, when="created_before") == jobs[::-1]
        assert self.ids(own_api, when="created_after") == []
        assert self.ids(own_api, timestamp_ms=pivot) == jobs[::-1]

    @pytest.mark.parametrize("sort_by", ["created", "started", "ended"])
    def test_the_order_follows_the_time_asked_for(self, own_api: Api, jobs: list[str], sort_by: str) -> None:
        listed = own_api.call("GET", JOBS, params={"sort_by": sort_by, "direction": "asc"}).json()
        times = [job["state"][f"{sort_by}_timestamp_ms"] for job in listed]
        assert times == sorted(times)
        assert len(times) == len(jobs)

    def test_the_historical_type_filter_knows_inference_only(self, own_api: Api, jobs: list[str]) -> None:
        assert self.ids(own_api, type="INFERENCE") == jobs[::-1]
        assert self.ids(own_api, type="TRAINING") == []
        assert self.ids(own_api, type=["TRAINING", "INFERENCE"]) == jobs[::-1]

    @pytest.mark.parametrize(
        "query",
        [
            "limit=-1", "limit=x", "limit=", "limit=1&limit=2", "status=DONE", "status=", "when=now", "sort_by=name",
            "direction=up", "timestamp_ms=1.5", "timestamp_ms=99999999999999999999", "type=X",
        ],
    )  # fmt: skip
    def test_a_filter_outside_the_definition_is_refused(self, api: Api, query: str) -> None:
        answer = api.call("GET", f"{JOBS}?{query}")
        assert answer.status_code == 400
        assert answer.json()["message"].startswith(query.split("=", maxsplit=1)[0])
