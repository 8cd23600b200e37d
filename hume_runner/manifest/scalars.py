"""What an unquoted YAML word means: YAML 1.2's core schema, and which words YAML 1.1 reads otherwise.

Most tools still read YAML 1.1, where `no` is false, `12:30` is 750 and `010` is 8. A word that the two versions read
differently has no meaning here: it is an error, and quotes settle it.

Source: https://yaml.org/spec/1.2.2/#103-core-schema and https://yaml.org/type/ (bool, int, float, timestamp, value).
"""

from __future__ import annotations

import math
import re

from hume_runner.frozen import frozen

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
MOST_DIGITS = 30

_TRUE_11 = frozenset({"y", "Y", "yes", "Yes", "YES", "on", "On", "ON"})
_FALSE_11 = frozenset({"n", "N", "no", "No", "NO", "off", "Off", "OFF"})
_OTHERWISE_11 = (
    (re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"), "a number in base 60"),
    (re.compile(r"[-+]?0[0-7_]+"), "an octal number"),
    (re.compile(r"[-+]?0[0-9]+"), "text"),
    (re.compile(r"0o[0-7]+"), "text"),
    (re.compile(r"[-+]?0b[01_]+"), "a binary number"),
    (re.compile(r"[-+]0x[0-9a-fA-F_]+|0x[0-9a-fA-F_]*_[0-9a-fA-F_]*"), "a hexadecimal number"),
    (
        re.compile(r"(?=[^_]*_)[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?"),
        "a number",
    ),
    (re.compile(r"[-+]\.[0-9]+(?:[eE][-+]?[0-9]+)?"), "text"),
    (re.compile(r"[-+]?(?:[0-9]+|[0-9]*\.[0-9]*)[eE][0-9]+|[-+]?[0-9]+[eE][-+]?[0-9]+"), "text"),
    (
        re.compile(
            r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
            r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?"
            r"(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::[0-9]{2})?))?"
        ),
        "a date",
    ),
    (re.compile(r"="), "a default value"),
)
_MAY_BE_SPECIAL = frozenset("0123456789+-.=~yYnNoOtTfF")


@frozen(kw_only=False)
class Unclear:
    """A word without one meaning: `reads` says how YAML 1.1 reads it, `quotable` whether quotes are the way out."""

    reads: str
    quotable: bool = True


def resolve(word: str) -> str | int | float | bool | Unclear | None:
    """The value of an unquoted scalar, or why it has none."""
    if word in _NULL:
        return None
    # Nearly every scalar of a manifest is ordinary text: one look at its first letter settles it.
    if word[0] not in _MAY_BE_SPECIAL:
        return word
    if word in _BOOL:
        return _BOOL[word]
    return _otherwise(word) or _number(word)


def _otherwise(word: str) -> Unclear | None:
    if word in _TRUE_11:
        return Unclear("true")
    if word in _FALSE_11:
        return Unclear("false")
    if _NOT_FINITE.fullmatch(word):
        return Unclear("a number that is not finite", quotable=False)
    for pattern, reads in _OTHERWISE_11:
        if pattern.fullmatch(word):
            return Unclear(reads)
    return None


def _number(word: str) -> str | int | float | Unclear:
    if _INT.fullmatch(word) or _HEX.fullmatch(word):
        # int() of thousands of digits is slow and then refused by Python itself.
        if len(word) > MOST_DIGITS:
            return Unclear(f"a number of more than {MOST_DIGITS} digits")
        return int(word, 16) if word[:2] == "0x" else int(word)
    if _FLOAT.fullmatch(word):
        value = float(word)
        return value if math.isfinite(value) else Unclear("a number that is not finite", quotable=False)
    return word
