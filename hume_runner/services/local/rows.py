"""What the answers of `local` (`response.json`) say, as rows. Times in them count from the source's start already."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hume_runner.errors import ResultsError, in_a_line
from hume_runner.frozen import frozen
from hume_runner.manifest.model import SourceKind
from hume_runner.services.local.answers import sources_of
from hume_runner.services.local.layouts import layouts, offered
from hume_runner.services.local.measurers.base import NUMBERED
from hume_runner.services.local.parts import place_of
from hume_runner.services.table_shapes import Block, BlockBuilder, EntryError, Layout, Piece, Reader, Share

_ROWS_A_BLOCK = 2048

# Ours. Others' are looked for where an answer has rows of them (`registry.Registered.more_layouts`).
LAYOUTS = tuple(layouts().values())
_BY_NAME = {layout.name: layout for layout in LAYOUTS}


@frozen
class MeasuredEntry:
    """The rows of one table that an answer has for one source."""

    kind: SourceKind
    match: str
    layout: Layout | None = None
    rows: Sequence[Mapping[str, Any]] = ()
    first_row: int = 0
    numbers: Mapping[str, int] = field(default_factory=dict)  # what numbered columns begin with
    errors: tuple[EntryError, ...] = ()

    def blocks(self) -> Iterator[Block]:
        """The rows in the answer's order, at most some thousand in a block."""
        if self.layout is None:
            return
        builder = BlockBuilder(layout=self.layout)
        for number, row in enumerate(self.rows, start=1):
            try:
                _add(builder, row, self.numbers)
            except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
                # Of a measurer that had other columns or labels then, or from before rows were looked at.
                raise ResultsError(
                    f"row {number} of {self.layout.name!r} is none of the table as it is known here: "
                    f"{in_a_line(error)}",
                    hint="install the version of the package that measured it, or measure again",
                ) from error
            if number % _ROWS_A_BLOCK == 0:
                yield builder.take()
        if builder.extra:
            yield builder.take()


def reader() -> Reader:
    """A reader for one pass over answers: it remembers how far the parts of the item that it read last count."""
    return _Reader()


@dataclass(slots=True)
class _Counted:
    """How many rows each table of a source has so far, and where its numbers go on, by column."""

    rows: dict[str, int] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)

    def copy(self) -> _Counted:
        return _Counted(dict(self.rows), dict(self.numbers))

    def add(self, source: Mapping[str, Any]) -> None:
        ends: dict[str, int] = {}
        for table, rows in source["tables"].items():
            self.rows[table] = self.rows.get(table, 0) + len(rows)
            for name in NUMBERED:
                highest = max((row[name] for row in rows if row.get(name) is not None), default=None)
                if highest is not None:
                    ends[name] = max(ends.get(name, 0), self.numbers.get(name, 0) + highest + 1)
        self.numbers |= ends


class _Reader:
    def __init__(self) -> None:
        self._pieces: tuple[Piece, ...] = ()
        self._before: Mapping[Path, _Counted] = {}

    def __call__(self, path: Path, shares: Sequence[Share]) -> Iterator[MeasuredEntry]:
        """Yield what the answer says about each share, table by table. Raises: ResultsError, naming the file."""
        if not shares:
            return
        answer = _answer(path)
        sources, who = sources_of(answer), answer.get("measurers") or {}
        for share in shares:
            number = int(share.match)
            if number >= len(sources):
                raise ResultsError(f"{path}: says nothing about its source {number}")
            yield from _entries(share, sources[number], who, self._counted_before(path, share))

    def _counted_before(self, path: Path, share: Share) -> _Counted:
        if len(share.pieces) < 2:
            return _Counted()
        if share.pieces != self._pieces:
            self._pieces, self._before = share.pieces, _count(share.pieces)
        return self._before.get(path, _Counted())


def _count(pieces: Sequence[Piece]) -> dict[Path, _Counted]:
    """What comes before each piece, in the order of the source."""
    found: dict[Path, _Counted] = {}
    sofar = _Counted()
    for piece in sorted(pieces, key=lambda one: place_of(one.detail)):
        found[piece.path] = sofar.copy()
        try:
            sofar.add(sources_of(_answer(piece.path))[0])
        except (OSError, ResultsError, IndexError, TypeError):
            continue  # it says itself that it cannot be read
    return found


def _answer(path: Path) -> Mapping[str, Any]:
    """What the file holds, which is an answer. Raises: ResultsError."""
    try:
        answer = json.loads(path.read_bytes())
        sources_of(answer)
    except ValueError as error:
        raise ResultsError(f"{path}: {error}") from None
    found: Mapping[str, Any] = answer
    return found


def _entries(share: Share, source: Mapping[str, Any], who: Iterable[str], before: _Counted) -> Iterator[MeasuredEntry]:
    kind: SourceKind = share.kind  # type: ignore[assignment]
    errors = tuple(EntryError(file=None, message=error["message"]) for error in source["errors"])
    if errors and source["measured"]:
        yield MeasuredEntry(kind=kind, match=share.match, errors=errors)
    for table, rows in source["tables"].items():
        layout = _BY_NAME.get(table) or next((one for one in offered(who) if one.name == table), None)
        if layout is None:
            raise ResultsError(
                f"the answer has rows of {table!r}, and nothing installed here knows such a table",
                hint="install the package that measured them",
            )
        yield MeasuredEntry(
            kind=kind,
            match=share.match,
            layout=layout,
            rows=rows,
            first_row=before.rows.get(table, 0),
            numbers=before.numbers,
        )


def _as_it_is_known(table: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row by column. The answer tells in which language the text is: under a model that knows one only, that is no
    word of what was spoken, which nobody heard."""
    told = dict(row)
    if table == "speech" and str(told.get("measured_by")).partition("@")[0].endswith(".en"):
        told["language"] = None
    return told


def _add(builder: BlockBuilder, row: Mapping[str, Any], numbers: Mapping[str, int]) -> None:
    layout = builder.layout
    left = _as_it_is_known(layout.name, row)
    for column in layout.columns:
        value = left.pop(column.name, None)
        if value is not None:
            if column.name in NUMBERED:
                value += numbers.get(column.name, 0)
            elif column.type == "json":
                value = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
            elif column.type == "number":
                value = float(value)
        builder.columns[column.name].append(value)
    for family in layout.families:
        scores, grid = left.pop(family.prefix, None), builder.grids[family.prefix]
        # What was not measured is null: all of a row, one name of it, or a name that is not there.
        there = {family.index[name]: score for name, score in (scores or {}).items() if score is not None}
        if not there:
            grid.add_blank()
        elif len(there) == len(family.names):
            grid.add_full([there[position] for position in range(len(family.names))])
        else:
            grid.add_some(there)
    for open_family in layout.open_families:
        scores, ragged = left.pop(open_family.name, None), builder.ragged[open_family.name]
        told = {name: score for name, score in (scores or {}).items() if score is not None}
        if scores is None or (len(told) < len(scores) and not told):
            ragged.add_unmeasured()
        else:
            ragged.add(tuple(told), tuple(told.values()))
    builder.extra.append(json.dumps(left, ensure_ascii=False, sort_keys=True) if left else None)
