"""Nobody elsewhere hears of a rehearsal, and it is said who would have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hume_runner.results.untold import untold

RUN = Path("my results/run.json")
HOOK = "https://hooks.example.org/services/s3cret?token=t0ken"


def run(*, simulated: bool, endpoint: str | None = "https://api.example.org") -> dict[str, Any]:
    return {"simulated": simulated, "service": {"api": "expression-v1", "endpoint": endpoint}}


@pytest.mark.parametrize(
    "rehearsal",
    [run(simulated=True), run(simulated=True, endpoint="emulator"), run(simulated=False, endpoint="emulator")],
)
def test_a_receiver_elsewhere_is_not_told_of_a_rehearsal(rehearsal: dict[str, Any]) -> None:
    said = untold(HOOK, rehearsal, RUN, by_service=False)
    assert said is not None
    assert "hooks.example.org is not told" in said
    assert "--data-binary @'my results/run.json' \"$URL\"" in said
    assert "t0ken" not in said
    assert "s3cret" not in said


def test_what_a_service_would_post_is_another_thing() -> None:
    said = untold(HOOK, run(simulated=True), RUN, by_service=True)
    assert said is not None
    assert "for each job its answer" in said
    assert "run.json" not in said


@pytest.mark.parametrize("host", ["127.0.0.1:9000", "localhost", "[::1]:80"])
def test_this_machine_is_told(host: str) -> None:
    assert untold(f"http://{host}/hook", run(simulated=True), RUN, by_service=False) is None


def test_a_measurement_is_told_everywhere() -> None:
    assert untold(HOOK, run(simulated=False), RUN, by_service=False) is None
    assert untold(HOOK, run(simulated=False, endpoint=None), RUN, by_service=False) is None
