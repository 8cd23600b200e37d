"""Whisper for faster-whisper: which files it consists of, as the catalogue has them or as a manifest names its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from hume_runner.frozen import frozen
from hume_runner.scratch import temporary_folder
from hume_runner.services.local.measurers.base import WeightFile
from hume_runner.services.local.measurers.catalogued import catalogued
from hume_runner.services.local.measurers.own_weights import own_schema, own_weight

DEFAULT = "tiny.en"
NAMES = ("tiny.en", "tiny", "base.en", "base", "small.en", "small", "medium", "large-v3")
_NEEDED = {
    "model": "network, as CTranslate2 writes it: model.bin",
    "config": "config.json",
    "tokenizer": "tokenizer.json",
    "vocabulary": "vocabulary.txt or vocabulary.json",
}
_MORE = {"preprocessor": "preprocessor_config.json, of models with other than 80 channels"}
_CALLED = {"model": "model.bin", "preprocessor": "preprocessor_config.json"}

OWN_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": list(_NEEDED),
    "description": "Your own conversion of a Whisper for CTranslate2, instead of a `model` by name.",
    "properties": {part: own_schema(f"Its {what}.") for part, what in {**_NEEDED, **_MORE}.items()},
}

[VOICE] = catalogued("silero-vad-v6")


@frozen
class Whisper:
    """One model. `called`: how each of its files has to be called where it is loaded, by its name. `.en` knows English
    only; of one's own, its configuration tells (`english_only` is None)."""

    name: str
    weights: tuple[WeightFile, ...]
    called: Mapping[str, str]

    @property
    def is_own(self) -> bool:
        return self.name == "own"

    @property
    def english_only(self) -> bool | None:
        return None if self.is_own else self.name.endswith(".en")

    @contextmanager
    def folder(self, files: Mapping[str, Path]) -> Iterator[Path]:
        """A folder in which they lie together by their names, while they are loaded. Raises: ValueError; OSError."""
        paths = {self.called[one.name]: files[one.name] for one in self.weights}
        if not self.is_own:
            # faster-whisper finds them by their names in one folder, and would fetch a tokenizer that is not there.
            folder = next(iter(paths.values())).parent
            for called, path in paths.items():
                if path != folder / called or not path.is_file():
                    raise ValueError(f"{path}: the files of {self.name} do not lie in one folder")
            yield folder
            return
        with tempfile.TemporaryDirectory(prefix="hume-runner-", dir=temporary_folder()) as made:
            for called, path in paths.items():
                Path(made, called).symlink_to(path.absolute())
            yield Path(made)


def whisper_of(options: Mapping[str, Any]) -> Whisper:
    """The model that the options of `speech` ask for."""
    own = options.get("weights")
    if own is None:
        name = options.get("model", DEFAULT)
        weights = catalogued(f"whisper-{name}")
        return Whisper(name=name, weights=weights, called={one.name: one.name.rpartition("/")[2] for one in weights})
    parts = {part: own_weight(own[part]) for part in (*_NEEDED, *_MORE) if part in own}
    called = {
        weight.name: _CALLED.get(part) or f"{part}{_ending(part, own[part]['url'])}" for part, weight in parts.items()
    }
    return Whisper(name="own", weights=tuple(parts.values()), called=called)


def _ending(part: str, url: str) -> str:
    return ".txt" if part == "vocabulary" and PurePosixPath(urlsplit(url).path).suffix == ".txt" else ".json"
