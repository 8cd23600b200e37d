"""Tables that are given up half way."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from hume_runner.results.sinks import SINKS


@pytest.mark.parametrize("format", SINKS)
@pytest.mark.parametrize("written", [False, True])
def test_what_is_given_up_after_its_file_was_closed_leaves_what_was_there(
    format: str, written: bool, tmp_path: Path
) -> None:
    path = tmp_path / f"items.{format}"
    path.write_bytes(b"before")
    schema = pa.schema([("id", pa.string())])
    sink = SINKS[format](path, schema)
    if written:
        sink.write(pa.table({"id": ["one"]}, schema=schema))
    sink.part.discard()
    sink.discard()
    assert path.read_bytes() == b"before"
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
