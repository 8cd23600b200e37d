from __future__ import annotations

import re

import pytest

from hume_runner.manifest.published import schema
from hume_runner.manifest.quantities import duration_s, failure_budget, moment_s, size_bytes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (7, 7),
        ("7", None),
        ("100MB", 100_000_000),
        ("1.5 GiB", 1_610_612_736),
        ("2kB", 2_000),
        ("2KB", 2_000),
        ("9 B", 9),
    ],
)
def test_sizes_are_bytes(text: int | str, expected: int | None) -> None:
    if expected is None:
        with pytest.raises(KeyError):
            size_bytes(text)
    else:
        assert size_bytes(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("200ms", 0.2), ("60s", 60), ("2.5m", 150), ("6h", 21_600), ("1d", 86_400)]
)
def test_durations_are_seconds(text: str, expected: float) -> None:
    assert duration_s(text) == expected


def test_budgets_are_shares_or_counts() -> None:
    assert failure_budget("5%").allows(5, 100)
    assert not failure_budget("5%").allows(6, 100)
    assert not failure_budget(0).allows(1, 100)
    assert failure_budget(None).allows(100, 100)
    assert failure_budget("0.1%").share == 0.001


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1.5m", 90), ("1m30s", 90), ("1:30", 90), ("00:10", 10), ("1:02:03.5", 3723.5), ("1h2m", 3720), ("90s", 90),
     ("250ms", 0.25), ("2h0m1.5s", 7201.5), (12.5, 12.5)],
)  # fmt: skip
def test_a_moment_may_be_written_as_a_player_shows_it(text: float | str, seconds: float) -> None:
    assert moment_s(text) == pytest.approx(seconds)
    if isinstance(text, str):
        assert re.search(schema()["$defs"]["moment"]["pattern"], text)


@pytest.mark.parametrize("text", ["1:75", "90", "1:2", "s", "", "1m30", "1s1m", "-1:30", "1:30:99", "1,5s"])
def test_what_is_no_moment_is_none(text: str) -> None:
    assert not re.search(schema()["$defs"]["moment"]["pattern"], text)
