"""List files: csv, tsv, jsonl and txt, one source a line, read as they stream.

A row is (line, value, id or None, labels). A row that is malformed goes to the log with its line in the list file, and
the next one is read: all of them are reported at once. Nothing of a list is held beyond the row at hand.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from hume_runner.manifest.model import Place, Scalar, SourceEntry
from hume_runner.manifest.shown import quoted
from hume_runner.manifest.wording import nearest
from hume_runner.regular_files import NotRegular, open_regular
from hume_runner.sources.problems import ProblemLog

Row = tuple[int, str, str | None, Mapping[str, Scalar]]

_DEFAULT_COLUMNS = {"url": "url", "file": "path", "text": "text"}
_COLUMN_NAME = re.compile(r"[^\s:/\\]{1,64}")
_LONGEST_FIELD = 10_000_000
_NO_LABELS: Mapping[str, Scalar] = {}


class _Stop(Exception):
    """The rest of this list cannot be read; the log says why."""


def listed_as(entry: SourceEntry) -> str:
    """The list's name as messages show it: as people would type it from where they typed the manifest's name."""
    assert entry.listing is not None
    folder = Path(entry.place.file).parent
    try:
        return str(folder / entry.listing.relative_to(folder.absolute()))
    except ValueError:
        return str(entry.listing)


def rows(entry: SourceEntry, log: ProblemLog) -> Iterator[Row]:
    """The rows of the list that `entry` names. The file's extension says how it is read."""
    assert entry.listing is not None
    name = listed_as(entry)
    found = 0
    try:
        with _open(entry, log) as file:
            for row in _format(entry)(file, entry, name, log):
                found += 1
                yield row
    except UnicodeDecodeError:
        line, column = _undecodable(entry.listing)
        log.malformed(_at(entry, name, line, column), "is not UTF-8 text", "save the list as UTF-8")
    except _Stop:
        return
    except OSError as error:
        log.missing(entry.place, f"the list {quoted(name)} cannot be read: {error.strerror}", "check the file")
        return
    if not found and not any(problem.file == name for problem in log.problems):
        log.malformed(_at(entry, name, 1), "lists nothing", "add a line, or remove the entry from the manifest")


def _format(entry: SourceEntry) -> Any:
    assert entry.listing is not None
    return {".csv": _csv, ".tsv": _csv, ".jsonl": _jsonl, ".txt": _txt}[entry.listing.suffix.lower()]


def _open(entry: SourceEntry, log: ProblemLog) -> TextIO:
    path = entry.listing
    assert path is not None
    shown = quoted(listed_as(entry))
    try:
        return io.TextIOWrapper(open_regular(path), encoding="utf-8-sig", newline="")
    except NotRegular as error:
        log.malformed(entry.place, f"the list {shown} is {error.strerror}", "write its lines to a file, and name that")
    except FileNotFoundError:
        hint = f"paths are relative to the manifest's folder, {Path(entry.place.file).parent.absolute()}"
        log.missing(entry.place, f"there is no list {shown}", hint)
    except IsADirectoryError:
        log.missing(entry.place, f"{shown} is a folder, not a list", "name a csv, tsv, jsonl or txt file")
    except OSError as error:
        log.missing(entry.place, f"the list {shown} cannot be read: {error.strerror}", "check the file's permissions")
    raise _Stop


def _at(entry: SourceEntry, name: str, line: int, column: int = 1) -> Place:
    return Place(file=name, line=line, column=column, path=entry.place.path)


