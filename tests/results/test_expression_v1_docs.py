"""`docs/tables.md` against the tables of expression-v1 that are written."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hume_runner.results.options import TableOptions
from hume_runner.results.read import DirectoryResults
from hume_runner.results.tables import write_tables
from tests.results.sample_answers import Outputs
from tests.results.test_table_docs import as_types, documented, own

LONG = TableOptions(long=True)

TABLES = ("audio", "video")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pq.ParquetFile]:
    directory = tmp_path_factory.mktemp("out")
    outputs = Outputs(directory=directory, settings={"models": {name: {} for name in TABLES}})
    outputs.run = {"service": {"api": "expression-v1"}}
    outputs.item("a", "file", "a.wav")
    outputs.write()
    written = write_tables(DirectoryResults(directory), directory / "tables", options=LONG)
    return {path.stem: pq.ParquetFile(path) for path in written}


@pytest.mark.parametrize("table", TABLES)
def test_tables_are_as_documented(table: str, written: dict[str, pq.ParquetFile]) -> None:
    columns = documented("Columns of every model's table") | documented(table)
    lists = {name: meaning for name, (type_, meaning) in columns.items() if type_ == "scores"}
    told = own(written[table])
    for name, meaning in lists.items():
        assert told.pop(name)[1] == meaning
        kind = written[table].schema_arrow.field(name).type
        assert (kind.key_type, kind.item_type) == (pa.string(), pa.float64())
    assert told == as_types({name: column for name, column in columns.items() if name not in lists})
    assert len(told) + len(lists) == len(written[table].schema_arrow)


@pytest.mark.parametrize("table", TABLES)
def test_tables_of_scores_are_as_documented(table: str, written: dict[str, pq.ParquetFile]) -> None:
    assert own(written[f"{table}_scores"]) == as_types(documented("audio_scores and video_scores"))
    columns = documented("Columns of every model's table") | documented(table) | documented("Long form")
    del columns["extra"]
    kept = {name: column for name, column in columns.items() if column[0] != "scores"}
    assert own(written[f"{table}_long"]) == as_types(kept)
