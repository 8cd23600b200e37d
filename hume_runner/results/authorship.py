"""Whose a file is that a command is about to write over: ours if the state says so, or the file itself.

What a person has under a name that we would give is kept. The state knows what runs wrote. Where it does not, because
it was lost, because a run was killed between a file and its mark, or because a command wrote where no state is, the
file has to say it itself: each kind of file that we write begins, or ends, as no other program's does. What is empty is
anybody's, since nothing in it can be lost.

A link is judged by what it leads to, and is never followed to write.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final
from zipfile import BadZipFile, ZipFile

from hume_runner import small_json
from hume_runner.errors import UsageError, refuse_scarce
from hume_runner.regular_files import NotRegular, open_regular

# Into the third kilobyte of a page, and behind the measurers of a data package.
_HEAD_BYTES: Final = 1 << 18
# The footer of a Parquet file with thousands of columns.
_TAIL_BYTES: Final = 1 << 20
_SHEET_BYTES: Final = 1 << 12
_TOLD: Final = 3  # files

# What our own objects start with: `run.json`, plans, comparisons, lines of `results.jsonl`.
_OBJECT: Final = re.compile(rb'\{\s*"schema": 1,\s*"(?:run_id|manifest|a|id)": ?["{]')
_NAMED: Final = (b'"name": "hume_runner"', b", with hume_runner ")
_PAGE: Final = (b'<meta http-equiv="Content-Security-Policy" content="', b'<link rel="icon" href="data:,">')
_MARKDOWN: Final = re.compile(
    rb"### (?:No )?[Pp]lan for `|## Plans of \d|# [^\n]*: codebook\n|# [^\n]* beside [^\n]*\n\n(?:\*\*|- A: `)"
)
_FIGURE: Final = (b"matplotlib", b"Matplotlib")
_HEADERS: Final = (  # of tables that are no run's, as far as they are always the same
    ("table_a", "column_a", "table_b", "column_b"),
    ("table", "family", "name", "unit", "n"),
    ("label", "group", "table", "family", "name"),
    ("label", "first", "second", "table", "family"),
)
_RESULT: Final = frozenset({"schema", "id", "kind", "status", "remote_id", "simulated"})


def made_by_us(path: Path) -> bool:
    """Whether a file says that hume_runner wrote it, in any of its forms, or is empty. Raises: OSError."""
    with open_regular(path) as file:
        head = file.read(_HEAD_BYTES)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL_BYTES))
        tail = file.read()
    if not size:
        return True
    if head.startswith(b"PAR1"):
        return b"hume_runner.schema" in tail
    if head.startswith(b"PK"):
        return _is_our_workbook(path)
    if head.startswith((b"\x89PNG", b"%PDF", b"<?xml")):
        return any(mark in head or mark in tail for mark in _FIGURE)
    if head.lstrip().startswith(b"<"):
        return all(mark in head for mark in _PAGE)
    if head.startswith(b"{"):
        return _OBJECT.match(head) is not None or any(mark in head for mark in _NAMED) or _is_our_line(head)
    return head.startswith(b"# HELP hume_runner_") or _MARKDOWN.match(head) is not None or _is_our_table(head)


def refuse_others(
    paths: Iterable[Path], *, hint: str, known: Callable[[Path], bool] = lambda path: False, only_files: bool = True
) -> None:
    """Nothing of these paths is to be written over unless it is ours; `known`: what the state says of that. `hint`:
    where else to write. `only_files`: what is no file is left to who writes. Raises: UsageError, naming them."""
    others = [path for path in paths if os.path.lexists(path) and not known(path) and _is_anothers(path, only_files)]
    if others:
        told = ", ".join(map(str, others[:_TOLD])) + (f" and {len(others) - _TOLD} more" if len(others) > _TOLD else "")
        it = "it" if len(others) == 1 else "them"
        raise UsageError(
            f"{told}: hume_runner did not write {it}, and writes nothing over {it}",
            hint=f"move {it} away, or {hint}; nothing is lost",
        )


def _is_anothers(path: Path, only_files: bool) -> bool:
    try:
        return not made_by_us(path)
    except (NotRegular, IsADirectoryError):
        return not only_files
    except OSError as error:  # a link that leads nowhere, or what nobody may read
        refuse_scarce(error)
        return True


def _is_our_workbook(path: Path) -> bool:
    try:
        with ZipFile(path) as book, book.open("xl/worksheets/sheet1.xml") as sheet:
            return b"<t>item_id</t>" in sheet.read(_SHEET_BYTES)
    except (BadZipFile, KeyError, OSError, ValueError):
        return False


def _is_our_line(head: bytes) -> bool:
    """A line of `results.jsonl` or of a table: the first one, if it is whole."""
    try:
        line = small_json.parsed(head.partition(b"\n")[0])
    except ValueError:
        return False
    return isinstance(line, dict) and (line.keys() >= _RESULT or _has_our_columns(list(line)))


def _is_our_table(head: bytes) -> bool:
    line = head.partition(b"\n")[0].decode("utf-8-sig", "replace").rstrip("\r")
    try:
        columns = next(csv.reader([line]), [])
    except csv.Error:
        return False
    return _has_our_columns(columns) or any(columns[: len(one)] == list(one) for one in _HEADERS)


def _has_our_columns(columns: list[str]) -> bool:
    """Every table of a run has these, but for that of open scores, which has the others."""
    return columns[:1] == ["item_id"] and ("simulated" in columns or columns[1:4] == ["row", "family", "name"])
