"""Sources of which one answer of batch-v0 speaks more than once: at fetching and in the tables alike.

The same said again counts once. Where two say different things of one source, nobody knows which is true: that source
fails alone, and the bytes are kept. What was sent twice under one name may be spoken of twice, and differently.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from hume_runner.frozen import frozen
from hume_runner.http.json_lenient import LenientReader
from hume_runner.http.json_stream import CHUNK_BYTES, JsonReader, Shape, kind, project, whole

# (kind, name by which the answer names it); of a text its position.
Key = tuple[str, str]

CONFLICT = "the answer speaks of it more than once, and not alike"


@frozen
class Repeats:
    """What an answer repeats. `keys`: the sources that it names more than once; `conflicts`: those of them of which it
    says different things; `again`: what was said before, as (where its element begins, which prediction, model)."""

    keys: frozenset[Key] = frozenset()
    conflicts: frozenset[Key] = frozenset()
    again: frozenset[tuple[int, int, str]] = frozenset()


@dataclass(slots=True)
class Mentions:
    """Which sources an answer names, as its elements go by. `sent`: how often each was sent."""

    sent: Counter[Key]
    first: dict[Key, int] = field(default_factory=dict)  # where its element begins
    starts: set[int] = field(default_factory=set)  # of all elements that speak of what is named again
    again: set[Key] = field(default_factory=set)

    @classmethod
    def of(cls, sent: Iterable[Key]) -> Mentions:
        return cls(Counter(sent))

    def add(self, start: int, kind: str, names: Iterable[str]) -> None:
        """The element that begins at byte `start` names these, each as often as it does."""
        for name in names:
            key = kind, name
            if self.sent[key] != 1:
                continue  # nobody's, or sent more than once
            if key in self.first:
                self.again.add(key)
                self.starts |= {self.first[key], start}
            else:
                self.first[key] = start

    def compared(self, path: Path) -> Repeats:
        """What of the answer in `path` was said more than once. Reads again the elements that it is about, if any."""
        if not self.again:
            return Repeats()
        said: dict[Key, _Said] = {}
        again: set[tuple[int, int, str]] = set()
        for start in sorted(self.starts):
            for key, told in _told_at(path, start, self.again).items():
                again |= said.setdefault(key, _Said()).take(start, told, alone=key[0] == "text")
        conflicts = {key for key, one in said.items() if one.conflict}
        return Repeats(keys=frozenset(self.again), conflicts=frozenset(conflicts), again=frozenset(again))


def named_texts(predictions: Sequence[str], errors: Iterable[str]) -> list[str]:
    """The positions that an element of texts names; an error beside a prediction of the same text is no second one."""
    return [*predictions, *(set(errors) - set(predictions))]


@dataclass(slots=True)
class _Told:
    """What one element says of one source: (which prediction, file, model, digest), and whether it only failed."""

    predictions: list[tuple[int, str, str, str]] = field(default_factory=list)
    failed: bool = False


@dataclass(slots=True)
class _Said:
    """What was said of one source so far: (file, model) -> digests."""

    parts: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    failed: bool = False
    conflict: bool = False
    seen: bool = False

    def take(self, start: int, told: _Told, *, alone: bool) -> set[tuple[int, int, str]]:
        """What of this was said before. `alone`: a source of which an element says everything once, as of a text; an
        archive may hold two files of one name."""
        again: set[tuple[int, int, str]] = set()
        mine: dict[tuple[str, str], set[str]] = {}
        for place, file, model, digest in told.predictions:
            before = self.parts.get((file, model))
            if before is None:
                (self.parts if alone else mine).setdefault((file, model), set()).add(digest)
            elif digest in before:
                again.add((start, place, model))
            else:
                self.conflict = True
        # One says that it failed, another what was measured.
        if told.failed != self.failed:
            self.conflict = self.conflict or bool(self.parts if told.failed else told.predictions and self.seen)
        self.failed, self.seen = self.failed or told.failed, True
        self.parts |= mine
        return again


def _told_at(path: Path, start: int, wanted: set[Key]) -> Mapping[Key, _Told]:
    with path.open("rb") as stream:
        stream.seek(start)
        reader = LenientReader(iter(lambda: stream.read(CHUNK_BYTES), b""), start=start)
        kept = project(reader, _DIGESTS)
    element = kept if isinstance(kept, dict) else {}
    source, results = _object(element.get("source")), _object(element.get("results"))
    predictions = [one if isinstance(one, dict) else {} for one in _list(results.get("predictions"))]
    errors = [_object(one).get("file") for one in _list(results.get("errors"))]
    told: dict[Key, _Told] = {}
    if source.get("type") == "text":
        for place, prediction in enumerate(predictions):
            file = prediction.get("file")
            name = file if isinstance(file, str) else ""
            told.setdefault(("text", name), _Told()).predictions += _parts(place, prediction, name)
        for file in errors:
            name = file if isinstance(file, str) else ""
            told.setdefault(("text", name), _Told(failed=True))
        if element.get("error"):
            told = {key: told.get(key, _Told(failed=True)) for key in wanted if key[0] == "text"}
        return {key: one for key, one in told.items() if key in wanted}
    of_it = _Told(failed=bool(element.get("error") or (errors and not predictions)))
    for place, prediction in enumerate(predictions):
        file = prediction.get("file")
        of_it.predictions += _parts(place, prediction, file if isinstance(file, str) else "")
    names = {source.get("url"), source.get("filename")}
    return {key: of_it for key in wanted if key[0] != "text" and key[1] in names}


def _parts(place: int, prediction: Mapping[str, Any], file: str) -> list[tuple[int, str, str, str]]:
    models = _object(prediction.get("models"))
    return [(place, file, name, _digest(said)) for name, said in models.items() if said is not None]


def _digest(value: Any) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _rows(reader: JsonReader) -> Any:
    """An array of any size as a digest; anything else as it is."""
    if reader.peek() != b"[":
        return kind(reader)
    digest = sha256()
    for _ in reader.array():
        digest.update(_digest(reader.value()).encode())
    return digest.hexdigest()


_MODEL: Final[Shape] = {"metadata": whole, "grouped_predictions": ({"id": whole, "predictions": _rows},)}
_DIGESTS: Final[Shape] = {
    "source": whole,
    "error": whole,
    "results": {
        "errors": whole,
        "predictions": ({"file": whole, "models": {"*": _MODEL}},),
    },
}


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
