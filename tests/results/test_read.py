from __future__ import annotations

import json
from pathlib import Path

import pytest

from hume_runner.errors import ResultsError
from hume_runner.results.read import DirectoryResults, LooseResults, read_results
from hume_runner.results.tables import write_tables
from tests.results.sample_answers import (
    WORDS,
    Outputs,
    face_rows,
    file_element,
    interviews,
    language_rows,
    model,
    text_element,
    url_element,
)  # fmt: skip

FACE = {"face": model({"unknown": face_rows(1)})}


def test_results_are_arrow_tables_from_what_the_run_wrote(tmp_path: Path) -> None:
    write_tables(interviews(tmp_path, 3), tmp_path / "tables")

    results = read_results(tmp_path)

    assert results.items["item_id"].to_pylist() == ["p00", "p01", "p02"]
    assert results.tables["face"].num_rows == 3 * 64
    assert results.tables["items"] is results.items


@pytest.mark.sweep
def test_results_without_tables_are_read_from_the_raw_answers(tmp_path: Path) -> None:
    interviews(tmp_path, 3)

    assert read_results(str(tmp_path)).tables["prosody"].num_rows == 18
    assert not (tmp_path / "tables").exists()


def test_one_answer_that_was_downloaded_long_ago_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps([url_element("https://u:p@example.org/a.mp4?sig=SECRET", FACE)]))

    results = read_results(path)

    assert results.items["item_id"].to_pylist() == ["https://…@example.org/a.mp4?…"]
    assert results.tables["face"].num_rows == 1


def test_loose_answers_get_ids_from_their_sources_and_repeats_are_told_apart(tmp_path: Path) -> None:
    texts = text_element({"2": {}, "1": {"language": model({"unknown": language_rows(WORDS)})}})
    first, second = tmp_path / "1.json", tmp_path / "2.json"
    first.write_text(json.dumps([file_element("a.jpg", FACE), texts]))
    second.write_text(json.dumps({"job_id": "x", "status": "COMPLETED", "predictions": [file_element("a.jpg", FACE)]}))

    results = LooseResults([first, second], tmp_path)

    assert [item.id for item in results.items()] == ["a.jpg", "text-1", "text-2", "a.jpg-2"]
    assert [answer.path.name for answer in results.answers()] == ["1.json", "2.json"]


def test_a_loose_source_that_failed_is_a_failed_item(tmp_path: Path) -> None:
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps([{"source": {"type": "url", "url": "https://e.org/x"}, "error": "could not fetch"}]))

    (item,) = LooseResults([path], tmp_path).items()

    assert (item.status, item.error) == ("failed", "could not fetch")


@pytest.mark.sweep
def test_answers_come_in_the_order_of_the_jobs_with_their_items(tmp_path: Path) -> None:
    answers = list(interviews(tmp_path, 17).answers())

    assert [answer.job for answer in answers] == ["job-000001", "job-000002", "job-000003"]
    assert [member.items[0].id for member in answers[2].members] == ["p16"]
    assert [job.sources for job in DirectoryResults(tmp_path).jobs()] == [8, 8, 1]


def test_a_source_that_no_item_stands_for_is_told_under_its_own_name(tmp_path: Path) -> None:
    outputs = Outputs(directory=tmp_path)
    outputs.item("a", "file", "a.jpg")
    outputs.job(
        "job-000001", "r1", [file_element("a.jpg", FACE), file_element("b.jpg", FACE)], [("file", "a.jpg", ["a"])]
    )
    outputs.write()

    assert read_results(tmp_path).tables["face"]["item_id"].to_pylist() == ["a", "b.jpg"]


@pytest.mark.parametrize("line", ["{", "[]", '{"id": "a"}'])
def test_a_line_that_is_no_result_is_named(line: str, tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_text(line + "\n")

    with pytest.raises(ResultsError, match=r"results\.jsonl:1: not a line of results"):
        list(DirectoryResults(tmp_path).items())


def test_a_folder_without_results_says_so(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"no results\.jsonl"):
        read_results(tmp_path)
    with pytest.raises(ResultsError, match="no such file"):
        LooseResults([tmp_path / "gone.json"], tmp_path)


def test_what_nobody_can_know_is_null_and_not_false(tmp_path: Path) -> None:
    """A bare file of predictions does not say who made it."""
    answer = tmp_path / "predictions.json"
    texts = text_element({"1": {"language": model({"unknown": language_rows(WORDS)})}})
    answer.write_text(json.dumps([texts]))
    results = read_results(answer)
    assert results.items["simulated"].to_pylist() == [None]
    assert results.items.schema.metadata[b"simulated"] == b"unknown"
