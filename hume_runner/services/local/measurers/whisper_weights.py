"""Whisper for faster-whisper by name: which files it consists of, as the catalogue has them."""

from __future__ import annotations

from dataclasses import dataclass

from hume_runner.services.local.measurers.base import WeightFile
from hume_runner.services.local.measurers.catalogued import catalogued

DEFAULT = "tiny.en"
_NAMES = ("tiny.en", "tiny", "base.en", "base", "small.en", "small", "medium", "large-v3")

[VOICE] = catalogued("silero-vad-v6")


@dataclass(frozen=True, slots=True, kw_only=True)
class Whisper:
    """One size. `.en` knows English only."""

    name: str

    @property
    def english_only(self) -> bool:
        return self.name.endswith(".en")

    @property
    def weights(self) -> tuple[WeightFile, ...]:
        return catalogued(f"whisper-{self.name}")


WHISPER = {name: Whisper(name=name) for name in _NAMES}
