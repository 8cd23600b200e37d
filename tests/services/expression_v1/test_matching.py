"""Runs that several lost uploads fit are told apart."""

from __future__ import annotations

from collections.abc import Mapping, Set
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.services.expression_v1.matching import told_apart

X, Y, Z = 101, 102, 103
CASES = {
    "nobody but it": ({1: {X: 0}}, {1: {X}}),
    "what fits only one is that one's": ({1: {X: 1, Y: 1}, 2: {X: 1}}, {1: {Y}, 2: {X}}),
    "what fits one to the byte is no other's": ({1: {X: 2}, 2: {X: 0}}, {1: set(), 2: {X}}),
    "a state of unknown size is dealt last": ({1: {X: 2, Y: 0}, 2: {X: 0}}, {1: {Y}, 2: {X}}),
    "three in a row": ({1: {X: 0, Y: 0}, 2: {Y: 0, Z: 0}, 3: {Z: 0}}, {1: {X}, 2: {Y}, 3: {Z}}),
    "two alike": ({1: {X: 0, Y: 0}, 2: {X: 0, Y: 0}}, {1: {X, Y}, 2: {X, Y}}),
    "two alike and one run": ({1: {X: 0}, 2: {X: 0}}, {1: {X}, 2: {X}}),
    "more than can be explained": ({1: {X: 0, Y: 0}}, {1: {X, Y}}),
    "who has a choice leaves another his": ({1: {X: 0, Y: 0}, 2: {X: 1}}, {1: {Y}, 2: {X}}),
    "what is doubtful is left beside what fits better": ({1: {X: 0, Y: 4}}, {1: {X, Y}}),
    "and is no other's": ({1: {X: 0, Y: 4}, 2: {Y: 1}}, {1: {X}, 2: {Y}}),
    "nothing": ({1: {}, 2: {}}, {1: set(), 2: set()}),
}


@pytest.mark.parametrize("name", CASES)
def test_each_run_is_left_to_those_that_it_may_be(name: str) -> None:
    fits, left = CASES[name]
    assert told_apart(fits) == left


@given(
    st.dictionaries(
        st.integers(0, 4), st.dictionaries(st.integers(100, 104), st.integers(0, 4), max_size=5), max_size=5
    )
)
def test_nobody_is_left_without_but_for_those_that_fit_better(fits: Mapping[int, Mapping[int, int]]) -> None:
    left = told_apart(fits)
    assert left.keys() == fits.keys()
    for job, runs in left.items():
        assert runs <= fits[job].keys()
        for run in fits[job] if not runs else ():
            assert min(fits[other].get(run, 9) for other in fits) < fits[job][run]


@given(st.dictionaries(st.integers(0, 4), st.sets(st.integers(100, 104)), max_size=5))
def test_as_many_as_can_be_have_one_each_when_all_fit_alike(fits: Mapping[int, Set[int]]) -> None:
    """Beside every way to deal them."""
    left = told_apart({job: dict.fromkeys(runs, 0) for job, runs in fits.items()})
    assert most_served(left) == most_served(fits)


def most_served(fits: Mapping[int, Set[int]]) -> int:
    jobs = list(fits)
    return max(
        sum(run in fits[job] for job, run in zip(jobs, dealt, strict=True))
        for dealt in permutations(range(100, 105), len(jobs))
    )
