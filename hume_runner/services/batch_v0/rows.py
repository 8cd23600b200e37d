"""What an answer of batch-v0 (`predictions.json`) says, as rows. The API's field names for results live here.

Shape:  [{"source": {"type", "url" | "filename"}, "results": {"predictions": [{"file", "file_type", "models": {MODEL:
        {"metadata", "grouped_predictions": [{"id", "predictions": [...]}]}}}], "errors": [{"message", "file"}]},
        "error"}]; all texts of a job share one element, and their `file` is the position of the text.
Units:  times are seconds from the start of the medium, boxes are pixels, positions are characters.
Source: the definition and answers recorded from 2023 to 2024. Members that are not known go to `extra`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Raw, Struct

from hume_runner.errors import ResultsError
from hume_runner.frozen import frozen
from hume_runner.http.json_lenient import kept_of
from hume_runner.http.json_stream import Shape, project, whole
from hume_runner.manifest.model import SourceKind
from hume_runner.services.batch_v0.layouts import BURST, FACE, FACEMESH, LANGUAGE, LAYOUTS, NER, PROSODY
from hume_runner.services.batch_v0.outcomes import reason_of
from hume_runner.services.batch_v0.readable import metadata_problem, row_problem
from hume_runner.services.batch_v0.repeats import CONFLICT, Mentions, Repeats, named_texts
from hume_runner.services.json_elements import Rows, elements, rows
from hume_runner.services.table_shapes import Block, BlockBuilder, EntryError, Family, Grid, Layout, Reader, Share
from hume_runner.services.unreadable import UNREADABLE

__all__ = ["LAYOUTS", "BatchEntry", "read_entries", "reader", "reason_of"]

# A source's answer up to this size is decoded at once, which is a quarter faster than row by row.
SMALL_BYTES = 4 << 20
# An answer up to this size is looked through at once.
_AT_ONCE_BYTES = 32 << 20
# Rows in one block: large enough that the cost of a block vanishes, small enough that an hour of video is no matter.
_ROWS_A_BLOCK = 2048


class _Score(Struct, gc=False, forbid_unknown_fields=True):
    name: str
    score: float


class _Box(Struct, gc=False, forbid_unknown_fields=True):
    x: float | None = None
    y: float | None = None
    w: float | None = None
    h: float | None = None


class _Interval(Struct, gc=False, forbid_unknown_fields=True):
    begin: float | None = None
    end: float | None = None


# What a column of 64 bits holds; a larger number goes to `extra`.
_Integer = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class _Span(Struct, gc=False, forbid_unknown_fields=True):
    begin: _Integer | None = None
    end: _Integer | None = None


_Scores = list[_Score] | None


class _Face(Struct, forbid_unknown_fields=True):
    frame: _Integer | None = None
    time: float | None = None
    prob: float | None = None
    box: _Box | None = None
    emotions: _Scores = None
    facs: _Scores = None
    descriptions: _Scores = None


class _Burst(Struct, forbid_unknown_fields=True):
    time: _Interval | None = None
    emotions: _Scores = None
    descriptions: _Scores = None


class _Prosody(Struct, forbid_unknown_fields=True):
    text: str | None = None
    time: _Interval | None = None
    confidence: float | None = None
    speaker_confidence: float | None = None
    emotions: _Scores = None


class _Language(Struct, forbid_unknown_fields=True):
    text: str | None = None
    position: _Span | None = None
    time: _Interval | None = None
    confidence: float | None = None
    speaker_confidence: float | None = None
    emotions: _Scores = None
    sentiment: _Scores = None
    toxicity: _Scores = None


class _Ner(Struct, forbid_unknown_fields=True):
    entity: str | None = None
    position: _Span | None = None
    entity_confidence: float | None = None
    support: float | None = None
    uri: str | None = None
    link_word: str | None = None
    time: _Interval | None = None
    confidence: float | None = None
    speaker_confidence: float | None = None
    emotions: _Scores = None


class _Facemesh(Struct, forbid_unknown_fields=True):
    emotions: _Scores = None


class _Metadata(Struct, gc=False):
    confidence: float | None = None
    detected_language: str | None = None


# The rows of a group: their bytes, or for a large source where they are.
_Rows = TypeVar("_Rows")


class _Group(Struct, Generic[_Rows]):
    predictions: _Rows | None = None
    id: Any = None


class _Model(Struct, Generic[_Rows]):
    grouped_predictions: list[_Group[_Rows]] | None = None
    metadata: Any = None


class _Prediction(Struct, Generic[_Rows]):
    models: dict[str, _Model[_Rows] | None] | None = None
    file: str | None = None
    file_type: Any = None


class _Results(Struct, Generic[_Rows]):
    predictions: list[_Prediction[_Rows]] | None = None
    errors: list[Any] | None = None


class _Source(Struct):
    type: str = ""
    url: str | None = None
    filename: str | None = None


class _Element(Struct, Generic[_Rows]):
    source: _Source
    results: _Results[_Rows] | None = None
    error: Any = None


def _times(interval: _Interval | None) -> tuple[float | None, float | None]:
    return (interval.begin, interval.end) if interval else (None, None)


def _face_cells(row: _Face) -> tuple[object, ...]:
    box = row.box or _Box()
    return row.frame, row.time, row.prob, box.x, box.y, box.w, box.h


def _burst_cells(row: _Burst) -> tuple[object, ...]:
    return _times(row.time)


def _prosody_cells(row: _Prosody) -> tuple[object, ...]:
    return row.text, *_times(row.time), row.confidence, row.speaker_confidence


def _language_cells(row: _Language) -> tuple[object, ...]:
    span = row.position or _Span()
    return row.text, span.begin, span.end, *_times(row.time), row.confidence, row.speaker_confidence


def _ner_cells(row: _Ner) -> tuple[object, ...]:
    span = row.position or _Span()
    entity = (row.entity, span.begin, span.end, row.entity_confidence, row.support, row.uri, row.link_word)
    return *entity, *_times(row.time), row.confidence, row.speaker_confidence


def _facemesh_cells(row: _Facemesh) -> tuple[object, ...]:
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
    "face": _Mapping(FACE, _Face, _face_cells, "emotions", "facs", "descriptions"),
    "burst": _Mapping(BURST, _Burst, _burst_cells, "emotions", "descriptions"),
    "prosody": _Mapping(PROSODY, _Prosody, _prosody_cells, "emotions"),
    "language": _Mapping(LANGUAGE, _Language, _language_cells, "emotions", "sentiment", "toxicity"),
    "ner": _Mapping(NER, _Ner, _ner_cells, "emotions"),
    "facemesh": _Mapping(FACEMESH, _Facemesh, _facemesh_cells, "emotions"),
}

_decode_element = msgspec.json.Decoder(_Element[list[Raw]]).decode

# What is kept of a source whose answer is large.
_LARGE: Shape = {
    "source": whole,
    "error": whole,
    "results": {
        "errors": whole,
        "predictions": (
            {
                "file": whole,
                "file_type": whole,
                "models": {"*": {"metadata": whole, "grouped_predictions": ({"id": whole, "predictions": rows},)}},
            },
        ),
    },
}

_AnyPrediction = _Prediction[list[Raw]] | _Prediction[Rows]
_AnyModel = _Model[list[Raw]] | _Model[Rows]
_AnyElement = _Element[list[Raw]] | _Element[Rows]


@frozen
class BatchEntry:
    """One source of an answer, or one text of the element that all texts share.

    `places`: where its predictions stand in their element.
    """

    kind: SourceKind
    match: str
    errors: tuple[EntryError, ...]
    predictions: tuple[_AnyPrediction, ...]
    first_row: int = 0
    places: tuple[int, ...] = ()

    @property
    def failure(self) -> str | None:
        """Why nothing of the source was measured; None where something was."""
        return next((error.message for error in self.errors if error.file is None or not self.predictions), None)

    def blocks(self) -> Iterator[Block]:
        """The rows in the answer's order, at most some thousand in a block. Raises: ResultsError for an odd number."""
        for prediction in self.predictions:
            for model, content in (prediction.models or {}).items():
                mapping = _MAPPINGS.get(model)
                if mapping is not None and content is not None:
                    yield from _told_blocks(_model_blocks(mapping, content, prediction))


