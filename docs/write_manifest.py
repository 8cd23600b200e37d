"""Writes the tables of docs/manifest.md from the manifest's schema (`make docs`); `--check` compares instead.

The prose stands in the page itself. A table follows a line `<!-- members: … -->`, which says of what it tells: members
with all that is below them, `sources.files[]` for an entry of a list, `local models` for what that API has there.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[1]
SCHEMA: Mapping[str, Any] = json.loads((PROJECT / "schemas" / "manifest-v1.schema.json").read_text(encoding="utf-8"))
TARGET = PROJECT / "docs" / "manifest.md"
TABLE = re.compile(r"(<!-- members: (.+) -->\n\n)(?:\|.*\n)*")
HEAD = "| member | takes | default | meaning |\n| --- | --- | --- | --- |\n"
ENTRIES = {"urls[]": "urlItem", "files[]": "fileItem", "text[]": "textItem", "*[]": "listing"}
_DURATION, _SIZE = "(ms|s|m|h|d)$", "(B|kB|KB|MB|GB|KiB|MiB|GiB)$"
_MOST_CHOICES = 10

Member = Mapping[str, Any]


def written(page: str) -> str:
    """The page with its tables made anew. Raises: KeyError for a member that the schema does not have."""
    return TABLE.sub(lambda found: found[1] + HEAD + "".join(_rows(found[2])), page)


def _rows(what: str) -> Iterator[str]:
    for path, member, required in _members(what):
        meaning = member["description"].replace("|", "\\|")
        needed = " **Required.**" if required else ""
        default = f"`{_plain(member['default'])}`" if "default" in member else ""
        yield f"| `{path}` | {_takes(member)} | {default} | {meaning}{needed} |\n"


def _members(what: str) -> Iterator[tuple[str, Member, bool]]:
    """(path, rule, whether it has to be there) of what a table tells of."""
    api, _, _ = what.rpartition(" models")
    if api:
        options = _of_api(api)
        for name, member in options.items():
            for path, inner, required in _below(member, f"models.{name}"):
                yield f"{api}: {path}", inner, required
        return
    for name in what.split():
        head, _, entry = name.partition(".")
        if entry in ENTRIES:
            yield from _below(SCHEMA["$defs"][ENTRIES[entry]], name)
        elif name.endswith("[]"):
            yield from _below(SCHEMA["$defs"]["event"], name)
        else:
            member = _resolved(SCHEMA["properties"][head])
            yield head, member, head in SCHEMA["required"]
            yield from _below(member, head)


def _below(rule: Member, prefix: str) -> Iterator[tuple[str, Member, bool]]:
    for name, found in rule.get("properties", {}).items():
        member, path = _resolved(found), f"{prefix}.{name}"
        yield path, member, name in rule.get("required", ())
        options = _of_api("batch-v0") if prefix == "models" else {}
        yield from _below(options.get(name, member), path)


def _of_api(api: str) -> Mapping[str, Member]:
    """Model -> its options, of those whose options are another API's own."""
    for rule in SCHEMA["allOf"]:
        asked = rule.get("if", {})
        named = asked.get("properties", {}) or asked.get("not", {}).get("properties", {})
        known = named.get("service", {}).get("properties", {}).get("api", {})
        holds = (known.get("const") == api) if "not" not in asked else api not in known.get("enum", ())
        models = rule.get("then", {}).get("properties", {}).get("models", {}).get("properties", {})
        found = {name: _resolved(member) for name, member in models.items() if "$ref" in member}
        if "x-editors" not in rule and holds and found:
            return found
    raise KeyError(api)


def _resolved(member: Member) -> Member:
    if "$ref" not in member:
        return member
    target = SCHEMA["$defs"][member["$ref"].rpartition("/")[2]]
    return {**target, **{name: part for name, part in member.items() if name != "$ref"}}


# -- words ------------------------------------------------------------------------------------------------------------


def _takes(member: Member) -> str:
    """What may stand there, in words."""
    if "not" in member:
        return ""
    if "const" in member:
        return f"`{_plain(member['const'])}`"
    kinds = member.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else list(kinds)
    if "enum" in member:
        choices = [f"`{one}`" for one in member["enum"] if one is not None]
        words = " or ".join(choices) if len(choices) <= _MOST_CHOICES else "one of the tags below"
        return f"{words}, or `null`" if None in member["enum"] else words
    if member.get("properties") is None and member.get("additionalProperties") is False:
        return "`{}`"
    pattern = member.get("pattern", "")
    if pattern.endswith(_SIZE):
        return "size"
    if pattern.endswith(_DURATION):
        return _duration(member, kinds)
    if "x-says" in member and "string" in kinds and len(kinds) > 1:
        return str(member["x-says"])
    words = {"object": "mapping", "array": "list", "string": "text", "boolean": "`true` or `false`", "null": "`null`"}
    told = [_number(member, kind) if kind in ("integer", "number") else words[kind] for kind in kinds]
    return (", or " if "," in told[0] else " or ").join(told)


def _number(member: Member, kind: str) -> str:
    low, above, high = (member.get(name) for name in ("minimum", "exclusiveMinimum", "maximum"))
    words = "whole number" if kind == "integer" else "number"
    if low is not None and high is not None:
        return f"{words}, {_figure(low)} to {_figure(high)}"
    if above is not None:
        return f"{words}, above {above}" + (f", at most {_figure(high)}" if high is not None else "")
    return words if low is None else f"{words}, at least {low}"


def _figure(number: float) -> str:
    return f"{number:,}" if abs(number) >= 1000 else str(number)


def _duration(member: Member, kinds: list[str]) -> str:
    low, high = member.get("x-minimum-seconds"), member.get("x-maximum-seconds")
    words = "duration" if low is None else f"duration, {low:g} s to {high} s"
    others = [kind for kind in kinds if kind != "string"]
    if not others:
        return words
    return f"{words}, or `0`" if member.get("maximum") == 0 else f"number or {words}"


def _plain(value: Any) -> str:
    """A value as a manifest writes it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_plain(inner)}" for name, inner in value.items()) + "}"
    return value if isinstance(value, str) else json.dumps(value)


if __name__ == "__main__":
    before = TARGET.read_text(encoding="utf-8")
    after = written(before)
    if sys.argv[1:] != ["--check"]:
        TARGET.write_text(after, encoding="utf-8")
    elif before != after:
        sys.exit(f"{TARGET.name} has drifted: run `make docs`")
