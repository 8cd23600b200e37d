"""Tables on disk: Parquet, CSV or JSON Lines, written piece by piece and in place only when they are whole."""

from __future__ import annotations

import csv
import json
import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.util import find_spec
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hume_runner.aside import Part
from hume_runner.errors import MissingExtra, ResultsError
from hume_runner.results import marks

Format = Literal["parquet", "csv", "jsonl", "xlsx"]
FORMATS: tuple[Format, ...] = ("parquet", "csv", "jsonl", "xlsx")

# A spreadsheet takes a cell that starts with one of these for a formula; tab and line ends are skipped by some.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
# What a sheet and a cell hold: https://support.microsoft.com/office "Excel specifications and limits".
_SHEET_ROWS = 1_048_576
_CELL_LETTERS = 32_767
# Beyond these a spreadsheet counts whole numbers in steps, takes a number for none, or for 0.
_LARGEST_WHOLE = 2**53
_LARGEST_NUMBER = 9.99999999999999e307
_CUT = " [cut: a cell holds no more]"
# Columns that hold JSON, as text where a format has no nested values.
_JSON_COLUMNS = frozenset({"labels", "extra"})


class Sink(ABC):
    """One table being written aside; `close` puts it in place, `discard` leaves what was there."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        self.part = Part(path)
        self.schema = schema

    def write(self, table: pa.Table) -> None:
        """One piece more."""
        self._take(_finite(table))

    @abstractmethod
    def _take(self, table: pa.Table) -> None: ...

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
        about = schema.metadata or {}
        self._file = marks.Summing(self.part.file, marks.Kind.of_table(about.get(b"table", b"").decode()))
        self._writer = pq.ParquetWriter(
            self._file,
            schema.with_metadata({**about, marks.PARQUET_HAS_MARK: "1"}),
            compression="zstd",
            compression_level=1,
            use_dictionary=words,
            column_encoding=dict.fromkeys(numbers, "BYTE_STREAM_SPLIT"),
        )

    def _take(self, table: pa.Table) -> None:
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))

    def _finish(self) -> None:
        self._writer.add_key_value_metadata({marks.PARQUET_KEY: self._file.digest.mark})
        self._writer.close()


class CsvSink(Sink):
    """RFC 4180: comma, CRLF, quotes where needed. Null is empty; lists and maps are JSON; no text is a formula."""

    encoding = "utf-8"

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        super().__init__(path, schema)
        self._stream = TextIOWrapper(self.part.file, encoding=self.encoding, newline="")
        self._csv = csv.writer(self._stream, lineterminator="\r\n")
        self._csv.writerow([safe_cell(name) for name in schema.names])

    def _take(self, table: pa.Table) -> None:
        self._csv.writerows(zip(*(_csv_cells(column) for column in table.columns), strict=True))

    def _finish(self) -> None:
        self._stream.flush()


class MarkedCsvSink(CsvSink):
    """The same with a byte order mark, by which Excel knows that it is UTF-8."""

    encoding = "utf-8-sig"


class JsonlSink(Sink):
    """One object a line with every column; labels, extra and maps are objects, not text."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        super().__init__(path, schema)
        self._maps = [field.name for field in schema if pa.types.is_map(field.type)]
        self._stream = TextIOWrapper(self.part.file, encoding="utf-8", newline="\n")

    def _take(self, table: pa.Table) -> None:
        for record in table.to_pylist():
            for name in _JSON_COLUMNS & record.keys():
                record[name] = json.loads(record[name]) if record[name] is not None else None
            for name in self._maps:
                record[name] = dict(record[name]) if record[name] is not None else None
            self._stream.write(_json(record, separators=(",", ":")) + "\n")

    def _finish(self) -> None:
        self._stream.flush()


