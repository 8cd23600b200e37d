"""Tables that a script makes."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import hume_runner
from hume_runner.api import Project, TableOptions, Verdict
from hume_runner.api.rebuilding import Answers
from hume_runner.api.tables import make_psych_ds, make_tables
from hume_runner.api.verifying import checked_files, stale
from hume_runner.errors import ManifestError, UsageError
from tests.api.conftest import TEXTS, written


def test_tables_in_their_place_are_outputs_of_the_study(study: Project) -> None:
    made = make_tables(Answers.of(study), out=None, format="csv", on_event=pytest.fail)
    assert {path.parent for path in made.paths} == {study.paths.outputs / "tables"}
    assert made.unread == ()
    with (study.paths.outputs / "tables" / "items.csv").open(encoding="utf-8", newline="") as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["done"] * len(TEXTS)
    assert {checked.verdict for checked in checked_files(study)} == {Verdict.SAME}
    assert stale(study) == []


def test_a_manifest_may_be_named_instead_of_its_answers(study: Project, tmp_path: Path) -> None:
    made = make_tables(study.shown, out=str(tmp_path / "mine"))
    assert tmp_path / "mine" / "items.parquet" in made.paths
    with pytest.raises(ManifestError):
        make_tables(tmp_path / "none.yaml")


def test_tables_elsewhere_are_as_they_were_asked_for_and_nobody_records_them(study: Project, tmp_path: Path) -> None:
    made = make_tables(
        Answers.of(study), out=tmp_path / "mine", format="jsonl", options=TableOptions(long=True), on_event=pytest.fail
    )
    assert {path.parent for path in made.paths} == {tmp_path / "mine"}
    assert any(path.stem.endswith("_long") for path in made.paths)
    assert not (study.paths.outputs / "tables").exists()


def test_what_others_wrote_stays(study: Project, tmp_path: Path) -> None:
    place = tmp_path / "mine"
    place.mkdir()
    (place / "items.csv").write_text("mine\n")
    (place / "more.csv").write_text("mine as well\n")
    with pytest.raises(UsageError, match="did not write it"):
        make_tables(Answers.of(study), out=place, format="csv", on_event=print)
    assert sorted(path.name for path in place.iterdir()) == ["items.csv", "more.csv"]


def test_answers_that_no_manifest_knows_become_tables(tmp_path: Path) -> None:
    ran = hume_runner.run(written(tmp_path, service={"api": "batch-v0", "endpoint": "emulator"}))
    notes: list[str] = []
    answers = Answers.in_files([ran.outputs / "raw"], tmp_path / "loose", note=notes.append)
    assert answers.project is None
    made = make_tables(answers, out=tmp_path / "loose", format="csv", on_event=pytest.fail)
    assert {path.parent for path in made.paths} == {tmp_path / "loose"}
    assert notes


def test_a_dataset_is_a_folder_that_has_to_be_named(study: Project, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a folder of its own"):
        make_psych_ds(Answers.of(study), out=None, on_event=pytest.fail)
    made = make_psych_ds(Answers.of(study), out=tmp_path / "dataset", on_event=pytest.fail)
    assert made.paths[0] == tmp_path / "dataset" / "dataset_description.json"


def test_a_dataset_goes_nowhere_where_a_run_would_measure_it(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    manifest = written(
        tmp_path,
        service={"api": "batch-v0", "endpoint": "emulator"},
        sources={"text": TEXTS, "files": ["media/**/*"]},
    )
    (tmp_path / "media" / "a.wav").write_bytes(b"RIFF")
    hume_runner.run(manifest)
    with pytest.raises(UsageError, match=r"dataset_description\.json: .* finds it"):
        make_psych_ds(Answers.of(Project.open(manifest)), out=tmp_path / "media" / "set", on_event=print)
