"""Turns what does not fit the manifest's JSON Schema into Problems with places.

An unknown member names the nearest known one, or the place where it belongs. `wording.py` says what is wrong with a
value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from hume_runner.errors import Problem, UsageError
from hume_runner.manifest.document import Document, Path, path_text
from hume_runner.manifest.model import Place, Scalar
from hume_runner.manifest.published import schema
from hume_runner.manifest.shown import in_quotes, quoted
from hume_runner.manifest.wording import any_of, nearest, services, worded
from hume_runner.registry import all_registered, on_change, registered

IS_MISSING = "is missing"
KINDS = {"urls": "url", "files": "path", "text": "text"}
_DEFINITIONS = {
    "urls": ("urlSource", "urlItem"),
    "files": ("fileSource", "fileItem"),
    "text": ("textSource", "textItem"),
}


def _forget() -> None:
    for cached in (default_at, _whole_validator, _validator, _homes):
        cached.cache_clear()


on_change(_forget)


@cache
def default_at(api: str, path: str) -> Any:
    """What an API takes where the member at `path` (`models.face.fps`) is not written; None where nothing tells."""
    model = path.split(".")[1:2] if path.startswith("models.") else []
    try:
        whole = schema(offered=frozenset(model))
    except UsageError:  # of a model that a manifest had before, whose package cannot be used any more
        whole = schema()
    named = {"service": {"api": api}}
    own = [
        rule["then"]
        for rule in whole["allOf"]
        if "x-editors" not in rule and Draft202012Validator(rule["if"]).is_valid(named)
    ]
    found: Any = None
    for rule in (whole, *own):  # an API's own rule says more
        member: Any = rule
        for step in path.split("."):
            while "$ref" in member:
                member = whole["$defs"][member["$ref"].rpartition("/")[2]]
            member = member.get("properties", {}).get(step)
            if not isinstance(member, dict):
                break
        else:
            if "x-instead" not in member:
                found = member.get("default", found)
    return found


@cache
def _whole_validator(*, offered: frozenset[str] | None) -> Draft202012Validator:
    return Draft202012Validator(schema(offered=offered))


@cache
def _validator(definition: str) -> Draft202012Validator:
    whole = schema()
    return Draft202012Validator({**whole["$defs"][definition], "$defs": whole["$defs"]})


def _entry_validator(member: str, entry: Any) -> Draft202012Validator:
    """The rules for one entry of a list of sources, chosen by its shape as the schema's own `if` does."""
    general, item = _DEFINITIONS[member]
    if not isinstance(entry, dict):
        return _validator(general)
    return _validator("listing" if "from" in entry else item)


def _is_plain(member: str, entry: Any) -> bool:
    """Whether an entry surely fits: a text, or a mapping of texts. A manifest may have a hundred thousand of them, and
    the validator takes a fifth of a millisecond for each."""
    if isinstance(entry, str):
        return bool(entry)
    if not isinstance(entry, dict):
        return False
    key = KINDS[member]
    value, given, labels = entry.get(key), entry.get("id", "x"), entry.get("labels", {})
    return (
        entry.keys() <= {key, "id", "labels"}
        and isinstance(value, str)
        and 0 < len(value) <= 8192
        and isinstance(given, str)
        and bool(re.search(schema()["$defs"]["id"]["pattern"], given))
        and isinstance(labels, dict)
        and all(0 < len(label) <= 200 and isinstance(fact, Scalar) for label, fact in labels.items())
    )


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
            # Each entry that is not plain is checked alone. The list left for the whole keeps one line of good form,
            # which is enough for "expression-v1 measures no text".
            if isinstance(listed, list):
                value["sources"][member] = ["x"] if listed else []
                where: Path = ("sources", member)
                entries += [((*where, i), e) for i, e in enumerate(listed) if not _is_plain(member, e)]
    # Most manifests fit what is published. What other packages offer is looked for only if one does not.
    fits = _whole_validator(offered=None).is_valid(value)
    for error in () if fits else _whole_validator(offered=_asked_for(document)).iter_errors(value):
        _add(found, _problems(document, tuple(error.absolute_path), error))
    for path, entry in entries:
        for error in _entry_validator(str(path[1]), entry).iter_errors(entry):
            _add(found, _problems(document, (*path, *error.absolute_path), error))
    if "service.api" in found:
        # Which models there are is a matter of the API: of one that nobody knows, all would be unknown.
        return [one for one in found.values() if not (one.path.startswith("models.") and _is_unknown(one))]
    return list(found.values())