def _undecodable(path: Path) -> tuple[int, int]:
    """Line and column of the first bytes that are not UTF-8; a second pass, as decoding reads in large blocks."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return number, error.start + 1
    return 1, 1


def _txt(file: TextIO, entry: SourceEntry, name: str, log: ProblemLog) -> Iterator[Row]:
    if entry.column is not None:
        message = f"a txt list has no columns, so none is called {quoted(entry.column)}"
        log.malformed(entry.place, message, "remove column, or use a csv list")
        raise _Stop
    keep_blanks = entry.kind == "text"
    for number, line in enumerate(file, start=1):
        stripped = line.strip()
        if stripped:
            yield number, line.rstrip("\r\n") if keep_blanks else stripped, None, _NO_LABELS


def _csv(file: TextIO, entry: SourceEntry, name: str, log: ProblemLog) -> Iterator[Row]:
    assert entry.listing is not None
    # A text of more than the standard 128 kB is legitimate. The limit is the interpreter's, not the reader's.
    csv.field_size_limit(_LONGEST_FIELD)
    tabs = entry.listing.suffix.lower() == ".tsv"
    reader = csv.reader(file, delimiter="\t" if tabs else ",", strict=True)
    header = next(_rows_of(reader, entry, name, log), (0, []))[1]
    value_at, id_at, label_columns = _columns(header, entry, name, log)
    width = len(header)
    for line, row in _rows_of(reader, entry, name, log):
        if len(row) != width:
            hint = f"each line needs {width}; put a value that contains {'a tab' if tabs else 'a comma'} in quotes"
            log.malformed(_at(entry, name, line), f"has {len(row)} columns instead of {width}", hint)
            continue
        labels: Mapping[str, Scalar] = (
            {column: row[at] for at, column in label_columns} if label_columns else _NO_LABELS
        )
        yield line, row[value_at], (row[id_at] or None) if id_at is not None else None, labels


def _rows_of(reader: Any, entry: SourceEntry, name: str, log: ProblemLog) -> Iterator[tuple[int, list[str]]]:
    """Rows with the line that each starts on; a quoted value may go over several lines."""
    line = reader.line_num + 1
    try:
        for row in reader:
            if row:
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        # What follows an open quote belongs to nobody knows which row.
        log.malformed(_at(entry, name, line), f"is not valid CSV: {error}", "check the quotes from this line on")
        raise _Stop from error


def _columns(
    header: list[str], entry: SourceEntry, name: str, log: ProblemLog
) -> tuple[int, int | None, list[tuple[int, str]]]:
    """Where value and id stand, and the columns that become labels."""
    header = [column.strip() for column in header]
    place = _at(entry, name, 1)
    if not header:
        log.malformed(place, "is empty", "start with a line of column names")
        raise _Stop
    doubled = sorted({column for column in header if header.count(column) > 1})
    if doubled:
        log.malformed(place, f"has two columns {quoted(doubled[0])}", "give each column a name of its own")
        raise _Stop
    column = _value_column(header, entry, log)
    id_at = header.index("id") if "id" in header and column != "id" else None
    labels = [(at, label) for at, label in enumerate(header) if label not in (column, "id") and label]
    return header.index(column), id_at, labels


def _value_column(header: list[str], entry: SourceEntry, log: ProblemLog) -> str:
    wanted = entry.column or _DEFAULT_COLUMNS[entry.kind]
    if wanted in header:
        return wanted
    others = [column for column in header if column != "id"]
    if entry.column is None and len(others) == 1 and _is_column_name(others[0], entry):
        return others[0]
    near = nearest(wanted, header)
    if near:
        hint = f"write column: {near}"
    elif any(map(_COLUMN_NAME.fullmatch, header)) and len(header) > 1:
        hint = f"its columns are {', '.join(map(quoted, header[:20]))}; write column: with one of them"
    else:
        hint = f"start the list with a line of column names, such as {wanted}"
    log.malformed(entry.place, f"the list {quoted(listed_as(entry))} has no column {quoted(wanted)}", hint)
    raise _Stop


def _is_column_name(text: str, entry: SourceEntry) -> bool:
    """Whether the first line is a header, and not a source that would be lost silently."""
    if not _COLUMN_NAME.fullmatch(text):
        return False
    return not (entry.kind == "file" and ("." in text or (Path(entry.place.file).parent / text).exists()))


def _jsonl(file: TextIO, entry: SourceEntry, name: str, log: ProblemLog) -> Iterator[Row]:
    wanted = entry.column or _DEFAULT_COLUMNS[entry.kind]
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line, parse_constant=_no_constant)
        except json.JSONDecodeError as error:
            place = _at(entry, name, number, error.pos + 1)
            log.malformed(place, f"is not valid JSON: {error.msg}", "write one JSON object a line")
            continue
        except (RecursionError, ValueError) as error:
            why = "nested too deep" if isinstance(error, RecursionError) else str(error).split(";")[0]
            log.malformed(_at(entry, name, number), f"is not valid JSON: {why}", "write one JSON object a line")
            continue
        if isinstance(record, str):
            yield number, record, None, _NO_LABELS
            continue
        fault = _record_fault(record, wanted)
        if fault:
            log.malformed(_at(entry, name, number), *fault)
            continue
        labels = {key: value for key, value in record.items() if key not in (wanted, "id")}
        yield number, record[wanted], record.get("id"), labels


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _record_fault(record: Any, wanted: str) -> tuple[str, str] | None:
    if not isinstance(record, dict):
        return "is not a JSON object", f'write {{"{wanted}": …}}'
    if not isinstance(record.get(wanted), str):
        if wanted in record:
            return f"the member {quoted(wanted)} must be text", "put it in quotes"
        near = nearest(wanted, list(record))
        hint = f"write column: {near} in the manifest" if near else "name the member with column: in the manifest"
        return f"has no member {quoted(wanted)}", hint
    if "id" in record and wanted != "id" and not isinstance(record["id"], str | None):
        return "the id must be text", "put it in quotes"
    for key, value in record.items():
        if isinstance(value, dict | list):
            return f"the label {quoted(key)} must be text, a number, true, false or null", "flatten it"
    return None
