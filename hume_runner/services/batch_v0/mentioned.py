"""Which sources an answer of batch-v0 names, and which of them again: looked through before its rows are read."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from hume_runner.errors import ResultsError
from hume_runner.http.json_stream import Shape, project, whole
from hume_runner.services.batch_v0.repeats import Mentions, Repeats, named_texts
from hume_runner.services.batch_v0.shapes import SMALL_BYTES, Source, entry_errors, name_of
from hume_runner.services.json_elements import elements
from hume_runner.services.table_shapes import Share

# An answer up to this size is looked through at once.
_AT_ONCE_BYTES = 32 << 20


class _MentionedFile(Struct):
    file: str | None = None


class _MentionedResults(Struct):
    predictions: list[_MentionedFile] | None = None
    errors: list[Any] | None = None


class _Mentioned(Struct):
    """As much of an element as says of which sources it speaks."""

    source: Source
    results: _MentionedResults | None = None


_decode_mentioned = msgspec.json.Decoder(_Mentioned).decode
_decode_all_mentioned = msgspec.json.Decoder(list[_Mentioned]).decode
_MENTIONED: Shape = {"source": whole, "results": {"errors": whole, "predictions": ({"file": whole},)}}


def repeats_of(path: Path, shares: Sequence[Share]) -> Repeats:
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
        mentions.add(start, *name_of(source))
    elif results is not None:
        files = [prediction.file or "" for prediction in results.predictions or ()]
        failed = [error.file or "" for error in entry_errors(results.errors or ())]
        mentions.add(start, "text", named_texts(files, failed))
