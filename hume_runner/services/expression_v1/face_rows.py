"""Faces: what expression-v1 says of the frames of videos, and of stills that travelled together, as rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from msgspec import Raw

from hume_runner.errors import ResultsError
from hume_runner.services.expression_v1.entries import (
    NOBODY,
    ROWS_A_BLOCK,
    Before,
    MeasuredEntry,
    entry_of,
    extra_json,
    with_origin,
)
from hume_runner.services.expression_v1.layouts import VIDEO
from hume_runner.services.expression_v1.shapes import (
    Face,
    Image,
    VideoCounts,
    VideoDocument,
    add_scores,
    read_document,
    read_object,
    unreadable,
)
from hume_runner.services.table_shapes import Block, BlockBuilder, Piece, Share


def video_places(pieces: Sequence[Piece]) -> Iterator[tuple[Path, Before]]:
    """Faces are numbered on while the service remembers them; where it began anew, numbers go on after the last."""
    ordered = sorted(pieces, key=lambda piece: int(piece.detail["first_frame"]))
    if len(ordered) < 2:
        return
    rows = epoch = first = beyond = 0
    for index, piece in enumerate(ordered):
        if index and not piece.continues:
            epoch, first = epoch + 1, beyond
        yield piece.path, Before(rows=rows, ids=first, epoch=epoch)
        try:
            counts = read_document(piece.path, VideoCounts)
        except ResultsError:
            continue  # reading it for its own sake tells
        for frame in counts.measurements:
            rows += len(frame.faces)
            beyond = max([beyond, *(first + face.face_id + 1 for face in frame.faces if face.face_id is not None)])


def frames_entry(path: Path, share: Share, before: Before) -> MeasuredEntry:
    def blocks() -> Iterator[Block]:
        first, times_ms = int(share.detail["first_frame"]), share.detail["times_ms"]
        builder = BlockBuilder(layout=VIDEO)
        groups: list[object] = []
        for raw_image in read_document(path, VideoDocument).measurements:
            image, unknown = read_object(path, raw_image, Image)
            if not 0 <= image.frame_id < len(times_ms):
                raise unreadable(path, f"it speaks of image {image.frame_id}, and {len(times_ms)} were sent")
            time_s = times_ms[image.frame_id] / 1000
            for raw in image.faces:
                face, more = read_object(path, raw, Face)
                cells = (first + image.frame_id, time_s, face.face_id, before.epoch)
                _add_face(builder, cells, face, more | ({"frame": unknown} if unknown else {}))
                groups.append(NOBODY if face.face_id is None else f"face_{face.face_id + before.ids}")
            if len(groups) >= ROWS_A_BLOCK:
                yield with_origin(builder.take(), "video", groups)
                groups = []
        if groups:
            yield with_origin(builder.take(), "video", groups)

    return entry_of(share, blocks, before.rows)


def still_entries(path: Path, shares: Sequence[Share]) -> Iterator[MeasuredEntry]:
    images = read_document(path, VideoDocument).measurements
    for share in shares:
        place = _place_sent(share)
        if place >= len(images):
            raise unreadable(path, f"it speaks of {len(images)} images, and {place + 1} were sent or more")
        yield _still_entry(path, share, images[place])


def _place_sent(share: Share) -> int:
    """Where in the request it stood: its name. The job may have given members up before it was sent."""
    return int(share.match) if share.match.isdecimal() else share.position


def _still_entry(path: Path, share: Share, raw_image: Raw) -> MeasuredEntry:
    """A picture by itself: the service may have compared its faces with those of pictures that only travelled along,
    so its numbers are left out."""

    def blocks() -> Iterator[Block]:
        image, unknown = read_object(path, raw_image, Image)
        builder = BlockBuilder(layout=VIDEO)
        groups: list[object] = []
        known: dict[int, str] = {}
        for raw in image.faces:
            face, more = read_object(path, raw, Face)
            _add_face(builder, (0, None, None, 0), face, more | ({"frame": unknown} if unknown else {}))
            number = face.face_id
            groups.append(NOBODY if number is None else known.setdefault(number, f"face_{len(known)}"))
        if groups:
            yield with_origin(builder.take(), "image", groups)

    return entry_of(share, blocks, 0)


def _add_face(builder: BlockBuilder, place: tuple[object, ...], face: Face, extra: dict[str, Any]) -> None:
    x0, y0, x1, y1 = face.bbox
    measured = face.expressions is not None or face.descriptions is not None
    cells = (*place, measured, face.confidence, x0, y0, x1, y1, x1 - x0, y1 - y0)
    for column, cell in zip(builder.columns.values(), cells, strict=True):
        column.append(cell)
    for name, scores in (("expressions", face.expressions), ("descriptions", face.descriptions)):
        again = add_scores(builder.ragged[name], scores)
        if again:
            extra = extra | {name: [*again, *extra.get(name, ())]}
    builder.extra.append(extra_json(extra))
