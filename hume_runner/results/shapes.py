"""Shapes: what files of ours are like as a whole that have no mark: rows of CSV and JSON Lines, numbers for Prometheus.
Documents and pages without one are of earlier versions (`earlier_shapes`).

A file fits if nothing in it is anything but what we write there: the columns in their order, every row with its cells,
labels as the row itself tells them, spelled as we spell them. So a column more, another program's quotes, or a sentence
more does not fit. The ends of lines do not count.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from io import TextIOWrapper
from itertools import takewhile
from typing import Any, BinaryIO, Final

from hume_runner import small_json

_CHUNK: Final = 1 << 20
_LONGEST_CELL: Final = 1 << 30
_LONGEST_LINE: Final = small_json.MOST_BYTES

# -- tables

_ITEM = ("item_id", "source", "labels", "job", "remote_id", "simulated")
_ORIGIN = ("file", "file_type", "group_id", "row")
_ABOUT = ("item_id", "kind", "source", "labels", "simulated")
_SCORE = ("family", "name", "score")
_SUMS = ("table", "measured_by", "n", "scored", "begin_s", "end_s", "strongest", "strongest_mean", "above")
_SUMS_LONG = ("table", "family", "name", "n", "mean", "sd", "highest", "above", "share_above")
_EVENT = ("event", "event_begin_s", "event_end_s")
_MAPS = ("mean", "highest", "share_above")
_ITEMS = (
    *_ABOUT[:4],
    "status",
    "error",
    "reason",
    "job",
    "remote_id",
    "raw",
    "simulated",
)
# (before the labels, after them); of a table that begins and ends so.
_WHOLE = (
    (_ITEMS, ()),
    ((*_ITEM, "file", "reason", "message"), ()),
    (_ABOUT, (*_SUMS, *_MAPS)),
    (_ABOUT, _SUMS_LONG),
    ((_ABOUT[0], *_EVENT, *_ABOUT[1:]), (*_SUMS, *_MAPS)),
    ((_ABOUT[0], *_EVENT, *_ABOUT[1:]), _SUMS_LONG),
    (("item_id", "row", *_SCORE), ()),
)
_LABEL: Final = "label_"

# -- other tables

NUMBERS = ("n", "mean", "sd", "low_95", "high_95")
OF_FIGURES = tuple(
    (*before, "table", "family", "name", "unit", *NUMBERS)
    for before in ((), ("label", "group"), ("label", "first", "second"))
)


def label_places(columns: Sequence[str]) -> range | None:
    """Where the columns of labels stand in a table of a run; None for columns that no such table has."""
    for before, after in _WHOLE:
        if tuple(columns[: len(before)]) == before:
            labels = _labels_from(columns, len(before))
            if tuple(columns[labels.stop :]) == after:
                return labels
    if tuple(columns[: len(_ITEM)]) != _ITEM:
        return None
    labels = _labels_from(columns, len(_ITEM))
    rest = tuple(columns[labels.stop :])
    rest = rest[1:] if rest[:1] == ("event",) else rest
    is_wide = rest[: len(_ORIGIN)] == _ORIGIN and (rest[-1] == "extra" or rest[-3:] == _SCORE)
    return labels if is_wide and len(set(columns)) == len(columns) else None


def _labels_from(columns: Sequence[str], start: int) -> range:
    found = sum(1 for _ in takewhile(lambda name: name.startswith(_LABEL), columns[start:]))
    return range(start, start + found)


def is_csv_table(file: BinaryIO) -> bool:
    """A table of a run, as CSV."""

    def check(columns: Sequence[str]) -> Callable[[Sequence[str]], bool] | None:
        places = label_places(columns)
        if places is None:
            return None
        place = columns.index("labels") if "labels" in columns else None
        simulated = columns.index("simulated") if "simulated" in columns else None

        def fits(row: Sequence[str]) -> bool:
            if simulated is not None and row[simulated] not in ("true", "false", ""):
                return False
            told = {} if place is None or not row[place] else small_json.parsed(row[place])
            return isinstance(told, dict) and _labelled([row[at] for at in places], told)

        return fits

    return _is_csv(file, check)


def is_csv_of(file: BinaryIO, headers: Iterable[Sequence[str]]) -> bool:
    """A CSV file with one of these rows of names."""
    known = [tuple(one) for one in headers]

    def check(columns: Sequence[str]) -> Callable[[Sequence[str]], bool] | None:
        if tuple(columns) not in known:
            return None
        simulated = columns.index("simulated") if "simulated" in columns else None
        return lambda row: simulated is None or row[simulated] in ("true", "false")

    return _is_csv(file, check)


def csv_columns(file: BinaryIO) -> list[str]:
    """The names in the first row; none where it cannot be read."""
    try:
        return next(_rows(file), [])
    except (ValueError, csv.Error):
        return []


def _is_csv(file: BinaryIO, check: Callable[[Sequence[str]], Callable[[Sequence[str]], bool] | None]) -> bool:
    """Whether it is what we would write of its own cells, and each row fits."""
    again = _Again()
    writer = csv.writer(again, lineterminator="\n")
    try:
        rows = _rows(file)
        columns = next(rows, [])
        fits = check(columns)
        if fits is None:
            return False
        writer.writerow(columns)
        for row in rows:
            if len(row) != len(columns) or not fits(row):
                return False
            writer.writerow(row)
    except (ValueError, csv.Error):
        return False
    file.seek(0)
    there = blake2b()
    start = file.read(3)
    there.update(b"" if start == b"\xef\xbb\xbf" else start.replace(b"\r", b""))
    while content := file.read(_CHUNK):
        there.update(content.replace(b"\r", b""))
    return there.digest() == again.sum.digest()


class _Again:
    """Takes what is written, and keeps its sum alone."""

    def __init__(self) -> None:
        self.sum = blake2b()

    def write(self, text: str) -> int:
        self.sum.update(text.replace("\r", "").encode())
        return len(text)


def _rows(file: BinaryIO) -> Iterator[list[str]]:
    file.seek(0)
    if len(file.readline(_LONGEST_LINE)) == _LONGEST_LINE:
        return
    file.seek(0)
    # The interpreter's limit, not this reader's; who reads lists of people sets it again.
    csv.field_size_limit(_LONGEST_CELL)
    text = TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        yield from csv.reader(text, strict=True)
    finally:
        text.detach()


def is_json_table(file: BinaryIO) -> bool:
    """A table of a run, as JSON Lines."""
    columns: list[str] = []
    places: range | None = None
    for line, row in _objects(file):
        if not columns:
            columns = list(row)
            places = label_places(columns)
        told = row.get("labels") or {}
        if places is None or list(row) != columns or not isinstance(told, dict):
            return False
        if row.get("simulated") not in (True, False, None) or _compact(row) != line:
            return False
        if not _labelled([row[columns[at]] for at in places], told):
            return False
    return places is not None


def _objects(file: BinaryIO) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every line and what it holds; an empty object for what is none, which fits nothing."""
    file.seek(0)
    while line := file.readline(_LONGEST_LINE + 1):
        try:
            value = small_json.parsed(line)
            yield line.decode("utf-8", "surrogatepass").rstrip("\r\n"), value if isinstance(value, dict) else {}
        except ValueError:
            yield "", {}


