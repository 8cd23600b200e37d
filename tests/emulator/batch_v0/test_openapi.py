"""Every answer lies within the published definition, whatever is asked: generated requests against a running server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hume_runner.emulator.server import Emulator
from tests.emulator.api import JOBS, Api, png, video, wav
from tests.emulator.definitions import check_generated, loaded, operations
from tests.tiers import examples

DEFINITION = Path(__file__).parent / "openapi.yaml"

KEY = "X-Hume-Api-Key"
FILTERS = {"limit", "status", "when", "timestamp_ms", "sort_by", "direction", "type"}


@pytest.mark.sweep
@pytest.mark.parametrize("operation", operations(DEFINITION), ids=" ".join)
def test_no_request_gets_an_answer_outside_the_definition(
    operation: tuple[str, str], shared_emulator: Emulator
) -> None:
    from schemathesis.checks import negative_data_rejection, positive_data_acceptance

    def check(case: Any) -> None:
        if KEY in (case.headers or {}):
            case.headers[KEY] = shared_emulator.api_key  # a made-up key would only ever see 401
        excluded = []
        if set(case.query or {}) - FILTERS:
            excluded.append(negative_data_rejection)  # unknown query members are tolerated, as most servers do
        if (case.media_type or "").startswith("multipart"):
            excluded.append(
                positive_data_acceptance
            )  # the generator fills the `json` part with any text, not with JSON
        case.call_and_validate(base_url=shared_emulator.url, excluded_checks=excluded, timeout=10)

    check_generated(DEFINITION, operation, examples(60), check)


RICH = {
    "models": {
        "face": {"facs": {}, "descriptions": {}, "identify_faces": True},
        "burst": {},
        "prosody": {"identify_speakers": True},
        "language": {"sentiment": {}, "toxicity": {}, "granularity": "sentence"},
        "ner": {},
        "facemesh": {},
    },
    "transcription": {"language": "pt-BR"},
    "urls": ["https://example.org/a.mp4", "https://example.org/b.zip", "https://x.invalid/c.wav"],
    "text": ["Anna met Maria in Oslo.", ""],
    "callback_url": "https://example.org/hook",
    "notify": True,
}


def conforms(path: str, answer: Any) -> None:
    loaded(DEFINITION)[path]["GET"].validate_response(answer)


@pytest.mark.sweep
@pytest.mark.parametrize("body", [RICH, {}, {"text": ["[emulator:fail]"]}, {"transcription": None}])
def test_a_jobs_whole_life_lies_within_the_definition(own_api: Api, body: dict[str, Any]) -> None:
    files = [
        ("file", ("a.wav", wav(5), "audio/wav")),
        ("file", ("quiet.wav", wav(1, loudness=0))),
        ("file", ("i.png", png())),
        ("file", ("v.mp4", video(1))),
        ("file", ("mesh.json", b"[" + b",".join([b"[" + b",".join([b"[0,0,0]"] * 478) + b"]"]) + b"]")),
        ("file", ("broken.mp3", b"\0")),
    ]
    job_id = own_api.submit(body, files)
    while True:
        answer = own_api.call("GET", f"{JOBS}/{job_id}")
        conforms(f"{JOBS}/{{id}}", answer)
        conforms(JOBS, own_api.call("GET", JOBS))
        if answer.json()["state"]["status"] in ("COMPLETED", "FAILED"):
            break
    for what in ("predictions", "artifacts"):
        conforms(f"{JOBS}/{{id}}/{what}", own_api.call("GET", f"{JOBS}/{job_id}/{what}"))
