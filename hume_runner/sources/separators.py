"""What stands between the columns of a csv or tsv list, as the list itself shows it. Nothing is guessed and then used:
what is found here only names the right separator to whoever wrote the manifest."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Collection, Sequence

from hume_runner.frozen import frozen

NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}
_OTHER_NAMES = {" ": "blanks", ":": "colons"}
_OF_NAMES = "_-.'\"\0\ufeff" + "".join(NAMES)
_DECLARED = re.compile(r'\ufeff?"?sep=(.)"?(?:\r\n|\r|\n)?', re.IGNORECASE | re.DOTALL)
_COLUMN_NAME = re.compile(r"[^\s:/\\]{1,64}")
_MOST_ROWS = 50


def named(separator: str) -> str:
    """A separator in a sentence, by its name: most cannot be told from the sentence's own signs, or be seen at all."""
    return NAMES.get(separator) or _OTHER_NAMES.get(separator, separator)


def shown(separator: str) -> str:
    """The same with the sign itself, where it can be seen: `; (semicolons)`."""
    if separator == "\t" or separator not in NAMES:
        return named(separator)
    return f"{separator} ({NAMES[separator]})"


def written(separator: str) -> str:
    """A separator as the manifest takes it."""
    # JSON's double quotes are YAML's, and spell what cannot be seen.
    return f"delimiter: {json.dumps(separator, ensure_ascii=False)}"


def declared(line: str) -> str | None:
    """The separator that a first line `sep=;` declares, as spreadsheets write and read it; None for another line."""
    match = _DECLARED.fullmatch(line)
    return match[1] if match and match[1] not in '"\r\n' else None


def is_column_name(text: str) -> bool:
    """Whether a cell of a first line is a name, and not a text, a URL or a path that would be lost silently."""
    return bool(_COLUMN_NAME.fullmatch(text))


def clean(header: Sequence[str]) -> list[str]:
    """Column names without blanks, and without the marks that joining two files leaves inside."""
    return [cell.strip().strip("\ufeff").strip() for cell in header]


@frozen
class Mismatch:
    """The columns of a list are separated otherwise than it is read. `whole_lines`: each line is in quotes as a whole,
    so that no separator parts it."""

    separator: str
    whole_lines: bool = False


def mismatch(sample: str, used: str, wanted: Collection[str]) -> Mismatch | None:
    """How the list that begins with `sample` is separated, if that is surely not by `used`.

    `wanted` are the names of columns that must be there. A list that has them when it is read with `used` is right.
    """
    mine = _parsed(sample, used)
    head = clean(mine[0]) if mine else []
    if mine and set(wanted) <= set(head):
        return None
    ranked = []
    for other in (one for one in (*NAMES, *_other_signs(sample)) if one != used):
        table = _parsed(sample, other)
        judged = _judged(table, wanted)
        if judged is None:
            continue
        has_wanted, steady, has_names, _ = judged
        if other not in NAMES:  # signs that names and texts have as well
            if steady and (has_wanted or (has_names and len(head) < 2 and other != " ")):
                ranked.append(((False, False, False, 0), other))
            continue
        # Of a list that does part into columns, only steady ones say that it should be parted otherwise.
        better = (steady or has_names) if len(head) < 2 else (steady and not _steady(mine))
        if has_wanted or better:
            ranked.append((judged, other))
    if ranked:
        return Mismatch(separator=max(ranked)[1])
    return _whole_lines(mine, wanted) if len(head) == 1 else None


def _other_signs(sample: str) -> str:
    """Signs of the line of names that hardly belong to a name, and might separate columns as well."""
    first = next((line for line in sample.splitlines() if line.strip()), "")
    return "".join(sorted({one for one in first if not one.isalnum() and one not in _OF_NAMES}))


def first_at(line: str, separator: str) -> int:
    """The column, counted from 1, of the first separator that stands outside quotes; 1 if there is none."""
    quoted = False
    for at, sign in enumerate(line, start=1):
        quoted ^= sign == '"'
        if sign == separator and not quoted:
            return at
    return 1


def parts_into(cell: str, used: str, width: int) -> str | None:
    """Another separator that would part a row that came as one cell into the columns that it should have."""
    for other in NAMES:
        if other != used and other in cell:
            rows = _parsed(cell, other)
            if len(rows) == 1 and len(rows[0]) == width:
                return other
    return None


def _judged(table: list[list[str]], wanted: Collection[str]) -> tuple[bool, bool, bool, int] | None:
    """(has the wanted columns, rows as wide as the header, names that are names, columns); None for one column."""
    if not table or len(table[0]) < 2:
        return None
    head = clean(table[0])
    named = all(is_column_name(cell) for cell in head if cell) and any(head)
    return set(wanted) <= set(head), _steady(table), named, len(head)


def _steady(table: list[list[str]]) -> bool:
    return len(table) > 1 and len(table[0]) > 1 and all(len(row) == len(table[0]) for row in table[1:])


def _whole_lines(mine: list[list[str]], wanted: Collection[str]) -> Mismatch | None:
    if any(len(row) != 1 for row in mine):
        return None
    for other in NAMES:
        inner = [row for (cell,) in mine for row in _parsed(cell, other)[:1]]
        judged = _judged(inner, wanted)
        if judged is not None and (judged[0] or judged[1]) and any(other in cell for (cell,) in mine):
            return Mismatch(separator=other, whole_lines=True)
    return None


def _parsed(sample: str, separator: str) -> list[list[str]]:
    """The first rows, without blank ones; none if the sample is not valid CSV with this separator from the start."""
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(sample, newline=""), delimiter=separator, strict=True):
            if any(cell.strip() for cell in row):
                rows.append(row)
            if len(rows) > _MOST_ROWS:
                break
    except csv.Error:
        # What came before the fault is as good as it was; the sample may end inside a quoted value.
        return rows
    return rows
