"""The published schemas, for lines of `--json` and for bare objects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

SCHEMAS = Path(__file__).parents[1] / "schemas"


@cache
def _contents() -> Mapping[str, Any]:
    return {path.name: json.loads(path.read_text(encoding="utf-8")) for path in SCHEMAS.glob("*.json")}


@cache
def validator(name: str) -> Draft202012Validator:
    """That of `schemas/<name>-v1.schema.json`, which needs no other file."""
    schema = _contents()[f"{name}-v1.schema.json"]
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def check(value: Any, name: str) -> None:
    """Fails with what does not fit."""
    error = best_match(validator(name).iter_errors(value))
    assert error is None, f"{json.dumps(value)[:600]}\n{_nearest(error, value)}"


def _nearest(error: Any, value: Any) -> str:
    """Of the many events that a line is not, what is wrong with it as the one that it says to be."""
    told = value.get("event") if isinstance(value, dict) else None
    near = [one for one in error.context or () if _const(one) == told]
    return "\n".join(one.message for one in near or [error])


def _const(error: Any) -> Any:
    parent = error.parent.schema if error.parent is not None else {}
    place = error.schema_path[0] if error.schema_path else None
    alternatives = parent.get("anyOf") or parent.get("oneOf") or []
    if not isinstance(place, int) or place >= len(alternatives):
        return None
    reference = alternatives[place].get("$ref", "")
    name, _, event = reference.rpartition("/")[2].partition(".")
    return name if event in ("", "result") else event
