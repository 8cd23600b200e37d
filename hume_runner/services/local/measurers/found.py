"""Which measurers there are: ours, and those that other packages offer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from hume_runner.errors import UsageError
from hume_runner.services.local.measurers.base import Measurer

GROUP = "hume_runner.measurers"
_HERE = "hume_runner.services.local.measurers"
# Named here as well as in the package's entry points, so that a checkout that is not installed measures too.
_OURS = {
    "language": f"{_HERE}.language:LANGUAGE",
    "speech": f"{_HERE}.speech:SPEECH",
    "acoustics": f"{_HERE}.acoustics:ACOUSTICS",
    "ner": f"{_HERE}.ner:NER",
    "face": f"{_HERE}.face:FACE",
}


@cache
def known() -> Mapping[str, Measurer]:
    """All measurers by the word that a manifest has for them. Raises: UsageError for one that cannot be loaded."""
    found = {name: _ours(place) for name, place in _OURS.items()}
    for name, point in foreign_points().items():
        found[name] = _foreign(name, point)
    return found


def _ours(place: str) -> Measurer:
    module, _, member = place.partition(":")
    return cast(Measurer, getattr(import_module(module), member))


@cache
def foreign_points() -> Mapping[str, EntryPoint]:
    """What other packages offer, by name. Raises: UsageError where two offer the same name, or one of ours."""
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        if point.value == _OURS.get(point.name):
            continue
        if point.name in _OURS or found.get(point.name, point).value != point.value:
            raise UsageError(
                f"{point.value} offers the measurer {point.name!r}, which there is already",
                hint="uninstall one of the two packages",
            )
        found[point.name] = point
    return found


def _foreign(name: str, point: EntryPoint) -> Measurer:
    try:
        return cast(Measurer, point.load())
    except Exception as error:
        raise UsageError(
            f"the measurer {name!r} ({point.value}) cannot be loaded: {type(error).__name__}: {error}",
            hint="update or uninstall the package that offers it",
        ) from error


def schemas() -> dict[str, Any]:
    """JSON Schema of the options of each measurer that other packages offer, by name."""
    return {name: dict(known()[name].schema) for name in foreign_points()}
