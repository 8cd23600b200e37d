"""What is wrong with one value, and what would be right: the words for each rule of the schema.

The wording is ours, never the validator's. Three annotations of the schema help: `x-says` describes a pattern,
`x-instead` replaces the message where a member does not exist for the chosen API, `x-next` is the next step.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jsonschema.exceptions import ValidationError

from hume_runner.manifest.cures import as_language, as_number, example_of, with_point
from hume_runner.manifest.document import Path
from hume_runner.manifest.shown import shown
from hume_runner.registry import all_registered

_Wording = Callable[[Path, ValidationError, Mapping[str, Any]], tuple[str, str]]
_TYPES = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}


def worded(path: Path, error: ValidationError, rule: Mapping[str, Any]) -> tuple[str, str]:
    """Message and next step for an error at one value."""
    hint = rule.get("x-next", "")
    if "x-instead" in rule and error.validator in ("not", "enum", "const", "maxItems", "type"):
        return rule["x-instead"], hint
    wording = _WORDINGS.get(str(error.validator))
    if wording is None:
        return f"does not fit the schema's '{error.validator}'", hint or "hume-runner schema"
    message, own_hint = wording(path, error, rule)
    return message, own_hint or hint or example_of(rule) or "hume-runner schema describes every member"


def _is(path: Path, value: Any) -> str:
    return f"is {shown(value, '.'.join(map(str, path)))}"


def _type(path: Path, error: ValidationError, rule: Mapping[str, Any]) -> tuple[str, str]:
    wanted: Any = error.validator_value
    allowed: list[str] = wanted if isinstance(wanted, list) else [wanted]
    value = error.instance
    hint = _cure(path, value, allowed, rule)
    wanted_form = rule.get("x-says") or any_of(_TYPES[name] for name in allowed)
    return f"must be {wanted_form}, {_is(path, value)}", hint


def _cure(path: Path, value: Any, allowed: list[str], rule: Mapping[str, Any]) -> str:
    """The next step for a value of the wrong type."""
    name = path[-1] if path and isinstance(path[-1], str) else "name"
    share = _SHARE.fullmatch(value) if isinstance(value, str) and "number" in allowed else None
    nothing = _instead_of_null(path, name, allowed, rule) if value is None else ""
    meant = as_number(str(value), rule) if "number" in allowed else ""
    cures = (
        (share is not None, f"write {float(share[1]) / 100:g}" if share else ""),
        (_lacks_unit(value, rule), _units(value)),
        (bool(meant), meant),
        (value is None and allowed == ["array"], "write something below it, each entry after '- ', or leave it out"),
        ("x-type-next" in rule, rule.get("x-type-next", "")),
        ("x-next" in rule, ""),
        (bool(nothing), nothing),
        (allowed == ["object"], f"write {name}: and its members below it, indented"),
        (allowed == ["array"], "put '- ' before it, or brackets around it"),
        ("string" in allowed, "put text in quotes"),
        (isinstance(value, str) and "boolean" in allowed, "write true or false without quotes"),
        (isinstance(value, str) and _is_number(value), "write it without quotes"),
        ("integer" in allowed, "write a whole number, such as 60"),
    )
    return str(next((cure for applies, cure in cures if applies), ""))


def _instead_of_null(path: Path, name: object, allowed: list[str], rule: Mapping[str, Any]) -> str:
    """The next step where nothing stands: what may be written, and whether the member may be left out. Empty where the
    member says it itself (`_needed`)."""
    needed = _needed()
    if path in needed or not path:
        return needed.get(path, "")
    out = " or leave it out" if isinstance(path[-1], str) else " or remove it"
    if "object" not in allowed:
        return ""
    if rule.keys() & {"minProperties", "required", "oneOf", "anyOf"}:
        return f"write {name}: and its members below it, indented,{out}"
    return f"write {name}: {{}} to take it as it is,{out}"


def _needed() -> Mapping[Path, str]:
    """What to write for members that no manifest goes without, empty or not."""
    return {
        ("service",): f"write which one: service: {services()}",
        ("sources",): "write what to measure below it: urls, files or text",
        ("models",): f"name at least one below it, for example {_models()}",
    }


def services() -> str:
    """`{api: batch-v0} or {api: …}`: every API that a manifest may name, as it stands in one."""
    return any_of(f"{{api: {one.api}}}" for one in all_registered())


def _models() -> str:
    return any_of(f"{one.example}: {{}} ({one.api})" for one in all_registered() if one.example)


_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,6})?) ?%")


def _lacks_unit(value: Any, rule: Mapping[str, Any]) -> bool:
    """Whether a number, or text that is one, stands where a time with its unit is wanted."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return "ms, s, m, h" in rule.get("x-says", "") and (number or (isinstance(value, str) and _is_number(value)))


def _units(value: Any) -> str:
    return f"say of what: {value}s for seconds, {value}m for minutes, {value}h for hours"


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal()


def any_of(words: Iterable[str]) -> str:
    """`a, b or c`."""
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def _enum(path: Path, error: ValidationError, rule: Mapping[str, Any]) -> tuple[str, str]:
    wanted: Any = error.validator_value
    choices = [choice for choice in wanted if isinstance(choice, str)]
    language = as_language(path, str(error.instance), choices)
    near = nearest(error.instance, choices) if isinstance(error.instance, str) else None
    return (
        f"must be one of {', '.join(choices)}; {_is(path, error.instance)}",
        f"did you mean '{near}'?" if near else language or "choose one of them",
    )


def _pattern(path: Path, error: ValidationError, rule: Mapping[str, Any]) -> tuple[str, str]:
    value = error.instance
    hint = as_language(path, str(value)) or with_point(str(value))
    if _lacks_unit(value, rule):
        hint = _units(value)
    elif isinstance(value, str) and _is_number(value) and "share" in rule.get("x-says", ""):
        hint = f"write {value} without quotes, or {value}% for a share"
    return f"must be {rule.get('x-says', 'of another form')}, {_is(path, value)}", hint


def _bound(words: str) -> _Wording:
    def say(path: Path, error: ValidationError, rule: Mapping[str, Any]) -> tuple[str, str]:
        low = rule.get("minimum", rule.get("exclusiveMinimum"))
        high = rule.get("maximum")
        bounded = low is not None and high is not None
        span = f"the range is {low} to {high}" if bounded else f"write a number that is {words} {error.validator_value}"
        return f"must be {words} {error.validator_value}, {_is(path, error.instance)}", span

    return say


def _fixed(message: str, hint: str) -> _Wording:
    return lambda path, error, rule: (message, hint)


def _min_properties(path: Path, error: ValidationError, rule: Mapping[str, Any]) -> tuple[str, str]:
    if path == ("models",):
        return "names no model", f"name at least one, for example {_models()}"
    return "must not be empty", ""


_WORDINGS: Mapping[str, _Wording] = {
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
