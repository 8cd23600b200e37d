"""What one upload says, and what a failure of it means: pure decisions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hume_runner.errors import (
    ApiError,
    AuthError,
    NotFound,
    RateLimited,
    RequestRejected,
    ServerError,
    TransportError,
)
from hume_runner.http.upload import SourceChanged
from hume_runner.services.expression_v1.sender import FACE_STATE_S, config_of, judge_submission
from hume_runner.services.expression_v1.service import ExpressionV1Service
from hume_runner.services.jobs import Job, Member, Refused, Unknown
from tests.services.expression_v1.cases import STILL, item, recording


def frames_job(**carried: Any) -> Job:
    detail = {"first_frame": 4, "times_ms": [0, 333]}
    return Job(
        number=2,
        key="k",
        nonce="n",
        members=(Member(item=recording(1, 4, picture=True), position=0, detail=detail),),
        size_bytes=1,
        billable_seconds=10,
        **carried,
    )


def stills_job() -> Job:
    members = (Member(item=item(1, STILL), position=0, detail={"still": True, "bytes": 1}),)
    return Job(number=1, key="k", nonce="n", members=members, size_bytes=1, billable_seconds=10)


def test_frames_carry_the_state_of_the_answer_before_while_it_is_fresh() -> None:
    def sent(**carried: Any) -> Mapping[str, Any]:
        return config_of(frames_job(**carried), {"audio": {}, "video": {}})

    assert sent(carry="state", carry_age_s=60.0)["face_state"] == "state"
    assert "face_state" not in sent(carry="state", carry_age_s=FACE_STATE_S + 1)
    assert "face_state" not in sent()
    assert sent()["face"] == {"return_face_state": True}


def test_the_state_is_not_in_what_is_recorded_of_a_request(usual: ExpressionV1Service) -> None:
    submission = usual.prepare(frames_job(carry="state", carry_age_s=60.0))
    assert "state" not in str(submission.request).replace("return_face_state", "")


def test_stills_of_different_people_share_no_faces(usual: ExpressionV1Service) -> None:
    submission = usual.prepare(stills_job())
    assert submission.request["config"] == {}
    assert submission.matches == {0: "0"}


def test_what_is_sent_is_told_apart_by_its_parts(usual: ExpressionV1Service) -> None:
    job = frames_job()
    detail = {"first_frame": 6, "times_ms": [666, 1000]}
    other = Job(
        number=2,
        key="k",
        nonce="n",
        members=(Member(item=job.members[0].item, position=0, detail=detail),),
        size_bytes=1,
        billable_seconds=10,
    )
    assert usual.prepare(job).sha256 == usual.prepare(frames_job()).sha256
    assert usual.prepare(job).sha256 != usual.prepare(other).sha256


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RequestRejected("no", status=400, code="image_decode_failed"), (False, False, True)),
        (RequestRejected("no", status=413, code="image_too_large"), (False, False, True)),
        (RequestRejected("no", status=400, code="config_invalid"), (False, False, False)),
        (RequestRejected("no", status=400, code="message_invalid"), (False, False, False)),
        (AuthError("no", status=401), (False, True, True)),
        (NotFound("no", status=404), (False, True, True)),
        (ApiError("pay", status=402), (False, True, True)),
        (RateLimited("later", status=429), (True, False, True)),
        (ServerError("busy", status=503, code="server_busy"), (True, False, True)),
        (ServerError("sorry", status=500, code="internal_error"), (True, False, True)),
        (TransportError("no connection", sent=False), (True, False, True)),
        (SourceChanged(Path("face.jpg"), "another file now"), (False, False, True)),
    ],
    ids=lambda value: getattr(value, "code", None) or type(value).__name__,
)
def test_what_surely_costs_nothing_is_a_refusal(error: ApiError, expected: tuple[bool, bool, bool]) -> None:
    judged = judge_submission(error, divisible=True)
    assert isinstance(judged, Refused)
    assert (judged.temporary, judged.stops_run, judged.divisible) == expected


@pytest.mark.parametrize(
    "error",
    [
        TransportError("broke off", sent=True),
        ServerError("a proxy's", status=500),
        ServerError("a proxy's", status=502),
        ServerError("a proxy's", status=504),
        ApiError("a proxy's", status=408),
    ],
    ids=lambda error: f"{type(error).__name__} {error.status}",
)
def test_what_may_have_been_measured_is_asked_about(error: ApiError) -> None:
    assert isinstance(judge_submission(error, divisible=True), Unknown)


def test_an_account_without_credit_is_told_what_to_do() -> None:
    judged = judge_submission(ApiError("pay", status=402), divisible=False)
    assert isinstance(judged, Refused)
    assert judged.hint
