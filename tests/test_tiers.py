"""What is left to the longer tier is the rest of a table, never a kind of its cells."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from tests.tiers import Tier, choose, sampled, spread

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[1]


def test_each_value_of_each_parameter_is_in_the_sample_while_there_are_places() -> None:
    cells = [tuple(enumerate(cell)) for cell in product("abcdef", "xy", "123")]
    chosen = choose(cells, 6)
    assert len(chosen) == 6
    assert {value for at in chosen for value in cells[at]} == {value for cell in cells for value in cell}


def test_a_table_with_one_parameter_is_sampled_evenly_with_both_ends() -> None:
    assert choose([[number] for number in range(100)], 5) == spread(100, 5) == [0, 25, 50, 74, 99]


def test_a_small_table_is_in_the_sample_as_a_whole() -> None:
    assert choose([["a"], ["b"]], 2) == [0, 1]
    assert Tier(all=False).of("ab", 2) == ["a", "b"]
    assert Tier(all=True).of("abcdef", 2) == list("abcdef")
    assert Tier(all=False).of("abcdef", 2) == ["a", "f"]


def test_of_each_kind_of_operation_the_first_is_in_the_sample() -> None:
    operations = ["sync", "commit", "sync", "replace", "commit"]
    assert Tier(all=False).first_of_each(operations) == [1, 2, 4]
    assert Tier(all=True).first_of_each(operations) == [1, 2, 3, 4, 5]


TABLES = """
import sys
sys.path.insert(0, {root!r})
import pytest
from tests.tiers import in_two_tiers, mark_the_rest, sampled

@sampled(3)
@pytest.mark.parametrize("one", range(3))
@pytest.mark.parametrize("two", range(3))
def test_table(one, two): pass

@pytest.mark.parametrize("one", range(20))
def test_long_table_without_a_mark(one): pass

@in_two_tiers
def test_inside(tier): assert len(tier.of(range(9), 3)) == (9 if tier.all else 3)

def test_alone(): pass
"""
CONFTEST = """
import sys
sys.path.insert(0, {root!r})
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    from tests.tiers import mark_the_rest
    mark_the_rest(items)
"""
INI = "[pytest]\nmarkers = sweep\n  sampled\n"


@sampled(1)
@pytest.mark.parametrize(("tier", "ran"), [("not sweep", 3 + 8 + 1 + 1), ("sweep", 6 + 12 + 1), ("", 9 + 20 + 2 + 1)])
def test_both_tiers_together_run_each_cell_once(pytester: pytest.Pytester, tier: str, ran: int) -> None:
    pytester.makeini(INI)
    pytester.makeconftest(CONFTEST.format(root=str(ROOT)))
    pytester.makepyfile(TABLES.format(root=str(ROOT)))
    pytester.runpytest_inprocess("-p", "no:cacheprovider", "-m", tier).assert_outcomes(passed=ran, deselected=32 - ran)
