"""A cheap look at a medium before it is planned: what tracks it holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hume_runner.media.probe import probe
from hume_runner.media.problems import MediaProblem, surprises_are_problems
from hume_runner.media.sniff import sniff_path
from hume_runner.media.stills import picture_kind
from hume_runner.services.local.settings import fit


def look(path: Path, models: Mapping[str, Any]) -> dict[str, Any]:
    """{"medium": "still" | "recording", "tracks": [...], "seconds"} with what `fit` adds, or {"problem", "reason"}.

    `seconds` is what the headers say of the longest track, None where they say nothing. Raises: MissingExtra.
    """
    try:
        with surprises_are_problems(path.name):
            if sniff_path(path).family == "image":
                picture_kind(path)
                return fit({"medium": "still", "tracks": ["picture"]}, models)
            facts = probe(path)
    except MediaProblem as problem:
        return {"problem": problem.message, "reason": problem.reason}
    held = (("sound", facts.has_audio), ("picture", facts.medium == "video"))
    tracks = [name for name, there in held if there]
    return fit({"medium": "recording", "tracks": tracks, "seconds": facts.duration_s}, models)


def recalled(facts: Mapping[str, Any], models: Mapping[str, Any]) -> dict[str, Any] | None:
    """What an earlier look tells under these models; None where it failed and has to be repeated."""
    return fit(facts, models) if "tracks" in facts else None
