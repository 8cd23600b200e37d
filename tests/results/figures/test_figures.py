"""Figures as files: what they say, and that they are the same every time."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from hume_runner import plot_groups, plot_timeline
from hume_runner.errors import UsageError
from hume_runner.results.figures.choosing import Wanted, named_scores
from hume_runner.results.figures.timeline import SourceRows, _runs, _step
from hume_runner.results.figures.write import groups, look_through, timeline, write_figures
from hume_runner.results.read import DirectoryResults
from hume_runner.services.batch_v0.layouts import FACE
from hume_runner.services.local.measurers.language import LANGUAGE
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
    paths = write_figures(results, tmp_path, wanted=Wanted(sources=["p01"]))

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
        first = write_figures(results, tmp_path / "a", form=form, wanted=Wanted(sources=["p01"], labels=["wave"]))
        second = write_figures(results, tmp_path / "b", form=form, wanted=Wanted(sources=["p01"], labels=["wave"]))
        assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


@pytest.mark.sweep
def test_a_figure_has_the_width_that_was_asked_for(results: DirectoryResults, tmp_path: Path) -> None:
    path = write_figures(results, tmp_path, form="png", width_mm=85, wanted=Wanted(sources=["p01"]))[0]

    width, _ = struct.unpack(">II", path.read_bytes()[16:24])
    assert width == pytest.approx(85 / 25.4 * 300, abs=1)


@pytest.mark.sweep
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


@pytest.mark.sweep
def test_what_is_not_there_is_told_with_the_nearest_name(results: DirectoryResults, tmp_path: Path) -> None:
    for asked in ({"sources": ["p001"]}, {"labels": ["wavee"]}):
        with pytest.raises(UsageError) as caught:
            write_figures(results, tmp_path / "f", wanted=Wanted(**asked))
        assert "did you mean" in caught.value.hint
    found = local_answers.results(tmp_path / "out", {"study/P01_pre.wav": {"acoustics": local_answers.sounding(2)}})
    for asked, told in (
        ({"sources": ["P01_pre"]}, "did you mean 'study/P01_pre.wav'?"),
        ({"sources": ["zebra"]}, "there are 'study/P01_pre.wav'"),
    ):
        with pytest.raises(UsageError) as caught:
            write_figures(found, tmp_path / "f", wanted=Wanted(**asked))
        assert caught.value.hint == told


@pytest.mark.sweep
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


def a_wave(folder: Path, values: dict[str, list[float]], *, simulated: bool = False) -> DirectoryResults:
    """Texts by group, each with a probability of joy: `{"pre": [0.1, 0.2], …}`."""
    names = LANGUAGE.layouts[0].families[0].names
    sources, labels = {}, {}
    for group, joys in values.items():
        for number, joy in enumerate(joys):
            scores = {name: round(0.01 + 0.0001 * i, 4) for i, name in enumerate(names)} | {"joy": joy}
            sources[f"p{number}-{group}"] = {"language": [{"text": "So it is.", "goemotions": scores}]}
            labels[f"p{number}-{group}"] = {"wave": group, "person": f"p{number}"}
    return local_answers.results(folder, sources, labels=labels, simulated=simulated)


@pytest.mark.sweep
def test_a_picture_of_chosen_scores_says_which_of_how_many_they_are(tmp_path: Path) -> None:
    found = a_wave(tmp_path / "out", {"pre": [0.1, 0.2], "post": [0.5, 0.6]})

    write_figures(found, tmp_path / "usual")
    named = write_figures(found, tmp_path / "named", wanted=Wanted(scores=["joy", "Fear"]))
    write_figures(found, tmp_path / "every", wanted=Wanted(every=True))

    assert "the 8 of 28 scores that lie furthest apart" in words(tmp_path / "usual" / "groups-language-wave.svg")
    assert "the 10 of 28 scores with the highest means" in words(tmp_path / "usual" / "means-language.svg")
    assert {path.name for path in named} == {"means-language.svg", "groups-language-wave.svg"}
    for path in named:
        assert "2 of 28 scores, chosen by name" in words(path)
        assert {"joy", "fear"} <= set(words(path).split())
        assert "anger" not in words(path)
    assert "all 28 scores" in words(tmp_path / "every" / "groups-language-wave.svg")


@pytest.mark.sweep
def test_a_timeline_says_which_of_how_many_scores_it_has(tmp_path: Path) -> None:
    found = local_answers.results(tmp_path, {"a.wav": local_answers.spoken(12)})

    (usual,) = timeline(found, "a.wav", table="language").axes
    (named,) = timeline(found, "a.wav", table="language", scores=["goemotions_joy"]).axes

    assert "the 5 of 28 scores with the highest means" in usual.get_xlabel()
    assert "1 of 28 scores, chosen by name" in named.get_xlabel()


@pytest.mark.sweep
def test_scores_go_by_every_spelling_that_tables_and_pictures_have(results: DirectoryResults, tmp_path: Path) -> None:
    drawn = look_through(results, items=(), groups=())
    for spelt in ("joy", "Joy", "emotion_joy"):
        assert named_scores([spelt], drawn.scores())["face"] == [("emotion", "Joy")]
    for asked in ({"scores": ["joyy"]}, {"tables": ["faces"]}, {"labels": ["wave=1,9"]}):
        with pytest.raises(UsageError, match="there is no"):
            write_figures(results, tmp_path / "f", wanted=Wanted(**asked))


def test_measurements_are_drawn_by_name_though_no_page_draws_them(tmp_path: Path) -> None:
    rows = [row | {"pause_share": 0.25} for row in local_answers.sounding(6)]
    sources = {f"{n}.wav": {"acoustics": rows} for n in "abcd"}
    labels = {f"{n}.wav": {"site": "x" if n < "c" else "y"} for n in "abcd"}
    found = local_answers.results(tmp_path / "out", sources, labels=labels)

    figure = groups(found, "site", scores=["pause_share"])
    figure_of_time = timeline(found, "a.wav", scores=["pause_share"])

    assert [label.get_text() for axes in figure.axes for label in axes.get_yticklabels()] == ["pause share"]
    assert [axes.get_ylabel() for axes in figure_of_time.axes] == ["pause share"]
    with pytest.raises(UsageError, match="'longest_pause_s' is a column of acoustics that has no mean"):
        groups(found, "site", scores=["longest_pause_s"])
    usual = groups(found, "site")
    assert [label.get_text() for axes in usual.axes for label in axes.get_yticklabels()] == [
        "loudness, LUFS",
        "pitch, Hz",
        "pitch min, Hz",
        "pitch max, Hz",
    ]


def test_groups_stand_as_people_read_them_or_as_somebody_says(tmp_path: Path) -> None:
    found = a_wave(tmp_path, {"post": [0.5, 0.6], "pre": [0.1, 0.2], "follow-up": [0.3, 0.4]})

    def legend(**more: Any) -> list[str]:
        (axes,) = groups(found, "wave", scores=["joy"], **more).axes
        return [text.get_text() for text in axes.get_legend().get_texts()]

    assert legend() == ["pre (n = 2)", "post (n = 2)", "follow-up (n = 2)"]
    assert legend(order=["follow-up", "pre"]) == ["follow-up (n = 2)", "pre (n = 2)"]
    with pytest.raises(UsageError, match="there is no value of wave, 'prae'"):
        legend(order=["pre", "prae"])


@pytest.mark.sweep
def test_a_label_that_tells_persons_apart_is_drawn_only_when_it_is_asked_for(tmp_path: Path) -> None:
    found = a_wave(tmp_path / "out", {"post": [0.5, 0.6, 0.7], "pre": [0.1, 0.2, 0.3]})
    told: list[str] = []

    usual = write_figures(found, tmp_path / "usual", told=told.append)
    asked = write_figures(found, tmp_path / "asked", wanted=Wanted(labels=["person"]))

    assert {path.name for path in usual} == {"means-language.svg", "groups-language-wave.svg"}
    assert told == ["not drawn by person, whose groups have one or two sources; --label person draws it"]
    assert "groups-language-person.svg" in {path.name for path in asked}


def test_an_interval_beyond_the_scale_is_cut_and_that_is_said(tmp_path: Path) -> None:
    found = a_wave(tmp_path, {"pre": [0.05, 0.6], "post": [0.2, 0.9]})

    (axes,) = groups(found, "wave", scores=["joy"]).axes

    drawn = [x for line in axes.get_lines() for x in line.get_xdata()]
    assert (min(drawn), max(drawn)) == (0.0, 1.0)
    assert "arrow: goes beyond 0 to 1, too few sources" in axes.get_xlabel()


def test_a_single_source_is_drawn_hollow_and_no_interval_is_claimed(tmp_path: Path) -> None:
    alone = groups(a_wave(tmp_path / "one", {"pre": [0.1], "post": [0.2]}), "wave", scores=["joy"])
    some = groups(a_wave(tmp_path / "two", {"pre": [0.1], "post": [0.2, 0.3]}), "wave", scores=["joy"])

    assert "no interval" in alone.axes[0].get_xlabel()
    assert "with 95 % interval" not in alone.axes[0].get_xlabel()
    assert "hollow: a single source, no interval" in some.axes[0].get_xlabel()


def test_every_panel_of_a_simulated_picture_says_so_by_itself(tmp_path: Path) -> None:
    for simulated in (True, False):
        found = a_wave(tmp_path / str(simulated), {"pre": [0.1], "post": [0.2, 0.3]}, simulated=simulated)
        panels = groups(found, "wave", scores=["joy"]).axes
        assert {"SIMULATED" in [text.get_text() for text in axes.texts] for axes in panels} == {simulated}


@pytest.mark.sweep
def test_the_numbers_of_groups_and_pairs_are_those_of_scipy(tmp_path: Path) -> None:
    import pandas as pd
    from scipy import stats

    before, after = [0.1, 0.2, 0.4], [0.3, 0.5, 0.5]
    found = a_wave(tmp_path / "out", {"post": after, "pre": before})

    paths = write_figures(found, tmp_path / "f", form="csv", wanted=Wanted(labels=["wave"]))

    assert [path.name for path in paths] == [
        "means-language.csv",
        "groups-language-wave.csv",
        "pairs-language-wave.csv",
    ]
    numbers = pd.read_csv(paths[1])
    assert len(numbers) == 2 * 28  # all scores, and not those alone that a picture has room for
    joy = numbers[numbers["name"] == "joy"].set_index("group")
    assert list(joy.index) == ["pre", "post"]
    for group, values in (("pre", before), ("post", after)):
        low, high = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
        told = [float(joy.loc[group, name]) for name in ("n", "mean", "sd", "low_95", "high_95")]
        assert told == pytest.approx([3, np.mean(values), np.std(values, ddof=1), low, high], rel=1e-3)
    pairs = pd.read_csv(paths[2]).set_index("name").loc["joy"]
    assert (pairs["first"], pairs["second"], pairs["n"]) == ("pre", "post", 3)
    assert pairs["mean"] == pytest.approx(np.mean(np.array(after) - np.array(before)))


def test_groups_beyond_the_first_dozen_are_told(tmp_path: Path) -> None:
    found = a_wave(tmp_path / "out", {f"day {day}": [0.1, 0.2] for day in range(14)})
    told: list[str] = []

    write_figures(found, tmp_path / "f", form="csv", wanted=Wanted(labels=["wave"]), told=told.append)

    assert told == ["wave: 4 sources of groups beyond the first 12 are left out"]
