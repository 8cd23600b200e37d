from __future__ import annotations

import pytest
import requests

from hume_runner.emulator.server import Emulator
from tests.emulator.api import Api
from tests.emulator.expression_api import (
    AUDIO,
    RUNS,
    SHORT,
    VIDEO,
    code,
    measured,
)


class TestCredential:
    def ask(self, emulator: Emulator, **headers: str) -> requests.Response:
        return requests.get(emulator.url + RUNS, headers=headers, timeout=10)

    def test_a_key_or_a_bearer_token_is_accepted(self, shared_emulator: Emulator) -> None:
        key = shared_emulator.api_key
        for headers in (
            {"X-Hume-Api-Key": key},
            {"Authorization": f"Bearer {key}"},
            {"Authorization": f"bearer {key}"},
        ):
            assert self.ask(shared_emulator, **headers).status_code == 200

    @pytest.mark.parametrize(
        ("headers", "key_was_sent"),
        [
            ({}, False),
            ({"X-Hume-Api-Key": "wrong"}, True),
            ({"X-Hume-Api-Key": ""}, True),
            ({"Authorization": "Bearer wrong"}, False),
            ({"Authorization": "Basic KEY"}, False),
            ({"Authorization": "KEY"}, False),
            ({"Authorization": "Bearer KEY", "X-Hume-Api-Key": "KEY"}, True),
        ],
    )
    def test_any_other_is_answered_by_the_gateway(
        self, shared_emulator: Emulator, headers: dict[str, str], key_was_sent: bool
    ) -> None:
        filled = {name: value.replace("KEY", shared_emulator.api_key) for name, value in headers.items()}
        answer = self.ask(shared_emulator, **filled)
        assert answer.status_code == 401
        assert set(answer.json()) == {"message"} | ({"request_id"} if key_was_sent else set())

    @pytest.mark.parametrize(
        ("method", "path"), [("POST", AUDIO), ("POST", VIDEO), ("GET", f"{RUNS}/x"), ("PUT", RUNS)]
    )
    def test_the_credential_is_looked_at_first(self, shared_emulator: Emulator, method: str, path: str) -> None:
        answer = requests.request(method, shared_emulator.url + path, data=b"x", timeout=10)
        assert answer.status_code == 401

    def test_each_key_has_runs_and_a_user_of_its_own(self) -> None:
        with (
            Emulator(processing_time_s=0, api_keys=["one", "other"]) as emulator,
            Api(emulator.url, "one") as one,
            Api(emulator.url, "other") as other,
        ):
            mine, theirs = measured(one, AUDIO, [SHORT]), measured(other, AUDIO, [SHORT])
            assert code(other.call("GET", f"{RUNS}/{mine['run_id']}")) == (404, "not_found")
            users = []
            for api, answer in ((one, mine), (other, theirs)):
                [run] = api.call("GET", RUNS).json()["runs"]
                assert run["run_id"] == answer["run_id"]
                users.append(run["user_id"])
            assert users[0] != users[1]
