"""Faults: what a list of them may say, which requests they hit, and what they do to a real connection."""

from __future__ import annotations

import socket
import time
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.emulator.faults import FaultError, parse_duration_s, parse_faults
from hume_runner.emulator.server import Emulator
from tests.emulator.api import JOBS, Api

LIST = f"GET {JOBS}"


def hits(fault: dict[str, Any], count: int, route: str = LIST) -> list[int]:
    """Which of `count` requests, from 1, the fault fires on."""
    plan = parse_faults([{"action": {"status": 500}, **fault}])
    return [at for at in range(1, count + 1) if plan.choose(route) is not None]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"route": LIST}, [1, 2, 3, 4, 5, 6]),
        ({"route": f"POST {JOBS}"}, []),
        ({"nth": [2, 5]}, [2, 5]),
        ({"nth": 3}, [3]),
        ({"every": 2}, [2, 4, 6]),
        ({"times": 2}, [1, 2]),
        ({"every": 2, "times": 2}, [2, 4]),
        ({"nth": [2, 4, 5], "every": 2}, [2, 4]),
        ({"probability": 0}, []),
        ({"probability": 1}, [1, 2, 3, 4, 5, 6]),
    ],
)
def test_selectors_choose_requests(fault: dict[str, Any], expected: list[int]) -> None:
    assert hits(fault, 6) == expected


def test_probability_is_the_share_of_requests_and_the_same_for_the_same_seed() -> None:
    fired = hits({"probability": 0.3}, 2000)
    assert 500 < len(fired) < 700
    assert hits({"probability": 0.3}, 2000) == fired


def test_the_first_fault_that_fires_is_the_one_that_happens() -> None:
    plan = parse_faults(
        [{"nth": [2], "action": {"status": 500}}, {"times": 2, "action": {"status": 503}}, {"action": {"html": True}}]
    )
    chosen = [plan.choose(LIST) for _ in range(4)]
    assert [None if action is None else action.status for action in chosen] == [503, 500, 503, None]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("drop", "must be an object"),
        ({}, "action: is missing"),
        ({"action": {}}, "at least one member"),
        ({"action": {"status": 503}, "rate": 1}, "'rate'"),
        ({"action": {"explode": True}}, "'explode'"),
        ({"action": {"status": 503, "drop": "after"}}, "exclude each other"),
        ({"action": {"drop": "during"}}, "'before' or 'after'"),
        ({"action": {"status": 99}}, "status"),
        ({"action": {"status": 799}}, "status"),
        ({"action": {"status": "503"}}, "status"),
        ({"action": {"truncate": 1.5}}, "truncate"),
        ({"action": {"delay": "soon"}}, "not a duration"),
        ({"action": {"slow": "fast"}}, "rate"),
        ({"action": {"slow": "0B/s"}}, "rate"),
        ({"action": {"html": "yes"}}, "true or false"),
        ({"action": {"redirect": 5}}, "URL"),
        ({"action": {"status": 503, "headers": {"A b": "x"}}}, "header"),
        ({"action": {"status": 503, "headers": {"A": "x\r\nB: y"}}}, "header"),
        ({"action": {"html": True, "headers": {}}}, "'headers'"),
        ({"action": {"corrupt": True, "chunked": True}}, "'chunked'"),
        ({"action": {"html": True}, "route": "jobs"}, "route"),
        ({"action": {"html": True}, "nth": [0]}, "nth"),
        ({"action": {"html": True}, "every": 0}, "every"),
        ({"action": {"html": True}, "times": True}, "times"),
        ({"action": {"html": True}, "probability": 2}, "probability"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_with_the_reason(emulator: Emulator, fault: Any, words: str) -> None:
    with pytest.raises(FaultError, match=r"faults\[1\]") as caught:
        emulator.inject([{"action": {"html": True}}, fault])
    assert words in str(caught.value)
    answer = requests.post(f"{emulator.url}/_emulator/faults", json=[fault], timeout=10)
    assert answer.status_code == 400
    assert words in answer.json()["message"]


@given(st.floats(0, 1e6, allow_nan=False), st.sampled_from(["ms", "s", "m", "h"]))
def test_a_duration_is_read_in_every_unit(value: float, unit: str) -> None:
    scale = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit]
    text = f"{value:.3f}"
    assert parse_duration_s(f"{text}{unit}") == pytest.approx(float(text) * scale)


