"""Text that YAML takes for something else, told as what it is: which signs need quotes, and how. Pure."""

from __future__ import annotations

import re

from hume_runner.manifest.shown import in_quotes, may_be_secret

_LONGEST = 60
# An entry of a list, or the value of a key, up to the end of its line.
_VALUE = re.compile(r"\s*(?:- +)?(?:(?P<key>[A-Za-z_][\w-]*): +)?(?P<text>\S.*?)\s*")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"?')
_ALONE = "%@`"  # no text may begin with them


def misread(line: str, column: int, said: str) -> tuple[str, str] | None:
    """What is wrong with a line that YAML's parser refused at `column`, from 0, and what to write; None where it is
    another trouble. `said`: the parser's words."""
    found = _VALUE.fullmatch(line)
    if found is None:
        return None
    key, text = found["key"] or "", found["text"]
    told = len(text) <= _LONGEST and not may_be_secret(key)
    at = line[column : column + 1]
    if "cannot start any token" in said and at in _ALONE and at:
        return f"text that starts with '{at}' needs quotes", _write(line[column:].strip(), told)
    if "escape" in said or "hexdecimal" in said or "hexadecimal" in said:
        return "a \\ in double quotes begins an escape in YAML", _path(text, told)
    if ("expected" in said or "while scanning" in said) and text[0] in "\"'[{" and _goes_on(text):
        what = {"[": "a list", "{": "a mapping"}.get(text[0], "text in quotes")
        return f"{what} ends, and the line goes on", _write(text, told)
    return None


def _goes_on(text: str) -> bool:
    """Whether something stands behind the quotes or brackets that a text begins with."""
    close = {"[": "]", "{": "}"}.get(text[0], text[0])
    end = text.find(close, 1)
    rest = text[end + 1 :].strip()
    return end > 0 and bool(rest) and not rest.startswith(("#", ",", ":", close))


def _write(text: str, told: bool) -> str:
    """Single quotes keep everything but themselves; double ones those."""
    if not told:
        return "put the whole text in quotes"
    if len(text) > 2 and text[0] in "\"'" and text[-1] == text[0]:
        text = text[1:-1]  # what was meant to be in quotes as a whole
    quoted = in_quotes(text) if "'" in text else f"'{text}'"
    return f"put the whole text in quotes: {quoted}"


def _path(text: str, told: bool) -> str:
    found = _DOUBLE.search(text)
    inner = found[1] if found else ""
    if not told or not inner or "'" in inner:
        return "write / between folders, or put it in single quotes"
    return f"write / between folders, or single quotes: '{inner}'"
