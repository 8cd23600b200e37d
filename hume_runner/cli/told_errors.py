"""An error as `--json` tells it at the end of a command."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from hume_runner.settings import mask_secrets

_MOST_PROBLEMS = 100
_LONGEST = 4_000
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def facts(error: Exception) -> dict[str, Any]:
    """What happened, in one word for programs and in words for people, and the next step."""
    problems = [without_secrets(asdict(problem)) for problem in getattr(error, "problems", ())[:_MOST_PROBLEMS]]
    told = {
        "reason": _WORDS.sub("_", type(error).__name__).lower(),
        "message": str(error)[:_LONGEST],
        "hint": getattr(error, "hint", ""),
        "exit_code": getattr(error, "exit_code", 1),
    }
    return without_secrets(told) | ({"problems": problems} if problems else {})


def without_secrets(members: Mapping[str, Any]) -> dict[str, Any]:
    """The same members; the text in them can be shown."""
    return {name: mask_secrets(value) if isinstance(value, str) else value for name, value in members.items()}
