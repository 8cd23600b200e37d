"""Simulated score lists: sparse, ordered, rounded; a function of content and seed alone.

Position plays no part: the same samples, or the same picture, score the same wherever they stand in a request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from hume_runner.emulator.expression_v1.names import (
    AUDIO_EXPRESSIONS,
    VIDEO_CUTOFF,
    VIDEO_DESCRIPTIONS,
    VIDEO_EXPRESSIONS,
    VOICE_ATTRIBUTE_CUTOFF,
    VOICE_ATTRIBUTES,
    audio_cutoff,
)

Scores = list[dict[str, Any]]
"""[{"name", "probability"}], by falling probability, then by name."""


def audio_expressions(key: bytes) -> Scores:
    return _listed(
        (name, value)
        for name, value in _drawn(key, "expressions", AUDIO_EXPRESSIONS)
        if value >= round(audio_cutoff(name), 4)
    )


def voice_attributes(key: bytes) -> Scores:
    drawn = _drawn(key, "attributes", VOICE_ATTRIBUTES)
    return _listed((name, value) for name, value in drawn if value >= VOICE_ATTRIBUTE_CUTOFF)


def face_expressions(key: bytes) -> Scores:
    drawn = _drawn(key, "face", VIDEO_EXPRESSIONS)
    return _listed((name, value) for name, value in drawn if value > VIDEO_CUTOFF)


def face_descriptions(key: bytes) -> Scores:
    drawn = _drawn(key, "description", VIDEO_DESCRIPTIONS)
    return _listed((name, value) for name, value in drawn if value > VIDEO_CUTOFF)


def _drawn(key: bytes, label: str, names: Sequence[str]) -> list[tuple[str, float]]:
    raw = hashlib.shake_128(key + label.encode()).digest(2 * len(names))
    # The square leaves most names low and a few that stand out.
    return [
        (name, round((int.from_bytes(raw[2 * at : 2 * at + 2], "big") / 65535) ** 2, 4))
        for at, name in enumerate(names)
    ]


def _listed(pairs: Any) -> Scores:
    ordered = sorted(pairs, key=lambda pair: (-pair[1], pair[0]))
    return [{"name": name, "probability": value} for name, value in ordered]
