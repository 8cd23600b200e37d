"""Values as messages show them: short, and without what may be secret."""

from __future__ import annotations

import re
from typing import Any

from hume_runner.settings import masked_url

_LONGEST = 60
_SECRET_NAME = re.compile(r"key|secret|token|passw|credential|auth", re.IGNORECASE)


def may_be_secret(path: str) -> bool:
    """Whether the member at `path` may hold a secret, so that its value must not be repeated."""
    return bool(_SECRET_NAME.search(path))


def shown(value: Any, path: str = "") -> str:
    """`value` in a message: text in quotes and cut, numbers as they are, mappings and lists by their kind."""
    match value:
        case None:
            text = "empty (null)"
        case bool():
            text = "true" if value else "false"
        case dict():
            text = "a mapping"
        case list():
            text = "a list"
        case _ if may_be_secret(path):
            text = "a value that is not repeated here"
        case int() | float():
            text = str(value)
        case _:
            text = quoted(str(value))
    return text


def in_quotes(text: str) -> str:
    """`text` as a manifest spells it in double quotes."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def quoted(text: str) -> str:
    """`text` in single quotes on one line, without a URL's secrets, cut to a length that reads well."""
    if "//" in text:
        text = masked_url(text)
    text = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text[: _LONGEST + 1])
    return f"'{text[:_LONGEST]}…'" if len(text) > _LONGEST else f"'{text}'"
