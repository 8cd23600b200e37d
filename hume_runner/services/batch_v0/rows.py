"""What an answer of batch-v0 (`predictions.json`) says of each source, as rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from hume_runner.errors import ResultsError
from hume_runner.frozen import frozen
from hume_runner.http.json_lenient import kept_of
from hume_runner.http.json_stream import project, whole
from hume_runner.manifest.model import SourceKind
from hume_runner.services.batch_v0.layouts import LAYOUTS
from hume_runner.services.batch_v0.mentioned import repeats_of
from hume_runner.services.batch_v0.model_rows import model_blocks
from hume_runner.services.batch_v0.repeats import CONFLICT, Repeats
from hume_runner.services.batch_v0.shapes import (
    LARGE,
    SMALL_BYTES,
    AnyElement,
    AnyPrediction,
    Element,
    Named,
    decode_element,
    entry_errors,
    message_of,
    name_of,
)
from hume_runner.services.json_elements import Rows, elements
from hume_runner.services.table_shapes import Block, EntryError, Reader, Share
from hume_runner.services.unreadable import UNREADABLE

__all__ = ["LAYOUTS", "BatchEntry", "reader"]  # what a registered API's `rows` has


@frozen
class BatchEntry:
    """One source of an answer, or one text of the element that all texts share.

    `places`: where its predictions stand in their element.
    """

    kind: SourceKind
    match: str
    errors: tuple[EntryError, ...]
    predictions: tuple[AnyPrediction, ...]
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
                if content is not None:
                    yield from model_blocks(model, content, prediction)


def reader() -> Reader:
    """A reader of answers; here each is read by itself."""
    return read_entries


def read_entries(path: Path, shares: Sequence[Share] = ()) -> Iterator[BatchEntry]:
    """Yield what the answer in `path` says about each source, in the answer's order; texts by position.

    Memory holds one source at a time, and a window of a large one. A document that wraps the array in `predictions`
    (a callback) is read as well.
    Raises: ResultsError, naming the file.
    """
    repeats = repeats_of(path, shares)
    told: set[tuple[str, str]] = set()
    known, strange = 0, None
    for number, reader in enumerate(elements(path, "predictions")):
        start = reader.position
        small = reader.raw_within(SMALL_BYTES)
        kept = project(reader, LARGE) if small is None else None
        try:
            reader.raise_problem()
            element = msgspec.convert(kept, Element[Rows]) if small is None else decode_element(small)
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


def _unreadable(kept: Any, error: Exception) -> tuple[BatchEntry, ...]:
    """An element that says whose it is, and whose content is of no known shape: its source alone has no rows."""
    try:
        named = msgspec.convert(kept, Named)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return ()
    return tuple(_entries(Element[Rows](source=named.source, error=f"{UNREADABLE}: {error}")))


def _entries(element: AnyElement) -> Iterator[BatchEntry]:
    source, results = element.source, element.results
    predictions: tuple[AnyPrediction, ...] = tuple((results and results.predictions) or ())
    errors = entry_errors((results and results.errors) or ())
    whole = (EntryError(file=None, message=message_of(element.error)),) if element.error else ()
    if source.type != "text":
        kind, (match,) = name_of(source)
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


def _text_order(position: str) -> tuple[int, str]:
    return (int(position), position) if position.isascii() and position.isdigit() else (0, position)
