"""Whether all that a manifest's measurers need is on this machine, before anything is measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from hume_runner.errors import HumeRunnerError, MissingExtra
from hume_runner.readiness import Readiness
from hume_runner.services.local.measurers.found import known
from hume_runner.services.local.settings import Chosen, chosen
from hume_runner.services.local.weights import require


def require_ready(asked: Sequence[Chosen]) -> None:
    """Raises: MissingExtra naming the model; what `require` raises, with the command that fetches them."""
    for one in asked:
        for lacking in _lacking(one):
            raise lacking


def readiness(models: Mapping[str, Any] | None) -> Iterator[Readiness]:
    """Of the models of a manifest; of all, as they are without options, where there is none."""
    for one in chosen({name: {} for name in known()} if models is None else models):
        lacking = tuple(_lacking(one))
        if lacking:
            steps = tuple(error.hint for error in lacking)
            yield Readiness(model=one.model, problem=str(lacking[0]), error=lacking[0], steps=steps)
        else:
            yield Readiness(model=one.model, message=f"{one.card.measured_by}, {one.card.licence}")


def _lacking(one: Chosen) -> Iterator[HumeRunnerError]:
    if any(find_spec(module) is None for module in one.measurer.modules):
        yield MissingExtra("local", f"models.{one.model}")
    try:
        require(one.card.files)
    except HumeRunnerError as error:
        yield error
