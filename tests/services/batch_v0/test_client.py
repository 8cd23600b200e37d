from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hume_runner.emulator.server import Emulator
from hume_runner.errors import (
    ApiError,
    AuthError,
    Discontinued,
    NotFound,
    RateLimited,
    RequestRejected,
    ServerError,
    TransportError,
    UnexpectedResponse,
)
from hume_runner.http.retry import NO_RETRY, RetryPolicy, submission_outcome
from hume_runner.http.transport import RequestsTransport
from hume_runner.http.upload import Upload
from hume_runner.services.batch_v0.client import AUTH_HEADER, BatchV0Api
from hume_runner.services.batch_v0.reading import read_job, read_source_result
from tests.tiers import sampled
from tests.wire import answering

BODY = {"text": ["All is well."], "models": {"language": {}}}
SUBMIT = "POST /v0/batch/jobs"
QUICK = RetryPolicy(attempts=3, sleep=lambda seconds: None)


@pytest.fixture
def api(shared_emulator: Emulator) -> Iterator[BatchV0Api]:
    with RequestsTransport(shared_emulator.url, "key-one", AUTH_HEADER) as transport:
        yield BatchV0Api(transport, QUICK)


def _finished(api: BatchV0Api, job_id: str) -> dict[str, Any]:
    for _ in range(2000):
        details = api.job_details(job_id)
        if read_job(details).status in ("COMPLETED", "FAILED"):
            return details
    raise AssertionError("the emulator does not finish")


# -- against the emulator ----------------------------------------------------------------------------------------------


