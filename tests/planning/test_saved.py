"""A saved plan is refused as soon as anything that it was made from is otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hume_runner.errors import UsageError
from hume_runner.planning.saved import SavedPlan, refuse_stale
from hume_runner.planning.selection import Selection, Shard

NOW = SavedPlan(
    endpoint="https://api.example.org", retry_failed=False, manifest_sha256="m", lineage="l", serial=7, scan="s"
)


def test_what_still_holds_is_run_wherever_the_plan_lies() -> None:
    for saved in (NOW, replace(NOW, path="week 3.json")):
        refuse_stale(saved, NOW)
        with pytest.raises(UsageError, match="the sources changed"):
            refuse_stale(saved, replace(NOW, scan="t"))


def test_a_plan_that_was_made_without_a_state_names_no_history() -> None:
    refuse_stale(replace(NOW, lineage=""), NOW)
    with pytest.raises(UsageError, match="another history"):
        refuse_stale(replace(NOW, lineage="k"), NOW)


@pytest.mark.parametrize(
    ("saved", "why"),
    [
        ({"manifest_sha256": "n"}, "the manifest changed"),
        ({"lineage": "k"}, "the state belongs to another history"),
        ({"serial": 6}, "another run happened since"),
        ({"scan": "t"}, "the sources changed"),
        ({"endpoint": "https://else.example.org"}, "it was made for https://else.example.org"),
        ({"retry_failed": True}, "it was made with --retry-failed"),
        # What stands first in this list is told alone.
        ({"serial": 6, "scan": "t", "retry_failed": True}, "another run happened since"),
    ],
)
def test_what_is_otherwise_is_told_and_how_to_make_a_new_plan(saved: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError) as refused:
        refuse_stale(replace(NOW, path="week 3.json", **saved), NOW)
    assert str(refused.value) == f"the saved plan is stale: {why}"
    assert refused.value.hint == "make a new one with `hume-runner plan MANIFEST --out 'week 3.json'`"


def test_a_plan_without_a_flag_that_it_should_have_says_which_kind_of_plan_it_is() -> None:
    with pytest.raises(UsageError, match="made without --retry-failed"):
        refuse_stale(NOW, replace(NOW, retry_failed=True))


@pytest.mark.parametrize(
    ("saved", "flags"), [(Selection(), "everything"), (Selection(shard=Shard(1, 2)), "--shard 1/2")]
)
def test_a_plan_of_another_selection_is_refused_before_all_else(saved: Selection, flags: str) -> None:
    with pytest.raises(UsageError, match=f"about another selection: {flags}$"):
        refuse_stale(replace(NOW, selection=saved, serial=6), replace(NOW, selection=Selection(limit=3)))
