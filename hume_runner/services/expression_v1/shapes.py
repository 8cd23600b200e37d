"""The answers of expression-v1 as typed values, with what is not known set aside.

Shape:  audio {"utterances": [{"utterance_id", "audio_start_ms", "audio_end_ms"}], "measurements": [{"measurement_id",
        "utterance_id", "audio_start_ms", "audio_end_ms", "trigger", "expressions": [{"name", "probability"}],
        "voice_attributes": [the same]}]}; video {"measurements": [{"frame_id", "faces": [{"face_id", "bbox": [x0, y0,
        x1, y1], "confidence", "expressions", "descriptions"}]}]}.
Units:  milliseconds from the start of the upload; pixels of the image as it was sent.
Source: the API's definition; see docs/apis/expression_v1.md. Any object may gain members, any list names.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from hume_runner.errors import ResultsError
from hume_runner.http.json_lenient import kept_of
from hume_runner.http.json_stream import JsonReader
from hume_runner.services.table_shapes import Ragged

T = TypeVar("T")

# What a column of 64 bits holds.
Integer = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class Score(Struct, gc=False):
    name: str
    probability: float


class _ScoreAlone(Score, gc=False, forbid_unknown_fields=True):
    pass


class Utterance(Struct, gc=False):
    utterance_id: Integer
    audio_start_ms: Integer
    audio_end_ms: Integer


class _UtteranceAlone(Utterance, gc=False, forbid_unknown_fields=True):
    pass


class Window(Struct):
    measurement_id: Integer
    utterance_id: Integer
    audio_start_ms: Integer
    audio_end_ms: Integer
    trigger: str
    expressions: list[Score]
    voice_attributes: list[Score]


class _WindowAlone(Window, forbid_unknown_fields=True):
    expressions: list[_ScoreAlone]  # type: ignore[assignment]
    voice_attributes: list[_ScoreAlone]  # type: ignore[assignment]


class Face(Struct):
    bbox: tuple[float, float, float, float]
    confidence: float
    face_id: Integer | None = None
    expressions: list[Score] | None = None
    descriptions: list[Score] | None = None


class _FaceAlone(Face, forbid_unknown_fields=True):
    expressions: list[_ScoreAlone] | None = None  # type: ignore[assignment]
    descriptions: list[_ScoreAlone] | None = None  # type: ignore[assignment]


class Image(Struct):
    frame_id: Integer
    faces: list[Raw]


class _ImageAlone(Image, forbid_unknown_fields=True):
    pass


class AudioDocument(Struct):
    utterances: list[Raw]
    measurements: list[Raw]


class AudioCounts(Struct):
    """As much of an answer as its neighbours need."""

    class Numbered(Struct, gc=False):
        utterance_id: Integer

    utterances: list[Utterance]
    measurements: list[Numbered]


class VideoDocument(Struct):
    measurements: list[Raw]


class VideoCounts(Struct):
    """As much of an answer as the requests after it need."""

    class Frame(Struct):
        class Numbered(Struct, gc=False):
            face_id: Integer | None = None

        faces: list[Numbered]

    measurements: list[Frame]


_ALONE: dict[type[Struct], msgspec.json.Decoder[Any]] = {
    Utterance: msgspec.json.Decoder(_UtteranceAlone),
    Window: msgspec.json.Decoder(_WindowAlone),
    Face: msgspec.json.Decoder(_FaceAlone),
    Image: msgspec.json.Decoder(_ImageAlone),
}
_WITH_OTHERS: dict[type[Struct], msgspec.json.Decoder[Any]] = {shape: msgspec.json.Decoder(shape) for shape in _ALONE}


_NOT_DECODED = (msgspec.DecodeError, ValueError, RecursionError)


def read_document(path: Path, shape: type[T]) -> T:
    """The answer in `path`. Raises: ResultsError, naming the file."""
    try:
        body = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        return msgspec.json.decode(body, type=shape)
    except _NOT_DECODED as error:
        kept = _piecewise(body, shape) if shape in (AudioDocument, VideoDocument) else None
        if kept is None:
            raise unreadable(path, error) from error
        return kept


def _piecewise(body: bytes, shape: type[T]) -> T | None:
    """A document of which a part cannot be decoded, in pieces: whoever decodes the piece notices."""

    def piece(reader: JsonReader) -> Raw:
        return Raw(reader.raw())

    names = shape.__struct_fields__  # type: ignore[attr-defined]
    kept = kept_of(body, dict.fromkeys(names, (piece,)))
    if not isinstance(kept, dict) or not all(isinstance(kept.get(name), list) for name in names):
        return None
    return shape(**kept)


def unreadable(path: Path, why: object) -> ResultsError:
    return ResultsError(f"{path}: not an answer that can be read: {why}", hint="`verify` tells which files changed")


def read_object(path: Path, raw: Raw, shape: type[T]) -> tuple[T, dict[str, Any]]:
    """One object of the answer in `path`, and its members that are not known, those of its scores among them."""
    try:
        return _ALONE[shape].decode(raw), {}  # type: ignore[index]
    except _NOT_DECODED:
        pass
    try:
        return _WITH_OTHERS[shape].decode(raw), _unknown(shape, msgspec.json.decode(raw))  # type: ignore[index]
    except _NOT_DECODED as error:
        raise unreadable(path, error) from error


def _unknown(shape: Any, value: Mapping[str, Any]) -> dict[str, Any]:
    known = shape.__struct_fields__
    left = {name: content for name, content in value.items() if name not in known}
    for name in ("expressions", "voice_attributes", "descriptions"):
        if name in known:
            odd = [score for score in value.get(name) or () if score.keys() - {"name", "probability"}]
            if odd:
                left[name] = odd
    return left


def add_scores(ragged: Ragged, scores: list[Score] | None) -> list[dict[str, Any]]:
    """Add one row of scores; gives back those whose name the row has already."""
    if scores is None:
        ragged.add_unmeasured()
        return []
    names = [score.name for score in scores]
    if len(set(names)) == len(names):
        ragged.add(names, [score.probability for score in scores])
        return []
    placed: dict[str, float] = {}
    again = []
    for score in scores:
        if score.name in placed:
            again.append({"name": score.name, "probability": score.probability})
        else:
            placed[score.name] = score.probability
    ragged.add(list(placed), list(placed.values()))
    return again
