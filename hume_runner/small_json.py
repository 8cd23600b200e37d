"""JSON that we wrote ourselves, read as if anybody had: what is in it may be anything, of any size and as deep as one
likes. What no runner can have written is a `ValueError`, whatever is wrong with it; each caller says what that means.

The parser alone is no such bound. Deep nesting ends it with a `RecursionError`, at a depth that depends on who called;
what it lets pass ends the next one who walks through it; and a number that is too large becomes an infinity, of which
nobody makes an integer.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from hume_runner.errors import StateError
from hume_runner.regular_files import open_regular

# Of a record, a mark or a plan: generous, and nothing that a machine would notice.
MOST_BYTES = 64 * 1024 * 1024
# What we write is less than twenty deep. Far below what the parser takes, from wherever it is called.
MOST_DEPTH = 100


def read(path: Path, *, most_bytes: int = MOST_BYTES) -> Any:
    """The value in a file. Raises: ValueError for what cannot be ours; OSError, also for what is no file."""
    with open_regular(path) as file:
        return parsed(file.read(most_bytes + 1), most_bytes=most_bytes)


def parsed(text: bytes | str, *, most_bytes: int = MOST_BYTES) -> Any:
    """The value that this is. Raises: ValueError for what cannot be ours."""
    if len(text) > most_bytes:
        raise ValueError(f"longer than {most_bytes:,} bytes")
    if not isinstance(text, str):
        text = text.decode(json.detect_encoding(text), "surrogatepass")
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        raise _too_deep() from None
    if text.count("[") + text.count("{") > MOST_DEPTH and _is_deep(value):
        raise _too_deep()
    return value


def kept(text: str) -> Any:
    """The value that a column of a state holds. Raises: StateError for what no run wrote there."""
    try:
        return parsed(text)
    except ValueError as error:
        raise StateError(
            f"the state is damaged: a value in it cannot be read: {error}",
            hint="restore the state from a backup; `hume-runner verify MANIFEST` tells what is whole beside it",
        ) from error


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is a number that no 64 bits hold")
    return number


# Made once: a state may have a value for each of millions of items.
_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_finite)


def _is_deep(value: Any) -> bool:
    """Whether anything is nested deeper than that. Level by level, as to go down would meet the same end."""
    level = [value]
    for _ in range(MOST_DEPTH + 1):
        level = [one for one in level if isinstance(one, dict | list)]
        if not level:
            return False
        level = [inner for one in level for inner in (one.values() if isinstance(one, dict) else one)]
    return True


def _too_deep() -> ValueError:
    return ValueError(f"nested more than {MOST_DEPTH} deep")
