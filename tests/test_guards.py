"""Tests that could not fail: what is looked for here let faults through."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
FILES = sorted(TESTS.rglob("test_*.py"))
# A loop over these may be known to be taken: it is written out, a constant, or made of constants.
_SURE = (ast.Tuple, ast.List, ast.Set, ast.Dict, ast.Constant)
_SURE_CALLS = {"range", "enumerate", "zip", "sorted", "product", "pairwise"}


def functions_of(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node


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
    if any("given" in ast.unparse(one) for one in test.decorator_list):
        return False
    outside = [one for part in test.body if not isinstance(part, ast.For) for one in checks(part)]
    loops = [part for part in test.body if isinstance(part, ast.For)]
    return bool(loops) and not outside and not any(_surely_taken(loop.iter) for loop in loops)


def catches_anything(node: ast.AST) -> bool:
    """`pytest.raises(Exception)` is content with a spelling mistake."""
    return (
        isinstance(node, ast.Call)
        and _last_name(node.func) == "raises"
        and bool(node.args)
        and _last_name(node.args[0]) in ("Exception", "BaseException")
        and not node.keywords
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(TESTS).as_posix())
def test_no_test_looks_away(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert [test.name for test in functions_of(tree) if may_look_away(test)] == []
    assert [ast.unparse(node) for node in ast.walk(tree) if catches_anything(node)] == []


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
