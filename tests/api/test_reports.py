"""Pages and pictures that a script makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from hume_runner.api import Project, Verdict
from hume_runner.api.rebuilding import Answers
from hume_runner.api.reports import Beside, draw_figures, make_page
from hume_runner.api.verifying import checked_files
from hume_runner.errors import UsageError


def test_a_page_in_its_place_is_an_output_of_the_study(study: Project) -> None:
    made = make_page(Answers.of(study))
    assert (made.path, made.unread) == (study.paths.outputs / "report.html", ())
    assert {checked.verdict for checked in checked_files(study)} == {Verdict.SAME}


def test_a_page_with_others_beside_it_is_a_file_of_its_own(study: Project) -> None:
    beside = Beside(other=study.paths.outputs)
    with pytest.raises(UsageError, match="without the comparison"):
        make_page(Answers.of(study), out=study.paths.outputs / "report.html", beside=beside)
    made = make_page(Answers.of(study), beside=beside)
    assert made.path == study.paths.outputs / "report-compared.html"
    assert made.resolved == made.path.resolve()


def test_a_page_takes_the_place_of_no_other_file(study: Project, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("mine")
    with pytest.raises(UsageError, match="did not write it"):
        make_page(Answers.of(study), out=tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == "mine"


def test_the_numbers_of_figures_are_written(study: Project, tmp_path: Path) -> None:
    paths = draw_figures(Answers.of(study), tmp_path / "figures", form="csv", told=print)
    assert paths
    assert {path.suffix for path in paths} == {".csv"}
    with pytest.raises(UsageError, match="takes all"):
        draw_figures(Answers.of(study), tmp_path / "figures", scores=["joy"], all_scores=True, told=print)