def _asked_for(document: Document) -> frozenset[str]:
    """The models that a manifest names, as far as other packages may offer some to its API."""
    found = registered(str(document.get("service", "api")))
    models = document.get("models")
    if found is None or found.more_models is None or not isinstance(models, dict):
        return frozenset()
    return frozenset(name for name in models if isinstance(name, str))


_UNKNOWN = "unknown member"


def _is_unknown(problem: Problem) -> bool:
    return problem.message.startswith(_UNKNOWN)


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
    message, hint = worded(path, error, rule)
    if error.validator == "type" and error.instance is None and (left := _not_indented(document, path)):
        hint = f"indent what belongs to it: {', '.join(left)}"
    # A member that the API does not have is wrong as a whole: point at its name.
    yield document.problem(path, message, hint, key="x-instead" in rule and "const" not in rule)


def _not_indented(document: Document, path: Path) -> list[str]:
    """The members that stand beside an empty one and belong below it."""
    if document.root is None or not document.is_text or not isinstance(document.root.value, dict) or len(path) != 1:
        return []
    known = schema()["properties"]
    return [
        name
        for name in document.root.value
        if name not in known and any(home.startswith(f"{path[0]}.{name}") for home in _homes().get(name, ()))
    ]


def _missing(document: Document, path: Path, error: ValidationError, rule: Mapping[str, Any]) -> Iterator[Problem]:
    wanted: Any = error.validator_value
    present: Any = error.instance
    for name in wanted:
        if name in present or _said_with_a_colon(document, path, present):
            continue
        hint = {
            "version": "add version: 1",
            "name": "add name: with a short name for the run",
            "api": f"add api: {any_of(one.api for one in all_registered())}",
            "service": f"add service: {services()}",
            "sources": "add sources: with urls, files or text",
            "models": "add models: with at least one model, for example models: {prosody: {}}",
        }.get(name, f"add {name}:, or from: with a list file" if name in KINDS.values() else f"add {name}:")
        # The validator reports one missing name at a time, each with the whole list.
        if error.message.startswith(repr(name)):
            line, column = document.spot(path, key=True)
            yield Place(document.file, line, column, path_text((*path, name))).problem(IS_MISSING, hint)


def _unknown(document: Document, path: Path, error: ValidationError, rule: Mapping[str, Any]) -> Iterator[Problem]:
    if error.validator_value is not False:
        return
    known = list(rule.get("properties", {}))
    present: Any = error.instance
    for name in present:
        if name in known:
            continue
        message = f"{_UNKNOWN} {quoted(name)}"
        near = nearest(name, [member for member in known if member not in present] or known)
        elsewhere = _homes().get(name.replace("-", "_"), [])
        if said := _said_with_a_colon(document, path, present):
            message = "text with ': ' in it and no quotes is a mapping to YAML"
            hint = f"put it in quotes: - {in_quotes(said)}"
        elif near:
            hint = f"did you mean '{near}'?"
        elif elsewhere:
            hint = f"it belongs at {' or '.join(elsewhere)}"
        else:
            hint = f"known here: {', '.join(known)}" if known else "remove it; nothing can stand here"
        yield document.problem((*path, name), message, hint, key=True)


def _said_with_a_colon(document: Document, path: Path, present: Any) -> str:
    """What somebody wrote as an entry of a list of sources, as in `- I said: hi`; empty where it is something else."""
    if (
        not document.is_text
        or len(path) != 3
        or path[0] != "sources"
        or not isinstance(present, dict)
        or len(present) != 1
    ):
        return ""
    [(name, value)] = present.items()
    told = isinstance(name, str) and isinstance(value, str | int | float)
    fits = told and path[1] == "text" and nearest(name, sorted(_ENTRY)) is None and len(f"{name}{value}") <= 80
    return f"{name}: {value}" if fits else ""


_ENTRY = frozenset({"text", "id", "labels", "from", "url", "path"})


@cache
def _homes() -> Mapping[str, list[str]]:
    """Member name -> the places where it may stand, to tell people who put it elsewhere."""
    whole = schema(offered=frozenset())
    homes: dict[str, list[str]] = {}

    def walk(rule: Mapping[str, Any], prefix: str) -> None:
        for name, member in rule.get("properties", {}).items():
            path = f"{prefix}.{name}" if prefix else name
            homes.setdefault(name, []).append(path)
            walk(member, path)
            if "$ref" in member:
                walk(whole["$defs"][member["$ref"].rpartition("/")[2]], path)

    walk(whole, "")
    for rule in whole["allOf"]:
        walk({} if "x-editors" in rule else rule["then"], "")
    return {name: list(dict.fromkeys(places)) for name, places in homes.items()}
