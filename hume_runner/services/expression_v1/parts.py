"""The parts of a medium that are sent by themselves, as the details of a job's members tell them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hume_runner.services.jobs import Job


def place_of(detail: Mapping[str, Any]) -> tuple[int, int]:
    """Where a part of an item belongs among the others, whenever it was measured: sound before pictures, by time."""
    if "first_frame" in detail:
        return 1, int(detail["first_frame"])
    return 0, int(detail.get("first", 0))


def endpoint_of(job: Job) -> str:
    """Which of the two uploads a prepared job is."""
    detail = job.members[0].detail
    return "audio" if "part" in detail or "clip" in detail else "video"


def divisible(job: Job) -> bool:
    """Whether halves of it can be sent: stills and clips are independent of each other."""
    detail = job.members[0].detail
    return bool(detail.get("still") or detail.get("clip"))


def images_in(job: Job) -> int:
    """How many pictures an upload of pictures carries."""
    first = job.members[0].detail
    return len(first["times_ms"]) if "first_frame" in first else len(job.members)
