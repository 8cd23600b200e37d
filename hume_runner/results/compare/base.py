"""What a comparison tells: the values that cross to the command line, the files and Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from hume_runner.frozen import frozen
from hume_runner.results.agreement import Agreement

Reason = Literal[
    "other_content", "no_such_content", "not_measured_in_a", "not_measured_in_b", "no_rows_together", "no_columns"
]

REASONS: Mapping[Reason, str] = {
    "other_content": "the other has this name with another content",
    "no_such_content": "the other has no source with this content",
    "not_measured_in_a": "not measured in A",
    "not_measured_in_b": "not measured in B",
    "no_rows_together": "measured in both, and no rows lie together",
    "no_columns": "measured in both, and no table and column have the same names",
}


@frozen
class Side:
    """One of the two results. `shown` is how it was named; `items` are listed, `repeats` of them have the content of an
    earlier one and do not count again. `measured_by`: what its rows say of who measured them, where they say it."""

    shown: str
    name: str
    api: str
    simulated: bool | None
    items: int
    repeats: int
    measured_by: tuple[str, ...] = ()


@frozen
class Unmatched:
    """An item that is not compared: in which listing it stands, and why; `told` is the sentence."""

    side: Literal["a", "b"]
    id: str
    kind: str
    source: str
    reason: Reason
    told: str


@frozen
class TablesTogether:
    """Rows of a table of A beside those of one of B, over all items. `pairs` of rows, and by what they were found:
    items by time, characters, text or order."""

    a: str
    b: str
    items: int
    rows_a: int
    rows_b: int
    pairs: int
    unpaired_a: int
    unpaired_b: int
    by: Mapping[str, int]


@frozen
class ColumnsTogether:
    """A column of A beside one of B. `only_a` and `only_b`: pairs of rows of which one alone has a value. `beyond`:
    pairs of which both have one, and one is too large for anything to be made of it. `points` are some of the pairs, to
    draw."""

    table_a: str
    column_a: str
    table_b: str
    column_b: str
    agreement: Agreement
    only_a: int
    only_b: int
    beyond: int = 0
    points: tuple[tuple[float, float], ...] = ()

    @property
    def name(self) -> str:
        """The column as people read it."""
        if self.column_a == self.column_b:
            return self.column_a
        return f"{self.column_a} / {self.column_b}"


@frozen
class Comparison:
    """Two results of the same sources.

    `differences` are the settings that are not the same, as `models.face.fps_pred: 3 -> 5`. `matched` items have the
    same content in both, `compared` of them have rows that lie together. `reasons` counts the others; `unmatched` are
    the first thousand of them. `tables_a` and `tables_b` have rows. `unread`: answers that cannot be read, so that what
    they say is missing here, the first hundred. `simulated`: some of the numbers are made up, so that nothing here
    tells of a measurement.
    """

    a: Side
    b: Side
    simulated: bool
    differences: tuple[str, ...]
    matched: int
    compared: int
    reasons: Mapping[Reason, int]
    unmatched: tuple[Unmatched, ...]
    tables: tuple[TablesTogether, ...]
    columns: tuple[ColumnsTogether, ...]
    tables_a: tuple[str, ...]
    tables_b: tuple[str, ...]
    unread: tuple[str, ...] = ()

    def columns_of(self, table: TablesTogether) -> tuple[ColumnsTogether, ...]:
        """The columns of a pair of tables, in their order."""
        return tuple(one for one in self.columns if (one.table_a, one.table_b) == (table.a, table.b))

    @property
    def exit_code(self) -> int:
        """0, or 3 where something cannot be read or nothing is compared."""
        return 0 if self.compared and not self.unread else 3
