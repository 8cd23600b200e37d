"""Extras and weights of a manifest's models that this machine lacks: told before a run is refused for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hume_runner.registry import load, registered

if TYPE_CHECKING:
    from hume_runner.manifest.model import Manifest


def unready(manifest: Manifest) -> Iterator[str]:
    """A line for each command that is missing, with the models that wait for it. A manifest is often judged elsewhere
    than it is run, so this is worth knowing and no error; a plan ends as its run would."""
    found = registered(manifest.service.api)
    if found is None or found.readiness is None:
        return
    waiting: dict[tuple[str, ...], list[str]] = {}
    for one in load(found.readiness)(manifest.settings["models"]):
        if one.error is not None:
            waiting.setdefault(one.steps, []).append(f"models.{one.model}")
    for steps, models in waiting.items():
        told = "not ready to measure on this machine, so a run here would be refused"
        yield f"{', '.join(models)}: {told}; first {', then '.join(f'`{step}`' for step in steps)}"