def test_a_job_goes_from_start_to_predictions_and_artifacts(api: BatchV0Api, tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_text("I could not be happier.")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    body = {
        "text": ["Leave me alone.", "Come in."],
        "models": {"language": {"granularity": "sentence"}},
        "notify": True,
    }
    started = api.start_job(body, [Upload.of(path, filename="nonce-note.txt", sha256=digest)], deadline_s=30)
    assert started.simulated
    assert started.server_date_s is not None

    job = read_job(_finished(api, started.job_id))
    assert job.status == "COMPLETED"
    assert job.text == ("Leave me alone.", "Come in.")
    assert [(file.filename, file.md5sum) for file in job.files] == [
        ("nonce-note.txt", hashlib.md5(path.read_bytes()).hexdigest())
    ]
    assert job.notify
    assert job.models["language"]["granularity"] == "sentence"
    assert job.created_ms is not None
    assert job.ended_ms is not None
    assert job.created_ms <= job.ended_ms

    with api.open_predictions(started.job_id) as answer:
        results = [read_source_result(element) for element in json.loads(b"".join(answer.iter_bytes()))]
    by_kind = {result.kind: result for result in results}
    assert set(by_kind) == {"file", "text"}
    assert by_kind["file"].filename == "nonce-note.txt"
    assert sorted(prediction.file for prediction in by_kind["text"].predictions) == ["1", "2"]
    assert all(prediction.models for prediction in by_kind["text"].predictions)

    artifacts = tmp_path / "artifacts.zip"
    with api.open_artifacts(started.job_id) as answer, artifacts.open("wb") as file:
        file.writelines(answer.iter_bytes())
    with zipfile.ZipFile(artifacts) as archive:
        assert archive.testzip() is None


def test_every_filter_of_the_list_reaches_the_service(api: BatchV0Api) -> None:
    ids = [api.start_job(BODY, deadline_s=30).job_id for _ in range(3)]
    for job_id in ids:
        _finished(api, job_id)
    created = {job_id: read_job(api.job_details(job_id)).created_ms for job_id in ids}
    listed = api.list_jobs(
        limit=2,
        status=("COMPLETED", "FAILED"),
        when="created_after",
        timestamp_ms=min(filter(None, created.values())) - 1,
        sort_by="created",
        direction="asc",
        type=("INFERENCE",),
    )
    assert listed.simulated
    assert listed.server_date_s is not None
    assert [read_job(job).job_id for job in listed.jobs] == ids[:2]
    assert api.list_jobs(status=("QUEUED",), when="created_before", timestamp_ms=1).jobs == ()


def test_a_wrong_key_is_an_auth_error(shared_emulator: Emulator) -> None:
    with RequestsTransport(shared_emulator.url, "no-such-key", AUTH_HEADER) as transport:
        api = BatchV0Api(transport, QUICK)
        with pytest.raises(AuthError, match="key is not valid") as caught:
            api.start_job(BODY, deadline_s=30)
        with pytest.raises(AuthError):
            api.list_jobs()
    assert submission_outcome(caught.value) == "refused"
    assert "no-such-key" not in str(caught.value) + caught.value.body


def test_a_job_of_another_key_is_not_found(api: BatchV0Api, shared_emulator: Emulator) -> None:
    job_id = api.start_job(BODY, deadline_s=30).job_id
    with RequestsTransport(shared_emulator.url, "key-two", AUTH_HEADER) as transport:
        other = BatchV0Api(transport, QUICK)
        for ask in (other.job_details, other.open_predictions, other.open_artifacts):
            with pytest.raises(NotFound):
                ask(job_id)


@pytest.mark.parametrize("job_id", ["../../x", "..", ".", "", " ", "a/b", "a?b=c", "a#b", "ä\n", "%2e%2e", "\ud800"])
def test_no_job_id_leads_to_another_path(api: BatchV0Api, shared_emulator: Emulator, job_id: str) -> None:
    before = shared_emulator.requests()["by_route"]
    for ask in (api.job_details, api.open_predictions, api.open_artifacts):
        with pytest.raises(NotFound):
            ask(job_id)
    after = shared_emulator.requests()["by_route"]
    assert after.get("GET /v0/batch/jobs") == before.get("GET /v0/batch/jobs")


FAULTS: list[tuple[str, dict[str, Any], type[ApiError], str]] = [
    ("dropped before", {"drop": "before"}, TransportError, "unknown"),
    ("dropped after", {"drop": "after"}, TransportError, "unknown"),
    ("400", {"status": 400, "body": {"message": "bad"}}, RequestRejected, "refused"),
    ("402", {"status": 402, "body": {"message": "pay"}}, RequestRejected, "refused"),
    ("413", {"status": 413, "body": {"message": "large"}}, RequestRejected, "refused"),
    ("429", {"status": 429, "headers": {"Retry-After": "3"}, "body": {}}, RateLimited, "refused"),
    ("500", {"status": 500, "body": {"message": "oops"}}, ServerError, "unknown"),
    ("502", {"status": 502, "body": {}}, ServerError, "unknown"),
    ("503", {"status": 503, "headers": {"Retry-After": "2"}, "body": {}}, ServerError, "refused"),
    ("504", {"status": 504, "body": {}}, ServerError, "unknown"),
    ("web page", {"html": True}, UnexpectedResponse, "unknown"),
    ("truncated", {"truncate": 0.5}, ApiError, "unknown"),
    ("redirect", {"redirect": "http://127.0.0.1:9/x"}, UnexpectedResponse, "unknown"),
]


@pytest.mark.parametrize(("name", "action", "kind", "outcome"), FAULTS, ids=[fault[0] for fault in FAULTS])
def test_a_submission_is_posted_once_whatever_goes_wrong(
    api: BatchV0Api, shared_emulator: Emulator, name: str, action: dict[str, Any], kind: type[ApiError], outcome: str
) -> None:
    before = shared_emulator.requests()["by_route"].get(SUBMIT, 0)
    shared_emulator.inject([{"route": SUBMIT, "times": 1, "action": action}])
    with pytest.raises(kind) as caught:
        api.start_job(BODY, deadline_s=30)
    assert submission_outcome(caught.value) == outcome
    assert shared_emulator.requests()["by_route"].get(SUBMIT, 0) - before <= 1
    assert api.start_job(BODY, deadline_s=30).job_id  # and the next one is not disturbed


READS = [
    ("GET /v0/batch/jobs", lambda api, job_id: api.list_jobs()),
    ("GET /v0/batch/jobs/{id}", lambda api, job_id: api.job_details(job_id)),
    ("GET /v0/batch/jobs/{id}/predictions", lambda api, job_id: api.open_predictions(job_id).json()),
]


@sampled(6)
@pytest.mark.parametrize(("route", "read"), READS, ids=[route for route, _ in READS])
@pytest.mark.parametrize(
    "action",
    [{"drop": "before"}, {"status": 503, "headers": {"Retry-After": "1"}}, {"status": 502}, {"html": True}],
    ids=["dropped", "503", "502", "web page"],
)
def test_a_read_is_tried_again_until_it_works(
    api: BatchV0Api, shared_emulator: Emulator, route: str, read: Callable[..., Any], action: dict[str, Any]
) -> None:
    job_id = api.start_job(BODY, deadline_s=30).job_id
    _finished(api, job_id)
    shared_emulator.inject([{"route": route, "times": 2, "action": action}])
    assert read(api, job_id)


def test_a_read_gives_up_after_its_attempts(api: BatchV0Api, shared_emulator: Emulator) -> None:
    shared_emulator.inject(
        [{"route": "GET /v0/batch/jobs", "action": {"status": 503, "headers": {"Retry-After": "9"}}}]
    )
    with pytest.raises(ServerError) as caught:
        api.list_jobs()
    assert caught.value.retry_after_s == 9.0


# -- error shapes ------------------------------------------------------------------------------------------------------

GATEWAY_KEY = {"fault": {"faultstring": "Invalid ApiKey", "detail": {"errorcode": "oauth.v2.InvalidApiKey"}}}
BARE_KEY = {"fault": {"faultstring": "Invalid ApiKey"}}
SHAPES: list[tuple[str, bytes, type[ApiError], str | None, str]] = [
    ("401 X", json.dumps(GATEWAY_KEY).encode(), AuthError, "oauth.v2.InvalidApiKey", "not valid"),
    ("401 X", json.dumps(BARE_KEY).encode(), AuthError, None, "not valid"),
    ("200 OK", json.dumps(GATEWAY_KEY).encode(), AuthError, "oauth.v2.InvalidApiKey", "not valid"),
    ("403 X", b'{"code": 403, "message": "The API has been discontinued."}', Discontinued, "403", "closed"),
    ("403 X", b'{"message": "not for you"}', AuthError, None, "not for you"),
    ("401 X", b"", AuthError, None, "401"),
    ("404 X", b'{"message": "job not found"}', NotFound, None, "job not found"),
    ("200 OK", b'{"message": "job not found"}', NotFound, None, "job not found"),
    ("404 X", b"<html>nginx</html>", NotFound, None, "not found"),
    (
        "400 X",
        b'{"fault": {"faultstring": "too big", "detail": {"errorcode": "E7"}}}',
        RequestRejected,
        "E7",
        "too big",
    ),
    ("400 X", b'{"fault": {"faultstring": "too big"}}', RequestRejected, None, "too big"),
    ("400 X", b'{"fault": "odd", "message": ["x"]}', RequestRejected, None, "400"),
    ("422 X", b'{"error": {"code": "bad_url", "message": "no such host"}}', RequestRejected, "bad_url", "no such host"),
    ("402 X", b'{"message": "exceeded quota"}', RequestRejected, None, "exceeded quota"),
    ("429 X", b"slow down", RateLimited, None, "too many"),
    ("500 X", b"not json", ServerError, None, "failed"),
    ("500 X", b"[" * 60_000, ServerError, None, "failed"),
    ("599 X", b"", ServerError, None, "599"),
    ("600 X", b"", ServerError, None, "600"),
    ("199 X", b"", ApiError, None, "199"),
]


@pytest.mark.parametrize(
    ("status", "body", "kind", "code", "words"), SHAPES, ids=[f"{s[0][:3]}-{s[1][:24]!r}" for s in SHAPES]
)
def test_errors_are_told_apart(
    serve, connect, status: str, body: bytes, kind: type[ApiError], code: str | None, words: str
) -> None:
    script = answering(body, "X-Request-Id: r-77", status=status)
    with pytest.raises(kind, match=words) as caught:
        BatchV0Api(connect(serve(script).url), NO_RETRY).job_details("some-id")
    assert type(caught.value) is kind or kind is ApiError
    assert caught.value.code == code
    assert caught.value.request_id == "r-77"
    assert len(caught.value.body) <= 2000


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b"null",
        b'{"job_id": null}',
        b'{"job_id": ""}',
        b'{"job_id": 7.5}',
        b'{"job_id": true}',
        b'"x"',
        b"",
        b"{",
    ],
)
def test_a_submission_whose_answer_has_no_job_id_may_have_been_accepted(serve, connect, body: bytes) -> None:
    script = answering(body)
    with pytest.raises(UnexpectedResponse) as caught:
        BatchV0Api(connect(serve(script).url), QUICK).start_job(BODY, deadline_s=30)
    assert submission_outcome(caught.value) == "unknown"


def test_a_retry_after_date_is_read_by_the_servers_own_clock(serve, connect) -> None:
    script = answering(
        b"{}",
        "Date: Sun, 06 Nov 1994 08:49:37 GMT",
        "Retry-After: Sun, 06 Nov 1994 08:50:07 GMT",
        status="429 Too Many",
    )
    with pytest.raises(RateLimited) as caught:
        BatchV0Api(connect(serve(script).url), NO_RETRY).list_jobs()
    assert caught.value.retry_after_s == 30.0


def test_the_list_in_its_old_envelope_is_read_too(serve, connect) -> None:
    script = answering(b'{"jobs": [{"job_id": "a"}, null], "next_page_token": "x"}')
    listed = BatchV0Api(connect(serve(script).url), NO_RETRY).list_jobs()
    assert listed.jobs == ({"job_id": "a"},)
    assert not listed.simulated
