"""Whether all that a manifest's measurers need is on this machine, before anything is measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from hume_runner.errors import HumeRunnerError, MissingExtra, UsageError
from hume_runner.readiness import Readiness
from hume_runner.services.local.measurers.found import is_ours, names
from hume_runner.services.local.settings import Chosen, chosen
from hume_runner.services.local.weights import require


def require_ready(asked: Sequence[Chosen]) -> None:
    """Raises: MissingExtra naming the models; what `require` raises, with one command that fetches all of them."""
    without = [f"models.{one.model}" for one in asked if is_ours(one.model) and not _installed(one)]
    if without:
        raise MissingExtra("local", ", ".join(without))
    for one in asked:
        if not _installed(one):
            raise _absent(one)
    require([file for one in asked for file in one.card.files])


def require_models(models: Mapping[str, Any]) -> None:
    """`require_ready` of the models of a manifest."""
    require_ready(chosen(models))


def readiness(models: Mapping[str, Any] | None) -> Iterator[Readiness]:
    """Of the models of a manifest; of all, as they are without options, where there is none."""
    for name, options in sorted(({name: {} for name in names()} if models is None else models).items()):
        try:
            for one in chosen({name: options}):
                yield _told(one)
        except UsageError as error:  # of another package, and cannot be used
            yield Readiness(model=name, problem=str(error), error=error, steps=(error.hint,))


def _told(one: Chosen) -> Readiness:
    lacking = tuple(_lacking(one))
    if lacking:
        steps = tuple(error.hint for error in lacking)
        return Readiness(model=one.model, problem=str(lacking[0]), error=lacking[0], steps=steps)
    return Readiness(model=one.model, message=f"{one.card.measured_by}, {one.card.licence}")


def _lacking(one: Chosen) -> Iterator[HumeRunnerError]:
    if not _installed(one):
        yield MissingExtra("local", f"models.{one.model}") if is_ours(one.model) else _absent(one)
    try:
        require(one.card.files)
    except HumeRunnerError as error:
        yield error


def _installed(one: Chosen) -> bool:
    return all(map(_is_there, one.measurer.modules))


def _absent(one: Chosen) -> UsageError:
    """Of another package, which alone knows what it needs."""
    names = ", ".join(module for module in one.measurer.modules if not _is_there(module))
    return UsageError(
        f"models.{one.model} needs what is not installed: {names}",
        hint="install it, as the package that offers the model says",
    )


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # what it would be a part of is not there
        return False
