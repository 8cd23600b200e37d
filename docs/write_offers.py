"""Writes into the manifest's schema what editors offer (`make docs`): a member only where the API has it. `--check`
compares instead.

What an API does not have stands in the schema's own rules, with `x-instead`. A language server takes no notice of that:
it offers whatever `properties` name, unless `doNotSuggest` stands beside it, and that can depend on nothing. So what
depends on the API is offered by a rule of that API alone, marked `x-editors`, which says nothing about what is valid.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[1] / "schemas" / "manifest-v1.schema.json"
APIS = ("batch-v0", "expression-v1", "local")
# What a section begins with, where an example says more than its first member would.
WHOLE = {
    "service": {"api": "local"},
    "sources": {"files": ["media/**/*.wav"]},
}
AS_IT_IS = "{}"  # an empty mapping is no snippet to the server; as text it is one
STARTS = {
    "texts, measured here": ("local", {"text": ["I could not be happier."]}, {"language": AS_IT_IS}),
    "recordings, measured here": ("local", {"files": ["media/**/*.wav"]}, {"speech": AS_IT_IS, "acoustics": AS_IT_IS}),
    "recordings, by a batch service": ("batch-v0", {"files": ["media/**/*.wav"]}, {"prosody": AS_IT_IS}),
    "recordings, by Hume": ("expression-v1", {"files": ["media/**/*.wav"]}, {"audio": AS_IT_IS}),
}

Rule = dict[str, Any]


def written(text: str) -> str:
    """The schema with its offers made anew."""
    schema: Rule = json.loads(text)
    schema["allOf"] = [rule for rule in schema["allOf"] if "x-editors" not in rule]
    _explain(schema)
    foreign = dict(_foreign(schema))
    _hush(schema, set(foreign))
    schema["defaultSnippets"] = [_start(label, *parts) for label, parts in STARTS.items()]
    sections = [(name,) for name in schema["properties"] if (name,) not in foreign]
    schema["allOf"].append({"x-editors": "every API", **_offers(schema, sections)})
    for api in APIS:
        has = [path for path, apis in foreign.items() if api not in apis]
        schema["allOf"].append({"x-editors": api, "if": _named([api]), "then": _offers(schema, has)})
    everything = _offers(schema, list(foreign))
    schema["allOf"].append({"x-editors": "no API yet", "if": {"not": _named(list(APIS))}, "then": everything})
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _explain(node: Any) -> None:
    """What the runner says of a wrong value is what editors say."""
    if isinstance(node, list):
        for one in node:
            _explain(one)
    elif isinstance(node, dict):
        next_step = f"; {node['x-next']}" if "x-next" in node else ""
        if isinstance(node.get("x-instead"), str):
            node["errorMessage"] = node["x-instead"] + next_step
        if "pattern" in node and isinstance(node.get("x-says"), str):
            node["patternErrorMessage"] = f"must be {node['x-says']}{next_step}"
        for one in node.values():
            _explain(one)


def _foreign(schema: Rule) -> Iterator[tuple[tuple[str, ...], set[str]]]:
    """(path of a member, APIs that do not have it), in the order of the schema."""
    found: dict[tuple[str, ...], set[str]] = {}
    for rule in schema["allOf"]:
        service = rule["if"].get("properties", {}).get("service", {}).get("properties")
        if service:
            for path, member in _members(rule["then"]):
                if "x-instead" in member:
                    found.setdefault(path, set()).add(service["api"]["const"])
    for path, _ in _members(schema):
        if path in found:
            yield path, found[path]


def _members(rule: Rule) -> Iterator[tuple[tuple[str, ...], Rule]]:
    """Sections and their members, with their paths."""
    for name, section in rule.get("properties", {}).items():
        yield (name,), section
        for inner, member in section.get("properties", {}).items():
            yield (name, inner), member


def _hush(schema: Rule, foreign: set[tuple[str, ...]]) -> None:
    """Nothing is offered by the rules themselves that an API may not have, and no section twice."""
    for path, member in _members(schema):
        if len(path) == 1 or path in foreign:
            member["doNotSuggest"] = True
        else:
            member.pop("doNotSuggest", None)
    for rule in schema["allOf"]:
        asked = rule["if"].get("not", rule["if"])
        for _, member in (*_members(rule["then"]), *_members({"properties": asked["properties"]})):
            member["doNotSuggest"] = True


def _offers(schema: Rule, paths: list[tuple[str, ...]]) -> Rule:
    """`properties` that offer these members, and hold nothing that a manifest could offend against."""
    every = dict(_members(schema))
    properties: Rule = {}
    for path in paths:
        if len(path) == 1:
            properties.setdefault(path[0], {}).update(_offer(path, every[path]))
        else:
            section = properties.setdefault(path[0], {"doNotSuggest": True})
            section.setdefault("properties", {})[path[1]] = _offer(path, every[path])
    return {"properties": properties}


def _offer(path: tuple[str, ...], member: Mapping[str, Any]) -> Rule:
    offer: Rule = {name: member[name] for name in ("title", "description") if name in member}
    examples = member.get("examples", [])
    if len(path) == 1 and path[0] in WHOLE:
        examples = [WHOLE[path[0]]]
    kinds = member.get("type", "object")
    if path == ("models",):
        return {**offer, "type": "object"}
    if "object" in kinds or "array" in kinds:
        start = {"label": f"{path[-1]}, for example", "body": examples[0]} if examples else None
        return {**offer, "defaultSnippets": [start or {"label": f"{path[-1]} as it is", "body": AS_IT_IS}]}
    # No `const`: an offer must not be a rule.
    fixed = {"default": member["const"]} if "const" in member else {}
    return {**offer, **fixed, **{name: member[name] for name in ("default", "examples") if name in member}}


def _start(label: str, api: str, sources: Rule, models: Rule) -> Rule:
    body = {"version": 1, "name": "${1:interviews-2026}", "service": {"api": api}, "sources": sources, "models": models}
    return {"label": label, "description": f"A manifest to start from: {label}.", "body": body}


def _named(apis: list[str]) -> Rule:
    """Holds for manifests that name one of these."""
    service = {"type": "object", "required": ["api"], "properties": {"api": {"enum": apis}}, "doNotSuggest": True}
    return {"type": "object", "required": ["service"], "properties": {"service": service}}


if __name__ == "__main__":
    before = TARGET.read_text(encoding="utf-8")
    after = written(before)
    if sys.argv[1:] != ["--check"]:
        TARGET.write_text(after, encoding="utf-8")
    elif before != after:
        sys.exit(f"{TARGET.name} has drifted: run `make docs`")
