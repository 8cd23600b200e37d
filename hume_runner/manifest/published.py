"""The manifest's JSON Schema as it is published, with the APIs and models that were registered besides. What does not
fit it `schema.py` finds; whoever asks what the schema says need not load a validator."""

from __future__ import annotations

import importlib.resources
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from hume_runner.manifest.capabilities import CAPABILITIES
from hume_runner.registry import Registered, all_registered, load, on_change

NAME = "manifest-v1.schema.json"


def schema_text() -> str:
    """The schema as it is published: from the wheel's copy, or from the checkout that is being edited."""
    packaged = importlib.resources.files("hume_runner") / "_schemas" / NAME
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    return (Path(__file__).parents[2] / "schemas" / NAME).read_text(encoding="utf-8")


@cache
def schema(*, offered: frozenset[str] | None = None) -> Mapping[str, Any]:
    """The parsed schema, with the APIs that were registered besides those that it names, each held to what it can; not
    to be changed.

    `offered`: with the models that other packages offer, too, and the options of those among these names. To find them,
    every installed package is asked: most manifests can do without. Raises then: UsageError for one of these that
    cannot be used.
    """
    parsed: dict[str, Any] = json.loads(schema_text())
    known = parsed["properties"]["service"]["properties"]["api"]["enum"]
    for added in all_registered():
        if added.api not in known:
            _add_api(parsed, added)
        elif offered is not None and added.more_models is not None:
            _add_models(parsed, added.api, load(added.more_models)(offered))
    own = dict(of_apis(parsed))
    for one in all_registered():
        _hold_to_what_it_can(own[one.api]["properties"], one)
    return parsed


def of_apis(parsed: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(API, what holds for its manifests besides what holds for all)."""
    for rule in parsed["allOf"]:
        if "x-editors" in rule:  # says what editors offer, nothing about what is valid
            continue
        service = rule["if"].get("properties", {}).get("service", {})
        if "properties" in service:
            yield service["properties"]["api"]["const"], rule["then"]


def _add_models(parsed: dict[str, Any], api: str, more: Mapping[str, Any]) -> None:
    """Let manifests of an API name models that the published schema does not know, since others offer them."""
    models = parsed["properties"]["models"]["properties"]
    more = {name: rule for name, rule in more.items() if name not in models}  # what is published stays what it is
    for name, rule in more.items():
        models.setdefault(name, {"type": "object", "description": rule.get("description", f"{api}: {name}.")})
    for of, then in of_apis(parsed):
        mine = then.setdefault("properties", {}).setdefault("models", {}).setdefault("properties", {})
        mine |= {name: own if of == api else _no_model(of, name) for name, own in more.items()}


def _add_api(parsed: dict[str, Any], added: Registered) -> None:
    """Let manifests name an API and its models, and nothing else with either."""
    apis = parsed["properties"]["service"]["properties"]["api"]["enum"]
    models = parsed["properties"]["models"]["properties"]
    others = [name for name in models if name not in added.models]
    for api, then in of_apis(parsed):
        mine = then.setdefault("properties", {}).setdefault("models", {}).setdefault("properties", {})
        mine |= {name: _no_model(api, name) for name in added.models if name not in models}
    parsed["allOf"].append(
        {
            "if": {
                "type": "object",
                "required": ["service"],
                "properties": {
                    "service": {
                        "type": "object",
                        "required": ["api"],
                        "properties": {"api": {"const": added.api}},
                    }
                },
            },
            "then": {"properties": {"models": {"properties": {name: _no_model(added.api, name) for name in others}}}},
        }
    )
    apis.append(added.api)
    models |= {name: dict(rule) for name, rule in added.models.items() if name not in models}


def _hold_to_what_it_can(rules: dict[str, Any], one: Registered) -> None:
    """Refuse what an API cannot do, in the published schema's words where it has some, and nothing that it can."""
    for capability in CAPABILITIES:
        *sections, name = capability.path
        members = rules
        if capability.can(one):
            for section in sections:
                members = members.get(section, {}).get("properties", {})
            members.pop(name, None)
        else:
            for section in sections:
                members = members.setdefault(section, {}).setdefault("properties", {})
            members.setdefault(name, capability.refusal(one.api))


def _no_model(api: str, name: str) -> dict[str, Any]:
    return {"not": {}, "x-instead": f"{api} has no model '{name}'", "x-next": f"remove {name}"}


on_change(schema.cache_clear)


def foreign_to(api: str, *path: str) -> tuple[str, str] | None:
    """Why an API does not have the member at `path`, and what to do instead; None for one that it has."""
    for of, then in of_apis(schema()):
        if of != api:
            continue
        found: Any = then
        for step in path:
            found = found.get("properties", {}).get(step, {})
        if "x-instead" in found:
            return found["x-instead"], found["x-next"]
    return None
