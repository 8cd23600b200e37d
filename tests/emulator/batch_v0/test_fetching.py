from __future__ import annotations

from hume_runner.emulator.server import Emulator
from tests.emulator.api import JOBS, Api


def test_results_before_the_end_are_refused_with_the_reason() -> None:
    with Emulator(processing_time_s=60) as emulator, Api(emulator.url, emulator.api_key) as api:
        job_id = api.submit({"text": ["hi"]})
        for what in ("predictions", "artifacts"):
            answer = api.call("GET", f"{JOBS}/{job_id}/{what}")
            assert answer.status_code == 400
            assert "COMPLETED" in answer.json()["message"]
