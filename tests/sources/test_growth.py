"""What reading a list costs grows with the list: twice as much of anything is twice the work, and not four times.

The work is counted, not timed: calls of functions, of Python and of C. What one such call does inside is not seen, so
that no list is searched for each of its own members is looked for in the text of the package.
"""

from __future__ import annotations

import ast
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hume_runner.cli.console import Console
from hume_runner.cli.main import main

PACKAGE = Path(__file__).parents[2] / "hume_runner"
HEAD = "version: 1\nname: s\nservice: {api: batch-v0, endpoint: emulator}\nmodels: {language: {}}\n"
Make = Callable[[Path, int], str]


def columns(n: int) -> list[str]:
    return [f"c{at}" for at in range(n)]


def table(folder: Path, names: list[str], rows: list[str]) -> None:
    (folder / "list.csv").write_text("\n".join([",".join(names), *rows, ""]))


def wide(folder: Path, n: int) -> str:
    table(folder, ["url", *columns(n)], [f"https://a/{k}" + ",1" * n for k in range(3)])
    return "urls: [{from: list.csv}]"


def wide_with_labels_chosen(folder: Path, n: int) -> str:
    wide(folder, n)
    return f"urls: [{{from: list.csv, labels: [{', '.join(columns(n))}]}}]"


def a_column_twice(folder: Path, n: int) -> str:
    table(folder, ["url", *columns(n), f"c{n - 1}"], [])
    return "urls: [{from: list.csv}]"


def wide_records(folder: Path, n: int) -> str:
    record = {"url": "https://a/1", **dict.fromkeys(columns(n), 1)}
    (folder / "list.jsonl").write_text(json.dumps(record) + "\n")
    return f"urls: [{{from: list.jsonl, labels: [{', '.join(columns(n))}]}}]"


def records_without_the_member(folder: Path, n: int) -> str:
    record = json.dumps({f"urt{at}": 1 for at in range(40)})
    (folder / "list.jsonl").write_text(f"{record}\n" * n)
    return "urls: [{from: list.jsonl}]"


def the_same_id(folder: Path, n: int) -> str:
    table(folder, ["url", "id"], [f"https://a/{k},x" for k in range(n)])
    return "urls: [{from: list.csv}]"


def the_same_derived_id(folder: Path, n: int) -> str:
    table(folder, ["url"], [f"https://a/{k}/x.mp4" for k in range(n)])
    return "urls: [{from: list.csv}]"


def rows_that_are_wrong(folder: Path, n: int) -> str:
    table(folder, ["url", "a"], ["https://a"] * n)
    return "urls: [{from: list.csv}]"


def files_that_are_missing(folder: Path, n: int) -> str:
    for at in range(60):
        (folder / f"take{at}.wav").touch()
    return f"files: [{', '.join(f'tale{at}.wav' for at in range(n))}]"


def many_lists(folder: Path, n: int) -> str:
    for at in range(n):
        (folder / f"l{at}.txt").write_text(f"https://a/{at}\n")
    return f"urls: [{', '.join(f'{{from: l{at}.txt}}' for at in range(n))}]"


def calls(path: Path) -> int:
    """Calls of functions while a plan is made."""
    seen = 0

    def count(frame: object, event: str, arg: object) -> None:
        nonlocal seen
        seen += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        main(["plan", str(path)], Console(out=io.StringIO(), err=io.StringIO()))
    finally:
        sys.setprofile(before)
    return seen


@pytest.mark.sweep
@pytest.mark.parametrize(
    "make",
    [
        wide,
        wide_with_labels_chosen,
        a_column_twice,
        wide_records,
        records_without_the_member,
        the_same_id,
        the_same_derived_id,
        rows_that_are_wrong,
        files_that_are_missing,
        many_lists,
    ],
)
def test_twice_as_much_is_twice_the_work(tmp_path: Path, make: Make) -> None:
    counted = []
    for n in (110, 110, 220, 440):  # what is done once in a process, imports above all, is done in the first
        path = tmp_path / "m.yaml"
        path.write_text(HEAD + f"sources:\n  {make(tmp_path, n)}\n")
        counted.append(calls(path))
    _, one, two, four = counted
    assert four - two < 2.6 * (two - one) + 2_000, counted


def searched(tree: ast.AST) -> list[int]:
    """Lines where a list is counted or searched for each of what a comprehension goes through."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
            continue
        own = {name.id for one in node.generators for name in ast.walk(one.target) if isinstance(name, ast.Name)}
        for call in ast.walk(node):
            if (
                isinstance(call, ast.Call)
                and isinstance(call.func, ast.Attribute)
                and call.func.attr in ("count", "index")
                and any(isinstance(arg, ast.Name) and arg.id in own for arg in call.args)
            ):
                found.append(call.lineno)
    return found


@pytest.mark.sweep
def test_no_list_is_searched_for_each_of_its_members() -> None:
    assert searched(ast.parse("{name for name in names if names.count(name) > 1}")) == [1]
    assert searched(ast.parse("[cell.count('x') for cell in row]")) == []
    files = [path for part in ("sources", "manifest", "planning") for path in (PACKAGE / part).rglob("*.py")]
    assert {
        path.name: lines for path in files if (lines := searched(ast.parse(path.read_text(encoding="utf-8"))))
    } == {}
