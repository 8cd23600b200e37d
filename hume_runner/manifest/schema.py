"""Finds the manifest's JSON Schema, and says in words what does not fit it.

The wording is ours, never the validator's: an unknown key names the nearest known one, a wrong value names what would
do. Three annotations of the schema help: `x-says` describes a pattern, `x-instead` replaces the message where a member
does not exist for the chosen API, `x-next` is the next step.
"""

from __future__ import annotations

import difflib
import importlib.resources
import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path as FilePath
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from hume_runner.errors import Problem
from hume_runner.manifest.document import Document, Path
from hume_runner.manifest.shown import quoted, shown

IS_MISSING = "is missing"
NAME = "manifest-v1.schema.json"
KINDS = {"urls": "url", "files": "path", "text": "text"}
_DEFINITIONS = {"urls": "urlSource", "files": "fileSource", "text": "textSource"}
_TYPES = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}


def schema_text() -> str:
    """The schema as it is published: from the wheel's copy, or from the checkout that is being edited."""
    packaged = importlib.resources.files("hume_runner") / "_schemas" / NAME
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    return (FilePath(__file__).parents[2] / "schemas" / NAME).read_text(encoding="utf-8")


@cache
def schema() -> Mapping[str, Any]:
    """The parsed schema; not to be changed."""
    parsed: dict[str, Any] = json.loads(schema_text())
    return parsed


@cache
def _validator(definition: str = "") -> Draft202012Validator:
    whole = schema()
    if not definition:
        return Draft202012Validator(whole)
    return Draft202012Validator({"$ref": f"#/$defs/{definition}", "$defs": whole["$defs"]})


def schema_problems(document: Document) -> list[Problem]:
    """Everything in `document` that does not fit the schema."""
    root = document.root
    if root is None:
        return []
    value = root.plain()
    found: dict[str, Problem] = {}
    entries: list[tuple[Path, Any]] = []
    if isinstance(value, dict) and isinstance(value.get("sources"), dict):
        value["sources"] = dict(value["sources"])
        for member in KINDS:
            listed = value["sources"].get(member)
            # A plain line, as most are, needs no validator; each of the others is checked alone. The list left for
            # the whole keeps one line of good form, which is enough for "expression-v1 measures no text".
            if isinstance(listed, list):
                value["sources"][member] = ["x"] if listed else []
                where: Path = ("sources", member)
                entries += [((*where, i), e) for i, e in enumerate(listed) if not (isinstance(e, str) and e)]
    for error in _validator().iter_errors(value):
        _add(found, _problems(document, tuple(error.absolute_path), error))
    for path, entry in entries:
        for error in _validator(_DEFINITIONS[str(path[1])]).iter_errors(entry):
            _add(found, _problems(document, (*path, *error.absolute_path), error))
    return list(found.values())


def _add(found: dict[str, Problem], problems: Iterator[Problem]) -> None:
    """One problem a member is enough. The rules for one API come last and say more than "wrong type"."""
    found.update((problem.path, problem) for problem in problems)


def _problems(document: Document, path: Path, error: ValidationError) -> Iterator[Problem]:
    rule = error.schema if isinstance(error.schema, Mapping) else {}
    if error.validator == "additionalProperties":
        yield from _unknown(document, path, error, rule)
        return
    if error.validator == "required":
        yield from _missing(document, path, error, rule)
        return
    if path in (("service", "api_key"), ("notify", "callback_secret")) and isinstance(error.instance, str):
        message = "a secret must not stand in a manifest, which is kept and shared"
        fix = f"write {path[-1]}: {{env: HUME_API_KEY}}" if path[-1] == "api_key" else "write {env: NAME}"
        yield document.problem(
            path, message, f"{fix} or {{file: path}}, and replace the secret, which is no longer one"
        )
        return
    message, hint = _worded(path, error, rule)
    # A member that the API does not have is wrong as a whole: point at its name.
    yield document.problem(path, message, hint, key="x-instead" in rule and "const" not in rule)


