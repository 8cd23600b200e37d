"""A parsed manifest whose every key and value knows its line and column."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from hume_runner.errors import Problem
from hume_runner.manifest.model import Place

Path = tuple[str | int, ...]
MOST_PROBLEMS = 100
_REST = re.compile(r"and ([0-9,]+) more problems")
_INDEX = re.compile(r"\[([0-9]+)\]")


@dataclass(slots=True)
class Node:
    """A value and where it starts; line and column count from 1, and are 0 in a manifest that is no text.

    `value` is a dict of Nodes, a list of Nodes, or a plain scalar. `keys` tells where each key of a mapping stands.
    """

    value: Any
    line: int
    column: int
    keys: dict[str, tuple[int, int]] = field(default_factory=dict)

    def plain(self) -> Any:
        """The value without places."""
        match self.value:
            case dict() as members:
                return {key: member.plain() for key, member in members.items()}
            case list() as elements:
                return [element.plain() for element in elements]
            case scalar:
                return scalar


@dataclass(slots=True)
class Document:
    """The whole manifest. `root` is None where the text is not YAML at all; then `problems` says why."""

    file: str
    root: Node | None
    problems: list[Problem]

    @property
    def is_text(self) -> bool:
        """Whether it was written as YAML, so that indentation and quotes mean something."""
        return self.root is not None and self.root.line > 0

    def node(self, path: Path) -> Node | None:
        """The node at `path`, or None."""
        node = self.root
        for step in path:
            members = node.value if node else None
            if isinstance(members, dict) and isinstance(step, str):
                node = members.get(step)
            elif isinstance(members, list) and isinstance(step, int) and step < len(members):
                node = members[step]
            else:
                return None
        return node

    def get(self, *path: str | int) -> Any:
        """The plain value at `path`; None where there is none."""
        node = self.node(path)
        return node.plain() if node else None

    def spot(self, path: Path, *, key: bool = False) -> tuple[int, int]:
        """Line and column of the value at `path`, or of its key; of the nearest member above it if it is absent. Both
        are 0 in a manifest that is no text."""
        while True:
            above = self.node(path[:-1]) if path else None
            if key and above and path[-1] in above.keys:
                return above.keys[str(path[-1])]
            node = self.node(path)
            if node:
                return node.line, node.column
            if not path:
                return 1, 1
            path = path[:-1]

    def place(self, path: Path) -> Place:
        line, column = self.spot(path)
        return Place(file=self.file, line=line, column=column, path=path_text(path))

    def problem(self, path: Path, message: str, hint: str = "", *, key: bool = False) -> Problem:
        """A problem with the member at `path`, placed at its value, or at its key."""
        line, column = self.spot(path, key=key)
        return Place(self.file, line, column, path_text(path)).problem(message, hint)


def path_text(path: Iterable[str | int]) -> str:
    """`("sources", "urls", 2, "id")` as `sources.urls[2].id`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text


def ordered(problems: Iterable[Problem]) -> list[Problem]:
    """Problems by file and line, or by member where there are no lines, each once, at most a hundred and a last one
    that counts the rest, and what others counted so before."""
    counted = {problem: _rest_in(problem) for problem in problems}
    unique = [problem for problem, stands_for in counted.items() if not stands_for]
    files = {file: place for place, file in enumerate(dict.fromkeys(problem.file for problem in unique))}
    unique.sort(key=lambda one: (files[one.file], one.line or 0, one.column or 0, _by_number(one.path)))
    rest = sum(counted.values()) + max(len(unique) - MOST_PROBLEMS, 0)
    return [*unique[:MOST_PROBLEMS], more_problems(next(iter(counted)).file, rest)] if rest else unique


def more_problems(file: str, rest: int) -> Problem:
    """What stands for so many that are not told one by one."""
    return Problem(file=file, line=None, column=None, path="", message=f"and {rest:,} more problems")


def _rest_in(problem: Problem) -> int:
    """How many a problem stands for that `more_problems` made; 0 for any other."""
    found = _REST.fullmatch(problem.message) if not problem.path else None
    return int(found[1].replace(",", "")) if found else 0


def _by_number(path: str) -> list[str | int]:
    """A path as what to sort it by: the second entry of a list before its tenth."""
    # Words and indexes take turns, so that any two compare.
    return [int(part) if at % 2 else part for at, part in enumerate(_INDEX.split(path))]
