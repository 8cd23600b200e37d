"""What runs wrote beside the answers, as far as whoever reads it relies on it: others can write there as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Members that something is made of, as dotted paths; `[]` is each of a list. Others are handed on as they are.
_RUN: Mapping[str, type] = {
    "name": str,
    "started_at": str,
    "ended_at": str,
    "service": dict,
    "service.api": str,
    "settings": dict,
    "versions": dict,
    "selection": dict,
}
_REQUEST: Mapping[str, type] = {
    "api": str,
    "job": str,
    "request": dict,
    "sources": list,
    "sources[]": dict,
    "sources[].ids": list,
    "sources[].ids[]": str,
    "sources[].detail": dict,
}


def run_of(value: Any) -> Mapping[str, Any]:
    """The record of a run, `run.json`. Raises: ValueError for what no run wrote."""
    return _checked(value, _RUN)


def request_of(value: Any) -> Mapping[str, Any]:
    """What a job was asked, `request.json`. Raises: ValueError for what no run wrote."""
    return _checked(value, _REQUEST)


def _checked(value: Any, kinds: Mapping[str, type]) -> Mapping[str, Any]:
    found: dict[str, list[Any]] = {"": [value] if isinstance(value, dict) else []}
    if not found[""]:
        raise ValueError("not a JSON object")
    for path, kind in kinds.items():
        if path.endswith("[]"):
            found[path] = [one for many in found[path.removesuffix("[]")] for one in many]
        else:
            above, _, name = path.rpartition(".")
            inner = [one.get(name) for one in found[above]]
            found[path] = [one for one in inner if one is not None]
        if not all(isinstance(one, kind) for one in found[path]):
            raise ValueError(f"{path} is not what a run writes")
    return found[""][0]  # type: ignore[no-any-return]
