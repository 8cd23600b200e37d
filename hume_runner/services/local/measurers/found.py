"""Which measurers there are: ours, and those that other packages offer.

Nothing of another package is loaded before something names it: one that is broken hinders nobody else.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from hume_runner.errors import UsageError
from hume_runner.services.local.measurers.base import Measurer
from hume_runner.services.local.measurers.offered import Offered
from hume_runner.services.table_shapes import is_word

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


def names() -> tuple[str, ...]:
    """The words that a manifest may have for a measurer; nothing is loaded."""
    return (*_OURS, *(name for name in _offers() if name not in _OURS))


@cache
def find(name: str) -> Measurer | None:
    """The measurer that a manifest calls so; None where there is none. Raises: UsageError for one that cannot be
    used."""
    points = _offers().get(name, ())
    if name in _OURS:
        if points:
            raise _twice(name, points[0])
        return own()[name]
    if not points:
        return None
    if len({point.value for point in points}) > 1:
        raise _twice(name, points[1])
    first = points[0]
    return Offered(name, _package(first), first.load, taken=_own_layouts())


@cache
def own() -> Mapping[str, Measurer]:
    """Ours by the word that a manifest has for them."""
    return {name: _loaded(place) for name, place in _OURS.items()}


def is_ours(name: str) -> bool:
    return name in _OURS


def schemas(asked: Collection[str]) -> dict[str, Any]:
    """JSON Schema of the options of each measurer that other packages offer, by name; of those that nobody asked for,
    only that they are there. Raises: UsageError for one that was asked for and cannot be used."""
    found: dict[str, Any] = {}
    for name in names():
        if name in asked and isinstance(one := find(name), Offered):
            found[name] = one.judged_schema()
        elif not is_ours(name) and is_word(name):
            found[name] = {"type": "object"}
    return found


def forget() -> None:
    """Look again: packages have come or gone."""
    find.cache_clear()
    _offers.cache_clear()


@cache
def _offers() -> Mapping[str, tuple[EntryPoint, ...]]:
    """What other packages offer, by name."""
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for point in entry_points(group=GROUP):
        if point.value != _OURS.get(point.name):
            found[point.name] = (*found.get(point.name, ()), point)
    return found


def _loaded(place: str) -> Measurer:
    module, _, member = place.partition(":")
    return cast(Measurer, getattr(import_module(module), member))


def _own_layouts() -> Any:
    return [layout for one in own().values() for layout in one.layouts]


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value


def _twice(name: str, point: EntryPoint) -> UsageError:
    package = _package(point)
    return UsageError(
        f"the package {package} offers the measurer {name!r} ({point.value}), which there is already",
        hint=f"uninstall {package}, or the other package that offers it",
    )
