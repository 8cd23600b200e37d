"""`docs/tables.md` against the files that are written."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hume_runner.results.aggregates import measured_columns
from hume_runner.results.options import TableOptions
from hume_runner.results.tables import write_tables
from hume_runner.services.batch_v0.rows import LAYOUTS
from hume_runner.services.local.layouts import layouts as local_layouts
from tests.results.sample_answers import Outputs

LONG = TableOptions(long=True)

DOCS = Path(__file__).parents[2] / "docs" / "tables.md"
TYPES = {"string": "string", "json": "string", "integer": "int64", "number": "double", "boolean": "bool"}
TYPES["strings"] = "list<element: string>"
TYPES["scores"] = "map<string, double>"


def documented(title: str) -> dict[str, tuple[str, str]]:
    """Column -> (type, meaning) of the section with that title."""
    text = DOCS.read_text(encoding="utf-8")
    section = re.split(r"^#{2,3} ", text.split(f"# {title}\n", 1)[1], flags=re.MULTILINE)[0]
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]*) \| (.*) \|$", section, re.MULTILINE)
    return {name: (type_, meaning) for name, type_, meaning in rows}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pq.ParquetFile]:
    directory = tmp_path_factory.mktemp("out")
    outputs = Outputs(directory=directory, settings={"models": {layout.name: {} for layout in LAYOUTS}})
    outputs.item("a", "text", "Hello")
    return {
        path.stem: pq.ParquetFile(path) for path in write_tables(outputs.write(), directory / "tables", options=LONG)
    }


def own(file: pq.ParquetFile) -> dict[str, tuple[str, str]]:
    """The columns that are no scores, as the file itself tells them."""
    fields = [field for field in file.schema_arrow if b"meaning" in (field.metadata or {})]
    return {
        # A map's type repeats its column's name once it was read from a file.
        field.name: (re.sub(r" \('\w+'\)", "", str(field.type)), field.metadata[b"meaning"].decode())
        for field in fields
    }


def as_types(columns: dict[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    return {name: (TYPES[type_], meaning) for name, (type_, meaning) in columns.items()}


@pytest.mark.parametrize("table", ["items", "errors", "sources", "sources_long"])
def test_narrow_tables_are_as_documented(table: str, written: dict[str, pq.ParquetFile]) -> None:
    columns = documented(table)
    columns.pop("label_NAME", None)
    assert own(written[table]) == as_types(columns)


@pytest.mark.parametrize("table", [layout.name for layout in LAYOUTS])
def test_model_tables_are_as_documented(table: str, written: dict[str, pq.ParquetFile]) -> None:
    common = documented("Columns of every model's table")
    assert own(written[table]) == as_types(common | documented(table))
    scores = {
        field.name: field.metadata[b"name"].decode()
        for field in written[table].schema_arrow
        if b"name" in (field.metadata or {})
    }
    told = {
        name: spelled
        for title in ("Expressions", "Facial action units and hands", "Descriptions",
                      "Sentiment, from 1 (most negative) to 9", "Toxicity")
        for name, (spelled, tables) in documented(title).items()
        if table in tables.split(", ")
    }  # fmt: skip
    assert scores == told
    assert len(own(written[table])) + len(scores) == len(written[table].schema_arrow)


@pytest.mark.parametrize("table", [layout.name for layout in LAYOUTS])
def test_long_tables_are_as_documented(table: str, written: dict[str, pq.ParquetFile]) -> None:
    columns = documented("Columns of every model's table") | documented(table) | documented("Long form")
    del columns["extra"]
    assert own(written[f"{table}_long"]) == as_types(columns)


def test_the_measurements_that_sources_have_are_as_documented() -> None:
    section = (
        DOCS.read_text(encoding="utf-8").split("### Measurements in `sources`", 1)[1].split("\nWith `--long`", 1)[0]
    )
    told = {
        table: re.findall(r"`(\w+)`", columns)
        for table, columns in re.findall(r"^\| `(\w+)` \| (.*) \|$", section, re.MULTILINE)
    }

    found = {name: list(measured_columns(layout, every=True)) for name, layout in local_layouts().items()}

    assert told == {name: columns for name, columns in found.items() if columns}
