"""Who measures with the models of a manifest, from the cards of the measurers."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from hume_runner.services.credits import Credit, Credits
from hume_runner.services.local.measurers.offered import Unfit
from hume_runner.services.local.settings import Chosen, chosen

_TOLD = (
    "These are the scores of open models and formulas, under their own names, measured on one's own machine. They are "
    "not Hume's scores, nor on one scale with them."
)


def credits_of(models: Mapping[str, Any]) -> Credits:
    """In the order of the models' names. Of options that only another version knows, nobody here can tell.

    Raises: UsageError for a measurer that cannot be loaded.
    """
    who = []
    for one in chosen(models):
        with suppress(KeyError, ValueError, Unfit):
            who.append(_credit(one))
    return Credits(told=_TOLD, who=tuple(who))


def _credit(one: Chosen) -> Credit:
    card = one.card
    return Credit(
        model=one.model,
        name=card.name,
        version=card.version,
        sha256=card.sha256,
        measured_by=card.measured_by,
        licence=card.licence,
        trained_on=card.trained_on,
        scale=card.scale,
        limits=card.limits,
        source=card.source,
    )
