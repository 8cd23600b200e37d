from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from hume_runner.manifest.published import schema, schema_text

PROJECT = Path(__file__).parents[2]
PUBLISHED = PROJECT / "schemas" / "manifest-v1.schema.json"


def resolved(member: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in member:
        target = schema()["$defs"][member["$ref"].rpartition("/")[2]]
        return {**target, **{key: value for key, value in member.items() if key != "$ref"}}
    return member


def members(rule: Any, prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every member under `rule` with its path, the entries of source lists left out."""
    for name, member in rule.get("properties", {}).items():
        path = f"{prefix}.{name}" if prefix else name
        yield path, resolved(member)
        yield from members(resolved(member), path)


def of_models(api: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every option of the models whose options differ from API to API, as this one has them."""
    every = schema()["allOf"]
    service = {"service": {"api": api}}
    rules = [rule for rule in every if "x-editors" not in rule]
    held = [rule["then"] for rule in rules if Draft202012Validator(rule["if"]).is_valid(service)]
    models = [then["properties"]["models"]["properties"] for then in held]
    for name, member in (pair for found in models for pair in found.items()):
        if "$ref" in member:
            yield from members(resolved(member), f"models.{name}")


def rules(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for name, value in node.items():
            if name not in ("if", "then", "else", "default", "enum", "const", "allOf"):
                yield from rules(value)
    elif isinstance(node, list):
        for value in node:
            yield from rules(value)


def test_the_schema_is_valid_by_its_metaschema() -> None:
    Draft202012Validator.check_schema(schema())
    assert schema()["$schema"].endswith("2020-12/schema")


def test_the_loader_uses_the_published_schema() -> None:
    assert schema_text() == PUBLISHED.read_text(encoding="utf-8")


def test_every_member_has_a_description() -> None:
    described = [member for rule in rules(schema()) for member in rule.get("properties", {}).values()]
    assert len(described) > 60
    assert [member for member in described if not member.get("description")] == []


def test_every_member_has_a_title_of_its_own_and_more_for_editors() -> None:
    described = [pair for rule in rules(schema()) for pair in rule.get("properties", {}).items()]
    assert [name for name, member in described if not member.get("title")] == []
    # What editors cannot guess from the type: a default, an example, or one of a few.
    for name, member in described:
        known = resolved(member)
        plain = {"boolean", "object"}.isdisjoint(
            {known["type"]} if isinstance(known.get("type"), str) else set(known.get("type", ["object"]))
        )
        if plain and name not in ("sha256",):
            assert {"default", "examples", "enum", "const"} & set(known), name


def test_examples_fit_their_own_rules() -> None:
    examples = 0
    for rule in rules(schema()):
        for name, member in rule.get("properties", {}).items():
            for example in member.get("examples", []):
                whole = {"$defs": schema()["$defs"], **member}
                assert list(Draft202012Validator(whole).iter_errors(example)) == [], (name, example)
                examples += 1
    assert examples > 40


def test_no_mapping_takes_unknown_members() -> None:
    mappings = [rule for rule in rules(schema()) if "properties" in rule]
    assert len(mappings) > 20
    assert [rule for rule in mappings if rule.get("additionalProperties") is not False] == []


def test_defaults_fit_their_own_rules() -> None:
    defaults = 0
    for path, member in members(schema()):
        if "default" in member:
            rule = {"$defs": schema()["$defs"], **member}
            assert list(Draft202012Validator(rule).iter_errors(member["default"])) == [], path
            defaults += 1
    assert defaults > 25


def test_the_manual_documents_every_member_and_no_other() -> None:
    manual = (PROJECT / "docs" / "manifest.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([^`]+)` \|(.*)$", manual, re.MULTILINE)
    entries = {"urls": "urlItem", "files": "fileItem", "text": "textItem", "*": "listing"}
    expected = dict(members(schema())) | dict(of_models("batch-v0"))
    expected |= {f"local: {path}": member for path, member in of_models("local")}
    expected |= dict(members(schema()["$defs"]["event"], "events[]"))
    for kind, definition in entries.items():
        expected |= dict(members(schema()["$defs"][definition], f"sources.{kind}[]"))
    assert {path for path, _ in rows} == set(expected)
    for path, rest in rows:
        assert expected[path]["description"] in rest.replace("\\|", "|"), path


def test_the_tables_of_the_manual_are_written_from_the_schema() -> None:
    script = PROJECT / "docs" / "write_manifest.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
