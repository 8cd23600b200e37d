"""Shapes: what files of ours are like as a whole, where they have no mark: rows of CSV and JSON Lines always, documents
and pages as an earlier version wrote them.

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


# -- results.jsonl and run.json

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
_RUN: Final[Mapping[str, tuple[type, ...]]] = {
    "run_id": (str,),
    "name": (str,),
    "manifest": (dict,),
    "versions": (dict,),
    "service": (dict,),
    "simulated": (bool, type(None)),
    "started_at": (str,),
    "ended_at": (str, type(None)),
    "duration_s": (int, float, type(None)),
    "counts": (dict,),
    "failures": (list, dict),
    "bill": (dict,),
    "settings": (dict,),
    "outputs": (dict,),
    "exit_code": (int, type(None)),
}
_RUN_MAY: Final = frozenset(
    (
        "traceparent",
        "description",
        "worked_until",
        "selection",
        "paid_twice",
        "perhaps_paid_twice",
        "measurers",
        "error",
    )
)
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def is_results(file: BinaryIO) -> bool:
    """Lines of `results.jsonl`, all of them."""
    return all(
        row.keys() - {"reason"} == _RESULT.keys()
        and row["schema"] == 1
        and all(isinstance(row[name], kinds) for name, kinds in _RESULT.items())
        for _, row in _objects(file)
    )


def is_run(value: Any) -> bool:
    """`run.json` of an earlier version: every member that it has, of its kind, and none that it has not."""
    return (
        _has(value, _RUN, _RUN_MAY)
        and _SHA256.fullmatch(str(value["manifest"].get("sha256"))) is not None
        and isinstance(value["versions"].get("hume_runner"), str)
        and isinstance(value["service"].get("api"), str)
        and {"items", "jobs", "requests"} <= value["counts"].keys()
        and value["outputs"].get("results") == "results.jsonl"
    )


def _has(value: Any, must: Mapping[str, tuple[type, ...]], may: Iterable[str] = ()) -> bool:
    if not isinstance(value, dict) or value.get("schema") != 1:
        return False
    return must.keys() <= value.keys() <= {"schema", *must, *may} and all(
        isinstance(value[name], kinds) for name, kinds in must.items()
    )


# -- what describes the tables, and other documents of earlier versions

_BY_US: Final = re.compile(r", with hume_runner \S+\.\Z")
_PACKAGE: Final = frozenset(
    ("profile", "name", "title", "about", "citation", "simulated", "api", "measurers", "software", "resources")
)
_CONTEXT: Final = ["https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run/context"]
_DATASET: Final = frozenset({"@context", "@type", "name", "description", "schemaVersion", "citation"})
_PLAN: Final = {"manifest": (dict,), "service": (dict,), "summary": (dict,), "reasons": (list,), "basis": (dict,)}
_COMPARED: Final = ("a", "b", "simulated", "differences", "items", "unmatched", "tables", "columns", "unread")


def is_package(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and _PACKAGE <= value.keys() <= _PACKAGE | {"description", "created"}
        and _BY_US.search(str(value["citation"])) is not None
        and isinstance(value["software"], dict)
        and value["software"].get("name") == "hume_runner"
        and isinstance(value["resources"], list)
        and all(isinstance(one, dict) and _SHA256.search(str(one.get("hash"))) for one in value["resources"])
    )


def is_crate(value: Any) -> bool:
    if not isinstance(value, dict) or value.keys() != {"@context", "@graph"} or value["@context"] != _CONTEXT:
        return False
    graph = value["@graph"]
    if not isinstance(graph, list) or not all(isinstance(one, dict) for one in graph):
        return False
    named = {one.get("@id"): one for one in graph if isinstance(one.get("@id"), str)}
    run, root = named.get("#run", {}), named.get("./", {})
    parts = {one.get("@id") for one in root.get("hasPart", ()) if isinstance(one, dict)}
    fixed = {"ro-crate-metadata.json", "./", "#hume_runner", "#manifest", "#run"}
    return (
        run.get("instrument") == {"@id": "#hume_runner"}
        and _BY_US.search(str(run.get("description"))) is not None
        and fixed <= named.keys()
        and len(named) == len(graph)
        and all(name in fixed | parts or one.get("@type") in _CRATE_MAY for name, one in named.items())
    )


_CRATE_MAY: Final = ("SoftwareApplication", "CreativeWork")


def is_dataset(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == _DATASET | {"variableMeasured"}
        and _BY_US.search(str(value["citation"])) is not None
        and isinstance(value["variableMeasured"], list)
        and all(
            isinstance(one, dict) and one.keys() == {"@type", "name", "description"}
            for one in value["variableMeasured"]
        )
    )


def is_plan(value: Any) -> bool:
    return (
        _has(value, {**_PLAN, "jobs": (list,)}, {"notes", "selection", "items", "mark"})
        and _SHA256.fullmatch(str(value["manifest"].get("sha256"))) is not None
        and isinstance(value["service"].get("api"), str)
    )


def is_comparison(value: Any) -> bool:
    return isinstance(value, dict) and value.get("schema") == 1 and value.keys() == {"schema", *_COMPARED}


# -- pages of earlier versions, and numbers for Prometheus

_CODEBOOK_TOP: Final = re.compile(r"# .*: codebook")
_CITED: Final = re.compile(r"Cite as: .*, with hume_runner \S+\.")
_CODEBOOK: Final = re.compile(r"|\|.*\||## \w+|A row is .*`")
_PLAN_PAGE: Final = re.compile(
    r"|### (?:No p|P)lan for `.*`|## Plans of \d+ manifests|\|.*\||Note: .*\.|Only `.*`\.|[\w.-]+ at `.*`|- .*"
    r"|\*\*Total of .*\*\*|(?:[\d,]+ |Nothing more to submit|What a run began|Bill: |Answers: |A run would ).*\."
)
_METRIC: Final = re.compile(
    r"# HELP hume_runner_\w+ .+|# TYPE hume_runner_\w+ (?:gauge|counter)|hume_runner_\w+\{.*\} [-+.e\d]+"
)


def is_codebook(text: str) -> bool:
    lines = text.splitlines()
    cited = next((at for at, line in enumerate(lines) if _CITED.fullmatch(line)), None)
    if cited is None or not _CODEBOOK_TOP.fullmatch(lines[0]):
        return False
    return all(map(_CODEBOOK.fullmatch, lines[cited + 1 :]))


def is_plan_page(text: str) -> bool:
    lines = text.splitlines()
    return lines[:1] != [] and lines[0].startswith("##") and all(map(_PLAN_PAGE.fullmatch, lines))


def is_metrics(text: str) -> bool:
    lines = text.splitlines()
    return lines[:1] == ["# HELP hume_runner_info Version of hume_runner."] and all(map(_METRIC.fullmatch, lines))
