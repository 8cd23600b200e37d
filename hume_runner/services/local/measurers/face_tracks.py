"""Which faces of successive pictures are the same one, by where they are.

The rule: a face goes on with the track whose last box it overlaps most (intersection over union of at least 0.3), each
track and each face once, the largest overlap first. What overlaps no track begins one. A track that was not seen in
more than `gap` pictures on end is over. Nothing is recognised: who leaves and comes back is a new track, and two who
swap places between two pictures swap tracks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hume_runner.services.local.measurers import face_anchors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_OVERLAP = 0.3


class Tracks:
    """Numbers tracks from 0, in the order in which they begin."""

    def __init__(self, gap: int) -> None:
        self._gap = gap
        self._next = 0
        self._last: dict[int, tuple[int, NDArray[np.float32]]] = {}  # track -> picture, box

    def follow(self, picture: int, boxes: Sequence[NDArray[np.float32]]) -> list[int]:
        """The track of each box, (2, 2): upper left and lower right. Pictures come in order of their numbers."""
        self._last = {
            track: (seen, box) for track, (seen, box) in self._last.items() if picture - seen <= self._gap + 1
        }
        open_tracks = sorted(self._last)
        pairs: list[tuple[float, int, int]] = []
        if open_tracks:
            before = np.stack([self._last[track][1] for track in open_tracks])
            for number, box in enumerate(boxes):
                for track, overlap in zip(open_tracks, face_anchors.overlaps(box, before), strict=True):
                    if overlap >= _OVERLAP:
                        pairs.append((-float(overlap), track, number))
        chosen: dict[int, int] = {}
        taken: set[int] = set()
        for _, track, number in sorted(pairs):
            if number not in chosen and track not in taken:
                chosen[number] = track
                taken.add(track)
        tracks: list[int] = []
        for number, box in enumerate(boxes):
            track = chosen.get(number, -1)
            if track < 0:
                track, self._next = self._next, self._next + 1
            self._last[track] = (picture, box)
            tracks.append(track)
        return tracks
