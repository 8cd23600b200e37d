"""What the answers of expression-v1 (`response.json`) say, as rows.

A recording that was cut, the frames of a video and stills that travelled together become rows of their items again:
times count from the start of the source, ids go on from part to part, and nothing leaks between unrelated pictures.
How a job's members lie in its answer is written in their `detail` by the service that made the job.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import msgspec
from msgspec import Raw

from hume_runner.errors import ResultsError
from hume_runner.frozen import frozen
from hume_runner.manifest.model import SourceKind
from hume_runner.media.wav import RATE_HZ
from hume_runner.services.expression_v1.layouts import AUDIO, LAYOUTS, VIDEO
from hume_runner.services.expression_v1.shapes import (
    AudioCounts,
    AudioDocument,
    Face,
    Image,
    Utterance,
    VideoCounts,
    VideoDocument,
    Window,
    add_scores,
    read_document,
    read_object,
    unreadable,
)
from hume_runner.services.expression_v1.stitch import TOUCHING_MS
from hume_runner.services.placing import Placed, placed
from hume_runner.services.table_shapes import Block, BlockBuilder, EntryError, Piece, Reader, Share

__all__ = ["LAYOUTS", "MeasuredEntry", "reader"]

_ROWS_A_BLOCK = 2048
_NOBODY = "unknown"  # where nobody is told apart


@frozen
class MeasuredEntry:
    """One member of a job in the job's answer."""

    kind: SourceKind
    match: str
    make: Callable[[], Iterator[Block]]
    first_row: int = 0
    errors: tuple[EntryError, ...] = ()

    def blocks(self) -> Iterator[Block]:
        """The rows in the answer's order, at most some thousand in a block."""
        return self.make()


def reader() -> Reader:
    """A reader for one pass over answers: it remembers the parts of the item that it read last."""
    return _Reader()


@frozen
class _Before:
    """What the earlier parts of an item amount to, for one part.

    For audio: utterances so far, and whether the cuts at both ends fell in speech (None: the neighbour is not there).
    For video: faces so far, and how often their numbering began anew.
    """

    rows: int = 0
    ids: int = 0
    measurements: int = 0
    epoch: int = 0
    cut_before: bool | None = False
    cut_after: bool | None = False


class _Reader:
    def __init__(self) -> None:
        self._pieces: tuple[Piece, ...] = ()
        self._before: Mapping[Path, _Before] = {}

    def __call__(self, path: Path, shares: Sequence[Share]) -> Iterator[MeasuredEntry]:
        """Yield what the answer says about each share. Raises: ResultsError, naming the file."""
        if not shares:
            return
        detail = shares[0].detail
        if "part" in detail:
            yield _part_entry(path, shares[0], self._place(path, shares[0]))
        elif "first_frame" in detail:
            yield _frames_entry(path, shares[0], self._place(path, shares[0]))
        elif "clip" in detail:
            yield from _clip_entries(path, shares)
        else:
            yield from _still_entries(path, shares)

    def _place(self, path: Path, share: Share) -> _Before:
        pieces = share.pieces
        if pieces != self._pieces:
            audio = [piece for piece in pieces if "part" in piece.detail]
            video = [piece for piece in pieces if "first_frame" in piece.detail]
            self._before = dict(_audio_places(audio)) | dict(_video_places(video))
            self._pieces = pieces
        return self._before.get(path, _Before())


# -- speech ------------------------------------------------------------------------------------------------------------


@frozen
class _Extent:
    """A part as its neighbours see it: where its first utterance begins and its last ends, in ms of the recording."""

    rows: int
    utterances: int
    measurements: int
    begin_ms: int | None
    end_ms: int | None


