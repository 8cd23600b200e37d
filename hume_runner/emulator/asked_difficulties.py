"""The difficulties that a test asks for, as JSON names them; see docs/emulator.md."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from hume_runner.emulator.difficulties import (
    COUNTS,
    SPELLINGS,
    Dating,
    Difficulties,
    Leaving,
    Listing,
    Lost,
    Quoting,
    Spelling,
)
from hume_runner.emulator.faults import FaultError, parse_duration_s

T = TypeVar("T")

_WAYS_OF_QUOTING = ("plain", "url", "base64", "escapes", "split", "entities")
_PLACES_OF_QUOTING = ("message", "error", "title", "name", "refusal")
_ANSWERS = ("whole", "cut", "hang", "truncated")


class DifficultyError(FaultError):
    """A difficulty that makes no sense; the message says which one and why."""


def parse_difficulties(given: Any, *, seed: int = 0) -> Difficulties:
    """Raises: DifficultyError naming the member."""
    members = _object(given, "difficulties")
    made: dict[str, Any] = {}
    for name, value in members.items():
        match name:
            case "jobs" | "runs":
                made[name] = _build(Listing, value, name)
            case "submissions" | "uploads":
                entries = value if isinstance(value, list) else [value]
                made[name] = [_build(Lost, one, f"{name}[{at}]") for at, one in enumerate(entries)]
            case "date":
                made[name] = _build(Dating, value, name)
            case "leaving":
                made[name] = _build(Leaving, value, name)
            case "quote_key":
                made[name] = _build(Quoting, value, name)
            case "gzip":
                made[name] = _flag(value, name)
            case _:
                raise DifficultyError(f"difficulties: unknown member {name!r}")
    return Difficulties(**made, chance=random.Random(seed))  # noqa: S311


def _build(kind: type[T], given: Any, path: str) -> T:
    known = {_NAMES.get(one.name, one.name): one.name for one in fields(kind)}  # type: ignore[arg-type]
    made = {}
    for name, value in _object(given, path).items():
        if name not in known or known[name] in ("seen", "fired"):
            raise DifficultyError(f"{path}: unknown member {name!r}")
        made[known[name]] = _READ[known[name]](value, f"{path}.{name}")
    return kind(**made)


def _object(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise DifficultyError(f"{path}: must be an object")
    return value


def _flag(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise DifficultyError(f"{path}: must be true or false")
    return value


def _whole(value: Any, path: str) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        raise DifficultyError(f"{path}: must be a whole number or null")
    return value


def _status(value: Any, path: str) -> int | None:
    if value is not None and not (isinstance(value, int) and 400 <= value <= 599):
        raise DifficultyError(f"{path}: must be an error status or null")
    return value


def _duration(value: Any, path: str) -> float:
    try:
        return parse_duration_s(value)
    except FaultError as error:
        raise DifficultyError(f"{path}: {error}") from None


def _signed(value: Any, path: str) -> float:
    """A duration that may be negative: -3600, "-1h"."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and value.strip().startswith("-"):
        return -_duration(value.strip()[1:], path)
    return _duration(value, path)


def _acceptance(value: Any, path: str) -> float | None:
    return {"now": 0.0, "never": None}[value] if value in ("now", "never") else _duration(value, path)


def _answer(value: Any, path: str) -> str | int:
    if value in _ANSWERS:
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool) and 400 <= value <= 599:
        return value
    raise DifficultyError(f"{path}: must be one of {', '.join(_ANSWERS)} or an error status")


def _text(value: Any, path: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise DifficultyError(f"{path}: must be a string")
    return value


def _strings(value: Any, path: str) -> tuple[str, ...]:
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise DifficultyError(f"{path}: must be a string or a list of strings")
    return tuple(given)


def _words(*allowed: str) -> Callable[[Any, str], frozenset[str]]:
    """Some of the words; true means all, false none."""

    def read(value: Any, path: str) -> frozenset[str]:
        if isinstance(value, bool):
            return frozenset(allowed if value else ())
        chosen = frozenset(_strings(value, path))
        if not chosen <= set(allowed):
            raise DifficultyError(f"{path}: must be some of {', '.join(allowed)}")
        return chosen

    return read


def _one_of(*allowed: str) -> Callable[[Any, str], str]:
    def read(value: Any, path: str) -> str:
        if value not in allowed:
            raise DifficultyError(f"{path}: must be one of {', '.join(allowed)}")
        return str(value)

    return read


def _spelling(value: Any, path: str) -> Spelling:
    return Spelling(tuple(_step(one, path) for one in (value if isinstance(value, list) else [value])))


def _step(value: Any, path: str) -> Callable[[str], str]:
    match value:
        case str() if value in SPELLINGS:
            return SPELLINGS[value]
        case {"without": str(pattern)}:
            try:
                compiled = re.compile(pattern)
            except re.error as error:
                raise DifficultyError(f"{path}: {json.dumps(pattern)} is no regular expression: {error}") from None
            return lambda text: compiled.sub("", text)
        case {"first": int(characters)} if characters > 0:
            return lambda text: text[:characters]
        case _:
            raise DifficultyError(
                f'{path}: must be some of {", ".join(SPELLINGS)}, {{"without": REGEX}} or {{"first": CHARACTERS}}'
            )


def _anything(value: Any, path: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise DifficultyError(f"{path}: must be a list")
    return tuple(value)


# Members that JSON names otherwise: there a duration carries its unit with it.
_NAMES = {
    "late_s": "late",
    "details_late_s": "details_late",
    "off_s": "off",
    "accepted_after_s": "accepted",
    "silent_s": "silent",
    "live_s": "live",
    "places": "in",
    "way": "as",
}
_READ: dict[str, Callable[[Any, str], Any]] = {
    "late_s": _duration,
    "details_late_s": _duration,
    "cap": _whole,
    "cap_keeps": _one_of("asked", "newest", "oldest"),
    "order": _one_of("asked", "newest", "oldest", "shuffled"),
    "ignores": lambda value, path: frozenset(_strings(value, path)),
    "leaves_out": _strings,
    "details_leave_out": _strings,
    "filenames": _spelling,
    "texts": _spelling,
    "urls": _spelling,
    "md5s": _spelling,
    "shows": _one_of("all", "first", "every other", "count", "first and count"),
    "predictions_spell": _words("filenames", "urls"),
    "integer_ids": _words("submit", "list", "details"),
    "nameless_every": _whole,
    "empty": _flag,
    "status": _status,
    "details_status": _status,
    "extra": _anything,
    "off_s": _signed,
    "counts": lambda value, path: COUNTS[_one_of(*COUNTS)(value, path)],
    "holding": _text,
    "skip": lambda value, path: _whole(value, path) or 0,
    "times": _whole,
    "accepted_after_s": _acceptance,
    "answer": _answer,
    "billed": _flag,
    "says_bytes": _flag,
    "uncounted_bytes": lambda value, path: _whole(value, path) or 0,
    "silent_s": _duration,
    "live_s": _duration,
    "missing": _flag,
    "while_uploading": _one_of("nothing", "silent", "unbilled", "billed"),
    "after_uploading": _one_of("billed", "unbilled", "silent"),
    "places": _words(*_PLACES_OF_QUOTING),
    "way": _one_of(*_WAYS_OF_QUOTING),
}
