"""The parts of a medium that are sent by themselves, as the details of a job's members tell them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def place_of(detail: Mapping[str, Any]) -> tuple[int, int]:
    """Where a part of an item belongs among the others, whenever it was measured: sound before pictures, by time."""
    if "first_frame" in detail:
        return 1, int(detail["first_frame"])
    return 0, int(detail.get("first", 0))
