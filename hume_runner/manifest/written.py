"""Values as YAML text that YAML 1.1 and 1.2 read the same, and so does the strict reader of manifests."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

# JSON writes these as they are; YAML forbids them, or takes them for the end of a line.
_UNUSUAL = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_PLAIN_KEY = re.compile(r"[a-z]+(?:_[a-z0-9]+)*")
_EXPONENT = re.compile(r"(?<![.\d])(-?\d+)(?=e)")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def yaml_value(value: Any) -> str:
    """A JSON value on one line: text in double quotes, mappings and lists in flow style."""
    match value:
        case Mapping():
            return "{" + ", ".join(f"{yaml_key(name)}: {yaml_value(member)}" for name, member in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(yaml_value, value)) + "]"
        case str():
            # Double quotes and escapes mean in YAML what they mean in JSON.
            text = json.dumps(value, ensure_ascii=False)
            return _UNUSUAL.sub(lambda found: f"\\u{ord(found.group()):04x}", text)
        case float():
            # 1e-07 is a number in YAML 1.2 and text in 1.1; with a point it is a number in both.
            return _EXPONENT.sub(r"\1.0", json.dumps(value, allow_nan=False))
        case _:
            return json.dumps(value)


def yaml_key(name: str) -> str:
    """A key, in quotes unless it is a plain word."""
    return name if _PLAIN_KEY.fullmatch(name) and name not in _WORDS else yaml_value(name)
