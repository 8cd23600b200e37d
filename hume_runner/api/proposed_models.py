"""What `init` writes below `models:`: what can measure now, and in comments what could, with the way there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set

from hume_runner.registry import Proposal, Registered, Starter, load


def model_lines(found: Registered, seen: Set[str]) -> Iterator[str]:
    """Lines for sources of the kinds that were `seen`. Every kind has a model, ready or not, so that it is valid."""
    asked = [one for one in (found.starter or Starter(models=())).models if (one.kinds | one.heard) & seen]
    lacking = _lacking(found, asked)
    active = _active(asked, seen, lacking)
    for one in asked:
        comments = [one.comment] if one.comment else []
        if steps := lacking.get(one.model):
            comments.append("first " + ", then ".join(f"`{step}`" for step in steps))
        line = one.line if one.model in active else f"# {one.line}"
        yield f"  {line:<36} # {'; '.join(comments)}" if comments else f"  {line}"


def _lacking(found: Registered, asked: Sequence[Proposal]) -> Mapping[str, Sequence[str]]:
    """The models that cannot measure on this machine -> commands after which they can."""
    if found.readiness is None:
        return {}
    every = load(found.readiness)({one.model: {} for one in asked})
    return {one.model: one.steps for one in every if one.error is not None}


def _active(asked: Sequence[Proposal], seen: Set[str], lacking: Mapping[str, object]) -> Set[str]:
    active = {one.model for one in asked if one.kinds & seen and one.model not in lacking}
    for kind in sorted(seen):
        able = [one.model for one in asked if kind in one.kinds]
        if not active.intersection(able):
            active.update(able[:1])
    return active | {
        one.model for one in asked if one.heard & seen and one.hears in active and one.model not in lacking
    }
