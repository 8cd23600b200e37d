"""`tables --from`: answers of downloads, without a manifest."""

from __future__ import annotations

import csv
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.cli.project import Project
from tests.commands import Ran
from tests.results.sample_answers import face_rows, file_element, model, url_element

FACE = {"face": model({"unknown": face_rows(1)})}


def tables(project: Project, *paths: Path) -> Ran:
    project.environ.clear()
    out = str(project.folder / "tables")
    return project.plain_call("tables", "--format", "csv", "--out", out, "--from", *map(str, paths))


def rows(project: Project, table: str) -> list[dict[str, str]]:
    with (project.folder / "tables" / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_all_downloads_of_a_folder_have_rows_and_what_was_left_out_is_told(project: Project) -> None:
    folder = project.folder / "downloads"
    folder.mkdir()
    for name in ("predictions", "4f1c", "9a2b"):
        (folder / f"{name}.json").write_text(json.dumps([file_element(f"{name}.jpg", FACE)]))
    (folder / "copy.json").write_bytes((folder / "4f1c.json").read_bytes())
    (folder / "files.json").write_text('{"a.jpg": "4f1c"}')
    ran = tables(project, folder)
    assert ran.code == 0, ran.err
    assert [row["item_id"] for row in rows(project, "items")] == ["4f1c.jpg", "9a2b.jpg", "predictions.jpg"]
    assert "4 files with predictions; left out, as they hold none: 1 JSON file (files.json)" in ran.err
    assert "the same bytes as" in ran.err


@pytest.mark.parametrize(
    ("message", "reason"), [("could not download the file", "unreachable_url"), ("odd", "service_error")]
)
def test_a_source_that_failed_has_the_reason_that_a_run_would_have_recorded(
    project: Project, message: str, reason: str
) -> None:
    path = project.folder / "predictions.json"
    failed: dict[str, Any] = {"source": {"type": "url", "url": "https://e.org/x.mp4"}, "error": message}
    path.write_text(json.dumps([failed, url_element("https://e.org/y.mp4", FACE)]))
    assert tables(project, path).code == 0
    assert [(row["reason"], row["message"]) for row in rows(project, "errors")] == [(reason, message)]
    assert [row["reason"] for row in rows(project, "items")] == [reason, ""]


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
def test_a_source_of_which_something_is_no_number_is_told(project: Project, number: str) -> None:
    """Whichever reading finds it: the one for names or the one for rows."""
    folder = project.folder / "downloads"
    folder.mkdir()
    (folder / "a.json").write_text(json.dumps([file_element("a.jpg", FACE)]))
    damaged = json.dumps([file_element("b.jpg", {"face": model({"unknown": [{**face_rows(1)[0], "prob": "HERE"}]})})])
    (folder / "b.json").write_text(damaged.replace('"HERE"', number))
    ran = tables(project, folder)
    assert ran.code == 3, ran.err
    assert "b.json of downloads: the answer about this source cannot be read: " in ran.err
    assert [row["item_id"] for row in rows(project, "face")] == ["a.jpg"]
    assert [row["item_id"] for row in rows(project, "errors")] == ["b.jpg"]


def test_artifacts_are_no_predictions_and_that_is_the_hint(project: Project) -> None:
    path = project.folder / "artifacts.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("file-0-a/csv/a/face.csv", "Id\r\n")
    ran = tables(project, path)
    assert ran.code != 0
    assert f"{path}: a zip archive and no predictions\nnext: artifacts are not read: name the predictions" in ran.err
    ran = project.call("adopt", str(path))
    assert ran.code == 64
    assert "is no predictions file of batch-v0: it is a zip archive\nnext: artifacts are not read" in ran.err


@pytest.mark.parametrize("at", [300, 5_000])
def test_where_a_file_was_cut_is_where_it_ends(project: Project, at: int) -> None:
    whole = json.dumps([file_element(f"{n}.jpg", FACE) for n in range(20)])
    assert len(whole) > at + 1
    path = project.folder / "predictions.json"
    path.write_text(whole[:at])
    ran = tables(project, path)
    assert f"it is cut off (byte {at:,})" in ran.err
    ran = project.call("adopt", str(path))
    assert f"it is cut off (byte {at:,})" in ran.err


A, B = (json.dumps([file_element(name, FACE)]) for name in ("a.jpg", "b.jpg"))
NOT_ALONE = {
    "two arrays": (A + B, len(A)),
    "two arrays on two lines": (f"{A}\n{B}\n", len(A) + 1),
    "an array a line": (f"{A}\n{A}\n{B}", len(A) + 1),
    "an element a line": (f"{A[1:-1]}\n{B[1:-1]}\n", len(A) - 1),
    "half of another": (A + B[:100], len(A)),
    "notes": (f"{A} seen on Monday", len(A) + 1),
    "two callbacks": (f'{{"predictions": {A}}}\n{{"predictions": {B}}}', len(A) + 18),
}


@pytest.mark.parametrize(("content", "at"), NOT_ALONE.values(), ids=NOT_ALONE)
def test_a_file_that_goes_on_behind_its_answer_is_told_and_not_read_in_part(
    project: Project, content: str, at: int
) -> None:
    path = project.folder / "both.json"
    path.write_text(content)
    ran = tables(project, path)
    assert ran.code == 66, ran.err  # as of any file that is alone and cannot be read
    assert f"{path}: not a complete answer: something follows the " in ran.err
    assert f"(byte {at:,})" in ran.err
    assert not (project.folder / "tables" / "face.csv").exists()


def test_a_file_that_goes_on_takes_the_rows_of_no_other(project: Project) -> None:
    folder = project.folder / "downloads"
    folder.mkdir()
    (folder / "a.json").write_text(f"{A}\n \n")
    (folder / "both.json").write_text(B + A)
    ran = tables(project, folder)
    assert ran.code == 3, ran.err
    assert f"both.json: not a complete answer: something follows the list (byte {len(B):,})" in ran.err
    assert [row["item_id"] for row in rows(project, "face")] == ["a.jpg"]
    assert [row["item_id"] for row in rows(project, "errors")] == ["both.json"]


def test_a_report_is_not_made_from_a_part_of_a_file(project: Project) -> None:
    path = project.folder / "both.json"
    path.write_text(A + B)
    project.environ.clear()
    ran = project.plain_call("report", "--out", str(project.folder / "report.html"), "--from", str(path))
    assert ran.code == 66, ran.err
    assert f"something follows the list (byte {len(A):,})" in ran.err
