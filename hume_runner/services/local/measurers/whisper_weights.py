"""Whisper for faster-whisper by name: which files it consists of, as the catalogue has them."""

from __future__ import annotations

from dataclasses import dataclass

from hume_runner.services.local.catalogue import OWN_MODELS
from hume_runner.services.local.measurers.base import WeightFile

DEFAULT = "tiny.en"
_NAMES = ("tiny.en", "tiny", "base.en", "base", "small.en", "small", "medium", "large-v3")
_FILES = {model.name: model.files for model in OWN_MODELS}


def _weights(model: str) -> tuple[WeightFile, ...]:
    return tuple(WeightFile(name=file.name, sha256=file.sha256) for file in _FILES[model])


[VOICE] = _weights("silero-vad-v6")


@dataclass(frozen=True, slots=True, kw_only=True)
class Whisper:
    """One size. `.en` knows English only."""

    name: str

    @property
    def english_only(self) -> bool:
        return self.name.endswith(".en")

    @property
    def weights(self) -> tuple[WeightFile, ...]:
        return _weights(f"whisper-{self.name}")


WHISPER = {name: Whisper(name=name) for name in _NAMES}
