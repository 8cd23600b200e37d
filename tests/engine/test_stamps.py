"""What a run stamped with the wall clock is found again by its age, whatever the clock was set to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.engine.stamps import Stamps


@given(
    steps=st.lists(st.tuples(st.integers(0, 100), st.integers(-10_000, 10_000)), max_size=20), ago=st.integers(0, 300)
)
def test_no_stamp_of_the_last_seconds_is_left_out_however_the_clock_is_set(
    steps: list[tuple[int, int]], ago: int
) -> None:
    passed, offset = 0.0, 1e9
    stamps = Stamps(lambda: passed + offset, lambda: passed)
    made = []
    for seconds, step in steps:
        passed += seconds
        offset += step
        made.append((passed, stamps.now()))
    since = stamps.since(ago)
    assert all(stamp >= since for at, stamp in made if at >= passed - ago)
    if all(step == 0 for _, step in steps):
        assert not any(stamp >= since for at, stamp in made if at < passed - ago)


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_a_clock_that_is_set_at_the_end_hides_nothing(step: float) -> None:
    passed, offset = 0.0, 1e9
    stamps = Stamps(lambda: passed + offset, lambda: passed)
    stamp = stamps.now()
    passed, offset = 5.0, 1e9 + step
    assert stamp >= stamps.since(10.0)
