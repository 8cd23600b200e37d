"""Figures as files: what they say, and that they are the same every time."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from xml.etree import ElementTree

import pytest

from hume_runner import plot_groups, plot_timeline
from hume_runner.errors import UsageError
from hume_runner.results.figures.timeline import SourceRows, _runs, _step
from hume_runner.results.figures.write import write_figures
from hume_runner.results.read import DirectoryResults
from hume_runner.services.batch_v0.layouts import FACE
from tests.cli.project import Project
from tests.results import local_answers
from tests.results.sample_answers import interviews


def words(path: Path) -> str:
    """All text of an SVG."""
    return " ".join(ElementTree.parse(path).getroot().itertext())


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> DirectoryResults:
    return interviews(tmp_path_factory.mktemp("out"), 24)


@pytest.mark.sweep
def test_means_groups_and_timelines_say_what_they_show(results: DirectoryResults, tmp_path: Path) -> None:
    paths = write_figures(results, tmp_path, sources=["p01"])

    assert {path.name for path in paths} >= {
        "means-face.svg",
        "groups-face-wave.svg",
        "timeline-face-p01.svg",
        "timeline-prosody-p01.svg",
    }
    text = words(tmp_path / "groups-face-wave.svg")
    assert "interviews: face by wave" in text
    assert "simulated" in text
    assert re.search(r"1 \(n = \d+\)", text)
    assert "mean over sources, with 95 % interval" in text
    assert "n = 64 rows" in words(tmp_path / "timeline-face-p01.svg")
    assert "seconds from the start of the source" in words(tmp_path / "timeline-face-p01.svg")


@pytest.mark.sweep
def test_the_same_results_are_the_same_bytes(results: DirectoryResults, tmp_path: Path) -> None:
    for form in ("svg", "png", "pdf"):
        first = write_figures(results, tmp_path / "a", form=form, sources=["p01"], labels=["wave"])
        second = write_figures(results, tmp_path / "b", form=form, sources=["p01"], labels=["wave"])
        assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


@pytest.mark.sweep
def test_a_figure_has_the_width_that_was_asked_for(results: DirectoryResults, tmp_path: Path) -> None:
    path = write_figures(results, tmp_path, form="png", width_mm=85, sources=["p01"])[0]

    width, _ = struct.unpack(">II", path.read_bytes()[16:24])
    assert width == pytest.approx(85 / 25.4 * 300, abs=1)


def test_measurements_with_units_are_not_drawn_on_one_scale(tmp_path: Path) -> None:
    sources = {"a.wav": {"acoustics": local_answers.sounding(30)}}
    found = local_answers.results(tmp_path / "out", sources)

    write_figures(found, tmp_path / "f")

    text = words(tmp_path / "f" / "timeline-acoustics-a.wav.svg")
    assert "pitch, Hz" in text
    assert "loudness, LUFS" in text
    assert not (tmp_path / "f" / "means-acoustics.svg").exists()


def test_moments_with_nothing_measured_between_are_not_joined() -> None:
    rows = SourceRows(layout=FACE)
    rows.kept = [(float(t), None, "face_0", {"Joy": 0.5}) for t in (0, 1, 2, 9, 10)]
    rows.kept += [(float(t), None, "face_1", {"Joy": 0.5}) for t in (0, 1)]

    assert [xs for xs, _ in _runs(rows, "Joy", _step(rows))] == [[0, 1, 2], [9, 10], [0, 1]]


def test_what_is_not_there_is_told_with_the_nearest_name(results: DirectoryResults, tmp_path: Path) -> None:
    for asked in ({"sources": ["p001"]}, {"labels": ["wavee"]}):
        with pytest.raises(UsageError) as caught:
            write_figures(results, tmp_path / "f", **asked)
        assert "did you mean" in caught.value.hint
    found = local_answers.results(tmp_path / "out", {"study/P01_pre.wav": {"acoustics": local_answers.sounding(2)}})
    for asked, told in (
        ({"sources": ["P01_pre"]}, "did you mean 'study/P01_pre.wav'?"),
        ({"sources": ["zebra"]}, "there are 'study/P01_pre.wav'"),
    ):
        with pytest.raises(UsageError) as caught:
            write_figures(found, tmp_path / "f", **asked)
        assert caught.value.hint == told


def test_figures_of_a_run_from_the_command_and_from_python(project: Project, tmp_path: Path) -> None:
    project.manifest["sources"] = {
        "text": [{"text": f"Text {n}.", "id": f"t{n}", "labels": {"wave": n % 2}} for n in range(4)]
    }
    project.manifest["models"] = {"language": {}}
    assert project.run().code == 0

    ran = project.call("report", "--figures", str(tmp_path / "f"), "--width", "90", "--json")

    assert ran.code == 0, ran.err
    files = next(line for line in ran.lines if line["event"] == "report")["figures"]
    assert {Path(file).name for file in files} == {"means-language.svg", "groups-language-wave.svg"}
    assert project.call("report", "--source", "t1").code == 64
    assert project.call("report", "--figures", str(tmp_path / "f"), "--label", "wav").code == 64
    figure = plot_groups(project.out, "wave", scores=["Joy", "Fear"])
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["Joy", "Fear"]
    with pytest.raises(UsageError, match="no score 'Joi'"):
        plot_groups(project.out, "wave", scores=["Joi"])
    with pytest.raises(UsageError, match="times and scores"):
        plot_timeline(project.out, "t1")
