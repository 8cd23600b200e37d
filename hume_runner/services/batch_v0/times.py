"""The times of the service, which are whole milliseconds."""

from __future__ import annotations


def seconds(ms: int | None) -> float | None:
    """Unix seconds of Unix milliseconds."""
    return None if ms is None else ms / 1000
