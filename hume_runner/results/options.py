"""How tables are to be written: what a person may ask for beside the format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from hume_runner.frozen import frozen

ABOVE = 0.5


@frozen
class TableOptions:
    """`long`: also one row a score. `labels`: the labels as columns in every table. `bom`: CSV begins with a byte order
    mark, by which Excel knows UTF-8. `above`: the cutoff that `share_above` in `sources` counts from."""

    long: bool = False
    labels: bool = False
    bom: bool = False
    above: float = ABOVE

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> TableOptions:
        """The same from JSON values; what an earlier version did not know has its default."""
        return cls(
            long=bool(document.get("long", False)),
            labels=bool(document.get("labels", False)),
            bom=bool(document.get("bom", False)),
            above=float(document.get("above", ABOVE)),
        )


PLAIN = TableOptions()
