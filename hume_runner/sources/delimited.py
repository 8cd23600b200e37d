"""csv and tsv lists: a line of column names, then a source a row."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import accumulate
from pathlib import Path
from typing import Any, NoReturn, TextIO

from hume_runner.manifest.shown import quoted
from hume_runner.manifest.wording import nearest
from hume_runner.sources import cells
from hume_runner.sources.columns import ColumnReader, Columns
from hume_runner.sources.list_file import ListFile, Row, RowBlock, Stop, in_blocks
from hume_runner.sources.separators import (
    clean,
    declared,
    first_at,
    is_column_name,
    mismatch,
    named,
    shown,
    written,
)

_LONGEST_FIELD = 10_000_000
_SAMPLE = 1 << 16
_DEFAULT = {".csv": ",", ".tsv": "\t"}
_AS_WRITTEN = {r"\t": "\t", "tab": "\t"}


def delimited_rows(source: ListFile) -> Iterator[Row]:
    """The rows of a csv or tsv list. Raises: Stop."""
    with _opened(source) as (table, columns):
        yield from columns.good(table.rows(), source)


def delimited_blocks(source: ListFile) -> Iterator[Row | RowBlock]:
    """The same rows, in blocks where a whole block is as it should be. Raises: Stop."""
    with _opened(source) as (table, columns):
        for lines, rows in table.blocks():
            block = columns.block(lines, rows)
            if block is not None:
                yield block
            else:
                yield from columns.good(zip(lines, rows, strict=True), source)


@contextmanager
def _opened(source: ListFile) -> Iterator[tuple[_Table, ColumnReader]]:
    # A text of more than the standard 128 kB is legitimate. The limit is the interpreter's, not the reader's.
    csv.field_size_limit(_LONGEST_FIELD)
    with source.open() as file:
        table = _Table(source, file)
        columns = table.columns()
        convert: Mapping[int, cells.Convert] = {}
        if columns.labels:
            with source.open() as again, suppress(csv.Error):  # told when the rows are read
                passed = _Table(source, again)
                convert = cells.converters(passed.bare(columns), [at for at, _ in columns.labels], columns.width)
        yield table, ColumnReader(table.separator, columns, convert)


def _lines_of(row: Iterable[str]) -> int:
    """How many lines of the list a row takes: one more than there are line ends in its values."""
    return 1 + sum(cell.count("\n") + cell.count("\r") - cell.count("\r\n") for cell in row)


class _Table:
    """One pass over a csv or tsv list."""

    def __init__(self, source: ListFile, file: TextIO) -> None:
        self._source = source
        self._file = file
        self.separator = self._chosen_separator()
        self._reader: Any = csv.reader(file, delimiter=self.separator, strict=True)
        self._header: list[str] = []
        self._at: dict[str, int] = {}  # a column's name -> where it stands first
        self._header_line = 1

    def _chosen_separator(self) -> str:
        """The manifest's, the one that a first line `sep=;` declares, or that of the file's ending."""
        source = self._source
        given = source.entry.delimiter
        given = _AS_WRITTEN.get(given, given) if given is not None else None
        said = declared(self._file.readline(100))
        self._before = 0 if said is None else 1
        if said is None:
            self._file.seek(0)
        elif given is not None and said != given:
            message = f"declares sep={said}, and the manifest says {written(given)}"
            source.malformed(1, message, f"write {written(said)}, or remove this line if that is wrong")
            raise Stop
        return given or said or _DEFAULT[source.suffix]

    def columns(self) -> Columns:
        """What the line of names says. Raises: Stop."""
        source = self._source
        try:
            self._header_line, header = next(self._named_rows(), (1, []))
        except csv.Error as error:
            self._check_separator()
            self._invalid(error, self._reader.line_num)
        self._header = clean(header)
        self._at = {name: at for at, name in reversed([*enumerate(self._header)])}
        if not self._header:
            source.malformed(1, "is empty", "start with a line of column names")
            raise Stop
        names = [name for name in self._header if name]
        self._check_separator()
        # Each name is looked up, here and below, and never searched for: a list may have as many columns as it likes.
        doubled = min((name for name, many in Counter(names).items() if many > 1), default=None)
        if doubled is not None:
            message = f"has two columns {quoted(doubled)}"
            source.malformed(self._header_line, message, "give each column a name of its own")
            raise Stop
        value = self._value_column()
        id_column = self._id_column(value)
        return Columns(
            width=len(self._header),
            value=self._at[value],
            id=self._at[id_column] if id_column is not None else None,
            needs_id=source.entry.id_column is not None,
            labels=self._label_columns(value, id_column),
        )

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Rows with the line that each starts on; a quoted value may go over several lines. Raises: Stop."""
        reader, next_line = self._reader, self._before + 1
        line = reader.line_num + next_line
        try:
            for row in reader:
                if row:
                    yield line, row
                line = reader.line_num + next_line
        except csv.Error as error:
            # What follows an open quote belongs to nobody knows which row.
            self._invalid(error, line - self._before)

    def blocks(self) -> Iterator[tuple[Sequence[int], list[tuple[str, ...]]]]:
        """The same, many at a time: (lines, rows). Raises: Stop."""
        reader, next_line = self._reader, self._before + 1
        begun = reader.line_num + next_line
        try:
            # As tuples: those of texts alone are nothing to the garbage collector, and lists by the million are.
            for rows in in_blocks(map(tuple, reader)):
                lines: Sequence[int] = range(begun, begun + len(rows) + 1)
                if reader.line_num + next_line != lines[-1]:
                    lines = list(accumulate(map(_lines_of, rows), initial=begun))
                begun = lines[-1]
                if all(rows):
                    yield lines[:-1], rows
                else:
                    kept = [(line, row) for line, row in zip(lines, rows, strict=False) if row]
                    yield [line for line, _ in kept], [row for _, row in kept]
        except csv.Error as error:
            self._invalid(error, begun - self._before)

    def bare(self, columns: Columns) -> Iterable[list[str]]:
        """Rows that will be sources, and some that are too short or too long, for a first look at them, which says
        nothing. Raises: csv.Error."""
        next(self._named_rows(), None)
        if not self._source.entry.skip_blank:
            rows: Iterable[list[str]] = self._reader
            return rows
        width, value = columns.width, columns.value
        return (row for row in self._reader if len(row) == width and row[value].strip())

    def _named_rows(self) -> Iterator[tuple[int, list[str]]]:
        """From the line of names on: what is blank before it says nothing."""
        line = self._before + 1
        for row in self._reader:
            if any(cell.strip() for cell in row):
                yield line, row
            line = self._before + self._reader.line_num + 1

    def _invalid(self, error: csv.Error, line: int) -> NoReturn:
        line += self._before
        hint = "check the quotes from this line on: a value with quotes inside stands in quotes, those inside doubled"
        self._source.malformed(max(line, 1), f"is not valid CSV: {error}", hint)
        raise Stop from error

    def _check_separator(self) -> None:
        """Refuse a list whose columns are surely separated otherwise, before its first row is taken for a source."""
        source, entry = self._source, self._source.entry
        wanted = [source.wanted] if entry.id_column is None else [source.wanted, entry.id_column]
        if set(wanted) <= set(self._header):
            return
        with source.open() as file:
            if self._before:
                file.readline()
            sample = file.read(_SAMPLE)
        # A column of ids may be misspelt in the manifest: that is told when the rest is right.
        found = mismatch(sample, self.separator, wanted) or mismatch(sample, self.separator, [source.wanted])
        if found is None:
            return
        line, column = self._header_line, 1
        if found.whole_lines:
            message = f"has each line in quotes as a whole, and {shown(found.separator)} inside"
            hint = f"take these outer quotes away, and write {written(found.separator)}"
        else:
            lines = io.StringIO(sample, newline=None).readlines()
            column = first_at("".join(lines[line - 1 - self._before :][:1]), found.separator)
            message = f"columns are separated by {shown(found.separator)}, not by {named(self.separator)}"
            hint = f"write {written(found.separator)} beside from"
            if self._before:
                hint += ", and remove line 1, which says otherwise"
        source.malformed(line, message, hint, column=column)
        raise Stop

    def _value_column(self) -> str:
        source, entry, header = self._source, self._source.entry, self._header
        if source.wanted in header:
            return source.wanted
        others = [name for name in header if name and name != (entry.id_column or "id")]
        if entry.column is None and len(others) == 1 and self._names_a_column(others[0]):
            return others[0]
        near = nearest(source.wanted, [name for name in header if name])
        if near:
            hint = f"write column: {near}"
        elif any(map(is_column_name, header)) and len(header) > 1:
            hint = f"its columns are {', '.join(map(quoted, header[:20]))}; write column: with one of them"
        else:
            hint = f"start the list with a line of column names, such as {source.wanted}"
        source.log.malformed(entry.place, self._without(source.wanted), hint)
        raise Stop

    def _without(self, column: str) -> str:
        """Told where the manifest names the list, as either may be wrong."""
        name = self._source.name
        return (
            f"the list {quoted(name)} has no column {quoted(column)} in its line of names, {name}:{self._header_line}"
        )

    def _names_a_column(self, text: str) -> bool:
        """Whether the first line is a header, and not a source that would be lost silently."""
        entry = self._source.entry
        if not is_column_name(text):
            return False
        return not (entry.kind == "file" and ("." in text or (Path(entry.place.file).parent / text).exists()))

    def _id_column(self, value: str) -> str | None:
        given = self._source.entry.id_column
        if given is None:
            return "id" if "id" in self._header and value != "id" else None
        self._must_have([given], "id_column")
        return given

    def _label_columns(self, value: str, id_column: str | None) -> tuple[tuple[int, str], ...]:
        chosen = self._source.entry.label_columns
        if chosen is not None:
            self._must_have(chosen, "labels")
            return tuple((self._at[name], name) for name in chosen)
        skipped = (value, id_column)
        return tuple((at, name) for at, name in enumerate(self._header) if name and name not in skipped)

    def _must_have(self, names: tuple[str, ...] | list[str], member: str) -> None:
        missing = next((name for name in names if name not in self._at), None)
        if missing is None:
            return
        source = self._source
        near = nearest(missing, [name for name in self._header if name])
        hint = (
            f"did you mean {quoted(near)}?" if near else f"its columns are {', '.join(map(quoted, self._header[:20]))}"
        )
        source.log.malformed(source.entry.place, f"{self._without(missing)}, which {member} names", hint)
        raise Stop