def reader() -> Reader:
    """A reader of answers; here each is read by itself."""
    return read_entries


def read_entries(path: Path, shares: Sequence[Share] = ()) -> Iterator[BatchEntry]:
    """Yield what the answer in `path` says about each source, in the answer's order; texts by position.

    Memory holds one source at a time, and a window of a large one. A document that wraps the array in `predictions`
    (a callback) is read as well.
    Raises: ResultsError, naming the file.
    """
    repeats = _repeats(path, shares)
    told: set[tuple[str, str]] = set()
    known, strange = 0, None
    for number, reader in enumerate(elements(path, "predictions")):
        start = reader.position
        small = reader.raw_within(SMALL_BYTES)
        kept = project(reader, _LARGE) if small is None else None
        try:
            reader.raise_problem()
            element = msgspec.convert(kept, _Element[Rows]) if small is None else _decode_element(small)
            entries = tuple(_entries(element))
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            strange = strange or ResultsError(
                f"{path}: element {number} is not a prediction: {error}", hint="is this the predictions.json of a job?"
            )
            if small is not None:
                kept = kept_of(small, {"source": whole})
            entries = _unreadable(kept, error)
        known += len(entries)
        for entry in entries:
            if (entry.kind, entry.match) not in repeats.keys:
                yield entry
            elif once := _once(entry, start, repeats, told):
                yield once
    if strange is not None and not known:
        raise strange


