"""Flat shapes that cross from an API's answers to the tables: layouts (what columns) and blocks (rows, by column).

An API's row mapping says which layouts it fills and yields blocks; nothing here or above knows an API's field names.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Protocol

from hume_runner.manifest.model import SourceKind

ColumnType = Literal["string", "integer", "number", "boolean", "strings", "json"]

_NOT_WORD = re.compile(r"[^a-z0-9]+")


def column_name(text: str) -> str:
    """`text` as a column name: lower case, words joined by underscores ("Surprise (negative)": surprise_negative)."""
    return _NOT_WORD.sub("_", text.lower()).strip("_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column that is no score. `json` is a JSON value as text."""

    name: str
    type: ColumnType
    meaning: str


@dataclass(frozen=True, kw_only=True)
class Family:
    """Scores that come together, one column each: `prefix` names the family, `names` are as the service spells them."""

    prefix: str
    names: tuple[str, ...]

    @cached_property
    def columns(self) -> tuple[str, ...]:
        return tuple(f"{self.prefix}_{column_name(name)}" for name in self.names)

    @cached_property
    def index(self) -> Mapping[str, int]:
        return {name: position for position, name in enumerate(self.names)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One table: what a row is, its own columns, and its families of scores.

    `time` names the columns that place a row in its medium, in seconds: (begin, end), or (moment, moment), or None.
    `text` names the column that a person would read, if there is one.
    """

    name: str
    row: str
    columns: tuple[Column, ...]
    families: tuple[Family, ...]
    time: tuple[str, str] | None = None
    text: str | None = None


class Grid:
    """Scores of one family, row after row: `values` holds `width` numbers a row; `absent` tells which are not there.

    `absent[row]` lists the missing positions of a row; its numbers in `values` are meaningless zeros.
    """

    __slots__ = ("_blank", "absent", "rows", "values", "width")

    def __init__(self, width: int) -> None:
        self.width = width
        self.rows = 0
        self.values = array("d")
        self.absent: dict[int, Sequence[int]] = {}
        self._blank = array("d", bytes(8 * width))

    def add_full(self, scores: list[float]) -> None:
        """One row with all its scores, in the family's order."""
        self.values.extend(array("d", scores))
        self.rows += 1

    def add_blank(self) -> None:
        """One row without any score."""
        self.values.extend(self._blank)
        self.absent[self.rows] = range(self.width)
        self.rows += 1

    def add_some(self, scores: Mapping[int, float]) -> None:
        """One row with the scores at these positions."""
        self.values.extend(array("d", [scores.get(position, 0.0) for position in range(self.width)]))
        missing = [position for position in range(self.width) if position not in scores]
        if missing:
            self.absent[self.rows] = missing
        self.rows += 1

    def extend(self, other: Grid) -> None:
        """Append all rows of a grid of the same width."""
        for row, missing in other.absent.items():
            self.absent[self.rows + row] = missing
        self.values.extend(other.values)
        self.rows += other.rows

    @property
    def is_blank(self) -> bool:
        """Whether no row has any score."""
        return len(self.absent) == self.rows and all(len(missing) == self.width for missing in self.absent.values())

    def row(self, number: int) -> list[float | None]:
        """One row's scores in the family's order; None where there is none."""
        scores: list[float | None] = list(self.values[number * self.width : (number + 1) * self.width])
        for position in self.absent.get(number, ()):
            scores[position] = None
        return scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Rows of one table that belong to one source, column by column.

    `columns` has a list for each column of the layout, `grids` a grid for each of its families, by prefix. `extra`
    holds for each row what the layout has no column for, as JSON text, or None.
    """

    layout: Layout
    rows: int
    columns: Mapping[str, Sequence[object]]
    grids: Mapping[str, Grid]
    extra: Sequence[str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryError:
    """Something the service could not measure: `file` is the path inside the source, None for the source itself."""

    file: str | None
    message: str


class Entry(Protocol):
    """What an answer says about one thing that was submitted.

    `match` is the URL as submitted, the name of the upload, or for text its position from 1 as a string.
    """

    kind: SourceKind
    match: str
    errors: tuple[EntryError, ...]

    def blocks(self) -> Iterator[Block]:
        """The rows, in the answer's order; each block holds a bounded number of them."""
        ...


@dataclass(slots=True, kw_only=True)
class BlockBuilder:
    """Collects rows and hands them out as blocks."""

    layout: Layout
    columns: dict[str, list[object]] = field(init=False)
    grids: dict[str, Grid] = field(init=False)
    extra: list[str | None] = field(init=False)

    def __post_init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self.columns = {column.name: [] for column in self.layout.columns}
        self.grids = {family.prefix: Grid(len(family.names)) for family in self.layout.families}
        self.extra = []

    def take(self) -> Block:
        """Everything collected since the last time."""
        block = Block(
            layout=self.layout, rows=len(self.extra), columns=self.columns, grids=self.grids, extra=self.extra
        )
        self._clear()
        return block
