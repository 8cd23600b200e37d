"""How far a job is, by its details."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest

from hume_runner.errors import ApiError, AuthError, NotFound, RequestRejected, ServerError
from hume_runner.services.batch_v0.client import BatchV0Api, DetailedJob, ListedJobs
from hume_runner.services.batch_v0.host import Host
from hume_runner.services.batch_v0.progress import Polls, progress_of
from hume_runner.services.batch_v0.reading import read_job
from hume_runner.services.jobs import Broken, Ended, Pending, Waiting


def view(status: str, **state: Any) -> Any:
    return read_job({"job_id": "j", "request": {}, "state": {"status": status, **state}})


class Details:
    """A host without a list; of some jobs it gives no details."""

    def __init__(self, refused: Mapping[str, ApiError]) -> None:
        self._refused = refused
        self.asked: list[str] = []

    def list_jobs(self, **filters: Any) -> ListedJobs:
        raise NotFound("no list", status=404)

    def ask_details(self, job_id: str) -> DetailedJob:
        self.asked.append(job_id)
        if job_id in self._refused:
            raise self._refused[job_id]
        job = {"job_id": job_id, "request": {}, "state": {"status": "IN_PROGRESS"}}
        return DetailedJob(job=job, simulated=False)


def polls(host: Details) -> Polls:
    return Polls(Host(lambda: cast("BatchV0Api", host), lambda at: None))


JOBS = [Waiting(number=number, remote_id=name, created_at=0.0) for number, name in enumerate("abc", start=1)]


def test_a_job_that_cannot_be_asked_about_keeps_the_others_from_nothing() -> None:
    host = Details({"a": RequestRejected("too long", status=414)})
    assert polls(host).check(JOBS) == dict.fromkeys("bc", Pending(started=True))
    with pytest.raises(RequestRejected, match="too long"):
        polls(host).check(JOBS[:1])  # alone it is told, and given up after a while


@pytest.mark.parametrize("error", [AuthError("no", status=401), ServerError("busy", status=503)])
def test_a_host_that_refuses_or_fails_is_not_asked_for_each_job(error: ApiError) -> None:
    host = Details({"a": error})
    with pytest.raises(type(error)):
        polls(host).check(JOBS)
    assert host.asked == ["a"]


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
