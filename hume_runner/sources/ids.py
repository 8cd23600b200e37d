"""The names of items: those that a manifest or list gives, and those derived where it gives none."""

from __future__ import annotations

import hashlib
import re

from hume_runner.manifest.checks import name_fault
from hume_runner.manifest.published import schema
from hume_runner.spelling import is_whole

_GOOD_ID = re.compile(schema()["$defs"]["id"]["pattern"])


def id_fault(given: str) -> tuple[str, str] | None:
    """What is wrong with the id of a list's row (message, next step), or None."""
    if not _GOOD_ID.search(given):
        rule = schema()["$defs"]["id"]
        return f"the id must be {rule['x-says']}", rule["x-next"]
    fault = name_fault(given)
    return (f"the id {fault[0]}", "write an id without '..'") if fault else None


def text_id(text: str) -> str:
    """`text-` and the first ten hex digits of the text's SHA-256."""
    return "text-" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:10]


def readable(name: str) -> str:
    """A file's name as text that can be stored: bytes that are not UTF-8 become `\\xNN`."""
    return name if is_whole(name) else name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
