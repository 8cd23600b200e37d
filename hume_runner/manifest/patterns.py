"""The form of patterns that read labels from file names: `{participant}_{wave}.wav`."""

from __future__ import annotations

import re
from collections import Counter

LABEL = re.compile(r"\{([^{}]*)\}")
_NAME = re.compile(r"[^\W\d][\w-]{0,99}")


def pattern_fault(pattern: str) -> tuple[str, str] | None:
    """What is wrong with a pattern, and what to do."""
    names = LABEL.findall(pattern)
    rest = LABEL.sub("", pattern)
    if not names:
        return "names no label", "write a label's name in braces, as in {participant}_{wave}.wav"
    if "{" in rest or "}" in rest:
        return "has a brace without its other one", "write each label as {name}"
    bad = next((name for name in names if not _NAME.fullmatch(name)), None)
    if bad is not None:
        return f"calls a label '{bad}'", "a label's name begins with a letter, and has letters, digits, _ and -"
    twice = next((name for name, many in Counter(names).items() if many > 1), None)
    if twice is not None:
        return f"names the label '{twice}' twice", "give each place a name of its own"
    if re.search(r"\}\{", pattern):
        return "has two labels with nothing between them", "write what stands between them in the names"
    return None
