"""Workbooks and CSV for Excel, read by openpyxl, which did not write them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from hume_runner.errors import ResultsError
from hume_runner.results import sinks
from hume_runner.results.options import TableOptions
from hume_runner.results.sinks import XlsxSink
from hume_runner.results.tables import write_tables
from tests.results.sample_answers import interviews

SCHEMA = pa.schema({"text": pa.string(), "number": pa.float64(), "flag": pa.bool_(), "many": pa.list_(pa.string())})


def sheet(path: Path) -> list[tuple[object, ...]]:
    from openpyxl import load_workbook  # here: each worker collects every test

    book = load_workbook(path, read_only=True)
    try:
        return list(book.worksheets[0].iter_rows(values_only=True))
    finally:
        book.close()


def written(path: Path, rows: list[dict[str, object]]) -> list[tuple[object, ...]]:
    sink = XlsxSink(path, SCHEMA)
    sink.write(pa.Table.from_pylist(rows, schema=SCHEMA))
    sink.close()
    return sheet(path)


@pytest.mark.sweep
def test_text_stays_text_and_numbers_stay_numbers(tmp_path: Path) -> None:
    found = written(
        tmp_path / "t.xlsx",
        [
            {"text": "=1+1", "number": 0.1, "flag": True, "many": ["a", "ö"]},
            {"text": "https://example.org", "number": None, "flag": None, "many": None},
            {"text": "007", "number": 1e-300, "flag": False, "many": []},
        ],
    )

    assert found[0] == ("text", "number", "flag", "many")
    assert found[1] == ("=1+1", 0.1, True, '["a", "ö"]')
    assert found[2] == ("https://example.org", None, None, None)
    assert found[3] == ("007", 1e-300, False, "[]")
    from openpyxl import load_workbook

    (cell,) = next(load_workbook(tmp_path / "t.xlsx").worksheets[0].iter_rows(min_row=2, max_col=1))
    assert cell.data_type == "s"


def test_a_number_is_read_back_from_a_cell_as_it_was(tmp_path: Path) -> None:
    """With 17 digits where 16 tell another one, and as text where a spreadsheet has none that is the same."""
    held = [0.1 + 0.2, 1 / 3, 9.99999999999999e307, 2.2250738585072014e-308, -123456789.12345679, 0.0]
    not_held = [1.7976931348623157e308, -1.7e308, 5e-324]
    found = written(tmp_path / "t.xlsx", [{"number": number} for number in (*held, *not_held)])

    assert [row[1] for row in found[1:]] == [*held, *map(repr, not_held)]

    whole = [2**53, -(2**53), 2**53 + 1, -(2**63), 2**60 + 1]
    sink = XlsxSink(tmp_path / "w.xlsx", pa.schema({"n": pa.int64()}))
    sink.write(pa.table({"n": pa.array(whole, pa.int64())}))
    sink.close()
    assert [row[0] for row in sheet(tmp_path / "w.xlsx")[1:]] == [*whole[:2], *map(str, whole[2:])]


def test_what_no_cell_holds_is_cut_and_says_so(tmp_path: Path) -> None:
    found = written(tmp_path / "t.xlsx", [{"text": "x" * 40_000, "number": 1.0, "flag": None, "many": None}])

    text = str(found[1][0])
    assert (len(text), text.endswith("[cut: a cell holds no more]")) == (32_767, True)


def test_more_rows_than_a_sheet_holds_are_refused_and_leave_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinks, "_SHEET_ROWS", 3)
    results = interviews(tmp_path / "out", 4)

    with pytest.raises(ResultsError, match="a sheet holds 2 rows") as caught:
        write_tables(results, tmp_path / "t", format="xlsx")

    assert "csv" in caught.value.hint
    assert list((tmp_path / "t").iterdir()) == []


@pytest.mark.sweep
def test_workbooks_are_the_same_bytes_every_time_and_hold_what_csv_holds(tmp_path: Path) -> None:
    results = interviews(tmp_path / "out", 3)
    first = [path.read_bytes() for path in write_tables(results, tmp_path / "a", format="xlsx")]
    second = [path.read_bytes() for path in write_tables(results, tmp_path / "b", format="xlsx")]
    write_tables(results, tmp_path / "c", format="csv")

    assert first == second
    rows = sheet(tmp_path / "a" / "face.xlsx")
    assert len(rows) == len((tmp_path / "c" / "face.csv").read_text(encoding="utf-8").splitlines())


@pytest.mark.sweep
def test_csv_for_excel_begins_with_the_mark_and_is_else_the_same(tmp_path: Path) -> None:
    results = interviews(tmp_path / "out", 3)
    write_tables(results, tmp_path / "a", format="csv")
    marked = write_tables(results, tmp_path / "b", format="csv", options=TableOptions(bom=True))
    assert marked

    for path in (tmp_path / "a").iterdir():
        assert (tmp_path / "b" / path.name).read_bytes() == b"\xef\xbb\xbf" + path.read_bytes()
