from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.commands import call
from tests.results.sample_answers import face_rows, file_element, model


@pytest.fixture
def answer(tmp_path: Path) -> Path:
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps([file_element("a.jpg", {"face": model({"unknown": face_rows(2)})})]))
    return path


def test_tables_from_a_downloaded_answer_need_no_manifest(answer: Path, tmp_path: Path) -> None:
    out = tmp_path / "tables"

    code, printed, _ = call("tables", "--from", str(answer), "--out", str(out), "--format", "csv", "--long")

    assert code == 0
    names = ["items.csv", "errors.csv", "sources.csv", "sources_long.csv", "face.csv", "face_long.csv"]
    assert sorted(printed.split()) == sorted(str(out / name) for name in names)
    assert len((out / "face.csv").read_text().splitlines()) == 3


def test_what_lies_where_tables_are_written_is_left_there_and_told(answer: Path, tmp_path: Path) -> None:
    """A folder that a person names may hold what is called like a table, and is somebody's own."""
    out = tmp_path / "mine"
    out.mkdir()
    for name in ("events.csv", "prosody.csv", "letters.csv"):
        (out / name).write_text("my own\n")

    code, _, said = call("tables", "--from", str(answer), "--out", str(out), "--format", "csv")

    assert code == 0
    assert all((out / name).read_text() == "my own\n" for name in ("events.csv", "prosody.csv", "letters.csv"))
    assert f"{out / 'events.csv'}: none of these tables, left as it is" in said
    assert "letters" not in said


def test_tables_tell_their_files_as_json(answer: Path, tmp_path: Path) -> None:
    code, printed, _ = call("tables", "--from", str(answer), "--out", str(tmp_path / "t"), "--json")

    assert code == 0
    assert str(tmp_path / "t" / "face.parquet") in json.loads(printed.splitlines()[1])["files"]


def test_a_report_from_a_downloaded_answer_needs_no_manifest(answer: Path, tmp_path: Path) -> None:
    page = tmp_path / "page" / "report.html"

    code, printed, _ = call("report", "--from", str(answer), "--out", str(page))

    assert (code, printed) == (0, f"{page}\n")
    assert "a.jpg" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("command", ["tables", "report"])
def test_what_to_read_must_be_clear(command: str, answer: Path) -> None:
    assert call(command)[0] == 64
    assert call(command, "a.yaml", "--from", str(answer))[0] == 64
    code, _, said = call(command, "--from", str(answer))
    assert (code, "--out" in said) == (64, True)


def test_a_damaged_answer_is_named_without_a_traceback(answer: Path, tmp_path: Path) -> None:
    answer.write_text(answer.read_text()[:-9])

    code, printed, said = call("tables", "--from", str(answer), "--out", str(tmp_path / "t"))

    assert (code, printed) == (66, "")
    assert "predictions.json: not a complete answer" in said
    assert "Traceback" not in said
    assert not list((tmp_path / "t").glob("*"))


def test_tables_of_a_folder_of_downloads_name_the_file_and_survive_one_that_is_cut(
    answer: Path, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    for name in ("a", "b", "c"):
        (old / name).mkdir(parents=True)
        text = answer.read_text()  # of one job more, so with other bytes: a copy would be taken once
        (old / name / "predictions.json").write_text({"a": text, "b": text[:50], "c": text + "\n"}[name])
    out = tmp_path / "t"

    code, _, said = call("tables", "--from", str(old), "--out", str(out), "--format", "jsonl")

    assert (code, str(old / "b" / "predictions.json") in said) == (3, True)
    items = [json.loads(line) for line in (out / "items.jsonl").read_text().splitlines()]
    assert [(item["id"] if "id" in item else item["item_id"], item["status"]) for item in items] == [
        ("a.jpg", "done"),
        ("predictions.json", "failed"),
        ("a.jpg-2", "done"),
    ]
    assert [item["raw"] for item in items] == [[str(old / name / "predictions.json")] for name in ("a", "b", "c")]
    assert len((out / "face.jsonl").read_text().splitlines()) == 4


def test_a_folder_without_downloads_and_a_name_that_is_nothing_are_missing_sources(tmp_path: Path) -> None:
    assert call("tables", "--from", str(tmp_path), "--out", str(tmp_path / "t"))[0] == 66
    assert call("tables", "--from", str(tmp_path / "nix"), "--out", str(tmp_path / "t"))[0] == 66
