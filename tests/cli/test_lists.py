"""Lists from people's own programs, from the first check to the last table: nothing is sent that was read wrongly."""

from __future__ import annotations

import csv
import json
import sqlite3

import pyarrow.parquet as pq
import pytest

from hume_runner import read_results
from tests.cli.project import JOBS, Project
from tests.tiers import sampled


@pytest.fixture(autouse=True)
def one_list(project: Project) -> None:
    project.manifest["sources"] = {"text": [{"from": "l.csv"}]}
    project.manifest["models"] = {"language": {"granularity": "sentence"}}
    project.manifest["outputs"] |= {"tables": ["parquet", "csv", "jsonl"], "report": True}


def put(project: Project, content: str, encoding: str = "utf-8") -> None:
    (project.folder / "l.csv").write_bytes(content.encode(encoding))


@sampled(4)
@pytest.mark.parametrize(
    "content",
    [
        "text;mood\r\nI am happy;good\r\nLeave me alone;bad\r\n",
        'text|mood\n"I am happy, and ""so on""; yes\nor no"|good\n',
        "text\tmood\nI am happy\tgood\n",
        '"text;mood"\n"I am happy;good"\n',
        "text,mood\nI am happy;good\n",
        "text,mood\nI am happy,good\n,bad\n",
        "text,mood,mood\nI am happy,good,bad\n",
        "text,mood\nHello,good,\n",
        "text,mood\n",
        "text,mood\nHello,a\0b\n",
    ],
)
def test_a_list_that_may_be_read_wrongly_sends_nothing(content: str, project: Project) -> None:
    put(project, content)
    for command in ("validate", "plan", "run"):
        ran = project.call(command)
        assert ran.code == 65
        assert "l.csv:" in ran.out + ran.err
        assert "next: " in ran.out + ran.err
    assert project.requests().get(JOBS, 0) == 0


@pytest.mark.sweep
def test_label_columns_that_would_have_one_name_are_three_in_every_table(project: Project) -> None:
    put(project, "text,Wave,wave,Wave 2,WAVE-2\nI am happy,a,1,0.5,007\nLeave me,b,2,3,7\n")
    assert project.run().code == 0
    tables = project.out / "tables"
    arrow = pq.read_table(tables / "items.parquet")
    assert len(set(arrow.column_names)) == len(arrow.column_names)
    columns = {name: arrow[name].to_pylist() for name in arrow.column_names if name.startswith("label_")}
    told = {arrow.field(name).metadata[b"meaning"].decode(): values for name, values in columns.items()}
    typed = {"Wave": ["a", "b"], "wave": [1, 2], "Wave 2": [0.5, 3.0], "WAVE-2": ["007", "7"]}
    assert told == {f"label {name!r}": values for name, values in typed.items()}
    assert {str(arrow.schema.field(name).type) for name in columns} == {"string", "int64", "double"}
    with (tables / "items.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {name: [row[name] for row in rows] for name in columns} == {
        name: list(map(str, values)) for name, values in columns.items()
    }
    lines = [json.loads(line) for line in (tables / "items.jsonl").read_text().splitlines()]
    assert [{name: line[name] for name in columns} for line in lines] == [
        {name: values[at] for name, values in columns.items()} for at in (0, 1)
    ]
    assert lines[0]["labels"] == {"Wave": "a", "wave": 1, "Wave 2": 0.5, "WAVE-2": "007"}
    assert read_results(project.out).items.column_names == arrow.column_names
    # A database takes them as they are: its names differ in more than case.
    with sqlite3.connect(":memory:") as db:
        db.execute(f"CREATE TABLE items ({', '.join(arrow.column_names)})")
    page = (project.out / "report.html").read_text(encoding="utf-8")
    assert all(json.dumps(name) in page for name in typed)


@pytest.mark.sweep
def test_a_spreadsheets_export_runs_once_and_keeps_ids_and_types(project: Project) -> None:
    put(project, "sep=;\r\nCode;text;wave;age;note\r\n007;Schöne Grüße;1;;x\r\n;;;;\r\nP2;Bye;2;31,5;\r\n", "utf-16")
    project.manifest["sources"]["text"][0] |= {"id_column": "Code", "blank": "skip", "labels": ["wave", "age"]}
    assert project.run().code == 0
    assert [(line["id"], line["labels"]) for line in project.results()] == [
        ("007", {"wave": 1, "age": ""}),
        ("P2", {"wave": 2, "age": "31,5"}),
    ]
    assert pq.read_table(project.out / "tables" / "items.parquet")["label_wave"].to_pylist() == [1, 2]
    sent = project.requests()[JOBS]
    assert project.run().code == 0
    assert project.requests()[JOBS] == sent


@pytest.mark.sweep
def test_numbers_that_no_one_column_holds_become_text(project: Project) -> None:
    records = [{"text": "A b.", "n": 2**60 + 1}, {"text": "C d.", "n": 0.5}, {"text": "E f.", "n": 10**30}]
    (project.folder / "l.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records))
    project.manifest["sources"] = {"text": [{"from": "l.jsonl"}]}
    assert project.run().code == 0
    items = pq.read_table(project.out / "tables" / "items.parquet")
    assert items["label_n"].to_pylist() == [str(2**60 + 1), "0.5", str(10**30)]


@pytest.mark.parametrize("label", ['"\\ud800"', '"a\\u0000b"', "1e999"])
def test_a_label_that_cannot_be_stored_is_refused_with_its_line(label: str, project: Project) -> None:
    (project.folder / "l.jsonl").write_text(f'{{"text": "A"}}\n{{"text": "B", "mood": {label}}}\n')
    project.manifest["sources"] = {"text": [{"from": "l.jsonl"}]}
    ran = project.run()
    assert (ran.code, "l.jsonl:2:1" in ran.err) == (65, True)