class TestOnTheWire:
    def inject(self, api: Api, *faults: dict[str, Any]) -> None:
        answer = api.call("POST", "/_emulator/faults", json=list(faults))
        assert answer.json() == {"faults": len(faults)}

    def accepted(self, api: Api) -> int:
        count: int = api.call("GET", "/_emulator/requests").json()["jobs_accepted"]
        return count

    def test_a_status_with_headers_and_body_and_nothing_processed(self, own_api: Api) -> None:
        action = {"status": 503, "headers": {"Retry-After": "7"}, "body": {"fault": "x"}}
        self.inject(own_api, {"route": f"POST {JOBS}", "times": 1, "action": action})
        answer = own_api.call("POST", JOBS, json={"text": ["x"] * 100})
        assert (answer.status_code, answer.headers["Retry-After"], answer.json()) == (503, "7", {"fault": "x"})
        assert answer.headers["X-Hume-Emulator"] == "simulated"
        assert self.accepted(own_api) == 0
        own_api.submit({"text": ["x"]})
        assert self.accepted(own_api) == 1

    @pytest.mark.parametrize(("when", "accepted"), [("before", 0), ("after", 1)])
    def test_a_dropped_connection_carries_no_answer(self, own_api: Api, when: str, accepted: int) -> None:
        self.inject(own_api, {"route": f"POST {JOBS}", "action": {"drop": when}})
        with pytest.raises(requests.ConnectionError):
            own_api.call("POST", JOBS, json={"text": ["x"]})
        assert self.accepted(own_api) == accepted

    def test_a_drop_sends_not_one_byte(self, own_api: Api) -> None:
        self.inject(own_api, {"action": {"drop": "after"}})
        parts = urlsplit(own_api.url)
        with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
            connection.sendall(f"GET {JOBS} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert connection.recv(100) == b""

    def test_a_large_upload_can_lose_its_answer(self, own_api: Api) -> None:
        self.inject(own_api, {"times": 1, "action": {"drop": "after"}})
        with pytest.raises(requests.ConnectionError):
            own_api.call("POST", JOBS, files=[("file", ("big.txt", b"x" * 5_000_000))])
        assert self.accepted(own_api) == 1

    def test_the_route_of_a_job_is_its_template(self, own_api: Api) -> None:
        job_id = own_api.submit({"text": ["x"]})
        own_api.ended(job_id)
        self.inject(own_api, {"route": f"GET {JOBS}/{{id}}/artifacts", "action": {"status": 500}})
        assert own_api.call("GET", f"{JOBS}/{job_id}/artifacts").status_code == 500
        assert own_api.call("GET", f"{JOBS}/{job_id}/predictions").status_code == 200

    def test_a_truncated_answer_announces_the_whole_length(self, own_api: Api) -> None:
        job_id = own_api.submit({"text": ["x"]})
        own_api.ended(job_id)
        whole = own_api.call("GET", f"{JOBS}/{job_id}/predictions").content
        self.inject(own_api, {"action": {"truncate": 0.5}})
        with own_api.call("GET", f"{JOBS}/{job_id}/predictions", stream=True) as answer:
            assert int(answer.headers["Content-Length"]) == len(whole)
            received: list[bytes] = []
            with pytest.raises(requests.exceptions.ChunkedEncodingError):
                received.extend(answer.iter_content(100))
        start = b"".join(received)
        assert whole.startswith(start)
        assert len(whole) / 3 < len(start) <= len(whole) / 2

    def test_a_truncated_answer_may_announce_no_length(self, own_api: Api) -> None:
        self.inject(own_api, {"action": {"truncate": 0.5, "chunked": True}})
        with own_api.call("GET", JOBS, stream=True) as answer:
            assert "Content-Length" not in answer.headers
            assert answer.headers["Transfer-Encoding"] == "chunked"
            with pytest.raises(requests.exceptions.ChunkedEncodingError):
                answer.content  # noqa: B018 - reading it is the point

    def test_a_corrupt_answer_has_its_length_and_other_bytes(self, own_api: Api) -> None:
        job_id = own_api.submit({"text": ["x"]})
        own_api.ended(job_id)
        for what in ("predictions", "artifacts"):
            self.inject(own_api)
            whole = own_api.call("GET", f"{JOBS}/{job_id}/{what}").content
            self.inject(own_api, {"action": {"corrupt": True}})
            spoilt = own_api.call("GET", f"{JOBS}/{job_id}/{what}").content
            assert len(spoilt) == len(whole)
            assert sum(a != b for a, b in zip(spoilt, whole, strict=True)) == 3

    def test_a_web_page_comes_with_status_200_and_nothing_processed(self, own_api: Api) -> None:
        self.inject(own_api, {"times": 1, "action": {"html": True}})
        answer = own_api.call("POST", JOBS, json={})
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/html")
        assert "<html>" in answer.text
        assert self.accepted(own_api) == 0

    def test_a_redirect_points_elsewhere(self, own_api: Api) -> None:
        self.inject(own_api, {"action": {"redirect": "http://127.0.0.1:9/x"}})
        answer = own_api.call("POST", JOBS, json={}, allow_redirects=False)
        assert (answer.status_code, answer.headers["Location"]) == (307, "http://127.0.0.1:9/x")

    @pytest.mark.sweep
    def test_delay_and_slow_take_their_time(self, own_api: Api) -> None:
        self.inject(own_api, {"action": {"delay": "150ms"}, "nth": [1]}, {"action": {"slow": "20B/s"}})
        started = time.monotonic()
        assert own_api.call("GET", JOBS).status_code == 200
        assert time.monotonic() - started >= 0.15
        started = time.monotonic()
        body = own_api.call("GET", f"{JOBS}/x").content
        assert len(body) == 27
        assert time.monotonic() - started >= 0.5 * len(body) / 20

    def test_the_emulators_own_routes_are_never_harmed_or_counted(self, own_api: Api) -> None:
        self.inject(own_api, {"action": {"status": 500}})
        for _ in range(3):
            assert own_api.call("GET", "/_emulator/requests").json()["by_route"] == {}

    def test_new_faults_replace_the_old_ones(self, own_api: Api) -> None:
        self.inject(own_api, {"action": {"status": 500}})
        self.inject(own_api)
        assert own_api.call("GET", JOBS).status_code == 200


def test_faults_may_be_given_from_the_start() -> None:
    server = Emulator(faults=[{"nth": [1], "action": {"status": 502}}])
    with server as emulator, Api(emulator.url, emulator.api_key) as api:
        assert [api.call("GET", JOBS).status_code for _ in range(2)] == [502, 200]
