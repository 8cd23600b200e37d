"""How a source is told of that fails for its answer."""

from __future__ import annotations

from hume_runner.http.json_lenient import plain

UNEXPECTED = "unexpected_answer"  # the reason
UNREADABLE = "the answer about this source cannot be read"  # how such a message begins


def message(problem: str) -> str:
    """How a source is told of that fails for its answer."""
    return plain(f"{UNREADABLE}: {problem}")
