"""List files: csv, tsv, jsonl and txt, one source a line, read as they stream.

A row is (line, value, id or None, labels). A row that is malformed goes to the log with its line in the list file, and
the next one is read: all of them are reported at once. Nothing of a list is held beyond the row at hand, or a block of
rows where they come in blocks.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from hume_runner.errors import refuse_scarce
from hume_runner.manifest.model import SourceEntry
from hume_runner.manifest.shown import quoted
from hume_runner.manifest.wording import nearest
from hume_runner.sources.delimited import delimited_blocks, delimited_rows
from hume_runner.sources.list_file import NO_LABELS, ListFile, Row, RowBlock, Stop, in_blocks
from hume_runner.sources.problems import Hint, ProblemLog
from hume_runner.sources.separators import NAMES, is_column_name, shown
from hume_runner.spelling import is_whole

Piece = TypeVar("Piece")


def rows(entry: SourceEntry, log: ProblemLog) -> Iterator[Row]:
    """The rows of the list that `entry` names, none without a value. The file's extension says how it is read."""
    source = ListFile(entry, log)
    return _read(source, _FORMATS[source.suffix])


def blocks(entry: SourceEntry, log: ProblemLog) -> Iterator[Row | RowBlock]:
    """The same rows of a list of URLs, in blocks wherever many are as they should be: such a list may have millions.
    Of a txt list they come without blanks at either end."""
    source = ListFile(entry, log)
    return _read(source, _IN_BLOCKS.get(source.suffix) or _FORMATS[source.suffix])


def _read(source: ListFile, pieces_of: Callable[[ListFile], Iterator[Piece]]) -> Iterator[Piece]:
    entry = source.entry
    found = False
    try:
        # The first by itself and the others at one go: a list may have millions.
        those = pieces_of(source)
        first = next(those, None)
        if first is not None:
            found = True
            yield first
            yield from those
    except UnicodeDecodeError:
        source.undecodable()
    except Stop:
        return
    except OSError as error:
        refuse_scarce(error)
        source.log.missing(
            entry.place, f"the list {quoted(source.name)} cannot be read: {error.strerror}", "check the file"
        )
        return
    if not found and not source.has_problems:
        source.malformed(1, "lists nothing", "add a line, or remove the entry from the manifest")


def _txt(source: ListFile) -> Iterator[Row]:
    _refuse_column(source)
    entry = source.entry
    keep_blanks = entry.kind == "text"
    first = True
    with source.open() as file:
        for number, line in enumerate(file, start=1):
            stripped = line.strip()
            if not stripped:
                continue
            if first:
                _refuse_table(source, number, stripped)
                first = False
            yield number, line.rstrip("\r\n") if keep_blanks else stripped, None, NO_LABELS


def _txt_in_blocks(source: ListFile) -> Iterator[RowBlock]:
    """Without the blanks around a line, which say nothing about a URL."""
    _refuse_column(source)
    begun, first = 1, True
    with source.open() as file:
        for some in in_blocks(file):
            values: list[str] = list(map(str.strip, some))
            lines: Sequence[int] = range(begun, begun + len(some))
            begun += len(some)
            if not all(values):
                lines = [line for line, value in zip(lines, values, strict=True) if value]
                values = list(filter(None, values))
            if values and first:
                _refuse_table(source, lines[0], values[0])
                first = False
            if values:
                yield RowBlock(lines=lines, values=values, ids=None, cells=[()] * len(values), labels={(): NO_LABELS})


def _refuse_column(source: ListFile) -> None:
    entry = source.entry
    if entry.column is not None:
        message = f"a txt list has no columns, so none is called {quoted(entry.column)}"
        source.log.malformed(entry.place, message, "remove column, or use a csv list")
        raise Stop


def _refuse_table(source: ListFile, number: int, line: str) -> None:
    """A table under the name of a txt list: its line of names would be a source, and each row one with its labels."""
    for separator in NAMES:
        names = [name.strip().strip('"') for name in line.split(separator)]
        if len(names) > 1 and source.wanted in names and all(is_column_name(name) for name in names if name):
            message = f"is a table: columns are separated by {shown(separator)}"
            ending = ".tsv" if separator == "\t" else ".csv"
            source.malformed(number, message, f"call the list {ending} to read its columns; txt has one source a line")
            raise Stop


