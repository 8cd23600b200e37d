"""What commands tell and the published schema say the same."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from hume_runner.cli import lines
from hume_runner.cli.lines import ABSENT, Done, Launch, Line, named
from hume_runner.cli.main import COMMANDS
from hume_runner.events import Warned

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "events-v1.schema.json").read_text(encoding="utf-8"))
FIRST = {"schema", "event", "at", "manifest", "traceparent"}
# What is too long to be held is written behind the fields of these.
STREAMED = {("state", "export"): {"tables"}, ("plan", None): {"jobs", "items"}}


def declared() -> Iterator[tuple[str, type[Line]]]:
    """Every class of a line, with the command that tells it."""
    for command in COMMANDS:
        module = importlib.import_module(f"hume_runner.cli.{command}")
        yield from (
            (command, kind) for kind in vars(module).values() if is_line(kind) and kind.__module__ != lines.__name__
        )
    yield from (("command", kind) for kind in vars(lines).values() if is_line(kind))


def is_line(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Line) and bool(kind.event)


def published(command: str, kind: type[Line]) -> tuple[str, Mapping[str, Any]]:
    """The name and the entry in the schema that a line of this class is held against."""
    definitions = SCHEMA["$defs"]
    name = next(one for one in (f"{command}.{kind.event}", f"{kind.event}.result", kind.event) if one in definitions)
    entry: Mapping[str, Any] = definitions[name]
    entry = entry.get("$defs", {}).get("event", entry)
    for one in entry.get("oneOf", ()):
        if one["properties"]["action"]["const"] == action_of(kind):
            return name, one
    return name, entry


def action_of(kind: type[Line]) -> str | None:
    """Which of several lines of one name it is."""
    found = next((one.default for one in fields(kind) if one.name == "action"), None)
    return found if isinstance(found, str) else None


def test_the_schema_says_what_each_line_of_a_command_holds() -> None:
    told = set()
    for command, kind in declared():
        name, entry = published(command, kind)
        told.add(name)
        rest = STREAMED.get((kind.event, action_of(kind)), set())
        members = {one.name: one.default for one in fields(kind)}
        assert {*members, *rest} - FIRST == set(entry["properties"]) - FIRST, kind
        left_out = {member for member, default in members.items() if default is ABSENT}
        assert set(entry["required"]) - FIRST - rest <= set(members) - left_out, kind
        assert inspect.getdoc(kind) == entry["description"] or name.endswith(".result"), kind
    by_commands = {name for name in SCHEMA["$defs"] if "." in name or name in COMMANDS}
    assert told | {f"command.{Warned.name}"} == by_commands


def test_each_entry_of_the_schema_is_one_of_its_alternatives() -> None:
    assert {one["$ref"] for one in SCHEMA["anyOf"]} == {f"#/$defs/{name}" for name in SCHEMA["$defs"]}


def test_a_member_that_a_line_goes_without_is_not_told_and_none_is_null() -> None:
    launch = Launch(command="plan", version="1", manifests=["a.yaml"])
    assert named(launch) == ("launch", {"command": "plan", "version": "1", "manifests": ["a.yaml"]})
    done = Done(manifest=None, exit_code=0, counts={}, path=None)
    assert named(done) == ("done", {"manifest": None, "exit_code": 0, "counts": {}, "path": None})


def test_an_event_is_told_by_its_name_and_document() -> None:
    assert named(Warned(message="odd")) == ("warning", {"message": "odd"})
