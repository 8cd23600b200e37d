"""Next steps in the words of a script: no manifest is there to change."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import hume_runner
from hume_runner.hume.exceptions import hint_for_scripts

PACKAGE = Path(hume_runner.__file__).parent
WITHIN_REACH = [*sorted((PACKAGE / "http").glob("*.py")), PACKAGE / "services/batch_v0/client.py"]
# Members of a manifest, its flags and commands.
OURS = re.compile(
    r"\b(service|outputs|execution|sources|models|batching)\.\w+|--\w|MANIFEST|manifest|HUME_RUNNER|command"
)


def literals(path: Path) -> Iterator[str]:
    """Whatever stands as a text in a file, save docstrings, and reads like a next step."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.keyword) and node.arg == "hint":
            yield from (one.value for one in ast.walk(node.value) if isinstance(one, ast.Constant) and one.value)
        if isinstance(node, ast.Dict):
            yield from (
                one.value for one in node.values if isinstance(one, ast.Constant) and isinstance(one.value, str)
            )
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant | ast.JoinedStr):
            yield from (
                one.value
                for one in ast.walk(node.value)
                if isinstance(one, ast.Constant) and isinstance(one.value, str)
            )


@pytest.mark.parametrize("path", WITHIN_REACH, ids=lambda path: path.name)
def test_no_next_step_speaks_of_a_manifest(path: Path) -> None:
    told = [hint_for_scripts(one) for one in literals(path)]
    # That one is told in other words as a whole (see test_legacy).
    kept = [one for one in told if "hume-runner migrate" not in one]
    assert [one for one in kept if OURS.search(one)] == []


def test_there_are_next_steps_to_translate() -> None:
    assert any("service.endpoint" in one for path in WITHIN_REACH for one in literals(path))