def _jsonl(source: ListFile) -> Iterator[Row]:
    entry, wanted = source.entry, source.wanted
    id_name = entry.id_column or "id"
    labels = None if entry.label_columns is None else frozenset(entry.label_columns)
    with source.open() as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line.lstrip("\ufeff"), parse_constant=_no_constant, object_pairs_hook=_members)
            except _Doubled as error:
                source.malformed(number, f"has the member {quoted(error.name)} twice", "keep one of them")
                continue
            except json.JSONDecodeError as error:
                source.malformed(
                    number, f"is not valid JSON: {error.msg}", "write one JSON object a line", column=error.pos + 1
                )
                continue
            except (RecursionError, ValueError) as error:
                why = "nested too deep" if isinstance(error, RecursionError) else str(error).split(";")[0]
                source.malformed(number, f"is not valid JSON: {why}", "write one JSON object a line")
                continue
            value = record.get(wanted, 0) if isinstance(record, dict) else record
            if (isinstance(value, str) and not value.strip()) or (value is None and entry.skip_blank):
                source.blank(number)
                continue
            if isinstance(record, str):
                yield number, record, None, NO_LABELS
                continue
            fault = _record_fault(record, wanted, entry, labels)
            if fault:
                source.malformed(number, *fault)
                continue
            others = (name for name in record if name not in (wanted, id_name))
            chosen = others if entry.label_columns is None else (name for name in entry.label_columns if name in record)
            yield number, record[wanted], record.get(id_name), {name: record[name] for name in chosen}


class _Doubled(ValueError):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object's members. Of two that have one name, readers keep either: whose value is meant, nobody knows."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Doubled(next(name for name, many in Counter(name for name, _ in pairs).items() if many > 1))
    return found


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _record_fault(
    record: Any, wanted: str, entry: SourceEntry, labels: Collection[str] | None
) -> tuple[str, Hint] | None:
    if not isinstance(record, dict):
        return "is not a JSON object", f'write {{"{wanted}": …}}'
    if not isinstance(record.get(wanted), str):
        if wanted in record:
            blank = ", or write blank: skip beside from" if record[wanted] is None else ""
            return f"the member {quoted(wanted)} must be text", f"put it in quotes{blank}"
        return f"has no member {quoted(wanted)}", partial(_other_member, record, wanted)
    id_name = entry.id_column or "id"
    if entry.id_column is not None and record.get(id_name) in (None, ""):
        return f"has no id in {quoted(id_name)}", "write one, or leave id_column out"
    if id_name in record and wanted != id_name and not isinstance(record[id_name], str | None):
        return "the id must be text", "put it in quotes"
    for name, value in record.items():
        if labels is None or name in labels:
            fault = _label_fault(name, value)
            if fault:
                return fault
    return None


def _other_member(record: Mapping[str, Any], wanted: str) -> str:
    near = nearest(wanted, list(record))
    return f"write column: {near} in the manifest" if near else "name the member with column: in the manifest"


def _label_fault(name: str, value: Any) -> tuple[str, str] | None:
    if isinstance(value, dict | list):
        return f"the label {quoted(name)} must be text, a number, true, false or null", "flatten it"
    if isinstance(value, float) and not math.isfinite(value):
        return f"the label {quoted(name)} is a number that no 64 bits hold", "put it in quotes"
    if isinstance(value, str) and ("\0" in value or not is_whole(value)):
        return f"the label {quoted(name)} has a character that cannot be stored (NUL, or half of a pair)", "remove it"
    return None


_FORMATS: dict[str, Callable[[ListFile], Iterator[Row]]] = {
    ".csv": delimited_rows,
    ".tsv": delimited_rows,
    ".jsonl": _jsonl,
    ".txt": _txt,
}
_IN_BLOCKS: Mapping[str, Callable[[ListFile], Iterator[Row | RowBlock]]] = {
    ".csv": delimited_blocks,
    ".tsv": delimited_blocks,
    ".txt": _txt_in_blocks,
}
