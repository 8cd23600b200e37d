"""Speech: what expression-v1 says of recordings, of parts that were cut and of clips that were joined, as rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from hume_runner.errors import ResultsError
from hume_runner.frozen import frozen
from hume_runner.media.wav import RATE_HZ
from hume_runner.services.expression_v1.entries import (
    ROWS_A_BLOCK,
    Before,
    MeasuredEntry,
    entry_of,
    extra_json,
    with_origin,
)
from hume_runner.services.expression_v1.layouts import AUDIO
from hume_runner.services.expression_v1.shapes import (
    AudioCounts,
    AudioDocument,
    Utterance,
    Window,
    add_scores,
    read_document,
    read_object,
)
from hume_runner.services.placing import Placed, placed
from hume_runner.services.table_shapes import Block, BlockBuilder, Piece, Share

# Speech this close to a cut goes on across it. Voice activity is decided in steps of some 10 ms.
_TOUCHING_MS = 60


@frozen
class _Extent:
    """A part as its neighbours see it: where its first utterance begins and its last ends, in ms of the recording."""

    rows: int
    utterances: int
    measurements: int
    begin_ms: int | None
    end_ms: int | None


def audio_places(pieces: Sequence[Piece]) -> Iterator[tuple[Path, Before]]:
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
        begins_in_speech = mine.begin_ms is not None and mine.begin_ms <= begin + _TOUCHING_MS
        ends_in_speech = mine.end_ms is not None and mine.end_ms >= end - _TOUCHING_MS
        if begin == 0:
            cut_before: bool | None = False
        elif before is None:
            cut_before = None if begins_in_speech else False
        else:
            cut_before = begins_in_speech and before.end_ms is not None and before.end_ms >= begin - _TOUCHING_MS
        if _is_last(piece.detail):
            cut_after: bool | None = False
        elif after is None:
            cut_after = None if ends_in_speech else False
        else:
            cut_after = ends_in_speech and after.begin_ms is not None and after.begin_ms <= end + _TOUCHING_MS
        yield (
            piece.path,
            Before(rows=rows, ids=ids, measurements=measurements, cut_before=cut_before, cut_after=cut_after),
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


def part_entry(path: Path, share: Share, before: Before) -> MeasuredEntry:
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

    return entry_of(share, blocks, before.rows)


def _worst(cuts: Sequence[bool | None]) -> bool | None:
    if True in cuts:
        return True
    return None if None in cuts else False


def clip_entries(path: Path, shares: Sequence[Share]) -> Iterator[MeasuredEntry]:
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

    return entry_of(share, blocks, 0)


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
        if len(builder.extra) >= ROWS_A_BLOCK:
            yield with_origin(builder.take(), "audio")
    for number, spoken in heard.items():
        if number not in measured:
            extra = {"utterance": spoken.unknown} if spoken.unknown else {}
            cells = (spoken.number, None, None, None, *_span(spoken, place), None, spoken.cut, channel)
            _add_speech(builder, cells, extra, None)
    if builder.extra:
        yield with_origin(builder.take(), "audio")


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
    builder.extra.append(extra_json(extra))
