"""What an answer carries, as far as it tells by itself: of a kept file nothing else is known of the job any more."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from hume_runner.frozen import frozen
from hume_runner.hashes import sha256_of
from hume_runner.http.json_lenient import plain
from hume_runner.manifest.model import SourceKind
from hume_runner.services.batch_v0.answers import kind_of, names_of
from hume_runner.services.batch_v0.readable import iter_checked, words_of
from hume_runner.services.batch_v0.reading import read_source_result
from hume_runner.services.batch_v0.rows_seen import RowsSeen
from hume_runner.services.batch_v0.settings import relevant
from hume_runner.services.batch_v0.words import says, signs
from hume_runner.services.foreign import Foreign, ForeignSource

_KINDS: Mapping[str, SourceKind] = {"url": "url", "file": "file", "text": "text"}


def recognise_file(path: Path, texts: Iterable[str], settings: Mapping[str, Any]) -> Foreign:
    """The job that a predictions file answers, as far as the file tells: its sources, and how they were measured.

    Links stand in it as they were sent, uploads with their MD5. Of texts it has the characters that `language` read
    alone: they tell which of `texts` each one is, where exactly one has these characters. Of the options it has what
    the rows show. Raises: UnexpectedResponse for what is no whole answer of this API; OSError.
    """
    with path.open("rb") as file:
        told = carried(file, texts)
    models = settings.get("models") or {}
    lacks = sorted(set(models) - told.models)
    return Foreign(
        remote_id=f"file-{sha256_of(path)[:24]}",
        sources=told.sources,
        same_settings=not told.differences(settings),
        differences=told.differences(settings),
        lacks=lambda kind, facts: tuple(
            one for one in lacks if one in (relevant(kind, facts, settings).get("models") or {})
        ),
        alike=lambda kind, facts: set(relevant(kind, facts, settings).get("models") or {}) <= told.models,
        created_at=None,
        simulated=None,
    )


@frozen
class Carried:
    """What an answer says that its job carried. `rows`: what its rows show of the options."""

    sources: tuple[ForeignSource, ...]
    models: frozenset[str]
    rows: RowsSeen

    def differences(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """In which settings of the manifest it surely was measured otherwise; what it lacks is another matter."""
        asked = settings.get("models") or {}
        more = tuple(f"models.{name}: measured, and not asked for" for name in sorted(self.models - set(asked)))
        return (*more, *self.rows.differences(settings))


@dataclass(slots=True)
class _Told:
    sources: dict[tuple[SourceKind, str], ForeignSource] = field(default_factory=dict)
    words: dict[str, list[str]] = field(default_factory=dict)
    models: set[str] = field(default_factory=set)


def carried(stream: BinaryIO | Iterable[bytes], texts: Iterable[str]) -> Carried:
    """The sources that an answer names. `texts`: those that it may be about. Raises: UnexpectedResponse."""
    told, rows = _Told(), RowsSeen()
    for checked in iter_checked(stream, rows.watch):
        view = read_source_result(checked.element)
        told.models.update(model for one in view.predictions for model in one.models)
        kind: SourceKind | None = _KINDS.get(kind_of(view))
        if kind == "text":
            for name, found in words_of(checked.element).items():
                told.words.setdefault(name, found)
        for name in names_of(view):
            if kind is not None:
                value = name if kind == "url" else None
                told.sources[kind, name] = ForeignSource(kind=kind, match=plain(name), value=value, md5=view.md5)
    for name, text in _told_apart(told.words, texts).items():
        told.sources["text", name] = ForeignSource(kind="text", match=plain(name), value=text)
    return Carried(sources=tuple(told.sources.values()), models=frozenset(told.models), rows=rows)


def _told_apart(words: Mapping[str, list[str]], texts: Iterable[str]) -> dict[str, str]:
    """Name in the answer -> the one text that was measured under it: each of its characters stands there.

    How a service cuts a text into pieces, and the blanks between them, is all that it is known to change
    (docs/apis/batch_v0.md): capitals and marks are what people measure.
    """
    names: dict[bytes, list[str]] = {}
    for name, said in words.items():
        if told := signs("".join(said)):
            names.setdefault(_short(told), []).append(name)
    found: dict[str, set[str]] = {}
    for text in texts:
        for name in names.get(_short(signs(text)), ()):
            if says(text, words[name]):
                found.setdefault(name, set()).add(text)
    claimed: dict[str, int] = {}
    for several in found.values():
        for text in several:
            claimed[text] = claimed.get(text, 0) + 1
    return {name: text for name, text in _single(found) if claimed[text] == 1}


def _single(found: Mapping[str, set[str]]) -> Iterator[tuple[str, str]]:
    return ((name, text) for name, several in found.items() if len(several) == 1 for text in several)


def _short(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
