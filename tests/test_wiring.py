"""What is picked is handed on: nothing is done with it where it is picked."""

from __future__ import annotations

import ast

import pytest

from tests.package import SOURCES

# What acts has a place of its own: a class, a function that is made on the way, whatever goes round or stays open.
ACTS = (
    ast.ClassDef,
    ast.Lambda,
    ast.For,
    ast.While,
    ast.With,
    ast.Yield,
    ast.YieldFrom,
    ast.AugAssign,
    ast.Global,
    ast.Delete,
)


def acting(text: str) -> list[int]:
    """The lines of what does something. A default that does nothing is none, nor an extra that is not installed."""
    tree = ast.parse(text)
    found: list[int] = []
    for function in tree.body:
        if isinstance(function, ast.ClassDef):
            found.append(function.lineno)
        if not isinstance(function, ast.FunctionDef):
            continue
        for statement in function.body:
            for node in ast.walk(statement):
                if isinstance(node, (*ACTS, ast.FunctionDef)) or is_attempt(node):
                    found.append(node.lineno)  # type: ignore[attr-defined]
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                    found.append(node.lineno)
    return found


def is_attempt(node: ast.AST) -> bool:
    return isinstance(node, ast.Try) and not all(isinstance(one, ast.ImportFrom) for one in node.body)


def test_the_wiring_only_chooses() -> None:
    assert acting(SOURCES["wiring.py"]) == []


@pytest.mark.parametrize(
    ("text", "acts"),
    [
        ("class Endpoint: ...", True),
        ("def pick():\n def tell(body): post(body)\n return tell", True),
        ("def pick():\n return lambda body: post(body)", True),
        ("def pick():\n with opened() as one: yield one", True),
        ("def pick():\n try: one = opened()\n except OSError: one = None\n return one", True),
        ("def pick(one):\n one.service = 1", True),
        ("def pick():\n try:\n  from a import B\n except ImportError: raise Missing from None\n return B()", False),
        ("def pick(told=lambda path: None):\n return One(1) if told else Other(partial(go, 2))", False),
    ],
)
def test_what_acts_is_told_from_what_chooses(text: str, acts: bool) -> None:
    assert bool(acting(text)) is acts
