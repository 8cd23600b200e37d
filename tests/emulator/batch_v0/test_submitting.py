"""Submissions over HTTP: bodies, checks, the echo in a job's details, limits."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

import pytest

from hume_runner.emulator.server import Emulator
from tests.emulator.api import JOBS, Api, wav

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