class _MentionedFile(Struct):
    file: str | None = None


class _MentionedResults(Struct):
    predictions: list[_MentionedFile] | None = None
    errors: list[Any] | None = None


class _Mentioned(Struct):
    """As much of an element as says of which sources it speaks."""

    source: _Source
    results: _MentionedResults | None = None


_decode_mentioned = msgspec.json.Decoder(_Mentioned).decode
_decode_all_mentioned = msgspec.json.Decoder(list[_Mentioned]).decode
_MENTIONED: Shape = {"source": whole, "results": {"errors": whole, "predictions": ({"file": whole},)}}


def _repeats(path: Path, shares: Sequence[Share]) -> Repeats:
    """What the answer says more than once of what was sent once; nothing where nobody knows what was sent.

    Read before everything else: a source of which it says different things has no rows at all.
    """
    mentions = Mentions.of((share.kind, share.match) for share in shares)
    if not shares or _names_each_once(path, mentions):
        return Repeats()
    mentions = Mentions(mentions.sent)
    with contextlib.suppress(ResultsError):  # of an answer that is damaged, whoever reads its rows tells
        for reader in elements(path, "predictions"):
            start = reader.position
            small = reader.raw_within(SMALL_BYTES)
            kept = project(reader, _MENTIONED) if small is None else None
            try:
                element = msgspec.convert(kept, _Mentioned) if small is None else _decode_mentioned(small)
            except (msgspec.DecodeError, RecursionError, ValueError):
                continue  # it has no rows
            _mention(mentions, start, element)
    return mentions.compared(path)


def _names_each_once(path: Path, mentions: Mentions) -> bool:
    """Whether an answer surely names no source twice: nearly all, told several times as fast as element by element."""
    try:
        if path.stat().st_size > _AT_ONCE_BYTES:
            return False
        for number, element in enumerate(_decode_all_mentioned(path.read_bytes())):
            _mention(mentions, number, element)
    except (msgspec.DecodeError, RecursionError, ValueError, OSError):
        return False
    return not mentions.again


def _mention(mentions: Mentions, start: int, element: _Mentioned) -> None:
    source, results = element.source, element.results
    if source.type != "text":
        mentions.add(start, *_named(source))
    elif results is not None:
        files = [prediction.file or "" for prediction in results.predictions or ()]
        failed = [error.file or "" for error in _errors(results.errors or ())]
        mentions.add(start, "text", named_texts(files, failed))


def _once(entry: BatchEntry, start: int, repeats: Repeats, told: set[tuple[str, str]]) -> BatchEntry | None:
    """What an element says of a source that the answer names more than once, without what was said before."""
    key = (entry.kind, entry.match)
    first = key not in told
    told.add(key)
    if key in repeats.conflicts:
        error = EntryError(file=None, message=f"{UNREADABLE}: {CONFLICT}")
        return replace(entry, errors=(error,), predictions=()) if first else None
    if first and entry.kind != "text":
        return entry
    predictions = []
    for place, prediction in zip(entry.places, entry.predictions, strict=True):
        models = {
            name: model
            for name, model in (prediction.models or {}).items()
            if (start, place, name) not in repeats.again
        }
        if models:
            predictions.append(msgspec.structs.replace(prediction, models=models))
    return (
        replace(entry, errors=entry.errors if first else (), predictions=tuple(predictions), places=())
        if first or predictions
        else None
    )


class _Named(Struct):
    """As much of an element as says whose it is."""

    source: _Source


def _unreadable(kept: Any, error: Exception) -> tuple[BatchEntry, ...]:
    """An element that says whose it is, and whose content is of no known shape: its source alone has no rows."""
    try:
        named = msgspec.convert(kept, _Named)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return ()
    return tuple(_entries(_Element[Rows](source=named.source, error=f"{UNREADABLE}: {error}")))


