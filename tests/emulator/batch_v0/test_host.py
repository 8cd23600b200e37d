from __future__ import annotations

import uuid
from typing import Any

import pytest
import requests

from hume_runner.emulator.server import Emulator
from tests.emulator.api import JOBS, Api

FAULT = {"fault": {"faultstring": "Invalid ApiKey", "detail": {"errorcode": "oauth.v2.InvalidApiKey"}}}


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
