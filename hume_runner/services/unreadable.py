"""What is said of answers that cannot be read, and of the sources that fail for it."""

from __future__ import annotations

from typing import Any

from hume_runner.http.json_lenient import plain

UNEXPECTED = "unexpected_answer"  # the reason
UNREADABLE = "the answer about this source cannot be read"  # how such a message begins
# Stands here because `json_elements`, which reads answers, needs an extra that adopting a file does without.
ARTIFACTS_ARE_NOT_READ = "artifacts are not read: name the predictions (JSON) of the same job"


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
