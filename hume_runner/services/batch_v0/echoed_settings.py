"""Whether a job's echo says that it measures as the manifest would."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hume_runner.services.batch_v0.reading import JobView


# What the service fills in where a request does not say (docs/apis/batch_v0.md, options).
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "face": {
        "fps_pred": 3,
        "prob_threshold": 0.99,
        "identify_faces": False,
        "min_face_size": 60,
        "save_faces": False,
        "facs": None,
        "descriptions": None,
    },
    "prosody": {"granularity": "utterance", "identify_speakers": False, "window": None},
    "language": {"granularity": "word", "identify_speakers": False, "sentiment": None, "toxicity": None},
    "ner": {"identify_speakers": False},
}
_TRANSCRIPTION: Mapping[str, Any] = {"language": None, "identify_speakers": False, "confidence_threshold": 0.5}

_LONGEST = 80  # characters of a value that is shown


def same_settings(settings: Mapping[str, Any], view: JobView) -> bool:
    """Whether nothing in a job's echo speaks against its measuring what `settings` ask for."""
    return agreement(settings, {"models": view.models, "transcription": view.transcription}) is not False


def differences(settings: Mapping[str, Any], view: JobView) -> tuple[str, ...]:
    """In which settings a job's echo says that it measures otherwise, each with both values; empty if in none."""
    echoed = {"models": view.models, "transcription": view.transcription}
    if agreement(settings, echoed) is not False:
        return ()
    models = settings.get("models") or {}
    running = {name: value for name, value in view.models.items() if value is not None}
    found = [f"models.{name}: the job has it, the manifest has not" for name in sorted(running.keys() - models.keys())]
    found += [f"models.{name}: the manifest has it, the job has not" for name in sorted(models.keys() - running.keys())]
    for name in models:
        if name in running:
            found += _options_apart(f"models.{name}", models[name], running[name], DEFAULTS.get(name, {}))
    wanted = settings.get("transcription", {})
    if (wanted is None) != (view.transcription is None):
        on, off = ("job", "manifest") if wanted is None else ("manifest", "job")
        found.append(f"transcription: on in the {on}, off in the {off}")
    elif wanted is not None:
        found += _options_apart("transcription", wanted, view.transcription, _TRANSCRIPTION)
    return tuple(found)


def _options_apart(where: str, sent: Any, echoed: Any, defaults: Mapping[str, Any]) -> list[str]:
    if not isinstance(sent, Mapping) or not isinstance(echoed, Mapping):
        return [] if _agrees(sent, echoed) else [_apart(where, echoed, sent)]
    wanted = {**defaults, **sent}
    return [
        _apart(f"{where}.{name}", echoed[name], value)
        for name, value in wanted.items()
        if name in echoed and not _agrees(value, echoed[name])
    ]


def _apart(where: str, theirs: Any, ours: Any) -> str:
    return f"{where}: {_shown(theirs)} in the job, {_shown(ours)} in the manifest"


def _shown(value: Any) -> str:
    told = json.dumps(value, ensure_ascii=False, default=str)
    return told if len(told) <= _LONGEST else told[:_LONGEST] + "…"


def agreement(settings: Mapping[str, Any], echoed: Mapping[str, Any]) -> bool | None:
    """Whether a job whose echo has these settings measures what `settings` ask for: the same models, each option as it
    was sent, or as it is when nobody sends it. None where the echo leaves out what would tell."""
    models, found = settings.get("models"), echoed.get("models")
    if models is None:
        return True
    if not found:
        return None
    running = {name for name, value in found.items() if value is not None}
    if running != set(models):
        return False
    return _all(
        *(_options(value, found[name], DEFAULTS.get(name, {})) for name, value in models.items()),
        _transcription(settings, echoed),
    )


def _transcription(settings: Mapping[str, Any], echoed: Mapping[str, Any]) -> bool | None:
    wanted = settings.get("transcription", {})
    # An echo without the member reads as {}: transcription is on, and nothing tells how.
    found = echoed.get("transcription", {})
    if wanted is None or found is None:
        return (wanted is None) == (found is None)
    return _options(wanted, found, _TRANSCRIPTION)


def _options(sent: Any, echoed: Any, defaults: Mapping[str, Any]) -> bool | None:
    if not isinstance(sent, Mapping) or not isinstance(echoed, Mapping):
        return _agrees(sent, echoed)
    told = (None if name not in echoed else _agrees(value, echoed[name]) for name, value in sent.items())
    unsent = (
        _agrees(default, echoed[name]) for name, default in defaults.items() if name not in sent and name in echoed
    )
    return _all(*told, *unsent)


def _all(*verdicts: bool | None) -> bool | None:
    return False if False in verdicts else None if None in verdicts else True


def _agrees(sent: Any, echoed: Any) -> bool:
    """Whether an echoed value says what was sent. Floats may come back in single precision."""
    if isinstance(sent, Mapping):
        return isinstance(echoed, Mapping) and all(
            name not in echoed or _agrees(value, echoed[name]) for name, value in sent.items()
        )
    if isinstance(sent, bool) or not isinstance(sent, (int, float)):
        return bool(sent == echoed)
    return isinstance(echoed, (int, float)) and abs(sent - echoed) <= 1e-6 * max(1.0, abs(sent))
