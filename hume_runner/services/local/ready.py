"""Whether all that a manifest's measurers need is on this machine, before anything is measured."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from hume_runner.errors import MissingExtra
from hume_runner.services.local.settings import Chosen
from hume_runner.services.local.weights import require


def require_ready(asked: Sequence[Chosen]) -> None:
    """Raises: MissingExtra naming the model, MissingWeights with the command that fetches them."""
    for one in asked:
        if any(find_spec(module) is None for module in one.measurer.modules):
            raise MissingExtra("local", f"models.{one.model}")
    require([file for one in asked for file in one.card.files])
