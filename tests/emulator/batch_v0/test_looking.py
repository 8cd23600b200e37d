from __future__ import annotations

import time
from typing import Any

import pytest

from tests.emulator.api import JOBS, Api


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
