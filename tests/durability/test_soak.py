"""Random rounds over both APIs: a few always, a thousand with `make soak`."""

from __future__ import annotations

import random

import pytest

from benchmarks.soak import COLUMNS, soak

PROMISES = ("lost", "paid twice", "pending with exit 0", "wrong outputs", "stuck", "bugs")


@pytest.mark.parametrize(
    ("rounds", "seed"),
    [
        pytest.param(20, 20261125, marks=pytest.mark.sweep),
        pytest.param(1000, None, marks=[pytest.mark.soak, pytest.mark.timeout(3600)]),
    ],
)
def test_random_rounds_lose_nothing_and_pay_nothing_twice(
    rounds: int, seed: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = random.SystemRandom().randrange(10**6) if seed is None else seed
    found = soak(rounds=rounds, seed=seed, at_once=8)
    with capsys.disabled():
        print(f"\nseed {seed}: " + ", ".join(f"{found.counts[name]} {name}" for name in COLUMNS))
    assert found.counts["rounds"] == rounds
    assert found.counts["kills"] > rounds / 3
    assert {name: found.counts[name] for name in PROMISES} == dict.fromkeys(PROMISES, 0), "\n".join(found.broken)
