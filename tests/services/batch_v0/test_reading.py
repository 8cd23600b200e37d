from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.errors import UnexpectedResponse
from hume_runner.services.batch_v0.reading import FileView, read_job, read_source_result, unusable_id

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = ("job_id", "request", "state", "urls", "text", "files", "models", "transcription", "status", "message")
RESULT_MEMBERS = ("source", "results", "error", "type", "url", "filename", "predictions", "errors", "file", "models")


def _objects(names: tuple[str, ...]) -> st.SearchStrategy[Any]:
    return st.recursive(
        JSON, lambda inner: st.dictionaries(st.sampled_from(names), inner) | st.lists(inner, max_size=3), max_leaves=20
    )


def test_a_whole_job_is_read_member_by_member() -> None:
    job = read_job(
        {
            "job_id": "j",
            "user_id": "somebody",
            "request": {
                "urls": ["https://example.org/a.mp4"],
                "text": ["hello"],
                "files": [{"filename": "a.wav", "md5sum": "00", "content_type": None}],
                "models": {"face": {"fps_pred": 3.0}, "burst": None},
                "transcription": None,
                "callback_url": "https://example.org/hook",
                "notify": True,
            },
            "state": {
                "status": "COMPLETED",
                "created_timestamp_ms": 1,
                "started_timestamp_ms": 2.0,
                "ended_timestamp_ms": 3,
                "num_predictions": 4,
                "num_errors": 0,
            },
        }
    )
    assert (job.job_id, job.status, job.created_ms, job.started_ms, job.ended_ms) == ("j", "COMPLETED", 1, 2, 3)
    assert (job.num_predictions, job.num_errors, job.message) == (4, 0, None)
    assert job.urls == ("https://example.org/a.mp4",)
    assert job.text == ("hello",)
    assert job.files == (FileView(filename="a.wav", md5sum="00"),)
    assert job.models == {"face": {"fps_pred": 3.0}, "burst": None}
    assert job.transcription is None
    assert job.callback_url == "https://example.org/hook"
    assert job.notify


def test_transcription_that_is_off_is_told_from_transcription_by_default() -> None:
    assert read_job({"job_id": "j", "request": {"transcription": None}}).transcription is None
    assert read_job({"job_id": "j", "request": {}}).transcription == {}


@pytest.mark.parametrize("raw", [{}, {"job_id": None}, {"job_id": ""}, {"job_id": 5.5}, {"job_id": True}])
def test_a_job_without_an_id_is_an_error(raw: dict[str, Any]) -> None:
    with pytest.raises(UnexpectedResponse, match="job_id"):
        read_job(raw)


@given(_objects(MEMBERS))
def test_no_shape_of_a_job_breaks_the_reader(value: Any) -> None:
    raw = {**value, "job_id": "j"} if isinstance(value, dict) else {"job_id": "j", "request": value, "state": value}
    assert read_job(raw).job_id == "j"


def test_a_source_result_is_read_with_its_errors() -> None:
    view = read_source_result(
        {
            "source": {"type": "file", "filename": "faces.zip", "content_type": None, "md5sum": "ab"},
            "results": {
                "predictions": [
                    {"file": "faces/1.jpg", "file_type": "image", "models": {"face": {"grouped_predictions": []}}},
                    {"file": "faces/2.jpg", "models": {"face": None}},
                ],
                "errors": [{"file": "faces/x.txt", "message": "unsupported"}, {"message": None}],
            },
        }
    )
    assert (view.kind, view.filename, view.md5, view.error) == ("file", "faces.zip", "ab", None)
    assert [(p.file, p.file_type, bool(p.models)) for p in view.predictions] == [
        ("faces/1.jpg", "image", True),
        ("faces/2.jpg", None, False),
    ]
    assert view.errors == (("faces/x.txt", "unsupported"), ("", "no message"))


@pytest.mark.parametrize("error", ["gone", {"message": "gone"}])
def test_the_error_of_a_whole_source_is_read(error: Any) -> None:
    view = read_source_result({"source": {"type": "url", "url": "https://example.org/a"}, "error": error})
    assert (view.kind, view.url, view.error, view.predictions) == ("url", "https://example.org/a", "gone", ())


def test_a_source_of_an_unknown_kind_is_kept_as_unknown() -> None:
    assert read_source_result({"source": {"type": "registry_file"}}).kind == "unknown"


@pytest.mark.sweep
@given(_objects(RESULT_MEMBERS))
def test_no_shape_of_a_result_breaks_the_reader(value: Any) -> None:
    if isinstance(value, dict):
        read_source_result(value)
    else:
        with pytest.raises(UnexpectedResponse):
            read_source_result(value)


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ("x" * 32_000, ""),
        ("x" * 32_001, "no request can name a job whose id is 32,001 characters long"),
        ("x" * 10_000_000, "10,000,000 characters long"),  # told in a line, and kept nowhere
        ("..", "no request can name a job whose id is '..'"),
        ("", ""),
        (7, ""),
    ],
)
def test_an_id_that_no_request_can_name_is_told(told: Any, why: str) -> None:
    said = unusable_id(told)
    assert (why in said) if why else not said
    assert len(said) < 300
