"""What an answer carries that somebody kept as a file: the job that it answers is known by nothing else any more."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from hume_runner.http.json_lenient import plain
from hume_runner.manifest.model import SourceKind
from hume_runner.services.base import Foreign, ForeignSource
from hume_runner.services.batch_v0.outcomes import kind_of, names_of
from hume_runner.services.batch_v0.readable import iter_checked, words_of
from hume_runner.services.batch_v0.reading import read_source_result
from hume_runner.services.batch_v0.settings import relevant
from hume_runner.services.batch_v0.words import letters, signs

_KINDS: Mapping[str, SourceKind] = {"url": "url", "file": "file", "text": "text"}


def recognise_file(path: Path, texts: Iterable[str], settings: Mapping[str, Any]) -> Foreign:
    """The job that a predictions file answers, as far as the file tells: its sources, and which models measured.

    Links stand in it as they were sent, uploads with their MD5. Of texts it has the words that `language` read alone:
    they tell which of `texts` each one is, where exactly one has these words. Options of models are not in it.
    Raises: UnexpectedResponse for what is no whole answer of this API; OSError.
    """
    sources: dict[tuple[SourceKind, str], ForeignSource] = {}
    words: dict[str, list[str]] = {}
    models: set[str] = set()
    with path.open("rb") as file:
        for checked in iter_checked(file):
            view = read_source_result(checked.element)
            models.update(model for one in view.predictions for model in one.models)
            kind: SourceKind | None = _KINDS.get(kind_of(view))
            if kind == "text":
                for name, found in words_of(checked.element).items():
                    words.setdefault(name, found)
            for name in names_of(view):
                if kind is not None:
                    value = name if kind == "url" else None
                    sources[kind, name] = ForeignSource(kind=kind, match=plain(name), value=value, md5=view.md5)
    for name, text in _told_apart(words, texts).items():
        sources["text", name] = ForeignSource(kind="text", match=plain(name), value=text)
    asked = settings.get("models") or {}
    return Foreign(
        remote_id=f"file-{_digest(path)[:24]}",
        sources=tuple(sources.values()),
        same_settings=models <= set(asked),
        alike=lambda kind, facts: set(relevant(kind, facts, settings).get("models") or {}) <= models,
        created_at=None,
        simulated=False,
    )


def _told_apart(words: Mapping[str, list[str]], texts: Iterable[str]) -> dict[str, str]:
    """Name in the answer -> the one text that was measured under it: by every sign, else by the letters alone."""
    exact = _by(signs, words)
    loose = _by(letters, words)
    found: dict[str, set[str]] = {}
    for text in texts:
        for name in exact.get(_short(signs(text))) or loose.get(_short(letters(text))) or ():
            found.setdefault(name, set()).add(text)
    claimed: dict[str, int] = {}
    for several in found.values():
        for text in several:
            claimed[text] = claimed.get(text, 0) + 1
    return {
        name: text for name, several in found.items() if len(several) == 1 for text in several if claimed[text] == 1
    }


def _by(form: Callable[[str], str], words: Mapping[str, list[str]]) -> dict[bytes, list[str]]:
    names: dict[bytes, list[str]] = {}
    for name, said in words.items():
        if told := form("".join(said)):
            names.setdefault(_short(told), []).append(name)
    return names


def _short(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
