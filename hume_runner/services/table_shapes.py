"""Flat shapes that cross from an API's answers to the tables: layouts (what columns) and blocks (rows, by column).

An API's row mapping says which layouts it fills and yields blocks; nothing here or above knows an API's field names.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

from hume_runner.frozen import frozen
from hume_runner.manifest.model import SourceKind
from hume_runner.services.signals import Signals

ColumnType = Literal["string", "integer", "number", "boolean", "strings", "json"]
# What stands for several rows beside one that lasts as long as all of them.
Joined = Literal["mean", "sum", "first", "last", "highest", "lowest"]

_NOT_WORD = re.compile(r"[^a-z0-9]+")
_WORD = re.compile(r"[a-z][a-z0-9_]{0,63}")


def is_word(name: object) -> bool:
    """Whether something may name a table, a file of one, or a column: small letters, digits and underscores, not many.

    What others call theirs becomes a file's name, so nothing else may get there.
    """
    return isinstance(name, str) and _WORD.fullmatch(name) is not None


def column_name(text: str) -> str:
    """`text` as a column name: lower case, words joined by underscores ("Surprise (negative)": surprise_negative)."""
    return _NOT_WORD.sub("_", text.lower()).strip("_")


@frozen
class Column:
    """One column that is no score. `json` is a JSON value as text.

    `joined`: what stands for several rows beside one that lasts as long as all of them, where that is not their mean.
    """

    name: str
    type: ColumnType
    meaning: str
    joined: Joined = "mean"


Tells = Literal["mean level", "strongest kind"]


@dataclass(frozen=True, kw_only=True)
class Family:
    """Scores that come together, one column each: `prefix` names the family, `names` are as the service spells them.

    `bounds`: between which values a score lies by what is said of it; None where nobody says. `words`: what people call
    them all together, where that is not the prefix. `tells`: what a row's scores say together, which a report tells
    beside the row's words: they are of the levels of one scale, the lowest first, or of the kinds of one thing."""

    prefix: str
    names: tuple[str, ...]
    words: str = ""
    tells: Tells | None = None
    bounds: tuple[float, float] | None = None

    @cached_property
    def columns(self) -> tuple[str, ...]:
        return tuple(f"{self.prefix}_{column_name(name)}" for name in self.names)

    @cached_property
    def spelt(self) -> list[str]:
        """`names` as a list, which a list is compared with."""
        return list(self.names)

    @cached_property
    def index(self) -> Mapping[str, int]:
        return {name: position for position, name in enumerate(self.names)}


@frozen
class OpenFamily:
    """Scores whose names nobody can list beforehand, and of which a row has some: one column holds them all.

    `name` is that column, `prefix` the family's name in the long forms, `words` and `bounds` as of `Family`.
    """

    name: str
    prefix: str
    meaning: str
    words: str = ""
    bounds: tuple[float, float] | None = None


@frozen
class Layout:
    """One table: what a row is, its own columns, and its families of scores.

    `time` names the columns that place a row in its medium, in seconds: (begin, end), or (moment, moment), or None.
    `text` names the column that a person would read, if there is one. `named`: where that is no speech but the name of
    something that is mentioned, what people call one such thing and several. `signals`: what beside scores is drawn of
    it. `confidence` names columns that tell how sure the measurement of a row was, 0 to 1, of which the first that is
    told counts; `cut` the column that is true where a row was cut in the middle of what it measures. For people,
    `unscored` says why a whole source may have rows and no score, `unsure` what a low confidence means. `windows`: rows
    are windows of one length, of which the last of a recording is what is left and may be next to nothing.
    """

    name: str
    row: str
    columns: tuple[Column, ...]
    families: tuple[Family, ...] = ()
    open_families: tuple[OpenFamily, ...] = ()
    time: tuple[str, str] | None = None
    text: str | None = None
    named: tuple[str, str] | None = None
    signals: Signals | None = None
    confidence: tuple[str, ...] = ()
    cut: str | None = None
    unscored: str = ""
    unsure: str = ""
    windows: bool = False


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


