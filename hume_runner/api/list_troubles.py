"""What the words of a list's entry have to say for it to be read: its encoding, and rows that hold nothing.

A run guesses neither; `init` proposes, and says what it took for granted.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator
from pathlib import Path

from hume_runner import small_json
from hume_runner.regular_files import open_regular

_CHUNK = 1 << 16
_LONGEST_SAMPLE = 40
_WORD = re.compile(r"[^\W\d_]+")
EXCEL = "cp1252"  # what Excel saves a CSV in, in the west of Europe and in America


def decodes(path: Path, codec: str) -> bool:
    """Whether all of a file is text in this encoding. Raises: OSError."""
    decoder = codecs.getincrementaldecoder(codec)()
    try:
        with open_regular(path) as file:
            while chunk := file.read(_CHUNK):
                decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def sample(path: Path, codec: str) -> str:
    """A word of the file that shows whether the encoding is right: with signs beyond ASCII."""
    with open_regular(path) as raw, codecs.getreader(codec)(raw) as file:
        for line in file:
            for word in _WORD.findall(line):
                if not word.isascii():
                    return str(word[:_LONGEST_SAMPLE])
    return ""


def blank_rows(path: Path, codec: str, column: str, separator: str) -> int:
    """How many rows of a list have nothing in this column; 0 where something else is wrong, which a check tells."""
    with open_regular(path) as raw, codecs.getreader(codec)(raw) as file:
        try:
            return sum(1 for value in _cells(file, path.suffix.lower(), column, separator) if not value.strip())
        except (csv.Error, ValueError):
            return 0


def _cells(file: Iterator[str], suffix: str, column: str, separator: str) -> Iterator[str]:
    if suffix == ".jsonl":
        for line in file:
            record = small_json.parsed(line) if line.strip() else None
            value = record.get(column, "x") if isinstance(record, dict) else record
            if line.strip():
                yield "" if value is None else str(value)
        return
    rows = csv.reader(file, delimiter=separator)
    at: int | None = None
    for row in rows:
        if at is None:
            names = [name.strip().lstrip("\ufeff") for name in row]
            at = names.index(column) if column in names else None
        elif len(row) > at:
            yield row[at]
