"""Every answer lies within the definition of the Expression Measurement API, whatever is asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests

from hume_runner.emulator.server import Emulator
from tests.emulator.api import Api
from tests.emulator.definitions import check_generated, loaded, operations
from tests.emulator.expression_api import AUDIO, RUNS, VIDEO, jpeg, send, speech, wav
from tests.tiers import examples, sampled

DEFINITION = Path(__file__).parent / "openapi.yaml"

QUERY = {"page_size", "cursor", "user_id", "status", "mode", "endpoint", "started_before", "started_after"}


@pytest.mark.sweep
@pytest.mark.parametrize("operation", operations(DEFINITION), ids=" ".join)
def test_no_request_gets_an_answer_outside_the_definition(
    operation: tuple[str, str], shared_emulator: Emulator
) -> None:
    from schemathesis.checks import negative_data_rejection, positive_data_acceptance

    def check(case: Any) -> None:
        # A made-up credential would only ever see 401; those are tested where their answers are.
        case.headers = {
            name: value
            for name, value in (case.headers or {}).items()
            if name.lower() not in ("x-hume-api-key", "authorization")
        }
        credential = {"X-Hume-Api-Key": shared_emulator.api_key}
        # A made-up cursor or run is a refusal however well it is formed; and so is a body that is no recording.
        excluded = [positive_data_acceptance]
        if set(case.query or {}) - QUERY or case.method == "POST":
            excluded.append(
                negative_data_rejection
            )  # unknown query members are tolerated; nonsense may pass for samples
        case.call_and_validate(base_url=shared_emulator.url, headers=credential, excluded_checks=excluded, timeout=10)

    check_generated(DEFINITION, operation, examples(40), check)


def conforms(path: str, method: str, answer: requests.Response) -> Any:
    loaded(DEFINITION)[path][method].validate_response(answer)
    return answer.json()


@pytest.mark.sweep
@sampled(3)
@pytest.mark.parametrize("config", [None, {}, {"measurement_timer_ms": 3000}, {"measurement_timer_ms": 2}, {"x": 1}])
def test_every_answer_to_a_recording_conforms(api: Api, config: Any) -> None:
    for medium in (wav(speech(4500, 400, 900)), bytes(640), b"fLaC", b""):
        conforms(AUDIO, "POST", send(api, AUDIO, [medium], config))


@pytest.mark.parametrize("face", [{}, {"threshold": 0, "min_size": 1, "return_face_state": True}, {"threshold": 2}])
def test_every_answer_to_images_conforms(api: Api, face: Any) -> None:
    for images in ([jpeg(seed) for seed in range(30)], [jpeg()[:-2]], [b"GIF89a"], [jpeg(0, 3900, 2160)]):
        conforms(VIDEO, "POST", send(api, VIDEO, images, {"face": face}))


def test_every_answer_about_runs_conforms(own_api: Api) -> None:
    ids = [send(own_api, AUDIO, [bytes(640)]).json()["run_id"], send(own_api, VIDEO, [jpeg()]).json()["run_id"]]
    send(own_api, VIDEO, [b"x"])
    page = conforms(RUNS, "GET", own_api.call("GET", RUNS, params={"page_size": 2}))
    assert len(page["runs"]) == 2
    conforms(RUNS, "GET", own_api.call("GET", RUNS, params={"page_size": 2, "cursor": page["next_cursor"]}))
    conforms(RUNS, "GET", own_api.call("GET", RUNS, params={"page_size": 0}))
    for run_id in (*ids, "none"):
        conforms(RUNS + "/{run_id}", "GET", own_api.call("GET", f"{RUNS}/{run_id}"))
        conforms(RUNS + "/{run_id}/events", "GET", own_api.call("GET", f"{RUNS}/{run_id}/events"))


@pytest.mark.parametrize("headers", [{}, {"X-Hume-Api-Key": "wrong"}, {"Authorization": "Bearer wrong"}])
def test_refused_credentials_and_methods_conform(shared_emulator: Emulator, headers: dict[str, str]) -> None:
    for path, method in ((AUDIO, "POST"), (VIDEO, "POST"), (RUNS, "GET")):
        answer = requests.request(method, shared_emulator.url + path, headers=headers, timeout=10)
        assert answer.status_code == 401
        assert "code" not in json.dumps(conforms(path, method, answer))