class Ragged:
    """Scores of one open family, row after row: row `n` has those from `starts[n]` to `starts[n + 1]`.

    A row in `unmeasured` was not measured at all, which is not the same as having no score above a cutoff.
    """

    __slots__ = ("names", "starts", "unmeasured", "values")

    def __init__(self) -> None:
        self.starts = array("i", [0])
        self.names: list[str] = []
        self.values = array("d")
        self.unmeasured: list[int] = []

    @property
    def rows(self) -> int:
        return len(self.starts) - 1

    def add(self, names: Sequence[str], values: Sequence[float]) -> None:
        """One row with these scores; no name comes twice."""
        self.names.extend(names)
        self.values.extend(values)
        self.starts.append(len(self.names))

    def add_unmeasured(self) -> None:
        self.unmeasured.append(self.rows)
        self.starts.append(len(self.names))

    def extend(self, other: Ragged) -> None:
        """Append all rows of another."""
        self.unmeasured.extend(self.rows + row for row in other.unmeasured)
        end = len(self.names)
        self.names.extend(other.names)
        self.values.extend(other.values)
        self.starts.extend(end + start for start in other.starts[1:])

    def row(self, number: int) -> Iterator[tuple[str, float]]:
        """(name, score) of one row, in the service's order."""
        begin, end = self.starts[number], self.starts[number + 1]
        return zip(self.names[begin:end], self.values[begin:end], strict=True)


@frozen
class Block:
    """Rows of one table that belong to one source, column by column.

    `columns` has a list for each column of the layout, `grids` a grid for each of its families, by prefix, `ragged`
    the scores of each open family, by name. Beside the layout's, `columns` may tell each row's `file` and `file_type`
    inside the source, and its `group_id`. `extra` holds for each row what the layout has no column for, as JSON
    text, or None.
    """

    layout: Layout
    rows: int
    columns: Mapping[str, Sequence[object]]
    grids: Mapping[str, Grid]
    extra: Sequence[str | None]
    ragged: Mapping[str, Ragged] = field(default_factory=dict)


@frozen
class Piece:
    """One answered job of an item that is spread over several. `continues`: it goes on where the one before it ended.

    `detail` says which part of the item it is, in the words of the service that made the job, without its lists.
    """

    path: Path
    detail: Mapping[str, Any]
    continues: bool = False


def without_lists(detail: Mapping[str, Any]) -> Mapping[str, Any]:
    """What tells a part from the others: the times of its frames do not, and are many."""
    return {name: value for name, value in detail.items() if not isinstance(value, list)}


class Share(Protocol):
    """What a job carried of an item, as far as its answer is to be read.

    `position` is its place in the job, `match` by what the answer names it. `detail` says which part of the item it is,
    in the words of the service that made the job. `pieces` are all answered parts of that item, this one among them, in
    the order of their jobs.
    """

    @property
    def kind(self) -> str: ...
    @property
    def position(self) -> int: ...
    @property
    def match(self) -> str: ...
    @property
    def detail(self) -> Mapping[str, Any]: ...
    @property
    def pieces(self) -> tuple[Piece, ...]: ...


@frozen
class EntryError:
    """Something the service could not measure: `file` is the path inside the source, None for the source itself."""

    file: str | None
    message: str


# Reads an answer: what it says about each share, in the answer's order. Raises: ResultsError, naming the file.
Reader = Callable[[Path, Sequence[Share]], Iterator["Entry"]]


class RowMapping(Protocol):
    """What an API's module of rows offers: its tables, but for those of other packages."""

    LAYOUTS: tuple[Layout, ...]

    def reader(self) -> Reader:
        """A reader for one pass over answers."""
        ...


class Entry(Protocol):
    """What an answer says about one thing that was submitted.

    `match` is the URL as submitted, the name of the upload, or for text its position from 1 as a string. `first_row`
    counts the rows that answers to earlier parts of the same item have in its table.
    """

    @property
    def kind(self) -> SourceKind: ...
    @property
    def match(self) -> str: ...
    @property
    def first_row(self) -> int: ...
    @property
    def errors(self) -> tuple[EntryError, ...]: ...

    def blocks(self) -> Iterator[Block]:
        """The rows, in the answer's order; each block holds a bounded number of them."""
        ...


@dataclass(slots=True, kw_only=True)
class BlockBuilder:
    """Collects rows and hands them out as blocks."""

    layout: Layout
    columns: dict[str, list[object]] = field(init=False)
    grids: dict[str, Grid] = field(init=False)
    ragged: dict[str, Ragged] = field(init=False)
    extra: list[str | None] = field(init=False)

    def __post_init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self.columns = {column.name: [] for column in self.layout.columns}
        self.grids = {family.prefix: Grid(len(family.names)) for family in self.layout.families}
        self.ragged = {family.name: Ragged() for family in self.layout.open_families}
        self.extra = []

    def take(self) -> Block:
        """Everything collected since the last time."""
        block = Block(
            layout=self.layout,
            rows=len(self.extra),
            columns=self.columns,
            grids=self.grids,
            ragged=self.ragged,
            extra=self.extra,
        )
        self._clear()
        return block