def _worded(path: Path, error: ValidationError, rule: Mapping[str, Any]) -> tuple[str, str]:
    """Message and next step for an error at one value."""
    hint = rule.get("x-next", "")
    if "x-instead" in rule and error.validator in ("not", "const", "maxItems", "type"):
        return rule["x-instead"], hint
    wording = _WORDINGS.get(str(error.validator))
    if wording is None:
        return f"does not fit the schema's '{error.validator}'", hint or "hume-runner schema"
    message, own_hint = wording(path, error, rule)
    return message, own_hint or hint or "hume-runner schema describes every member"


def _is(path: Path, value: Any) -> str:
    return f"is {shown(value, '.'.join(map(str, path)))}"


def _type(path: Path, error: ValidationError, rule: Mapping[str, Any]) -> tuple[str, str]:
    wanted: Any = error.validator_value
    allowed: list[str] = wanted if isinstance(wanted, list) else [wanted]
    value = error.instance
    hint = _cure(path, value, allowed, rule)
    wanted_form = rule.get("x-says") or _or(_TYPES[name] for name in allowed)
    return f"must be {wanted_form}, {_is(path, value)}", hint


def _cure(path: Path, value: Any, allowed: list[str], rule: Mapping[str, Any]) -> str:
    """The next step for a value of the wrong type."""
    name = path[-1] if path and isinstance(path[-1], str) else "name"
    cures = (
        ("x-type-next" in rule, rule.get("x-type-next", "")),
        ("x-next" in rule, ""),
        (value is None and "object" in allowed, f"write {name}: {{}} to take it as it is, or leave it out"),
        (allowed == ["object"], f"write {name}: and its members below it, indented"),
        (allowed == ["array"], "put '- ' before it, or brackets around it"),
        ("string" in allowed, "put text in quotes"),
        (isinstance(value, str) and "boolean" in allowed, "write true or false without quotes"),
        (isinstance(value, str) and _is_number(value), "write it without quotes"),
        ("integer" in allowed, "write a whole number, such as 60"),
    )
    return str(next((cure for applies, cure in cures if applies), ""))


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal()


