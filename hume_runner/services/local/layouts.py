"""The tables of `local`: those of its measurers, each with who measured a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hume_runner.services.local.measurers.found import known
from hume_runner.services.table_shapes import Column, Layout

MEASURED_BY = Column(
    name="measured_by",
    type="string",
    meaning="who measured it: name@version#first eight digits of the SHA-256 of its weights; "
    "e3b0c442, that of nothing, where it has none",
)
# Whole numbers that count within a piece, and go on from piece to piece of a source.
NUMBERED = frozenset({"utterance", "turn", "track", "picture"})


def layouts() -> Mapping[str, Layout]:
    """All tables by name, in the order of the measurers' names."""
    found: dict[str, Layout] = {}
    for _, measurer in sorted(known().items()):
        for layout in measurer.layouts:
            found[layout.name] = replace(layout, columns=(MEASURED_BY, *layout.columns))
    return found
