"""Which columns a csv or tsv list has, and what its rows say by them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from hume_runner.frozen import frozen
from hume_runner.manifest.model import Scalar
from hume_runner.manifest.shown import quoted
from hume_runner.sources import cells
from hume_runner.sources.list_file import NO_LABELS, ListFile, Row, RowBlock
from hume_runner.sources.separators import named, parts_into, shown


@frozen
class Columns:
    """Where value, id and labels stand. `needs_id`: the manifest names the column of ids, so each row has one."""

    width: int
    value: int
    id: int | None
    needs_id: bool
    labels: tuple[tuple[int, str], ...]


class ColumnReader:
    """What rows say, with the columns that the line of names tells."""

    def __init__(self, separator: str, columns: Columns, convert: Mapping[int, cells.Convert]) -> None:
        self._separator = separator
        self._columns = columns
        self._labels = [(name, at, convert.get(at, cells.as_text)) for at, name in columns.labels]

    def good(self, rows: Iterable[tuple[int, Sequence[str]]], source: ListFile) -> Iterator[Row]:
        """One after the other; what is wrong with a row is told."""
        # A list may have millions of rows: one loop, and nothing done for a row that its columns do not ask for.
        columns, labels = self._columns, self._labels
        texts = [at for _, at, how in labels if how is cells.as_text]
        value_at, id_at, width = columns.value, columns.id, columns.width
        for line, row in rows:
            if len(row) != width:
                _wrong_width(source, line, row, width, self._separator)
                continue
            value = row[value_at]
            if not value.strip():
                source.blank(line)
                continue
            given = (row[id_at] or None) if id_at is not None else None
            if given is None and columns.needs_id:
                name = quoted(source.entry.id_column or "")
                source.malformed(line, f"has no id in {name}", "write one, or leave id_column out")
                continue
            for at in texts:
                if "\0" in row[at]:
                    source.malformed(line, "has a NUL character", "remove it")
                    break
            else:
                yield line, value, given, {name: how(row[at]) for name, at, how in labels} if labels else NO_LABELS

    def block(self, lines: Sequence[int], rows: Sequence[tuple[str, ...]]) -> RowBlock | None:
        """All of them at once; None if anything is wrong with one, or some have an id and others do not."""
        columns = self._columns
        if set(map(len, rows)) != {columns.width}:
            return None
        by_column = list(zip(*rows, strict=True))
        values = by_column[columns.value]
        ids = by_column[columns.id] if columns.id is not None else None
        if ids is not None and not any(ids) and not columns.needs_id:
            ids = None
        if not all(map(str.strip, values)) or (ids is not None and not all(ids)):
            return None
        told = list(zip(*(by_column[at] for _, at, _ in self._labels), strict=True)) or [()] * len(lines)
        labels: dict[tuple[str, ...], Mapping[str, Scalar]] = {}
        for row in set(told):
            found = self._told(row)
            if found is None:
                return None
            labels[row] = found
        return RowBlock(lines=lines, values=values, ids=ids, cells=told, labels=labels)

    def _told(self, row: tuple[str, ...]) -> dict[str, Scalar] | None:
        """What the cells of the columns of labels mean; None for a text that cannot be stored."""
        found: dict[str, Scalar] = {}
        for cell, (name, _, how) in zip(row, self._labels, strict=True):
            if how is cells.as_text and "\0" in cell:
                return None
            found[name] = how(cell)
        return found


def _wrong_width(source: ListFile, line: int, row: Sequence[str], width: int, separator: str) -> None:
    message = f"has {len(row)} column{'s' if len(row) > 1 else ''} instead of {width}"
    other = parts_into(row[0], separator, width) if len(row) == 1 else None
    if other is not None:
        message += f"; here they are separated by {shown(other)}, and by {named(separator)} in the line of names"
        source.malformed(line, message, "separate all rows as the line of names is")
        return
    mark = {"\t": "a tab", ",": "a comma", ";": "a semicolon"}.get(separator, f"a {separator}")
    source.malformed(line, message, f"each line needs {width}; put a value that contains {mark} in quotes")
