"""Labels as columns: which there are, of what type, and an item's cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from hume_runner.manifest.model import Scalar
from hume_runner.results.base import ItemRecord
from hume_runner.results.names import label_columns
from hume_runner.services.table_shapes import Column, ColumnType


class Large(int):
    """A whole number that 64 bits hold and a decimal number does not: beside decimal ones it is kept as text."""


@dataclass(frozen=True, kw_only=True)
class LabelColumns:
    """Every label's name, sorted, with the types of its values."""

    types: Mapping[str, frozenset[type]]

    @classmethod
    def of(cls, items: Iterable[ItemRecord]) -> LabelColumns:
        """A pass over all items, so that the columns are known before the first row."""
        types: dict[str, set[type]] = {}
        for item in items:
            for name, value in item.labels.items():
                types.setdefault(name, set()).update(() if value is None else (_kind(value),))
        return cls(types={name: frozenset(seen) for name, seen in sorted(types.items())})

    @cached_property
    def names(self) -> Mapping[str, str]:
        """Label -> column."""
        return label_columns(self.types)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        return tuple(
            Column(name=self.names[label], type=label_type(seen), meaning=f"label {label!r}")
            for label, seen in self.types.items()
        )

    def cells(self, item: ItemRecord) -> dict[str, Scalar]:
        """Column -> value of the labels that this item has."""
        return {self.names[name]: _cell(value, label_type(self.types[name])) for name, value in item.labels.items()}

    def row(self, item: ItemRecord) -> dict[str, Scalar]:
        """The same with every column, null where the item has no such label."""
        return {**dict.fromkeys(self.names.values()), **self.cells(item)}


def label_type(seen: Iterable[type]) -> ColumnType:
    """The type that holds all these label values; `Large` stands for itself among them."""
    types = set(seen)
    if types == {bool}:
        return "boolean"
    if types and types <= {int, Large}:
        return "integer"
    return "number" if types and types <= {int, float} else "string"


def _kind(value: Scalar) -> type:
    """The type of a label's value; a number that no 64 bits hold is kept as text."""
    if type(value) is not int or abs(value) <= 2**53:
        return type(value)
    return Large if -(2**63) <= value < 2**63 else str


def _cell(value: Scalar, column: ColumnType) -> Scalar:
    if value is None or column != "string":
        return value
    return str(value).lower() if isinstance(value, bool) else storable(str(value))


def storable(text: str | None) -> str | None:
    """`text` as a table can hold it: half a character, as a file name of another encoding has, becomes `?`."""
    return text if text is None or text.isascii() else text.encode("utf-8", "replace").decode()
