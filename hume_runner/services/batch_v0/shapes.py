"""An answer of batch-v0 (`predictions.json`) as typed values, with what does not fit set aside. The API's field names
for results live here.

Shape:  [{"source": {"type", "url" | "filename"}, "results": {"predictions": [{"file", "file_type", "models": {MODEL:
        {"metadata", "grouped_predictions": [{"id", "predictions": [...]}]}}}], "errors": [{"message", "file"}]},
        "error"}]; all texts of a job share one element, and their `file` is the position of the text.
Units:  times are seconds from the start of the medium, boxes are pixels, positions are characters.
Source: the definition and answers recorded from 2023 to 2024. Members that are not known go to `extra`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Raw, Struct

from hume_runner.http.json_stream import Shape, whole
from hume_runner.manifest.model import SourceKind
from hume_runner.services.json_elements import Rows, rows
from hume_runner.services.table_shapes import EntryError


class Score(Struct, gc=False, forbid_unknown_fields=True):
    name: str
    score: float


class Box(Struct, gc=False, forbid_unknown_fields=True):
    x: float | None = None
    y: float | None = None
    w: float | None = None
    h: float | None = None


class Interval(Struct, gc=False, forbid_unknown_fields=True):
    begin: float | None = None
    end: float | None = None


# What a column of 64 bits holds; a larger number goes to `extra`.
Integer = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class Span(Struct, gc=False, forbid_unknown_fields=True):
    begin: Integer | None = None
    end: Integer | None = None


Scores = list[Score] | None


class Face(Struct, forbid_unknown_fields=True):
    frame: Integer | None = None
    time: float | None = None
    prob: float | None = None
    box: Box | None = None
    emotions: Scores = None
    facs: Scores = None
    descriptions: Scores = None


class Burst(Struct, forbid_unknown_fields=True):
    time: Interval | None = None
    emotions: Scores = None
    descriptions: Scores = None


class Prosody(Struct, forbid_unknown_fields=True):
    text: str | None = None
    time: Interval | None = None
    confidence: float | None = None
    speaker_confidence: float | None = None
    emotions: Scores = None


class Language(Struct, forbid_unknown_fields=True):
    text: str | None = None
    position: Span | None = None
    time: Interval | None = None
    confidence: float | None = None
    speaker_confidence: float | None = None
    emotions: Scores = None
    sentiment: Scores = None
    toxicity: Scores = None


class Ner(Struct, forbid_unknown_fields=True):
    entity: str | None = None
    position: Span | None = None
    entity_confidence: float | None = None
    support: float | None = None
    uri: str | None = None
    link_word: str | None = None
    time: Interval | None = None
    confidence: float | None = None
    speaker_confidence: float | None = None
    emotions: Scores = None


class Facemesh(Struct, forbid_unknown_fields=True):
    emotions: Scores = None


class Metadata(Struct, gc=False):
    confidence: float | None = None
    detected_language: str | None = None


# The rows of a group: their bytes, or for a large source where they are.
T = TypeVar("T")


class Group(Struct, Generic[T]):
    predictions: T | None = None
    id: Any = None


class Model(Struct, Generic[T]):
    grouped_predictions: list[Group[T]] | None = None
    metadata: Any = None


class Prediction(Struct, Generic[T]):
    models: dict[str, Model[T] | None] | None = None
    file: str | None = None
    file_type: Any = None


class Results(Struct, Generic[T]):
    predictions: list[Prediction[T]] | None = None
    errors: list[Any] | None = None


class Source(Struct):
    type: str = ""
    url: str | None = None
    filename: str | None = None


class Element(Struct, Generic[T]):
    source: Source
    results: Results[T] | None = None
    error: Any = None


class Named(Struct):
    """As much of an element as says whose it is."""

    source: Source


AnyPrediction = Prediction[list[Raw]] | Prediction[Rows]
AnyModel = Model[list[Raw]] | Model[Rows]
AnyElement = Element[list[Raw]] | Element[Rows]

decode_element = msgspec.json.Decoder(Element[list[Raw]]).decode

# A source's answer up to this size is decoded at once, which is a quarter faster than row by row.
SMALL_BYTES = 4 << 20
# What is kept of a source whose answer is larger.
LARGE: Shape = {
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


def tolerant(shape: type[Struct], value: Any) -> tuple[Any, dict[str, Any]]:
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
    if wanted == Scores and isinstance(content, list):
        scores, rest = [], []
        for entry in content:
            try:
                scores.append(msgspec.convert(entry, Score))
            except msgspec.ValidationError:
                rest.append(entry)
        return scores, rest
    for shape in (Box, Interval, Span):
        if wanted == (shape | None) and isinstance(content, dict):
            return tolerant(shape, content)
    return None, content


def name_of(source: Source) -> tuple[SourceKind, tuple[str]]:
    """What a source that is no text is, and its name."""
    kind: SourceKind = "url" if source.type == "url" or (source.url and not source.filename) else "file"
    return kind, ((source.url if kind == "url" else source.filename) or "",)


def entry_errors(errors: Sequence[Any]) -> tuple[EntryError, ...]:
    """What `Results.errors` says, whatever its members are."""
    found = []
    for error in errors:
        file = error.get("file") if isinstance(error, dict) else None
        found.append(EntryError(file=file if isinstance(file, str) else None, message=message_of(error)))
    return tuple(found)


def message_of(error: Any) -> str:
    message = error.get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) else msgspec.json.encode(error).decode()