def _compact(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"))


def _labelled(cells: Sequence[Any], told: Mapping[str, Any]) -> bool:
    """Whether these cells are the labels that the row tells: those that are not empty, one by one."""
    if not cells:
        return True
    there = [cell for cell in cells if cell not in (None, "")]
    values = [value for _, value in sorted(told.items()) if value not in (None, "")]
    return len(there) == len(values) and all(map(_says, there, values))


def _says(cell: Any, value: Any) -> bool:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if str(cell).removeprefix("'") == text.removeprefix("'") or str(cell).lower() == text:
        return True
    try:
        return float(cell) == float(value)
    except (TypeError, ValueError):
        return False


# -- results.jsonl

_RESULT: Final[Mapping[str, tuple[type, ...]]] = {
    "schema": (int,),
    "id": (str,),
    "kind": (str,),
    "source": (str,),
    "labels": (dict,),
    "status": (str,),
    "error": (str, type(None)),
    "job": (str, type(None)),
    "remote_id": (str, type(None)),
    "raw": (list,),
    "simulated": (bool, type(None)),
}


def is_results(file: BinaryIO) -> bool:
    """Lines of `results.jsonl`, all of them."""
    return all(
        row.keys() - {"reason"} == _RESULT.keys()
        and row["schema"] == 1
        and all(isinstance(row[name], kinds) for name, kinds in _RESULT.items())
        for _, row in _objects(file)
    )


# -- numbers for Prometheus

_METRIC: Final = re.compile(
    r"# HELP hume_runner_\w+ .+|# TYPE hume_runner_\w+ (?:gauge|counter)|hume_runner_\w+\{.*\} [-+.e\d]+"
)


def is_metrics(text: str) -> bool:
    lines = text.splitlines()
    return lines[:1] == ["# HELP hume_runner_info Version of hume_runner."] and all(map(_METRIC.fullmatch, lines))
