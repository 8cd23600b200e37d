"""What the answers of expression-v1 (`response.json`) say, as rows.

A recording that was cut, the frames of a video and stills that travelled together become rows of their items again:
times count from the start of the source, ids go on from part to part, and nothing leaks between unrelated pictures.
How a job's members lie in its answer is written in their `detail` by the service that made the job.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hume_runner.services.expression_v1.entries import Before, MeasuredEntry
from hume_runner.services.expression_v1.face_rows import frames_entry, still_entries, video_places
from hume_runner.services.expression_v1.layouts import LAYOUTS
from hume_runner.services.expression_v1.speech_rows import audio_places, clip_entries, part_entry
from hume_runner.services.table_shapes import Piece, Reader, Share

__all__ = ["LAYOUTS", "reader"]


def reader() -> Reader:
    """A reader for one pass over answers: it remembers the parts of the item that it read last."""
    return _Reader()


class _Reader:
    def __init__(self) -> None:
        self._pieces: tuple[Piece, ...] = ()
        self._before: Mapping[Path, Before] = {}

    def __call__(self, path: Path, shares: Sequence[Share]) -> Iterator[MeasuredEntry]:
        """Yield what the answer says about each share. Raises: ResultsError, naming the file."""
        if not shares:
            return
        detail = shares[0].detail
        if "part" in detail:
            yield part_entry(path, shares[0], self._place(path, shares[0]))
        elif "first_frame" in detail:
            yield frames_entry(path, shares[0], self._place(path, shares[0]))
        elif "clip" in detail:
            yield from clip_entries(path, shares)
        else:
            yield from still_entries(path, shares)

    def _place(self, path: Path, share: Share) -> Before:
        pieces = share.pieces
        if pieces != self._pieces:
            audio = [piece for piece in pieces if "part" in piece.detail]
            video = [piece for piece in pieces if "first_frame" in piece.detail]
            self._before = dict(audio_places(audio)) | dict(video_places(video))
            self._pieces = pieces
        return self._before.get(path, Before())
