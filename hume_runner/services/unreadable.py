"""How a source is told of that fails for its answer."""

from __future__ import annotations

from typing import Any

from hume_runner.http.json_lenient import plain

UNEXPECTED = "unexpected_answer"  # the reason
UNREADABLE = "the answer about this source cannot be read"  # how such a message begins


def message(problem: str) -> str:
    """How a source is told of that fails for its answer."""
    return plain(f"{UNREADABLE}: {problem}")


def kind_told(value: Any) -> str:
    """What a JSON value of another type is, in words."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return "an object"
