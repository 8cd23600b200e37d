"""Files that say themselves that they are ours, in every form, and files of others that do not."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from hume_runner.errors import UsageError
from hume_runner.results.authorship import made_by_us, refuse_others
from hume_runner.results.options import TableOptions
from hume_runner.results.report import write_report
from hume_runner.results.sinks import FORMATS, Format
from hume_runner.results.tables import write_tables
from tests.results.sample_answers import interviews
from tests.tiers import sampled

OTHERS = {
    "words": b"mine\n",
    "binary": bytes(range(256)),
    "a table": b"name,begin,end\nx,0,1\n",
    "a table with an id": b"item_id,text\n1,hello\n",
    "a table of simulations": b"run,simulated,mean\n1,true,0.3\n",
    "an object": b'{"name": "my dataset", "schema": 1}\n',
    "an object with a number for its form": b'{"schema": 1, "name": "mine"}\n',
    "a Psych-DS dataset": b'{"@type": "Dataset", "name": "mine", "schemaVersion": "Psych-DS 0.4.0"}\n',
    "a data package": b'{"profile": "data-package", "name": "mine", "software": {"name": "other"}}\n',
    "lines": b'{"text": "hi", "id": "z"}\n{"text": "ho", "id": "y"}\n',
    "half an object": b'{"text": "hi',
    "a page": b"<!doctype html>\n<html><head><title>mine</title></head></html>\n",
    "a page with a policy": b'<html><meta http-equiv="Content-Security-Policy" content="default-src *"></html>',
    "a codebook": b"# my codebook\n\n| column | type | meaning |\n| --- | --- | --- |\n",
    "a manifest": b"version: 1\nname: hume_runner\n",
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(64),
    "half a Parquet file": b"PAR1" + bytes(64),
    "half an archive": b"PK\x03\x04" + bytes(64),
    "metrics of others": b"# HELP node_cpu_seconds_total Seconds.\n",
    "a database": b"SQLite format 3\0" + bytes(64),
    "a very long line": b"x" * 1_000_000,
}


@sampled(8)
@pytest.mark.parametrize("content", OTHERS.values(), ids=list(OTHERS))
def test_what_another_program_or_a_person_wrote_is_not_ours(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert not made_by_us(path)
    with pytest.raises(UsageError, match="hume_runner did not write it"):
        refuse_others([path], hint="choose another")
    assert path.read_bytes() == content


@sampled(1)
@pytest.mark.parametrize("form", FORMATS)
def test_every_table_says_that_it_is_ours_whatever_its_options(tmp_path: Path, form: Format) -> None:
    results = interviews(tmp_path / "out", 3)
    for options in (TableOptions(), TableOptions(long=True, labels=True), TableOptions(bom=True)):
        for path in write_tables(results, tmp_path / "t", format=form, options=options):
            # A table of no rows in lines is empty.
            assert made_by_us(path), path


def test_a_report_says_that_it_is_ours(tmp_path: Path) -> None:
    assert made_by_us(write_report(interviews(tmp_path / "out", 3), tmp_path / "r.html"))


def test_a_workbook_of_others_is_not_ours(tmp_path: Path) -> None:
    path = tmp_path / "book.xlsx"
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("xl/worksheets/sheet1.xml", "<worksheet><t>name</t></worksheet>")
    assert not made_by_us(path)


def test_what_is_empty_or_no_file_or_not_there_is_left_to_who_writes(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    refuse_others([tmp_path / "empty", tmp_path, Path("/dev/null"), tmp_path / "none"], hint="choose another")


def test_a_link_is_what_it_leads_to_and_one_that_leads_nowhere_is_anothers(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"schema": 1, "run_id": "a"}, indent=2))
    (tmp_path / "ours").symlink_to("run.json")
    refuse_others([tmp_path / "ours"], hint="choose another")
    (tmp_path / "nowhere").symlink_to("gone")
    with pytest.raises(UsageError):
        refuse_others([tmp_path / "nowhere"], hint="choose another")


def test_of_many_files_the_first_are_named_and_the_others_counted(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}").write_text("mine")
    with pytest.raises(UsageError) as caught:
        refuse_others(sorted(tmp_path.iterdir()), hint="choose another")
    assert str(caught.value).startswith(f"{tmp_path / '0'}, {tmp_path / '1'}, {tmp_path / '2'} and 2 more: ")
    assert caught.value.hint == "move them away, or choose another; nothing is lost"