def _or(words: Iterator[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def _enum(path: Path, error: ValidationError, rule: Mapping[str, Any]) -> tuple[str, str]:
    wanted: Any = error.validator_value
    choices = [choice for choice in wanted if isinstance(choice, str)]
    near = nearest(error.instance, choices) if isinstance(error.instance, str) else None
    return (
        f"must be one of {', '.join(choices)}; {_is(path, error.instance)}",
        f"did you mean '{near}'?" if near else "choose one of them",
    )


def _pattern(path: Path, error: ValidationError, rule: Mapping[str, Any]) -> tuple[str, str]:
    return f"must be {rule.get('x-says', 'of another form')}, {_is(path, error.instance)}", ""


def _bound(words: str) -> Callable[[Path, ValidationError, Mapping[str, Any]], tuple[str, str]]:
    def say(path: Path, error: ValidationError, rule: Mapping[str, Any]) -> tuple[str, str]:
        low = rule.get("minimum", rule.get("exclusiveMinimum"))
        high = rule.get("maximum")
        bounded = low is not None and high is not None
        span = f"the range is {low} to {high}" if bounded else f"write a number that is {words} {error.validator_value}"
        return f"must be {words} {error.validator_value}, {_is(path, error.instance)}", span

    return say


def _fixed(message: str, hint: str) -> Callable[[Path, ValidationError, Mapping[str, Any]], tuple[str, str]]:
    return lambda path, error, rule: (message, hint)


def _min_properties(path: Path, error: ValidationError, rule: Mapping[str, Any]) -> tuple[str, str]:
    if path == ("models",):
        return "names no model", "name at least one, for example face: {} (batch-v0) or audio: {} (expression-v1)"
    return "must not be empty", ""


_WORDINGS: Mapping[str, Callable[[Path, ValidationError, Mapping[str, Any]], tuple[str, str]]] = {
    "type": _type,
    "enum": _enum,
    "const": lambda path, error, rule: (f"must be {shown(error.validator_value)}, {_is(path, error.instance)}", ""),
    "pattern": _pattern,
    "minimum": _bound("at least"),
    "maximum": _bound("at most"),
    "exclusiveMinimum": _bound("more than"),
    "minLength": _fixed("must not be empty", "write something, or leave it out"),
    "maxLength": _fixed("is too long", "shorten it"),
    "uniqueItems": _fixed("names the same twice", "keep each once"),
    "minProperties": _min_properties,
    "maxProperties": _fixed("must have one member only", "keep one of the two"),
}


def _missing(document: Document, path: Path, error: ValidationError, rule: Mapping[str, Any]) -> Iterator[Problem]:
    wanted: Any = error.validator_value
    present: Any = error.instance
    for name in wanted:
        if name in present:
            continue
        hint = {
            "version": "add version: 1",
            "name": "add name: with a short name for the run",
            "api": "add api: batch-v0 or api: expression-v1",
            "service": "add service: {api: batch-v0} or service: {api: expression-v1}",
            "sources": "add sources: with urls, files or text",
            "models": "add models: with at least one model, for example models: {prosody: {}}",
        }.get(name, f"add {name}:, or from: with a list file" if name in KINDS.values() else f"add {name}:")
        # The validator reports one missing name at a time, each with the whole list.
        if error.message.startswith(repr(name)):
            line, column = document.spot(path, key=True)
            member = document.problem((*path, name), IS_MISSING, hint)
            yield Problem(
                file=member.file, line=line, column=column, path=member.path, message=member.message, hint=hint
            )


def _unknown(document: Document, path: Path, error: ValidationError, rule: Mapping[str, Any]) -> Iterator[Problem]:
    if error.validator_value is not False:
        return
    known = list(rule.get("properties", {}))
    present: Any = error.instance
    for name in present:
        if name in known:
            continue
        message = f"unknown member {quoted(name)}"
        near = nearest(name, [member for member in known if member not in present] or known)
        elsewhere = _homes().get(name.replace("-", "_"), [])
        if near:
            hint = f"did you mean '{near}'?"
        elif elsewhere:
            hint = f"it belongs at {' or '.join(elsewhere)}"
        else:
            hint = f"known here: {', '.join(known)}" if known else "remove it; nothing can stand here"
        yield document.problem((*path, name), message, hint, key=True)


@cache
def _homes() -> Mapping[str, list[str]]:
    """Member name -> the places where it may stand, to tell people who put it elsewhere."""
    whole = schema()
    homes: dict[str, list[str]] = {}

    def walk(rule: Mapping[str, Any], prefix: str) -> None:
        for name, member in rule.get("properties", {}).items():
            path = f"{prefix}.{name}" if prefix else name
            homes.setdefault(name, []).append(path)
            walk(member, path)
            if "$ref" in member:
                walk(whole["$defs"][member["$ref"].rpartition("/")[2]], path)

    walk(whole, "")
    return homes


def nearest(word: str, known: list[str]) -> str | None:
    """The known name that `word` was probably meant to be."""
    plain = {name.lower().replace("-", "_"): name for name in known}
    wanted = word.lower().replace("-", "_").replace(" ", "_")
    if wanted in plain:
        return plain[wanted]
    close = difflib.get_close_matches(wanted, plain, n=1, cutoff=0.6)
    if close:
        return plain[close[0]]
    # `english` for `en`, `fps` for `fps_pred`.
    if len(wanted) < 3:
        return None
    starts = [short for short in plain if short.startswith(wanted) or (len(short) > 1 and wanted.startswith(short))]
    return plain[max(starts, key=len)] if starts else None
