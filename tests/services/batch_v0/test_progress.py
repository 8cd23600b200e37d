"""How far a job is, by its details."""

from __future__ import annotations

from typing import Any

from hume_runner.services.base import (
    Broken,
    Ended,
    Pending,
)
from hume_runner.services.batch_v0.progress import progress_of
from hume_runner.services.batch_v0.reading import read_job


def view(status: str, **state: Any) -> Any:
    return read_job({"job_id": "j", "request": {}, "state": {"status": status, **state}})


def test_states_of_a_job() -> None:
    assert progress_of(view("QUEUED")) == Pending()
    assert progress_of(view("SOMETHING_NEW")) == Pending()
    assert progress_of(view("IN_PROGRESS")) == Pending(started=True)
    ended = progress_of(view("COMPLETED", created_timestamp_ms=1000, ended_timestamp_ms=2500, num_predictions=4))
    assert ended == Ended(created_at=1.0, ended_at=2.5, announced={"predictions": 4})
    assert progress_of(view("FAILED", message="no")) == Broken(message="no")
    broken = progress_of(view("FAILED"))
    assert isinstance(broken, Broken)
    assert broken.message
