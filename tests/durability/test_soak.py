"""A thousand random kills, left to `make soak`."""

from __future__ import annotations

import random

import pytest

from benchmarks.soak import soak


@pytest.mark.soak
def test_a_thousand_random_kills_lose_nothing_and_pay_nothing_twice(capsys: pytest.CaptureFixture[str]) -> None:
    seed = random.SystemRandom().randrange(10**6)
    found = soak(kills=1000, seed=seed, at_once=8)
    with capsys.disabled():
        print(f"\nseed {seed}: " + ", ".join(f"{number} {name}" for name, number in found.counts.items()))
    assert found.broken == []
    assert found.counts["kills"] >= 1000
    assert found.counts["jobs accepted by the service"] == found.counts["jobs planned"]