class XlsxSink(Sink):
    """A workbook with one sheet. Text is text, never a formula; lists and maps are JSON; a number that a cell would
    change is text. Raises: ResultsError where the rows do not fit on a sheet."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        super().__init__(path, schema)
        import xlsxwriter
        from xlsxwriter.worksheet import Worksheet

        class Sheet(Worksheet):  # type: ignore[misc]  # here: the library is imported where a workbook is wanted
            """Writes as many digits of a number as tell it from all others; the library stops at 16."""

            def _xml_number_element(self, number: float, attributes: Sequence[tuple[str, str]] = ()) -> None:
                told = "".join(f' {name}="{value}"' for name, value in attributes)
                self.fh.write(f"<c{told}><v>{number!r}</v></c>")

        # Row by row through a file of its own, never the sheet in memory; without the time of writing, so that the
        # same tables are the same bytes.
        self._book = xlsxwriter.Workbook(
            self.part.file,
            {
                "constant_memory": True,
                "strings_to_formulas": False,
                "strings_to_urls": False,
                "nan_inf_to_errors": True,
            },
        )
        self._book.set_properties({"created": datetime(2000, 1, 1, tzinfo=UTC).replace(tzinfo=None)})
        self._sheet = self._book.add_worksheet(path.stem[:31], worksheet_class=Sheet)
        self._sheet.freeze_panes(1, 1)
        self._rows = 0
        self._write_row(schema.names)

    def _take(self, table: pa.Table) -> None:
        for row in zip(*(_cells(column) for column in table.columns), strict=True):
            self._write_row(row)

    def _write_row(self, cells: Sequence[Any]) -> None:
        if self._rows >= _SHEET_ROWS:
            raise ResultsError(
                f"{self.path.name}: a sheet holds {_SHEET_ROWS - 1:,} rows, and this table has more",
                hint="take --format parquet or csv",
            )
        for column, cell in enumerate(cells):
            if isinstance(cell, str):
                self._sheet.write_string(self._rows, column, _fitting(cell))
            elif isinstance(cell, bool):
                self._sheet.write_boolean(self._rows, column, cell)
            elif cell is not None and _held(cell):
                self._sheet.write_number(self._rows, column, cell)
            elif cell is not None:
                self._sheet.write_string(self._rows, column, repr(cell))
        self._rows += 1

    def _finish(self) -> None:
        self._book.close()
        marks.end_zip(self.part.file, marks.Kind.TABLE)

    def discard(self) -> None:
        super().discard()
        # The library keeps rows in a temporary file, which it closes and removes only when all went well.
        rows, name = getattr(self._sheet, "row_data_fh", None), getattr(self._sheet, "row_data_filename", None)
        if rows is not None:
            rows.close()
        if name:
            Path(name).unlink(missing_ok=True)


def _held(number: float) -> bool:
    """Whether a spreadsheet holds this number, and not another one in its place."""
    if isinstance(number, int):
        return -_LARGEST_WHOLE <= number <= _LARGEST_WHOLE
    return number == 0 or sys.float_info.min <= abs(number) <= _LARGEST_NUMBER


def _finite(table: pa.Table) -> pa.Table:
    """The same with null for what is no number: that has no form which all formats and their readers share."""
    for place, field in enumerate(table.schema):
        column = table.column(place)
        if pa.types.is_float64(field.type) and not pc.all(pc.is_finite(column), min_count=0).as_py():
            there = pc.if_else(pc.is_finite(column), column, pa.scalar(None, pa.float64()))
            table = table.set_column(place, field, there)
    return table


def _json(value: Any, separators: tuple[str, str] = (", ", ": ")) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=separators)
    except ValueError:  # an answer may say 1e999 where no column is
        return json.dumps(_spoken(value), ensure_ascii=False, allow_nan=False, separators=separators)


def _spoken(value: Any) -> Any:
    """The same with null for what is no number."""
    if isinstance(value, dict):
        return {name: _spoken(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_spoken(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _fitting(text: str) -> str:
    return text if len(text) <= _CELL_LETTERS else text[: _CELL_LETTERS - len(_CUT)] + _CUT


# Makes the file of a table.
MakeSink = Callable[[Path, pa.Schema], Sink]
SINKS: dict[str, MakeSink] = {"parquet": ParquetSink, "csv": CsvSink, "jsonl": JsonlSink, "xlsx": XlsxSink}


def sink_of(form: Format, *, bom: bool = False) -> MakeSink:
    """Raises: MissingExtra for a workbook without the library that writes it."""
    if form == "xlsx" and find_spec("xlsxwriter") is None:
        raise MissingExtra("tables", "writing workbooks")
    return MarkedCsvSink if bom and form == "csv" else SINKS[form]


def safe_cell(text: str) -> str:
    """`text` as a cell that no spreadsheet evaluates: a quote goes before what would start a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _csv_cells(column: pa.ChunkedArray) -> Sequence[Any]:
    if pa.types.is_string(column.type):
        return [cell if cell is None else safe_cell(cell) for cell in column.to_pylist()]
    if pa.types.is_boolean(column.type):
        return [cell if cell is None else str(cell).lower() for cell in column.to_pylist()]
    return _cells(column)


def _cells(column: pa.ChunkedArray) -> Sequence[Any]:
    """Values as they are; lists and maps as JSON."""
    cells: list[Any] = column.to_pylist()
    if pa.types.is_map(column.type):
        return [cell if cell is None else _json(dict(cell)) for cell in cells]
    if pa.types.is_list(column.type):
        return [cell if cell is None else _json(cell) for cell in cells]
    return cells
