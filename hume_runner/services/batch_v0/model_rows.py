"""What one model of batch-v0 predicted of one file, as rows: cells, scores, and what no column is there for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from msgspec import Raw, Struct

from hume_runner.errors import ResultsError
from hume_runner.services.batch_v0.layouts import BURST, FACE, FACEMESH, LANGUAGE, NER, PROSODY
from hume_runner.services.batch_v0.readable import metadata_problem, row_problem
from hume_runner.services.batch_v0.shapes import (
    AnyModel,
    AnyPrediction,
    Box,
    Burst,
    Face,
    Facemesh,
    Interval,
    Language,
    Metadata,
    Ner,
    Prosody,
    Score,
    Span,
    tolerant,
)
from hume_runner.services.table_shapes import Block, BlockBuilder, Family, Grid, Layout
from hume_runner.services.unreadable import UNREADABLE

# Rows in one block: large enough that the cost of a block vanishes, small enough that an hour of video is no matter.
_ROWS_A_BLOCK = 2048


def _times(interval: Interval | None) -> tuple[float | None, float | None]:
    return (interval.begin, interval.end) if interval else (None, None)


def _face_cells(row: Face) -> tuple[object, ...]:
    box = row.box or Box()
    return row.frame, row.time, row.prob, box.x, box.y, box.w, box.h


def _burst_cells(row: Burst) -> tuple[object, ...]:
    return _times(row.time)


def _prosody_cells(row: Prosody) -> tuple[object, ...]:
    return row.text, *_times(row.time), row.confidence, row.speaker_confidence


def _language_cells(row: Language) -> tuple[object, ...]:
    span = row.position or Span()
    return row.text, span.begin, span.end, *_times(row.time), row.confidence, row.speaker_confidence


def _ner_cells(row: Ner) -> tuple[object, ...]:
    span = row.position or Span()
    entity = (row.entity, span.begin, span.end, row.entity_confidence, row.support, row.uri, row.link_word)
    return *entity, *_times(row.time), row.confidence, row.speaker_confidence


def _facemesh_cells(row: Facemesh) -> tuple[object, ...]:
    return ()


class _Mapping:
    """How one model's predictions become rows: the typed shape, its cells, and the member of each score family."""

    def __init__(
        self, layout: Layout, shape: type[Struct], cells: Callable[[Any], tuple[object, ...]], *members: str
    ) -> None:
        self.layout = layout
        self.shape = shape
        self.cells = cells
        self.decode = msgspec.json.Decoder(shape).decode
        self.families = tuple(zip(members, layout.families, strict=True))
        self.has_transcript = "transcript_confidence" in {column.name for column in layout.columns}


_MAPPINGS = {
    "face": _Mapping(FACE, Face, _face_cells, "emotions", "facs", "descriptions"),
    "burst": _Mapping(BURST, Burst, _burst_cells, "emotions", "descriptions"),
    "prosody": _Mapping(PROSODY, Prosody, _prosody_cells, "emotions"),
    "language": _Mapping(LANGUAGE, Language, _language_cells, "emotions", "sentiment", "toxicity"),
    "ner": _Mapping(NER, Ner, _ner_cells, "emotions"),
    "facemesh": _Mapping(FACEMESH, Facemesh, _facemesh_cells, "emotions"),
}


def model_blocks(model: str, content: AnyModel, prediction: AnyPrediction) -> Iterator[Block]:
    """Rows of one file and model, none of a model that is not known. Raises: ResultsError for what cannot be a row."""
    mapping = _MAPPINGS.get(model)
    if mapping is None:
        return
    try:
        yield from _blocks(mapping, content, prediction)
    except (msgspec.DecodeError, RecursionError, ValueError, OverflowError) as error:
        raise ResultsError(f"{UNREADABLE}: {error}", hint="the raw answer is kept in raw/") from error


def _blocks(mapping: _Mapping, content: AnyModel, prediction: AnyPrediction) -> Iterator[Block]:
    """The hot loop: what can be looked up once is looked up before it."""
    if told := metadata_problem(mapping.layout.name, content.metadata):
        raise ValueError(told)
    metadata, metadata_extra = _metadata(content.metadata)
    common = (metadata.confidence, metadata.detected_language) if mapping.has_transcript else ()
    file_type = prediction.file_type if isinstance(prediction.file_type, str) else None
    builder = BlockBuilder(layout=mapping.layout)
    origin: list[object] = []
    cells: list[tuple[object, ...]] = []
    for group in content.grouped_predictions or ():
        group_id = group.id if isinstance(group.id, str) or group.id is None else str(group.id)
        for raw in group.predictions or ():
            cells.append((*_add_row(builder, mapping, raw, metadata_extra), *common))
            origin.append(group_id)
            if len(origin) >= _ROWS_A_BLOCK:
                yield _with_origin(_taken(builder, cells), origin, prediction.file, file_type)
                origin, cells = [], []
    if origin:
        yield _with_origin(_taken(builder, cells), origin, prediction.file, file_type)


def _taken(builder: BlockBuilder, rows: list[tuple[object, ...]]) -> Block:
    for column, cells in zip(builder.columns.values(), zip(*rows, strict=True), strict=True):
        column.extend(cells)
    return builder.take()


def _with_origin(block: Block, groups: list[object], file: str | None, file_type: str | None) -> Block:
    origin: dict[str, Sequence[object]] = {"file": [file] * block.rows, "file_type": [file_type] * block.rows}
    return replace(block, columns={**origin, "group_id": groups, **block.columns})


def _metadata(value: Any) -> tuple[Metadata, dict[str, Any]]:
    """The transcript's metadata, and what it holds beyond that."""
    if not isinstance(value, dict):
        return Metadata(), {} if value is None else {"metadata": value}
    known, rest = tolerant(Metadata, value)
    return known, {"metadata": rest} if rest else {}


def _add_row(
    builder: BlockBuilder,
    mapping: _Mapping,
    raw: Raw | bytes,
    metadata_extra: dict[str, Any],
) -> tuple[object, ...]:
    """Put a row's scores into the builder, and give back its other cells."""
    extra: dict[str, Any] | None = None
    try:
        row = mapping.decode(raw)
    except msgspec.ValidationError:
        value = msgspec.json.decode(raw)
        if told := row_problem(mapping.layout.name, value):
            raise ValueError(told) from None
        row, extra = tolerant(mapping.shape, value)
    for member, family in mapping.families:
        left = _add_scores(builder.grids[family.prefix], family, getattr(row, member))
        if left:
            extra = {**(extra or {}), member: [*left, *(extra or {}).get(member, ())]}
    if metadata_extra:
        extra = {**metadata_extra, **(extra or {})}
    builder.extra.append(msgspec.json.encode(extra, order="sorted").decode() if extra else None)
    return mapping.cells(row)


def _add_scores(grid: Grid, family: Family, scores: list[Score] | None) -> list[dict[str, Any]]:
    """Add one row of scores; gives back those that the family has no column for."""
    if scores is None:
        grid.add_blank()
        return []
    if [score.name for score in scores] == family.spelt:
        grid.add_full([score.score for score in scores])
        return []
    placed: dict[int, float] = {}
    left = []
    for score in scores:
        position = family.index.get(score.name)
        if position is None or position in placed:
            left.append({"name": score.name, "score": score.score})
        else:
            placed[position] = score.score
    grid.add_some(placed)
    return left
