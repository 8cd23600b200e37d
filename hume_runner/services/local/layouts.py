"""The tables of `local`: those of its measurers, each with who measured a row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from hume_runner.services.local.measurers.base import Measurer
from hume_runner.services.local.measurers.found import find, is_ours, own
from hume_runner.services.table_shapes import Column, Layout

MEASURED_BY = Column(
    name="measured_by",
    type="string",
    meaning="who measured it: name@version#first eight digits of the SHA-256 of its weights; "
    "e3b0c442, that of nothing, where it has none",
)


def layouts() -> Mapping[str, Layout]:
    """Our tables by name, in the order of the measurers' names."""
    return {layout.name: layout for _, one in sorted(own().items()) for layout in _told(one)}


def offered(models: Iterable[str]) -> tuple[Layout, ...]:
    """The tables of those of these models that other packages measure. Raises: UsageError for one that cannot be
    used."""
    found = (find(name) for name in sorted(models) if not is_ours(name))
    return tuple(layout for one in found if one is not None for layout in _told(one))


def _told(one: Measurer) -> tuple[Layout, ...]:
    return tuple(replace(layout, columns=(MEASURED_BY, *layout.columns)) for layout in one.layouts)
