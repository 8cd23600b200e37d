from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from hume_runner.hume.configs import FaceConfig, ModelType
from hume_runner.hume.exceptions import HumeClientException
from hume_runner.hume.job import BatchJobDetails, BatchJobState, BatchJobStatus


def _response(**changes: Any) -> dict[str, Any]:
    return {
        "job_id": "j",
        "user_id": "u",
        "type": "INFERENCE",
        "request": {
            "models": {"face": {"fps_pred": 3.0, "facs": None}, "burst": None},
            "urls": ["https://example.org/a.mp4"],
            "files": [],
            "callback_url": None,
            "notify": False,
        },
        "state": {
            "status": "COMPLETED",
            "created_timestamp_ms": 1_660_594_810_000,
            "started_timestamp_ms": 1_660_594_812_000,
            "ended_timestamp_ms": 1_660_594_815_500,
        },
        **changes,
    }


def test_details_are_read_with_nulls_in_the_echo() -> None:
    details = BatchJobDetails.from_response(_response())
    assert details.configs == {ModelType.FACE: FaceConfig(fps_pred=3.0)}
    assert details.urls == ["https://example.org/a.mp4"]
    assert details.files == []
    assert details.callback_url is None
    assert details.notify is False
    assert details.get_status() is BatchJobStatus.COMPLETED
    assert details.get_run_time_ms() == 3500
    assert details.get_created_time() == datetime(2022, 8, 15, 20, 20, 10)  # noqa: DTZ001 - as the old package had it
    assert details.get_ended_time() == datetime(2022, 8, 15, 20, 20, 15, 500_000)  # noqa: DTZ001
    assert "COMPLETED" in repr(details)
    assert "face" in repr(details)


def test_a_job_that_waits_has_no_times_yet() -> None:
    details = BatchJobDetails.from_response(_response(state={"status": "QUEUED", "created_timestamp_ms": 5}))
    assert details.state == BatchJobState(BatchJobStatus.QUEUED, 5, None, None)
    assert details.get_run_time_ms() is None
    assert details.get_started_time() is None
    assert details.get_ended_time() is None


@pytest.mark.parametrize("request_", [{}, {"models": None, "urls": None, "files": None, "text": None, "notify": None}])
def test_members_of_the_request_may_be_missing_or_null(request_: dict[str, Any]) -> None:
    details = BatchJobDetails.from_response(_response(request=request_))
    assert (details.configs, details.urls, details.files, details.text, details.notify) == ({}, [], [], [], False)


@pytest.mark.parametrize(
    ("response", "words"),
    [
        ({}, "request is missing"),
        ({"request": {}}, "state is missing"),
        ({"request": {}, "state": {}}, "status is missing"),
        ({"request": {}, "state": {"status": "PAUSED"}}, "unknown job status 'PAUSED'"),
        ({"request": [], "state": {}}, "request is no object"),
        ({"request": {"models": [1]}, "state": {"status": "QUEUED"}}, "make no sense"),
        (None, "make no sense"),
        ("text", "make no sense"),
    ],
)
def test_details_that_make_no_sense_say_which_member_it_was(response: Any, words: str) -> None:
    with pytest.raises(HumeClientException, match=words):
        BatchJobDetails.from_response(response)


def test_statuses_are_read_by_name_and_know_whether_they_are_final() -> None:
    assert {status: BatchJobStatus.is_terminal(status) for status in BatchJobStatus} == {
        BatchJobStatus.COMPLETED: True,
        BatchJobStatus.FAILED: True,
        BatchJobStatus.IN_PROGRESS: False,
        BatchJobStatus.QUEUED: False,
    }
    assert BatchJobStatus.from_str("IN_PROGRESS") is BatchJobStatus.IN_PROGRESS
    with pytest.raises(ValueError, match="unknown job status 'done'"):
        BatchJobStatus.from_str("done")
