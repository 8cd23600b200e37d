"""What holds for all operations over HTTP: methods, paths, options and faults."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.emulator.api import Api
from tests.emulator.expression_api import (
    AUDIO,
    NOBODYS_RUN,
    RUNS,
    SHORT,
    VIDEO,
    code,
    inject,
    jpeg,
    measured,
    oracle,
    send,
    uploads_measured,
)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", AUDIO, "POST"),
        ("PUT", VIDEO, "POST"),
        ("POST", RUNS, "GET"),
        ("DELETE", f"{RUNS}/{NOBODYS_RUN}", "GET"),
    ],
)
def test_a_wrong_method_is_a_coded_error(api: Api, method: str, path: str, allowed: str) -> None:
    answer = api.call(method, path)
    assert code(answer) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == allowed


def test_an_unknown_path_is_the_gateways_own_404(api: Api) -> None:
    answer = api.call("GET", "/v1/expression/jobs")
    assert (answer.status_code, set(answer.json())) == (404, {"message"})


@pytest.mark.parametrize("options", [{"x": 1}, {"body_bytes": -1}, {"body_bytes": "1"}, {"run_visible_after_s": "x"}])
def test_an_option_that_makes_no_sense_changes_nothing(own_api: Api, options: Any) -> None:
    answer = own_api.call("POST", "/_emulator/expression", json={"unrecorded_runs": 9, **options})
    assert answer.status_code == 400
    assert next(iter(options)) in answer.json()["message"]
    assert own_api.call("POST", "/_emulator/expression", json={}).json()["unrecorded_runs"] == 0


class TestFaults:
    @pytest.mark.parametrize(("when", "runs"), [("before", 0), ("after", 1)])
    def test_a_lost_answer_is_billed_only_if_the_upload_was_processed(self, own_api: Api, when: str, runs: int) -> None:
        inject(own_api, {"route": f"POST {AUDIO}", "times": 1, "action": {"drop": when}})
        with pytest.raises(requests.ConnectionError):
            send(own_api, AUDIO, [SHORT])
        assert uploads_measured(own_api) == len(oracle(own_api)) == runs
        assert len(own_api.call("GET", RUNS).json()["runs"]) == runs

    @pytest.mark.parametrize(
        ("action", "processed"),
        [
            ({"status": 429, "body": {"message": "API rate limit exceeded"}, "headers": {"Retry-After": "1"}}, 0),
            ({"status": 429}, 0),
            ({"status": 503, "body": {"type": "error", "code": "server_busy", "message": "", "request_id": ""}}, 0),
            ({"html": True}, 0),
            ({"redirect": "https://example.org/"}, 0),
            ({"truncate": 0.5}, 1),
            ({"corrupt": True}, 1),
            ({"slow": "100KB/s"}, 1),
            ({"delay": "10ms"}, 1),
        ],
    )
    def test_every_fault_reaches_the_uploads(self, own_api: Api, action: dict[str, Any], processed: int) -> None:
        inject(own_api, {"route": f"POST {VIDEO}", "times": 1, "action": action})
        try:
            answer = send(own_api, VIDEO, [jpeg()], allow_redirects=False)
        except requests.exceptions.ChunkedEncodingError:
            assert "truncate" in action
        else:
            assert answer.status_code == action.get("status", 307 if "redirect" in action else 200)
        assert uploads_measured(own_api) == len(oracle(own_api)) == processed
        assert measured(own_api, VIDEO, [jpeg()])["received"] == {"frames": 1}

    def test_run_routes_are_known_by_their_templates(self, own_api: Api) -> None:
        run_id = measured(own_api, AUDIO, [SHORT])["run_id"]
        for template in (f"{RUNS}/{{run_id}}", f"{RUNS}/{{run_id}}/events", RUNS):
            inject(own_api, {"route": f"GET {template}", "action": {"status": 500}})
            for path in (RUNS, f"{RUNS}/{run_id}", f"{RUNS}/{run_id}/events"):
                expected = 500 if path == template.replace("{run_id}", run_id) else 200
                assert own_api.call("GET", path).status_code == expected
