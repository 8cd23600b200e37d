"""Events and their published schema say the same."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from hume_runner import events
from hume_runner.cli.main import COMMANDS

ROOT = Path(__file__).parents[1]
SCHEMA = json.loads((ROOT / "schemas" / "events-v1.schema.json").read_text(encoding="utf-8"))
KINDS = [
    kind
    for kind in vars(events).values()
    if isinstance(kind, type) and issubclass(kind, events.Event) and kind is not events.Event
]
SAMPLES = {"str": "x", "int": 1, "float": 1.5, "float | None": 1.5, "int | None": 1, "bool": True}
STATES = {
    "items": dict.fromkeys(("total", "pending", "in_flight", "done", "failed", "ambiguous"), 1),
    "jobs": dict.fromkeys(("planned", "submitting", "submitted", "done", "failed", "ambiguous"), 1),
}


def sample(kind: type[events.Event]) -> events.Event:
    return kind(**{one.name: _value(kind, one.name, str(one.type)) for one in fields(kind)})


def _value(kind: type[events.Event], name: str, of: str) -> Any:
    words = defined(kind)["properties"].get(name, {}).get("enum")
    return words[0] if words else SAMPLES[of] if of in SAMPLES else STATES[name]


def defined(kind: type[events.Event]) -> dict[str, Any]:
    """What the schema says of it. Warnings are told by every command, not by runs alone."""
    definitions: dict[str, Any] = SCHEMA["$defs"]
    return definitions["command.warning" if kind is events.Warned else kind.name]


def printed(event: events.Event) -> dict[str, Any]:
    envelope = {"schema": 1, "event": event.name, "at": "2026-11-26T04:06:49.000Z", "manifest": "trial.yaml"}
    return {**envelope, **events.document(event)}


@pytest.mark.sweep
def test_the_schema_of_events_is_a_schema() -> None:
    assert [*Draft202012Validator(Draft202012Validator.META_SCHEMA).iter_errors(SCHEMA)] == []


def test_every_event_has_a_name_of_its_own_and_a_sentence() -> None:
    assert KINDS
    assert len({kind.name for kind in KINDS}) == len(KINDS)
    told_by_runs = {name for name in SCHEMA["$defs"] if "." not in name and name not in COMMANDS}
    assert {kind.name for kind in KINDS if kind is not events.Warned} == told_by_runs
    for kind in KINDS:
        assert defined(kind)["description"] == str(inspect.getdoc(kind)).replace("\n", " ")


FILES = sorted((ROOT / "schemas").glob("*.json"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_published_schema_is_whole_by_itself(path: Path) -> None:
    """A plain validator takes it: it has a name of its own, and refers to nothing elsewhere."""
    schema = json.loads(path.read_text(encoding="utf-8"))
    assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    assert schema["$id"] == f"urn:hume-runner:{path.name.removesuffix('.schema.json')}"
    references = set(re.findall(r'"\$ref": "([^"]*)"', path.read_text(encoding="utf-8")))
    for reference in references:
        node = schema
        assert reference.startswith("#/"), reference
        for part in reference[2:].split("/"):
            node = node[part]


def test_the_schema_of_events_holds_those_of_results_as_they_are() -> None:
    done = subprocess.run([sys.executable, ROOT / "docs" / "write_schemas.py", "--check"], check=False)
    assert done.returncode == 0, "make docs"
    told = {name.removesuffix(".result") for name in SCHEMA["$defs"] if name.endswith(".result")}
    single = {path.name.removesuffix("-v1.schema.json") for path in FILES} & set(COMMANDS)
    assert told == single - {"validate", "run"}  # a bare object, and a file


def test_the_schema_says_what_each_event_holds() -> None:
    """All of them, in one loop: a table leaves all but a sample to the sweep, and a new event would be in none."""
    for kind in KINDS:
        validator = Draft202012Validator(defined(kind))
        whole = printed(sample(kind))
        assert validator.is_valid(whole), kind.name
        for name in whole:
            lacking = {key: value for key, value in whole.items() if key != name}
            assert not validator.is_valid(lacking), (kind.name, name)
        assert not validator.is_valid({**whole, "more": 1}), kind.name