def _entries(element: _AnyElement) -> Iterator[BatchEntry]:
    source, results = element.source, element.results
    predictions: tuple[_AnyPrediction, ...] = tuple((results and results.predictions) or ())
    errors = _errors((results and results.errors) or ())
    whole = (EntryError(file=None, message=_message(element.error)),) if element.error else ()
    if source.type != "text":
        kind, (match,) = _named(source)
        places = tuple(range(len(predictions)))
        yield BatchEntry(kind=kind, match=match, errors=(*whole, *errors), predictions=predictions, places=places)
        return
    positions = {prediction.file or "" for prediction in predictions} | {error.file or "" for error in errors}
    for position in sorted(positions, key=_text_order):
        mine = [place for place, prediction in enumerate(predictions) if (prediction.file or "") == position]
        yield BatchEntry(
            kind="text",
            match=position,
            errors=tuple(error for error in errors if (error.file or "") == position),
            predictions=tuple(predictions[place] for place in mine),
            places=tuple(mine),
        )
    if whole:
        yield BatchEntry(kind="text", match="", errors=whole, predictions=())


def _named(source: _Source) -> tuple[SourceKind, tuple[str]]:
    """What a source that is no text is, and its name."""
    kind: SourceKind = "url" if source.type == "url" or (source.url and not source.filename) else "file"
    return kind, ((source.url if kind == "url" else source.filename) or "",)


def _text_order(position: str) -> tuple[int, str]:
    return (int(position), position) if position.isascii() and position.isdigit() else (0, position)


def _errors(errors: Sequence[Any]) -> tuple[EntryError, ...]:
    found = []
    for error in errors:
        file = error.get("file") if isinstance(error, dict) else None
        found.append(EntryError(file=file if isinstance(file, str) else None, message=_message(error)))
    return tuple(found)


def _message(error: Any) -> str:
    message = error.get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) else msgspec.json.encode(error).decode()


def _told_blocks(blocks: Iterator[Block]) -> Iterator[Block]:
    try:
        yield from blocks
    except (msgspec.DecodeError, RecursionError, ValueError, OverflowError) as error:
        raise ResultsError(f"{UNREADABLE}: {error}", hint="the raw answer is kept in raw/") from error


def _model_blocks(mapping: _Mapping, content: _AnyModel, prediction: _AnyPrediction) -> Iterator[Block]:
    """Rows of one file and model. The hot loop: what can be looked up once is looked up before it."""
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


def _metadata(value: Any) -> tuple[_Metadata, dict[str, Any]]:
    """The transcript's metadata, and what it holds beyond that."""
    if not isinstance(value, dict):
        return _Metadata(), {} if value is None else {"metadata": value}
    known, rest = _tolerant(_Metadata, value)
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
        row, extra = _tolerant(mapping.shape, value)
    for member, family in mapping.families:
        left = _add_scores(builder.grids[family.prefix], family, getattr(row, member))
        if left:
            extra = {**(extra or {}), member: [*left, *(extra or {}).get(member, ())]}
    if metadata_extra:
        extra = {**metadata_extra, **(extra or {})}
    builder.extra.append(msgspec.json.encode(extra, order="sorted").decode() if extra else None)
    return mapping.cells(row)


def _add_scores(grid: Grid, family: Family, scores: list[_Score] | None) -> list[dict[str, Any]]:
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


def _tolerant(shape: type[Struct], value: Any) -> tuple[Any, dict[str, Any]]:
    """`value` as `shape` as far as it fits, and what does not fit."""
    known: dict[str, Any] = {}
    left: dict[str, Any] = {}
    types = {field.name: field.type for field in msgspec.structs.fields(shape)}
    for name, content in value.items():
        if name not in types:
            left[name] = content
            continue
        try:
            # A number that is whole may be written with a point; everything else has its type by now.
            known[name] = msgspec.convert(content, types[name], strict=not isinstance(content, float))
        except msgspec.ValidationError:
            known[name], rest = _partly(types[name], content)
            if rest:
                left[name] = rest
    return shape(**known), left


def _partly(wanted: Any, content: Any) -> tuple[Any, Any]:
    """A member that does not fit as a whole: the scores of a list and the members of an object that do."""
    if wanted == _Scores and isinstance(content, list):
        scores, rest = [], []
        for entry in content:
            try:
                scores.append(msgspec.convert(entry, _Score))
            except msgspec.ValidationError:
                rest.append(entry)
        return scores, rest
    for shape in (_Box, _Interval, _Span):
        if wanted == (shape | None) and isinstance(content, dict):
            return _tolerant(shape, content)
    return None, content
