"""Which of expression-v1's settings change which item's result, and what a look at a medium tells under them. Pure.

A look tells what a medium holds (`tracks`), whatever the manifest asks for; `fit` says what of that this manifest
measures. A look is kept with the item, so that another setting does not open every file again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from hume_runner.manifest.model import SourceKind

# With batching.pack_short_audio: recordings this short are joined.
SHORT_MS = 10_000
# What this program itself does where the manifest says nothing: written out, it is still the same.
OWN_DEFAULTS: Mapping[str, Any] = {"fps": 3, "max_width": 1280, "track_faces": True}
LOOK_FORM = 1  # raised whenever a look tells another length of the same medium
# Members of `models.audio` that this program obeys itself; the service knows nothing of them.
_OF_SOUND = ("track", "channels")


def chosen_sound(models: Mapping[str, Any], facts: Mapping[str, Any] | None = None) -> tuple[int | None, int | None]:
    """(track, channel) of recordings as `models.audio` chooses them, from 1; None: the default one, the mix.

    `facts`: of an item that may be one channel among others.
    """
    options = models.get("audio") or {}
    channel = options.get("channels", "mix")
    if channel == "each":
        channel = (facts or {}).get("channel") or "mix"
    return options.get("track"), None if channel == "mix" else int(channel)


def apart(facts: Mapping[str, Any], models: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(name, facts) of each item that a medium is: with `channels: each`, one for every channel of its sound, and one
    without a name for its pictures.

    An item's own facts say `channel`: which one of its sound, from 1, and 0 for none.
    """
    channels = int(facts.get("heard_channels") or 1)
    if (models.get("audio") or {}).get("channels") != "each" or not facts.get("sound") or channels == 1:
        yield "", facts
        return
    # Each channel is cut in pauses of its own.
    shared = {name: value for name, value in facts.items() if name not in ("parts_ms", "body")}
    for channel in range(0 if facts.get("picture") else 1, channels + 1):
        yield f"channel-{channel}" if channel else "", fit({**shared, "channel": channel}, models) or {}


def whole(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What a look told, of facts that one of several items was given."""
    return {name: value for name, value in facts.items() if name != "channel"}


def told_service(options: Mapping[str, Any]) -> dict[str, Any]:
    """Of `models.audio`, what the service is told."""
    return {name: value for name, value in options.items() if name not in _OF_SOUND}


def fit(seen: Mapping[str, Any], models: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a look says under these models: the same with "sound" and "picture", or with "problem" and "reason".

    None where the look has to be repeated: it failed, or an earlier version kept only what its own models asked for.
    """
    medium = seen.get("medium")
    if medium is None:
        return None
    facts = {name: value for name, value in seen.items() if name not in ("problem", "reason")}
    if medium == "still":
        if "video" not in models:
            return {**facts, "problem": "a picture, and the manifest asks for no `models.video`", "reason": "no_model"}
        return facts
    tracks = seen.get("tracks")
    if tracks is None:
        return None
    channel = facts.get("channel")
    facts["sound"] = "sound" in tracks and "audio" in models and channel != 0
    facts["picture"] = "picture" in tracks and "video" in models and not channel
    if facts["sound"] or facts["picture"]:
        return facts
    named = "` or `models.".join(sorted(models))
    return {**facts, "problem": f"nothing in it that `models.{named}` could measure", "reason": "no_model"}


def measured_for(facts: Mapping[str, Any], models: Mapping[str, Any]) -> bool:
    """Whether a look told all that the bill under these models needs."""
    if facts.get("medium") == "still":
        return "bytes" in facts
    if facts.get("looked") != LOOK_FORM:
        return False
    if facts.get("sound") and facts.get("heard") != (chosen_sound(models)[0] or 0):
        return False
    if (models.get("audio") or {}).get("channels") == "each" and facts.get("sound") and "heard_channels" not in facts:
        return False
    asked = asked_of_video(models)
    return not facts.get("picture") or all(facts.get(name) == value for name, value in (asked or {}).items())


def asked_of_video(models: Mapping[str, Any]) -> dict[str, Any] | None:
    """{"fps", "max_width"} that a video's pictures are taken with; None where none are."""
    if "video" not in models:
        return None
    options = models["video"] or {}
    return {name: options.get(name, OWN_DEFAULTS[name]) for name in ("fps", "max_width")}


def exact_fps(fps: float) -> Fraction:
    """The rate as pictures are taken at it."""
    return Fraction(fps)


def is_short(facts: Mapping[str, Any]) -> bool:
    """Whether it is a recording that is joined with others where the manifest asks for it."""
    return bool(facts.get("sound") and not facts.get("picture") and (facts.get("duration_ms") or SHORT_MS) < SHORT_MS)


def relevant(kind: SourceKind, facts: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The part of `settings` ({"models", "batching"}) that changes the result of such an item.

    What was not looked at (a link) may be anything, so all of it counts. A medium that cannot be measured depends on
    nothing.
    """
    models = settings.get("models") or {}
    if kind != "file" or not facts:
        chosen = {name: _own(name, options or {}) for name, options in models.items()}
        return _with_batching({"models": chosen}, settings)
    seen = fit(facts, models)
    if seen is None:
        seen = dict(facts)
    if "problem" in seen:
        return {"models": {}}
    if seen["medium"] == "still":
        face = (models.get("video") or {}).get("face")
        return {"models": {"video": {"face": face} if face else {}}}
    chosen = {}
    if seen.get("sound"):
        chosen["audio"] = _audio(models.get("audio") or {}, seen)
    if seen.get("picture"):
        chosen["video"] = _video(models.get("video") or {})
    found: dict[str, Any] = {"models": chosen}
    return _with_batching(found, settings) if is_short(seen) else found


def _own(name: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
    match name:
        case "video":
            return _video(options)
        case "audio":
            return _audio(options, {})
    return options


def _audio(options: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Without what chooses among one: the mix is the default, and a file of one track or channel has no other."""
    found = dict(options)
    if found.get("channels") == "each":
        found["channels"] = facts.get("channel") or "mix"
    if found.get("channels") == "mix" or (found.get("channels") == 1 and facts.get("channels") == 1):
        del found["channels"]
    if found.get("track") == 1 and facts.get("sound_tracks") == 1:
        del found["track"]
    return found


def _video(options: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in options.items()
        if not (name in OWN_DEFAULTS and value == OWN_DEFAULTS[name]) and not (name == "face" and not value)
    }


def _with_batching(found: dict[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Joined with others, a short recording is heard differently."""
    if "batching" in settings:
        found["batching"] = {"pack_short_audio": bool(settings["batching"].get("pack_short_audio"))}
    return found