def _audio_places(pieces: Sequence[Piece]) -> Iterator[tuple[Path, _Before]]:
    if len(pieces) == 1 and int(pieces[0].detail.get("parts", 1)) == 1:
        return
    # In the order of the recording: parts that were cut at different times may bear the same number.
    readable = dict(enumerate(sorted(pieces, key=lambda piece: int(piece.detail["first"]))))
    extents = {number: extent for number, piece in readable.items() if (extent := _extent(piece)) is not None}
    rows = ids = measurements = 0
    for number, mine in sorted(extents.items()):
        piece = readable[number]
        begin = _ms(int(piece.detail["first"]))
        end = _ms(int(piece.detail["first"]) + int(piece.detail["samples"]))
        before, after = (
            extents.get(near) if near in readable and _adjoin(readable, number, near) else None
            for near in (number - 1, number + 1)
        )
        begins_in_speech = mine.begin_ms is not None and mine.begin_ms <= begin + TOUCHING_MS
        ends_in_speech = mine.end_ms is not None and mine.end_ms >= end - TOUCHING_MS
        if begin == 0:
            cut_before: bool | None = False
        elif before is None:
            cut_before = None if begins_in_speech else False
        else:
            cut_before = begins_in_speech and before.end_ms is not None and before.end_ms >= begin - TOUCHING_MS
        if _is_last(piece.detail):
            cut_after: bool | None = False
        elif after is None:
            cut_after = None if ends_in_speech else False
        else:
            cut_after = ends_in_speech and after.begin_ms is not None and after.begin_ms <= end + TOUCHING_MS
        yield (
            piece.path,
            _Before(rows=rows, ids=ids, measurements=measurements, cut_before=cut_before, cut_after=cut_after),
        )
        rows, ids, measurements = rows + mine.rows, ids + mine.utterances, measurements + mine.measurements


def _adjoin(ordered: Mapping[int, Piece], one: int, other: int) -> bool:
    """Whether two passages that follow each other have nothing between them."""
    before, after = ordered[min(one, other)].detail, ordered[max(one, other)].detail
    return int(before["first"]) + int(before["samples"]) == int(after["first"])


def _is_last(detail: Mapping[str, Any]) -> bool:
    if "total" in detail:
        return int(detail["first"]) + int(detail["samples"]) >= int(detail["total"])
    return int(detail["part"]) + 1 >= int(detail["parts"])


def _extent(piece: Piece) -> _Extent | None:
    """None for an answer of a shape that is not known: what it was for has failed, and its neighbours stand alone."""
    try:
        answer = read_document(piece.path, AudioCounts)
    except ResultsError:
        return None
    offset = _ms(int(piece.detail["first"]))
    heard = {measurement.utterance_id for measurement in answer.measurements}
    silent = sum(1 for utterance in answer.utterances if utterance.utterance_id not in heard)
    return _Extent(
        rows=len(answer.measurements) + silent,
        utterances=len(answer.utterances),
        measurements=len(answer.measurements),
        begin_ms=answer.utterances[0].audio_start_ms + offset if answer.utterances else None,
        end_ms=answer.utterances[-1].audio_end_ms + offset if answer.utterances else None,
    )


def _ms(samples: int) -> int:
    return samples * 1000 // RATE_HZ


@frozen
class _Heard:
    """An utterance under the number that its item gives it, and whether it was cut."""

    utterance: Utterance
    unknown: Mapping[str, Any]
    number: int
    cut: bool | None


def _part_entry(path: Path, share: Share, before: _Before) -> MeasuredEntry:
    def blocks() -> Iterator[Block]:
        document = read_document(path, AudioDocument)
        place = placed(share.detail, int(share.detail["first"]))
        heard: dict[int, _Heard] = {}
        last = len(document.utterances) - 1
        for index, raw in enumerate(document.utterances):
            utterance, unknown = read_object(path, raw, Utterance)
            cuts = [before.cut_before] * (index == 0) + [before.cut_after] * (index == last)
            heard[utterance.utterance_id] = _Heard(
                utterance=utterance, unknown=unknown, number=utterance.utterance_id + before.ids, cut=_worst(cuts)
            )
        windows = (read_object(path, raw, Window) for raw in document.measurements)
        channel = share.detail.get("channel")
        yield from _speech_blocks(windows, heard, place, before.ids, before.measurements, channel)

    return _entry(share, blocks, before.rows)


