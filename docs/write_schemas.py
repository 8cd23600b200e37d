"""Writes the schemas of results into the schema of events (`make docs`), so that each file is whole by itself: a
validator needs no registry of its neighbours. `--check` compares instead."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

SCHEMAS = Path(__file__).parents[1] / "schemas"
TARGET = SCHEMAS / "events-v1.schema.json"
# An event that is a command's result, in a file of its own.
RESULTS = ("status", "verify", "doctor", "plan", "tables", "report", "schema", "emulate", "state", "compare", "ctl")
_HERE = "#/$defs/"


def written(text: str) -> str:
    """The schema of events with the others in it as they are now."""
    events: dict[str, Any] = json.loads(text)
    for name in RESULTS:
        own = f"{name}.result"
        result = json.loads((SCHEMAS / f"{name}-v1.schema.json").read_text(encoding="utf-8"))
        for member in ("$schema", "$id"):
            result.pop(member, None)
        events["$defs"][own] = _moved(result, own)
    return json.dumps(events, indent=2, ensure_ascii=False) + "\n"


def _moved(node: Any, own: str) -> Any:
    """The same with references to its own definitions as they are from the file's root."""
    if isinstance(node, list):
        return [_moved(one, own) for one in node]
    if not isinstance(node, dict):
        return node
    return {
        name: f"{_HERE}{own}/$defs/{value.removeprefix(_HERE)}"
        if name == "$ref" and isinstance(value, str)
        else _moved(value, own)
        for name, value in node.items()
    }


def main() -> int:
    text = TARGET.read_text(encoding="utf-8")
    if "--check" in sys.argv[1:]:
        return int(text != written(text))
    TARGET.write_text(written(text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
