"""The start-job request of the batch API: checked against the published definition, and echoed with defaults.

Objects of the definition are open, so unknown members are tolerated and dropped. Every refusal is a 400 whose message
starts with the member's path.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from hume_runner.emulator.batch_v0.names import LANGUAGE_TAGS
from hume_runner.emulator.context import Limits, Refused

MODELS = ("burst", "face", "facemesh", "language", "ner", "prosody")
_GRANULARITIES = ("word", "sentence", "utterance", "conversational_turn")

Check = Callable[[Any, str], Any]
"""Takes a member's value, which is never None, and its path; gives the value for the echo."""


def _refuse(path: str, reason: str) -> Refused:
    return Refused.message(400, f"{path}: {reason}" if path else reason)


def _boolean(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise _refuse(path, "must be true or false")
    return value


def _number(low: float, high: float = math.inf) -> Check:
    def check(value: Any, path: str) -> float | int:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise _refuse(path, "must be a number")
        if not low <= value <= high:
            raise _refuse(path, f"must be at least {low:g}" if high == math.inf else f"must be {low:g} to {high:g}")
        return value

    return check


def _whole(value: Any, path: str) -> int:
    number = _number(0, 2**64 - 1)(value, path)
    if number != int(number):
        raise _refuse(path, "must be a whole number")
    return int(number)


def _one_of(allowed: Sequence[str]) -> Check:
    def check(value: Any, path: str) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise _refuse(path, f"must be one of {', '.join(allowed)}")
        return value

    return check


def _object(members: Mapping[str, tuple[Check, Any]]) -> Check:
    """An open object: known members checked and null or absent ones replaced by their defaults."""

    def check(value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _refuse(path, "must be an object")
        echo = {}
        for name, (member, default) in members.items():
            given = value.get(name)
            echo[name] = default if given is None else member(given, f"{path}.{name}")
        return echo

    return check


_SWITCH = _object({})
_MODELS: dict[str, Check] = {
    "burst": _SWITCH,
    "face": _object(
        {
            "descriptions": (_SWITCH, None),
            "facs": (_SWITCH, None),
            "fps_pred": (_number(0), 3.0),
            "identify_faces": (_boolean, False),
            "min_face_size": (_whole, 60),
            "prob_threshold": (_number(0, 1), 0.99),
            "save_faces": (_boolean, False),
        }
    ),
    "facemesh": _SWITCH,
    "language": _object(
        {
            "granularity": (_one_of(_GRANULARITIES), "word"),
            "identify_speakers": (_boolean, False),
            "sentiment": (_SWITCH, None),
            "toxicity": (_SWITCH, None),
        }
    ),
    "ner": _object({"identify_speakers": (_boolean, False)}),
    "prosody": _object(
        {
            "granularity": (_one_of(_GRANULARITIES), "utterance"),
            "identify_speakers": (_boolean, False),
            "window": (_object({"length": (_number(0.5), 4.0), "step": (_number(0.5), 1.0)}), None),
        }
    ),
}
_TRANSCRIPTION = _object(
    {
        "confidence_threshold": (_number(0, 1), 0.5),
        "identify_speakers": (_boolean, False),
        "language": (_one_of(LANGUAGE_TAGS), None),
    }
)


def _models(value: Any) -> dict[str, Any]:
    """All six when absent; else those that are objects, the others null."""
    if value is None:
        return {name: check({}, "") for name, check in _MODELS.items()}
    if not isinstance(value, dict):
        raise _refuse("models", "must be an object")
    return {
        name: None if value.get(name) is None else check(value[name], f"models.{name}")
        for name, check in _MODELS.items()
    }


def _strings(body: Mapping[str, Any], name: str, limit: int) -> list[str]:
    value = body.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise _refuse(name, "must be a list of strings")
    if len(value) > limit:
        raise _refuse(name, f"has {len(value)} entries, at most {limit} are allowed")
    for index, one in enumerate(value):
        if not isinstance(one, str):
            raise _refuse(f"{name}[{index}]", "must be a string")
    return value


def _web_address(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise _refuse(path, "must be a string")
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port  # raises for a port that is no number
    except ValueError:
        usable = False
    if not usable or any(character <= " " or character == "\x7f" for character in value):
        raise _refuse(path, "must be an http or https URL")
    return value


def echo_of(body: Mapping[str, Any], files: list[dict[str, Any]], limits: Limits) -> dict[str, Any]:
    """The request as job details show it. `transcription` stays absent when it was (on, with defaults), null when null.

    Raises: Refused with the path of the first member that does not fit.
    """
    urls = [_web_address(url, f"urls[{i}]") for i, url in enumerate(_strings(body, "urls", limits.sources_per_kind))]
    callback = body.get("callback_url")
    notify = body.get("notify")
    _strings(body, "registry_files", limits.sources_per_kind)  # historical: checked, otherwise ignored
    echo = {
        "callback_url": None if callback is None else _web_address(callback, "callback_url"),
        "files": files,
        "models": _models(body.get("models")),
        "notify": False if notify is None else _boolean(notify, "notify"),
        "text": _strings(body, "text", limits.sources_per_kind),
        "urls": urls,
    }
    if "transcription" in body:
        given = body["transcription"]
        echo["transcription"] = None if given is None else _TRANSCRIPTION(given, "transcription")
    return echo
