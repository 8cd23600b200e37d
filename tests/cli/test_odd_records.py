"""What lies beside a state may have been written by anybody. Each command does with an odd one what it does with a
damaged one, and none breaks down over it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.project import Project
from tests.tiers import Tier, in_two_tiers

DEEP = b"[" * 200_000
CONTENTS = {
    "deep": DEEP,
    "deep objects": b'{"a":' * 100_000,
    "a list": b"[]",
    "a text": b'"x"',
    "null": b"null",
    "not text": b"\xff\xfe\0",
    "infinite": b'{"size": 1e999, "sha256": 1, "schema": -Infinity, "serial": NaN, "pid": 1, "since": 1e999}',
    "a time that is none": b'{"pid": 1, "host": "h", "since": 1e300, "command": "c"}',
    "other kinds": b'{"pid": [], "host": 1, "since": "x", "command": {}, "name": [], "service": "x", "settings": 3,'
    b' "versions": [1], "manifest": {}, "state": "a\\u0000b", "lineage": 5, "started_at": 4, "sources": [[]]}',
}
# What is beside a state, and what `run`, `status`, `verify`, `tables` and `report` make of anything odd there: some
# records say nothing then, and the others are what a run left and are made again.
FILES = [
    "state.sqlite3.outputs.json",
    "state.sqlite3.seal",
    "state.sqlite3.owner.json",
    "state.sqlite3.pushed.json",
    "state.sqlite3.job-000001-abc.rescued",
    "run.json",
    "results.jsonl",
    "raw/{job}/request.json",
    "raw/{job}/predictions.json",
]
COMMANDS = {
    ("run",): {0, 64},  # a record of whose the directory is may name somebody else
    ("status",): {0},
    ("verify",): {0, 3, 10},
    ("tables", "--format", "csv"): {0, 3, 66},
}
FROM_FILES = {"run.json", "results.jsonl", "raw/{job}/request.json", "raw/{job}/predictions.json"}


@pytest.fixture
def measured(project: Project) -> Project:
    project.manifest["sources"] = {"text": ["I am happy."]}
    project.manifest["models"] = {"language": {}}
    assert project.run().code == 0
    shutil.copytree(project.out, project.folder / "kept")
    return project


def with_odd(project: Project, file: str, content: bytes) -> None:
    shutil.rmtree(project.out)
    shutil.copytree(project.folder / "kept", project.out)
    (job,) = (path.name for path in (project.out / "raw").iterdir())
    (project.out / file.format(job=job)).write_bytes(content)


@pytest.mark.sweep
@in_two_tiers
def test_a_command_that_meets_an_odd_record_says_what_it_says_of_a_damaged_one(measured: Project, tier: Tier) -> None:
    cells = [(file, name, words) for file in FILES for name in CONTENTS for words in COMMANDS]
    assert cells
    for file, name, words in tier.of(cells, 20):
        with_odd(measured, file, CONTENTS[name])
        ran = measured.call(words[0], *words[1:])
        assert ran.code in COMMANDS[words], (file, name, words, ran)
        assert "Traceback" not in ran.err


@pytest.mark.sweep
@in_two_tiers
def test_tables_from_files_alone_do_so_as_well(measured: Project, tier: Tier) -> None:
    """Where there is no state, `run.json`, `results.jsonl` and `request.json` are all that tells."""
    cells = [(file, name) for file in sorted(FROM_FILES) for name in CONTENTS]
    assert cells
    for file, name in tier.of(cells, 9):
        with_odd(measured, file, CONTENTS[name])
        for path in measured.out.glob("state.sqlite3*"):
            path.unlink()
        ran = measured.plain_call(
            "tables", "--from", str(measured.out), "--out", str(measured.folder / "again"), "--format", "csv"
        )
        assert ran.code in (0, 3, 66), (file, name, ran)
        assert "Traceback" not in ran.err


def test_an_odd_plan_is_no_saved_plan(project: Project) -> None:
    assert CONTENTS
    for name, content in CONTENTS.items():
        (project.folder / "plan.json").write_bytes(content)
        ran = project.run("--plan", str(project.folder / "plan.json"))
        assert ran.code == 64, (name, ran)
        assert "this is not a saved plan" in ran.err


def members(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all members, and of the first of each list."""
    inner = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    return [path for name, one in inner for path in [(*above, name), *members(one, (*above, name))]]


def changed(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = json.loads(json.dumps(document))
    inner = changed
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return changed


@pytest.mark.sweep
@in_two_tiers
def test_a_saved_plan_with_one_odd_member_is_refused_or_as_good(measured: Project, tier: Tier) -> None:
    path = measured.folder / "plan.json"
    assert measured.call("plan", "--out", str(path)).code == 0
    plan = json.loads(path.read_bytes())
    odd = ["null", "[]", "{}", '"x"', "1e308", "-1"]
    cells = [(place, value) for place in members(plan) for value in odd]
    assert cells
    for place, value in tier.of(cells, 10):
        path.write_text(json.dumps(changed(plan, place, json.loads(value))))
        ran = measured.run("--plan", str(path))
        assert ran.code in (0, 2, 64), (place, value, ran)


DAMAGED_LISTS: dict[str, Callable[[Path], Any]] = {
    "deep": lambda path: path.write_bytes(DEEP),
    "deep inside": lambda path: path.write_bytes(b'{"text": "a", "x": ' + b"[" * 5_000 + b"]" * 5_000 + b"}\n"),
}


@pytest.mark.parametrize("make", DAMAGED_LISTS.values(), ids=DAMAGED_LISTS.keys())
def test_init_refuses_such_a_list(project: Project, make: Callable[[Path], Any]) -> None:
    path = project.folder / "list.jsonl"
    make(path)
    ran = project.plain_call("init", str(path), "--out", str(project.folder / "new.yaml"))
    assert ran.code in (65, 66), ran
    assert "list.jsonl" in ran.err


@pytest.mark.sweep
@pytest.mark.parametrize("flag", ["--faults", "--difficulties"])
@pytest.mark.parametrize("content", [DEEP, b"- 2020-13-45", b"\xff"], ids=["deep", "no date", "not text"])
def test_an_emulator_refuses_such_a_file(project: Project, flag: str, content: bytes) -> None:
    path = project.folder / "faults.json"
    path.write_bytes(content)
    ran = project.plain_call("emulate", flag, str(path))
    assert ran.code == 64, ran
    assert "faults.json" in ran.err
