"""Weights that a manifest names itself, by `{url, sha256}`: what an option for them looks like, and as which files they
are known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hume_runner.services.local.measurers.base import WeightFile

LICENCE = "that of the weights that the manifest names"
TRAINED_ON = "not known here: the manifest names the weights"


def own_schema(description: str) -> dict[str, Any]:
    """JSON Schema of one such file."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["url", "sha256"],
        "description": description,
        "properties": {
            "url": {"type": "string", "minLength": 1, "description": "Where `models pull` gets it."},
            "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "SHA-256 of the file, in hex."},
        },
    }


def own_weight(named: Mapping[str, str]) -> WeightFile:
    """The file that `models pull` keeps under its hash."""
    return WeightFile(name=f"own/{named['sha256']}", sha256=named["sha256"])


def no_weights(why: str) -> dict[str, Any]:
    """JSON Schema of the option where there is none, so that whoever tries is told why."""
    return {"not": {}, "description": f"Not taken: {why}", "x-instead": why, "x-next": "remove weights"}
