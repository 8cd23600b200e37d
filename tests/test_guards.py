"""Tests that could not fail: what is looked for here let faults through."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
FILES = sorted(TESTS.rglob("test_*.py"))
# A loop over these may be known to be taken: it is written out, a constant, or made of constants.
_SURE = (ast.Tuple, ast.List, ast.Set, ast.Dict, ast.Constant)
_ANY = re.compile(r"raises\(\s*(?:Base)?Exception\b")
_SURE_CALLS = {"range", "enumerate", "zip", "sorted", "product", "pairwise"}


def functions_of(tree: ast.Module | ast.ClassDef) -> Iterator[ast.FunctionDef]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node
        elif isinstance(node, ast.ClassDef):
            yield from functions_of(node)


def checks(node: ast.AST) -> list[ast.AST]:
    """Assertions, and calls whose names say that they check."""
    return [
        one
        for one in ast.walk(node)
        if isinstance(one, ast.Assert)
        or (isinstance(one, ast.Call) and _last_name(one.func).startswith(("assert", "raises", "check", "validate")))
    ]


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _surely_taken(iterated: ast.expr) -> bool:
    if isinstance(iterated, ast.Call):
        return _last_name(iterated.func) in _SURE_CALLS and all(map(_surely_taken, iterated.args))
    return isinstance(iterated, (*_SURE, ast.BinOp)) or _last_name(iterated).isupper()


def may_look_away(test: ast.FunctionDef) -> bool:
    """Whether all that it checks stands in loops over something that may be empty."""
    loops = [part for part in test.body if isinstance(part, ast.For)]
    if not loops or any("given" in ast.unparse(one) for one in test.decorator_list):
        return False
    outside = [one for part in test.body if not isinstance(part, ast.For) for one in checks(part)]
    return not outside and not any(_surely_taken(loop.iter) for loop in loops)


def catches_anything(node: ast.AST) -> bool:
    """`pytest.raises(Exception)` is content with a spelling mistake."""
    return (
        isinstance(node, ast.Call)
        and _last_name(node.func) == "raises"
        and bool(node.args)
        and _last_name(node.args[0]) in ("Exception", "BaseException")
        and not node.keywords
    )


def problems_of(text: str) -> list[str]:
    """Tests that may look away, and calls that catch anything."""
    tree = ast.parse(text)
    # Most files are content with one search.
    calls = ast.walk(tree) if _ANY.search(text) else ()
    return [test.name for test in functions_of(tree) if may_look_away(test)] + [
        ast.unparse(node) for node in calls if catches_anything(node)
    ]


@pytest.mark.sweep
def test_no_test_looks_away() -> None:
    assert len(FILES) > 300
    found = {path.relative_to(TESTS).as_posix(): problems_of(path.read_text(encoding="utf-8")) for path in FILES}
    assert {path: problems for path, problems in found.items() if problems} == {}


@pytest.mark.parametrize(
    ("call", "caught"),
    [
        ("pytest.raises(Exception)", True),
        ("raises(\n        BaseException)", True),
        ("pytest.raises(Exception, match='odd')", False),
        ("pytest.raises(ValueError)", False),
    ],
)
def test_the_guard_tells_what_catches_anything(call: str, caught: bool) -> None:
    text = f"class TestIt:\n  def test_it():\n    with {call}:\n        odd()\n"
    assert bool(problems_of(text)) is caught


@pytest.mark.parametrize(
    ("body", "looks_away"),
    [
        ("for row in rows():\n        assert row", True),
        ("for row in rows():\n        assert row\n    assert rows()", False),
        ("for row in (1, 2):\n        assert row", False),
        ("for number, row in enumerate(rows()):\n        assert row", True),
        ("for row in ROWS:\n        assert row", False),
    ],
)
def test_the_guard_tells_them_apart(body: str, looks_away: bool) -> None:
    [test] = functions_of(ast.parse(f"def test_it():\n    {body}\n"))
    assert may_look_away(test) is looks_away
