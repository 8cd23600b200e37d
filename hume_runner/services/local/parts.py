"""The parts of a medium that are measured by themselves, as the details of a job's members tell them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PIECE_S = 300  # a piece of a long recording or video, as nearly as pauses allow


def place_of(detail: Mapping[str, Any]) -> tuple[int, int]:
    """Where a part of an item belongs among the others, whenever it was measured: sound before pictures, by time."""
    if "pictures" in detail:
        return 1, int(detail["begin_s"])
    return 0, int(detail.get("first", 0))


def sound_pieces(seconds: float | None) -> int:
    """Into how many pieces so much sound is cut; one where nobody knows."""
    return max(1, -(-round((seconds or 0) * 1000) // (PIECE_S * 1000)))


def picture_parts(duration_s: float | None) -> list[dict[str, Any]]:
    """The passages of a video of that length, or of one that nobody knows the length of: the last one has no end, since
    a header may say too little."""
    pieces = max(1, -(-int(duration_s or 0) // PIECE_S))
    return [
        {
            "pictures": number,
            "of": pieces,
            "begin_s": number * PIECE_S,
            "end_s": None if number == pieces - 1 else (number + 1) * PIECE_S,
        }
        for number in range(pieces)
    ]
