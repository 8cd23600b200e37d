"""Answers are found by what they hold, whatever a script called them, and what is left out is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hume_runner import registry
from hume_runner.errors import ResultsError
from hume_runner.results.found_files import files_under, holds_answer
from tests.results.sample_answers import face_rows, file_element, model


def answer(name: str) -> list[Any]:
    return [file_element(name, {"face": model({"unknown": face_rows(1)})})]


def put(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def test_a_file_of_the_usual_name_keeps_no_other_away(tmp_path: Path) -> None:
    downloads = [put(tmp_path / f"{n}.json", answer(f"{n}.jpg")) for n in "abc"]
    usual = put(tmp_path / "predictions.json", answer("d.jpg"))
    deep = put(tmp_path / "loop" / "1.json", answer("e.jpg"))
    assert set(files_under([tmp_path]).files) == {*downloads, usual, deep}


def test_what_is_left_out_is_counted_and_named(tmp_path: Path) -> None:
    put(tmp_path / "1.json", answer("a.jpg"))
    put(tmp_path / "request.json", {"schema": 1, "sources": []})
    put(tmp_path / "jobs.json", [{"job_id": "x", "request": {}}])
    (told,) = files_under([tmp_path]).notes
    assert (
        told
        == f"{tmp_path}: 1 file with predictions; left out, as they hold none: 2 JSON files (jobs.json, request.json)"
    )


def test_nothing_is_told_where_there_is_nothing_but_answers_of_the_usual_name(tmp_path: Path) -> None:
    put(tmp_path / "1" / "predictions.json", answer("a.jpg"))
    put(tmp_path / "2" / "predictions.json", answer("b.jpg"))
    assert files_under([tmp_path]).notes == ()


def test_the_same_bytes_are_taken_once_and_that_is_told(tmp_path: Path) -> None:
    first = put(tmp_path / "1.json", answer("a.jpg"))
    other = put(tmp_path / "2.json", answer("b.jpg"))  # of the same size
    copy = put(tmp_path / "copies" / "1.json", answer("a.jpg"))
    found = files_under([tmp_path])
    assert set(found.files) == {first, other}
    assert found.notes[-1] == f"{copy}: the same bytes as {first}, so it is taken once"
    assert files_under([first, copy, first]).files == (first,)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ('[{"source": {"type": "text"}}]', True),
        ('\ufeff\n [ {"results": {"predictions": []}, "source": {}}]', True),
        ('[{"source": {"type": "url", "url": "https://e', True),  # cut off: it will be told as unreadable
        ('{"job_id": "x", "predictions": []}', True),  # a callback that somebody kept
        ("[]", False),
        ("[1]", False),
        ('[{"job_id": "x"}]', False),
        ('{"sources": []}', False),
        ("", False),
        ("no JSON", False),
    ],
)
def test_an_answer_is_known_by_how_it_begins(tmp_path: Path, text: str, holds: bool) -> None:
    path = tmp_path / "x.json"
    path.write_text(text, encoding="utf-8")
    assert holds_answer(path) is holds
    path = path.rename(tmp_path / "predictions.json")
    assert holds_answer(path)  # it was meant to be one, and what is wrong with it is told


def test_a_folder_without_answers_says_what_is_there(tmp_path: Path) -> None:
    put(tmp_path / "request.json", {})
    with pytest.raises(ResultsError, match=r"no file with predictions .* 1 JSON file \(request\.json\)"):
        files_under([tmp_path])


def begins_with_text(chunks: Iterator[bytes]) -> bool:
    return next(chunks).startswith(b'"')


@pytest.mark.parametrize(("tells", "found"), [(f"{__name__}:begins_with_text", ["b.json"]), (None, [])])
def test_the_api_says_how_its_answers_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tells: str | None, found: list[str]
) -> None:
    usual = put(tmp_path / "predictions.json", 1)
    put(tmp_path / "a.json", answer("a.jpg"))
    put(tmp_path / "b.json", "an answer of another kind")
    loose = next(one for one in registry.all_registered() if one.names_sources)
    monkeypatch.setattr(registry, "_KNOWN", {loose.api: replace(loose, begins_answer=tells)})
    assert [path.name for path in files_under([tmp_path]).files] == [*found, usual.name]