def _worst(cuts: Sequence[bool | None]) -> bool | None:
    if True in cuts:
        return True
    return None if None in cuts else False


def _clip_entries(path: Path, shares: Sequence[Share]) -> Iterator[MeasuredEntry]:
    """Clips that were joined: each utterance belongs to the clip in which it begins."""
    document = read_document(path, AudioDocument)
    utterances = [read_object(path, raw, Utterance) for raw in document.utterances]
    windows = [read_object(path, raw, Window) for raw in document.measurements]
    ordered = sorted(shares, key=lambda share: int(share.detail["first"]))
    for place, share in enumerate(ordered):
        begin = _ms(int(share.detail["first"]))
        beyond = _ms(int(ordered[place + 1].detail["first"])) if place + 1 < len(ordered) else None
        yield _clip_entry(share, begin, beyond, utterances, windows)


def _clip_entry(
    share: Share,
    begin_ms: int,
    beyond_ms: int | None,
    utterances: Sequence[tuple[Utterance, dict[str, Any]]],
    windows: Sequence[tuple[Window, dict[str, Any]]],
) -> MeasuredEntry:
    # Members that left the manifest are not among the shares: what lies beyond a clip and its silence is theirs.
    end_ms = begin_ms + _ms(int(share.detail["samples"]))
    mine = [
        pair
        for pair in utterances
        if begin_ms <= pair[0].audio_start_ms < min(end_ms + _ms(RATE_HZ), beyond_ms or end_ms + _ms(RATE_HZ))
    ]
    # A second of silence follows the clip: speech that goes on beyond it was joined with the next one's.
    heard = {
        utterance.utterance_id: _Heard(
            utterance=utterance, unknown=unknown, number=number, cut=utterance.audio_end_ms > end_ms + _ms(RATE_HZ)
        )
        for number, (utterance, unknown) in enumerate(mine)
    }
    said = [pair for pair in windows if pair[0].utterance_id in heard]
    in_clip = placed(share.detail, 0)

    def place(begin: int, end: int) -> tuple[int, int]:
        return in_clip(begin - begin_ms, end - begin_ms)

    def blocks() -> Iterator[Block]:
        numbered = ((replace_id(window, number), unknown) for number, (window, unknown) in enumerate(said))
        yield from _speech_blocks(numbered, heard, place, 0, 0, share.detail.get("channel"))

    return _entry(share, blocks, 0)


def replace_id(window: Window, number: int) -> Window:
    """`window` as measurement `number` of its clip."""
    return msgspec.structs.replace(window, measurement_id=number)


def _speech_blocks(
    windows: Iterator[tuple[Window, dict[str, Any]]],
    heard: Mapping[int, _Heard],
    place: Placed,
    first_utterance: int,
    first_measurement: int,
    channel: int | None,
) -> Iterator[Block]:
    builder = BlockBuilder(layout=AUDIO)
    measured: set[int] = set()
    for window, unknown in windows:
        spoken = heard.get(window.utterance_id)
        measured.add(window.utterance_id)
        begin_ms, end_ms = place(window.audio_start_ms, window.audio_end_ms)
        _add_speech(
            builder,
            (
                spoken.number if spoken else window.utterance_id + first_utterance,
                window.measurement_id + first_measurement,
                begin_ms / 1000,
                end_ms / 1000,
                *_span(spoken, place),
                window.trigger,
                spoken.cut if spoken else None,
                channel,
            ),
            unknown | ({"utterance": spoken.unknown} if spoken and spoken.unknown else {}),
            window,
        )
        if len(builder.extra) >= _ROWS_A_BLOCK:
            yield _with_origin(builder.take(), "audio")
    for number, spoken in heard.items():
        if number not in measured:
            extra = {"utterance": spoken.unknown} if spoken.unknown else {}
            cells = (spoken.number, None, None, None, *_span(spoken, place), None, spoken.cut, channel)
            _add_speech(builder, cells, extra, None)
    if builder.extra:
        yield _with_origin(builder.take(), "audio")


