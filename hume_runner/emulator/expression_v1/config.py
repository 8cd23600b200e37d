"""The `config` part of both uploads: closed objects, checked member by member."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any, NoReturn

from hume_runner.emulator.expression_v1.errors import Coded
from hume_runner.frozen import frozen

_MAX_BYTES = 1_000_000
_MAX_PIXELS = 2**32 - 1  # of `min_size`: it has no documented upper bound


@frozen
class AudioConfig:
    """`measurement_timer_ms`: milliseconds of speech between interval measurements."""

    measurement_timer_ms: int = 3000

    def effective(self) -> dict[str, Any]:
        """As a run shows it, defaults filled in."""
        audio = {"type": "audio/pcm", "encoding": "s16le", "sample_rate": 16_000, "channels": 1}
        return {"schema": "v4", "audio": audio, "measurement_timer_ms": self.measurement_timer_ms}


@frozen
class VideoConfig:
    """`threshold`: least detection confidence. `min_size`: least shorter side of a face, in pixels."""

    threshold: float = 0.9
    min_size: int = 60
    return_face_state: bool = False
    face_state: str | None = None

    def effective(self) -> dict[str, Any]:
        face = {"threshold": round(self.threshold, 4), "min_size": self.min_size}
        return {"schema": "v4", "image": {"type": "image/jpeg"}, "face": face}


def audio_config(raw: bytes | None) -> AudioConfig:
    """Raises: Coded "config_invalid", here and below."""
    given = _object(raw)
    _known(given, ("measurement_timer_ms",), "config")
    if "measurement_timer_ms" not in given:
        return AudioConfig()
    return AudioConfig(measurement_timer_ms=_whole(given, "measurement_timer_ms", 3000, 10_000))


def video_config(raw: bytes | None) -> VideoConfig:
    given = _object(raw)
    _known(given, ("face", "face_state"), "config")
    face = given.get("face", {})
    if not isinstance(face, dict):
        _refuse("face: must be an object")
    _known(face, ("threshold", "min_size", "return_face_state"), "face")
    chosen: dict[str, Any] = {}
    if "threshold" in face:
        chosen["threshold"] = _share(face["threshold"])
    if "min_size" in face:
        chosen["min_size"] = _whole(face, "min_size", 1, _MAX_PIXELS)
    if "return_face_state" in face:
        if not isinstance(face["return_face_state"], bool):
            _refuse("face.return_face_state: must be true or false")
        chosen["return_face_state"] = face["return_face_state"]
    if "face_state" in given:
        if not isinstance(given["face_state"], str):
            _refuse("face_state: must be a string")
        chosen["face_state"] = given["face_state"]
    return VideoConfig(**chosen)


def _object(raw: bytes | None) -> dict[str, Any]:
    if raw is None:
        return {}
    if len(raw) > _MAX_BYTES:
        _refuse(f"is larger than {_MAX_BYTES} bytes")
    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        _refuse(f"is not JSON: {error}")
    if not isinstance(value, dict):
        _refuse("must be a JSON object")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _without_repeats(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for name, member in pairs:
        if name in value:
            raise ValueError(f"member {name!r} comes twice")
        value[name] = member
    return value


def _known(given: dict[str, Any], names: tuple[str, ...], where: str) -> None:
    for name in given:
        if name not in names:
            _refuse(f"unknown field {name!r} in {where}, expected {' or '.join(names)}")


def _whole(given: dict[str, Any], name: str, low: int, high: int) -> int:
    value = given[name]
    if isinstance(value, bool) or not isinstance(value, int):
        _refuse(f"{name}: must be a whole number")
    if not low <= value <= high:
        _refuse(f"{name}: must be {low} to {high}")
    return value


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        _refuse("face.threshold: must be a number")
    if not (0 <= value <= 1) or math.isnan(value):
        _refuse("face.threshold: must be 0 to 1")
    return float(value)


def _refuse(reason: str) -> NoReturn:
    raise Coded("config_invalid", f"config: {reason}")
