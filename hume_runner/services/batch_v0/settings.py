"""Which of batch-v0's settings change which item's result. Pure.

A setting counts as touching an item unless it surely does not: measuring once too often costs money, and taking the
scores of other settings for this item's would be wrong. Sources: docs/apis/batch_v0.md, inputs and models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hume_runner.manifest.model import SourceKind

_SEEN = ("face", "facemesh")
_HEARD = ("burst", "prosody", "language", "ner")
_READ = ("language", "ner")

_MODELS_OF: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("jpeg", "png", "gif", "bmp", "webp", "tiff", "heic", "avif"), _SEEN),
    # Formats of sound alone. Containers (MP4, Ogg, AVI, …) may hold pictures as well, so every model may apply.
    **dict.fromkeys(("wav", "mp3", "aac", "flac", "aiff", "au", "caf", "amr", "m4a"), _HEARD),
    "text": _READ,
    "json": (*_READ, "facemesh"),  # landmarks come as JSON
}
# One picture each: how many are taken a second is nothing to them. An animated PNG is told by `moving`.
_ONE_PICTURE = ("jpeg", "png", "bmp", "tiff")


def relevant(kind: SourceKind, facts: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The part of `settings` ({"models", "transcription"}) that changes the result of such an item.

    `facts`: what a look at a file told, {"format": as `media/sniff.py` names it}. What nobody looked at (a link, an
    archive, an unknown format) may be anything, so all of it counts.
    """
    models = settings.get("models") or {}
    form = "text" if kind == "text" else str(facts.get("format", ""))
    apply = _MODELS_OF.get(form)
    if apply is None:
        return {name: settings[name] for name in ("models", "transcription") if name in settings}
    chosen = {name: _options(name, form, facts, models[name]) for name in apply if name in models}
    found: dict[str, Any] = {"models": chosen}
    # Speech that is not understood can fail a recording whatever model it was for.
    if apply is _HEARD and chosen and "transcription" in settings:
        found["transcription"] = settings["transcription"]
    return found


def _options(model: str, form: str, facts: Mapping[str, Any], options: Any) -> Any:
    unused: tuple[str, ...] = ()
    if model == "face" and form in _ONE_PICTURE and not facts.get("moving"):
        unused = ("fps_pred",)
    elif form in ("text", "json"):
        unused = ("identify_speakers",)
    if not isinstance(options, Mapping):
        return options
    return {name: value for name, value in options.items() if name not in unused}