def _span(spoken: _Heard | None, place: Placed) -> tuple[float | None, float | None]:
    if spoken is None:
        return None, None
    begin_ms, end_ms = place(spoken.utterance.audio_start_ms, spoken.utterance.audio_end_ms)
    return begin_ms / 1000, end_ms / 1000


def _add_speech(builder: BlockBuilder, cells: tuple[object, ...], extra: dict[str, Any], window: Window | None) -> None:
    for column, cell in zip(builder.columns.values(), cells, strict=True):
        column.append(cell)
    lists = {
        "expressions": window.expressions if window else None,
        "voice_attributes": window.voice_attributes if window else None,
    }
    for name, scores in lists.items():
        again = add_scores(builder.ragged[name], scores)
        if again:
            extra = extra | {name: [*again, *extra.get(name, ())]}
    builder.extra.append(_json(extra))


# -- faces -------------------------------------------------------------------------------------------------------------


def _video_places(pieces: Sequence[Piece]) -> Iterator[tuple[Path, _Before]]:
    """Faces are numbered on while the service remembers them; where it began anew, numbers go on after the last."""
    ordered = sorted(pieces, key=lambda piece: int(piece.detail["first_frame"]))
    if len(ordered) < 2:
        return
    rows = epoch = first = beyond = 0
    for index, piece in enumerate(ordered):
        if index and not piece.continues:
            epoch, first = epoch + 1, beyond
        yield piece.path, _Before(rows=rows, ids=first, epoch=epoch)
        try:
            counts = read_document(piece.path, VideoCounts)
        except ResultsError:
            continue  # reading it for its own sake tells
        for frame in counts.measurements:
            rows += len(frame.faces)
            beyond = max([beyond, *(first + face.face_id + 1 for face in frame.faces if face.face_id is not None)])


def _frames_entry(path: Path, share: Share, before: _Before) -> MeasuredEntry:
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
                groups.append(_NOBODY if face.face_id is None else f"face_{face.face_id + before.ids}")
            if len(groups) >= _ROWS_A_BLOCK:
                yield _with_origin(builder.take(), "video", groups)
                groups = []
        if groups:
            yield _with_origin(builder.take(), "video", groups)

    return _entry(share, blocks, before.rows)


def _still_entries(path: Path, shares: Sequence[Share]) -> Iterator[MeasuredEntry]:
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
            groups.append(_NOBODY if number is None else known.setdefault(number, f"face_{len(known)}"))
        if groups:
            yield _with_origin(builder.take(), "image", groups)

    return _entry(share, blocks, 0)


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
    builder.extra.append(_json(extra))


def _entry(share: Share, blocks: Callable[[], Iterator[Block]], first_row: int) -> MeasuredEntry:
    kind = cast(SourceKind, share.kind)
    errors = tuple(EntryError(file=None, message=str(message)) for message in share.detail.get("errors", ()))
    return MeasuredEntry(kind=kind, match=share.match, make=blocks, first_row=first_row, errors=errors)


def _with_origin(block: Block, file_type: str, groups: Sequence[object] = ()) -> Block:
    origin: dict[str, Sequence[object]] = {
        "file": [None] * block.rows,
        "file_type": [file_type] * block.rows,
        "group_id": groups or [_NOBODY] * block.rows,
    }
    return replace(block, columns={**origin, **block.columns})


def _json(extra: Mapping[str, Any]) -> str | None:
    return msgspec.json.encode(extra, order="sorted").decode() if extra else None
