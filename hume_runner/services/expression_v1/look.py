"""A cheap look at a medium before it is planned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hume_runner.media.audio import prepare_audio
from hume_runner.media.cuts import split, wav_levels
from hume_runner.media.jpeg import picture_budget
from hume_runner.media.lengths import measure
from hume_runner.media.problems import MediaProblem, surprises_are_problems
from hume_runner.media.sniff import sniff_path
from hume_runner.media.stills import weigh_still
from hume_runner.media.wav import RATE_HZ
from hume_runner.scratch import Scratch
from hume_runner.services.expression_v1.settings import (
    LOOK_FORM,
    OWN_DEFAULTS,
    asked_of_video,
    chosen_sound,
    exact_fps,
    fit,
)


def look(path: Path, models: Mapping[str, Any]) -> dict[str, Any]:
    """What a medium holds, as far as the bill needs it, or {"problem", "reason"}.

    {"medium": "still", "bytes"}: what it weighs when it is sent, at the most; {"medium": "recording", "tracks",
    "duration_ms", "pictures", "fps", "max_width", "picture_bytes", "sound", "picture"}: upper bounds, of the tracks
    that the models ask for.
    """
    try:
        with surprises_are_problems(path.name):
            kind = sniff_path(path)
            if kind.family == "image":
                seen: dict[str, Any] = {"medium": "still", "bytes": weigh_still(path)}
            else:
                seen = _recording(path, models)
    except MediaProblem as problem:
        return {"problem": problem.message, "reason": problem.reason}
    facts = fit(seen, models)
    assert facts is not None  # it was looked at just now
    return facts


def _recording(path: Path, models: Mapping[str, Any]) -> dict[str, Any]:
    asked, track = asked_of_video(models), chosen_sound(models)[0]
    fps = None if asked is None else exact_fps(asked["fps"])
    width = OWN_DEFAULTS["max_width"] if asked is None else asked["max_width"]
    found = measure(path, fps=fps, max_width=width, sound="audio" in models, track=track)
    held = (("sound", found.has_audio), ("picture", found.has_video))
    seen: dict[str, Any] = {
        "medium": "recording",
        "duration_ms": found.sound_ms,
        "tracks": [name for name, there in held if there],
        "sound_tracks": found.sound_tracks,
        "channels": found.channels,
        "heard_channels": found.heard_channels,
        "looked": LOOK_FORM,
        "heard": track or 0 if "audio" in models else None,
    }
    if asked is not None:
        seen |= {"pictures": found.pictures, **asked}
        if found.pixels is not None:
            seen["picture_bytes"] = picture_budget(*found.pixels)
    return seen


def part_lengths(path: Path, models: Mapping[str, Any], max_body_bytes: int) -> list[int]:
    """Milliseconds of each part that a recording is cut into; none where it cannot be prepared."""
    with Scratch() as folder:
        try:
            track, channel = chosen_sound(models)
            wav = prepare_audio(path, folder, track=track, channel=channel)
        except MediaProblem:
            return []
        parts = split(wav_levels(wav.path), wav.samples, max_body_bytes=max_body_bytes)
        return [-(-part.samples * 1000 // RATE_HZ) for part in parts]
