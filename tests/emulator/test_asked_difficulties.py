from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.api import Api


@pytest.mark.parametrize(
    "wrong",
    [
        {"nothing": {}},
        {"jobs": {"late": "soon"}},
        {"jobs": {"filenames": "backwards"}},
        {"jobs": {"filenames": {"without": "("}}},
        {"jobs": {"status": 200}},
        {"runs": {"counts": "sheep"}},
        {"uploads": {"uncounted_bytes": -1}},
        {"submissions": {"answer": "perhaps"}},
        {"submissions": {"seen": 3}},
        {"quote_key": {"in": ["everywhere"]}},
        {"gzip": 1},
    ],
)
def test_a_difficulty_that_makes_no_sense_is_refused(own_api: Api, wrong: Any) -> None:
    answer = own_api.call("POST", "/_emulator/difficulties", json=wrong)
    assert answer.status_code == 400
    assert answer.json()["message"]
