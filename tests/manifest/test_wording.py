from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hume_runner import validate
from hume_runner.errors import Problem
from hume_runner.manifest.document import path_text
from hume_runner.manifest.wording import nearest
from tests.tiers import sampled


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("langauge", "language"),
        ("Fps-Pred", "fps_pred"),
        ("fps", "fps_pred"),
        ("english", "en"),
        ("xyz", None),
    ],
)
def test_the_nearest_known_name_is_found(word: str, expected: str | None) -> None:
    assert nearest(word, ["language", "fps_pred", "en", "window"]) == expected


EXAMPLES = sorted((Path(__file__).parents[2] / "manifests").glob("*.yaml"))


def mappings(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where a manifest has a mapping: there somebody may write a name and nothing behind it."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in below:
        if isinstance(one, dict):
            yield (*path, name)
        yield from mappings(one, (*path, name))


def holder(document: Any, path: tuple[str | int, ...]) -> Any:
    for step in path[:-1]:
        document = document[step]
    return document


def problem_at(document: Any, path: tuple[str | int, ...]) -> Problem | None:
    """The one that is told of this member, or of what is missing below it."""
    shown = path_text(path)
    return next((one for one in validate(document, no_files=True).problems if one.path.startswith(shown)), None)


def followed(document: Any, path: tuple[str | int, ...], problem: Problem) -> Iterator[Any]:
    """The manifest as each way out that the problem names leaves it."""
    if f"write {path[-1]}: {{}}" in problem.hint:
        empty = copy.deepcopy(document)
        holder(empty, path)[path[-1]] = {}
        yield empty
    if "leave it out" in problem.hint or "remove it" in problem.hint:
        without = copy.deepcopy(document)
        del holder(without, path)[path[-1]]
        yield without


@sampled(3)
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_the_next_step_for_a_member_with_nothing_behind_it_mends_it(example: Path) -> None:
    whole = yaml.safe_load(example.read_text(encoding="utf-8"))
    hints, misled = [], []
    for path in mappings(whole):
        document = copy.deepcopy(whole)
        holder(document, path)[path[-1]] = None
        problem = problem_at(document, path)
        if problem is not None:  # else null says something there
            hints.append(problem.hint)
            misled += [problem for mended in followed(document, path, problem) if problem_at(mended, path)]
    assert misled == []
    assert hints
    assert all(hints)


@pytest.mark.parametrize("member", ["service", "sources", "models"])
def test_what_no_manifest_goes_without_is_not_said_to_be_left_out(member: str) -> None:
    document: dict[str, Any] = {
        "version": 1,
        "name": "a",
        "service": {"api": "batch-v0"},
        "sources": {"text": ["Fine."]},
        "models": {"language": {}},
        member: None,
    }
    problem = problem_at(document, (member,))
    assert problem is not None
    assert not re.search("{} to take|leave it out|remove it", problem.hint)
