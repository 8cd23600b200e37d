"""Tables on disk: Parquet, CSV or JSON Lines, written piece by piece and in place only when they are whole."""

from __future__ import annotations

import csv
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from hume_runner.aside import Part

Format = Literal["parquet", "csv", "jsonl"]
FORMATS: tuple[Format, ...] = ("parquet", "csv", "jsonl")

# A spreadsheet takes a cell that starts with one of these for a formula; tab and line ends are skipped by some.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
# Columns that hold JSON, as text where a format has no nested values.
_JSON_COLUMNS = frozenset({"labels", "extra"})


class Sink(ABC):
    """One table being written aside; `close` puts it in place, `discard` leaves what was there."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        self.part = Part(path)
        self.schema = schema

    @abstractmethod
    def write(self, table: pa.Table) -> None: ...

    @abstractmethod
    def _finish(self) -> None: ...

    def close(self) -> Path:
        try:
            self._finish()
        except BaseException:
            self.part.discard()
            raise
        return self.part.commit()

    def discard(self) -> None:
        try:
            with suppress(Exception):  # half closed already, or no room for the rest of what nobody wants any more
                self._finish()
        finally:
            self.part.discard()


class ParquetSink(Sink):
    """zstd, one row group a piece. Scores are split by byte, which packs them better and faster than a dictionary."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        super().__init__(path, schema)
        numbers = [field.name for field in schema if pa.types.is_float64(field.type)]
        words = [field.name for field in schema if pa.types.is_string(field.type)]
        words += [f"{field.name}.key_value.key" for field in schema if pa.types.is_map(field.type)]
        self._writer = pq.ParquetWriter(
            self.part.file,
            schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=words,
            column_encoding=dict.fromkeys(numbers, "BYTE_STREAM_SPLIT"),
        )

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))

    def _finish(self) -> None:
        self._writer.close()


class CsvSink(Sink):
    """RFC 4180: comma, CRLF, quotes where needed. Null is empty; lists and maps are JSON; no text is a formula."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        super().__init__(path, schema)
        self._stream = TextIOWrapper(self.part.file, encoding="utf-8", newline="")
        self._csv = csv.writer(self._stream, lineterminator="\r\n")
        self._csv.writerow([safe_cell(name) for name in schema.names])

    def write(self, table: pa.Table) -> None:
        self._csv.writerows(zip(*(_csv_cells(column) for column in table.columns), strict=True))

    def _finish(self) -> None:
        self._stream.flush()


class JsonlSink(Sink):
    """One object a line with every column; labels, extra and maps are objects, not text."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        super().__init__(path, schema)
        self._maps = [field.name for field in schema if pa.types.is_map(field.type)]
        self._stream = TextIOWrapper(self.part.file, encoding="utf-8", newline="\n")

    def write(self, table: pa.Table) -> None:
        for record in table.to_pylist():
            for name in _JSON_COLUMNS & record.keys():
                record[name] = json.loads(record[name]) if record[name] is not None else None
            for name in self._maps:
                record[name] = dict(record[name]) if record[name] is not None else None
            self._stream.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")

    def _finish(self) -> None:
        self._stream.flush()


SINKS: dict[str, type[Sink]] = {"parquet": ParquetSink, "csv": CsvSink, "jsonl": JsonlSink}


def safe_cell(text: str) -> str:
    """`text` as a cell that no spreadsheet evaluates: a quote goes before what would start a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _csv_cells(column: pa.ChunkedArray) -> Sequence[Any]:
    cells: list[Any] = column.to_pylist()
    if pa.types.is_string(column.type):
        return [cell if cell is None else safe_cell(cell) for cell in cells]
    if pa.types.is_boolean(column.type):
        return [cell if cell is None else str(cell).lower() for cell in cells]
    if pa.types.is_map(column.type):
        return [cell if cell is None else json.dumps(dict(cell), ensure_ascii=False) for cell in cells]
    if pa.types.is_list(column.type):
        return [cell if cell is None else json.dumps(cell, ensure_ascii=False) for cell in cells]
    return cells
