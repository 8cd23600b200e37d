"""A list file as all kinds of lists see it: its name in messages, its text, and where a problem of it is told."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TextIO, TypeVar

from hume_runner.errors import NotRegular, refuse_scarce
from hume_runner.frozen import frozen
from hume_runner.manifest.model import Place, Scalar, SourceEntry
from hume_runner.manifest.shown import in_quotes, quoted
from hume_runner.regular_files import open_regular
from hume_runner.sources.encodings import (
    HEAD_BYTES,
    Encoding,
    NotDecodable,
    chosen,
    first_undecodable,
    is_utf8_beyond_ascii,
)
from hume_runner.sources.problems import Hint, ProblemLog
from hume_runner.spelling import Spellings

T = TypeVar("T")
# (line, value, id or None, labels)
Row = tuple[int, str, str | None, Mapping[str, Scalar]]

_BLOCK = 1_000  # rows that are taken together
NO_LABELS: Mapping[str, Scalar] = {}
_WORDS = {"url": "URL", "file": "path", "text": "text"}
DEFAULT_COLUMNS = {"url": "url", "file": "path", "text": "text"}


@frozen
class RowBlock:
    """Rows that stand together in a list, by columns: nothing is wrong with any of them but perhaps its value or id.

    `ids` is None where none has one. `cells` are those of the columns of labels, row by row, and `labels` says once
    what they mean: a list has few that differ.
    """

    lines: Sequence[int]
    values: Sequence[str]
    ids: Sequence[str] | None
    cells: Sequence[tuple[str, ...]]
    labels: Mapping[tuple[str, ...], Mapping[str, Scalar]]

    def rows(self) -> Iterator[Row]:
        ids = self.ids if self.ids is not None else (None,) * len(self.lines)
        for line, value, given, cells in zip(self.lines, self.values, ids, self.cells, strict=True):
            yield line, value, given, self.labels[cells]


def in_blocks(rows: Iterable[T]) -> Iterator[list[T]]:
    """The same, many at a time. What cannot be read is raised once those before it have had their turn."""
    rows = iter(rows)
    wrong: Exception | None = None
    while wrong is None:
        some: list[T] = []
        try:
            some.extend(islice(rows, _BLOCK))
        except Exception as error:
            wrong = error
        if some:
            yield some
        elif wrong is None:
            return
    raise wrong


class Stop(Exception):
    """The rest of this list cannot be read; the log says why."""


def listed_as(entry: SourceEntry) -> str:
    """The list's name as messages show it: as people would type it from where they typed the manifest's name."""
    assert entry.listing is not None
    folder = Path(entry.place.file).parent
    try:
        return str(folder / entry.listing.relative_to(folder.absolute()))
    except ValueError:
        return str(entry.listing)


class ListFile:
    """The list that one entry names. Several passes over it are passes over the same file, opened each time anew."""

    def __init__(self, entry: SourceEntry, log: ProblemLog) -> None:
        assert entry.listing is not None
        self.entry = entry
        self.log = log
        self.name = listed_as(entry)
        self.suffix = entry.listing.suffix.lower()
        self.wanted = entry.column or DEFAULT_COLUMNS[entry.kind]
        self._path = entry.listing
        self._encoding: Encoding | None = None

    def open(self) -> TextIO:
        """Its text from the beginning, without the mark, lines as they end. Raises: Stop."""
        shown = quoted(self.name)
        place, log = self.entry.place, self.log
        try:
            file = open_regular(self._stored())
        except NotRegular as error:
            log.malformed(place, f"the list {shown} is {error.strerror}", "write its lines to a file, and name that")
        except FileNotFoundError:
            hint = f"paths are relative to the manifest's folder, {Path(place.file).parent.absolute()}"
            log.missing(place, f"there is no list {shown}", hint)
        except IsADirectoryError:
            log.missing(place, f"{shown} is a folder, not a list", "name a csv, tsv, jsonl or txt file")
        except OSError as error:
            refuse_scarce(error)
            log.missing(place, f"the list {shown} cannot be read: {error.strerror}", "check the file's permissions")
        else:
            if self._encoding is None:
                told = chosen(file.read(HEAD_BYTES), self.entry.encoding)
                file.seek(0)
                if isinstance(told, Encoding) and not told.codec.startswith("utf") and is_utf8_beyond_ascii(file):
                    # Read as it says, every umlaut would be two characters, and measured so.
                    message = f"is UTF-8 text, and encoding says {told.name}"
                    told = NotDecodable(message=message, hint="write encoding: utf-8, or leave encoding out")
                file.seek(0)
                if isinstance(told, NotDecodable):
                    file.close()
                    self.malformed(1, told.message, told.hint)
                    raise Stop
                self._encoding = told
            return io.TextIOWrapper(file, encoding=self._encoding.codec, newline="")
        raise Stop

    def _stored(self) -> Path:
        # A name may be composed in the manifest and decomposed on disk.
        stored = Spellings().stored(os.path.normpath(self._path))
        return Path(stored[0]) if len(stored) == 1 else self._path

    def undecodable(self) -> None:
        """Say where the first bytes are that cannot be read."""
        assert self._encoding is not None
        with open_regular(self._stored()) as file:
            line, column = first_undecodable(file, self._encoding.codec)
        hint = "save the list as UTF-8"
        if self.entry.encoding is None:
            hint += f", or name its encoding, as Excel's: {self._with('encoding: cp1252')}"
        self.malformed(line, f"is not {self._encoding.name} text", hint, column=column)

    def blank(self, line: int) -> None:
        """A row without a source: passed over or told, as the entry says."""
        if not self.entry.skip_blank:
            hint = f"write one, remove the line, or have such rows passed over: {self._with('blank: skip')}"
            self.malformed(line, f"has no {_WORDS[self.entry.kind]}", hint)

    def _with(self, said: str) -> str:
        """The entry as the manifest may have it, with one word more."""
        return f"{{from: {in_quotes(Path(self.name).name)}, …, {said}}}"

    def malformed(self, line: int, message: str, hint: Hint, *, column: int = 1) -> None:
        self.log.malformed(self.place(line, column), message, hint)

    def place(self, line: int, column: int = 1) -> Place:
        return Place(file=self.name, line=line, column=column, path=self.entry.place.path)

    @property
    def has_problems(self) -> bool:
        return any(problem.file == self.name for problem in self.log.problems)
