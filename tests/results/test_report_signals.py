"""What the report shows of `local`: who measured, and words, curves and faces over time."""

from __future__ import annotations

import json
import os
import shutil
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hume_runner
from hume_runner.results.report.gather import gather
from hume_runner.results.report.page import write_report
from hume_runner.results.report.signals import most_parts, rows_for
from hume_runner.services.local.layouts import layouts
from tests.results.browser import opened
from tests.results.local_answers import BY, faces, results, sounding, spoken
from tests.results.sample_answers import interviews
from tests.results.test_output_schemas import validator

HOSTILE = '"><img src=x onerror=alert(1)></script><script>alert(2)</script>{{7*7}}'


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("here")
    still = [row | {"time_s": None, "track": None} for row in faces(1, fps=1)]
    names = [{"text": "Anna", "label": "PERSON", "begin": 0, "end": 4}]
    sources = {
        "talk.mp4": {
            **spoken(90),
            "acoustics": sounding(90),
            "face": faces(90),
            "ner": [{"text": "Paris", "label": "GPE", "begin": 0, "end": 5, "begin_s": 1.0, "end_s": 1.4}],
        },
        "tone.wav": {"acoustics": sounding(20)},
        "heard.wav": {"speech": spoken(20)["speech"]},
        "still.png": {"face": still},
        "written": {"ner": names},
    }
    return write_report(results(directory, sources), directory / "report.html")


def test_a_source_in_another_language_has_no_score_for_a_reason(tmp_path: Path) -> None:
    blank = dict.fromkeys(layouts()["language"].families[0].names)
    sources = {name: spoken(90) for name in ("english.wav", "german.wav")}
    sources["german.wav"]["language"] = [row | {"goemotions": blank} for row in sources["german.wav"]["language"]]
    told = " ".join(gather(results(tmp_path, sources)).findings[-1].sentences)
    assert "1 source has no score in language, since it reads English only" in told
    assert "german.wav" in told
    assert "english.wav" not in told


def test_what_was_hardly_understood_is_told_with_what_it_means(tmp_path: Path) -> None:
    sources = {"guessed.wav": spoken(90)}
    sources["guessed.wav"]["speech"] = [row | {"mean_word_probability": 0.4} for row in spoken(90)["speech"]]
    told = " ".join(gather(results(tmp_path, sources)).findings[-1].sentences)
    assert "below 0.5 in speech, so that it was hardly said like this (noise, or another language)" in told


def choose(page: Any, name: str) -> None:
    page.locator("#list button", has_text=name).click()


def test_what_layouts_draw_are_columns_of_theirs() -> None:
    drawn = {name: layout for name, layout in layouts().items() if layout.signals is not None}
    assert set(drawn) >= {"speech", "words", "ner", "acoustics", "face"}
    for layout in drawn.values():
        assert layout.signals is not None
        names = {column.name for column in layout.columns}
        assert {name for name in layout.signals.columns if name} <= names
        assert layout.signals.lane is None or layout.signals.lane in names
        assert layout.time is not None


@pytest.mark.sweep
def test_on_top_stands_who_measured_and_that_these_are_not_humes_scores(browser: Any, report: Path) -> None:
    with opened(browser, report) as seen:
        page = seen.page
        assert "They are not Hume's scores" in page.inner_text("header")
        rows = page.locator("#who tbody tr").all_inner_texts()
        assert len(rows) == 5
        whisper = next(row for row in rows if "whisper-tiny.en" in row)
        assert all(words in whisper for words in ("speech, words", "MIT", BY["speech"].rpartition("#")[2], "version 1"))
        assert "not told by the service" not in page.inner_text("header")
        assert "arXiv 2211.15937" not in page.inner_text("#who")
        page.locator("#who summary").nth(1).click()
        assert "arXiv 2211.15937" in page.inner_text("#who")  # all of its limits
        assert "Source: https://" in page.locator("#who tbody").text_content()
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.locator("#who details:not([open])").count() == 0


def test_rows_of_somebody_whom_the_settings_do_not_name_are_told(tmp_path: Path) -> None:
    rows = [row | {"measured_by": "old-face@7#0123abcd"} for row in faces(2)]
    told = gather(results(tmp_path, {"a.mp4": {"face": rows}}, {"acoustics": {}}))

    assert [(one["name"], one["version"], one["hash"], one["tables"]) for one in told.who] == [
        ("acoustics", "1", BY["acoustics"].rpartition("#")[2], "no rows"),
        ("old-face", "7", "0123abcd", "face"),
    ]


def test_a_service_that_tells_nobody_has_no_such_section(tmp_path: Path) -> None:
    page = write_report(interviews(tmp_path, 3), tmp_path / "report.html").read_text("utf-8")
    assert "Who measured" not in page.split("</style>")[1].split("<script")[0]
    assert "not Hume's" not in page


@pytest.mark.sweep
def test_the_page_is_quiet_and_fits_wide_and_narrow_light_and_dark(browser: Any, report: Path) -> None:
    for width, height, scheme in ((1280, 900, "light"), (390, 844, "dark")):
        with opened(browser, report, width=width, height=height, scheme=scheme) as seen:
            for button in seen.page.locator("#list button").all():
                button.click()
                assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert seen.console == []
            assert seen.requests == [report.as_uri()]


@pytest.mark.sweep
def test_words_stand_under_their_scores_over_curves_and_faces(browser: Any, report: Path) -> None:
    with opened(browser, report) as seen:
        page = seen.page
        chart = page.locator("svg.span")
        labels = chart.locator("> text").all_text_contents()
        order = ["language", "speech", "words", "names", "loudness", "LUFS", "pitch", "Hz", "face 0", "face 1"]
        assert [label for label in labels if label in order] == order
        assert "It was the best" not in chart.text_content()  # no room in a minute and a half
        page.get_by_role("button", name="10 seconds").click()
        text = chart.text_content()
        assert all(words in text for words in ("It was the best of", "best", "times.", "Paris", "0.52"))
        assert "We had" in text
        page.get_by_role("button", name="Later").click()
        assert "Paris" not in chart.text_content()


@pytest.mark.sweep
def test_what_nothing_measured_is_a_gap(browser: Any, report: Path) -> None:
    with opened(browser, report) as seen:
        choose(seen.page, "tone.wav")
        # One line of loudness, and one of pitch for each stretch of three windows that have one.
        assert seen.page.locator("svg.span polyline").count() == 1 + 5
        assert seen.page.locator("svg.span polygon").count() == 5
        choose(seen.page, "talk.mp4")
        assert seen.page.locator("svg.span g rect[height='12']").count() == 2 * 2  # both faces leave, and come back


@pytest.mark.sweep
def test_how_faces_move_are_lines_over_time_and_gaps_are_not_joined(browser: Any, tmp_path: Path) -> None:
    # Two faces at three pictures a second for half a minute: both are away for a third, one blinks out for a picture.
    moving = [
        row | {"mouth_opening": 0.1 + row["picture"] % 7 / 50, "eye_opening_left": 0.2, "eye_opening_right": 0.1}
        for row in faces(30)
        if (row["track"], row["picture"]) != (1, 12)
    ]
    moving[4] |= {"mouth_opening": None}
    page = write_report(results(tmp_path, {"talk.mp4": {"face": moving}}), tmp_path / "report.html")
    with opened(browser, page) as seen:
        chart = seen.page.locator("svg.span")
        labels = chart.locator("> text").all_text_contents()
        drawn = ["mouth opening", "eye opening", "head yaw", "head pitch", "head roll"]
        assert [label for label in labels if label in (*drawn, "mouth width", "brow height")] == drawn
        assert list(dict.fromkeys(label for label in labels if label in UNITS)) == ["eye distances", "degrees"]
        # Face 0 in two stretches and face 1 in three; of the mouth, face 0 has one more gap. Eyes have a line each.
        assert chart.locator("polyline").count() == 6 + 2 * 5 + 3 * 5
        assert chart.locator("polyline[stroke-dasharray]").count() == 5
        for end in chart.locator("polyline").evaluate_all(LENGTHS):
            assert end < 320  # a third of the axis at most: nothing crosses the third without faces
        box = chart.bounding_box()
        chart.hover(position={"x": 104 + (box["width"] - 116) * 2 / 30, "y": 40})
        assert "face 1: score 0.9, mouth opening 0.22, eye opening left 0.2" in seen.page.inner_text("#tip")
        assert seen.console == []


UNITS = ("eye distances", "degrees")
LENGTHS = "lines => lines.map(l => { const x = l.getAttribute('points').split(' ').map(p => +p.split(',')[0]); "
LENGTHS += "return Math.max(...x) - Math.min(...x); })"


@pytest.mark.sweep
def test_numbers_beyond_all_measure_neither_hang_nor_break_the_page(browser: Any, tmp_path: Path) -> None:
    # Constant and so large that nothing can be added to it; and differing by the least that there is.
    rows = [row | {"mouth_opening": 1e300, "yaw": 1e17 + 16 * (row["picture"] % 2)} for row in faces(5)]
    with opened(browser, write_report(results(tmp_path, {"a.mp4": {"face": rows}}), tmp_path / "r.html")) as seen:
        assert seen.page.locator("svg.span polyline").count() > 0
        assert "NaN" not in seen.page.locator("#detail").inner_html()
        assert seen.console == []


@pytest.mark.sweep
def test_boxes_lie_in_a_picture_of_its_own_size(browser: Any, tmp_path: Path) -> None:
    rows = [row | {"picture_width": 640, "picture_height": 360} for row in faces(3)]
    with opened(browser, write_report(results(tmp_path, {"a.mp4": {"face": rows}}), tmp_path / "r.html")) as seen:
        frame = seen.page.locator(".frames rect").first
        wide, tall = (float(frame.get_attribute(name)) for name in ("width", "height"))
        assert (wide + 2) / (tall + 2) == pytest.approx(640 / 360, rel=0.01)
        assert "Frames are the picture's edges" in seen.page.inner_text(".frames figcaption")


@pytest.mark.sweep
def test_a_moment_is_told_to_pointer_and_keys_and_shown_in_the_boxes(browser: Any, report: Path) -> None:
    with opened(browser, report) as seen:
        page = seen.page
        chart = page.locator("svg.span")
        box = chart.bounding_box()
        chart.hover(position={"x": 104 + (box["width"] - 116) * 2 / 90, "y": 60})
        tip = page.inner_text("#tip")
        assert "“It was the best of times.”" in tip
        assert "pitch 120 Hz" in tip
        assert "face 1: score 0.9, yaw 5, pitch 1, roll 0" in tip
        assert "0.520" in tip
        assert "chosen" not in page.locator(".frames svg").text_content()
        chart.click(position={"x": 104 + (box["width"] - 116) * 2 / 90, "y": 60})
        assert "2 s, chosen" in page.locator(".frames svg").text_content()
        assert "It was the best" in page.locator("#detail .readout").first.inner_text()
        page.keyboard.press("Escape")
        chart.focus()
        for _ in range(30):
            page.keyboard.press("ArrowRight")
        assert "none, chosen" in page.locator(".frames svg").text_content()  # in the middle nobody is there
        assert "face 0" not in page.locator("#detail .readout").first.inner_text()


@pytest.mark.sweep
def test_sources_without_scores_are_shown_too(browser: Any, report: Path) -> None:
    with opened(browser, report) as seen:
        page = seen.page
        listed = dict(zip(page.locator("#list .name").all_text_contents(),
                          page.locator("#list .more").all_text_contents(), strict=True))  # fmt: skip
        assert listed["tone.wav"] == "acoustics: 20 rows"
        assert listed["heard.wav"] == "It was the best of times."
        choose(page, "heard.wav")
        assert page.locator("#detail table tbody tr").count() == 5
        choose(page, "still.png")
        assert page.locator(".frames g").count() == 1
        assert page.locator(".frames g rect").count() == 1 + 2
        assert page.locator("svg.span").count() == 0
        choose(page, "written")
        assert "Anna PERSON" in page.inner_text("#detail .loose")
        assert "found nothing" not in page.inner_text("#detail")


@pytest.mark.sweep
def test_without_any_score_there_is_no_empty_overview(browser: Any, tmp_path: Path) -> None:
    page = write_report(results(tmp_path, {"a.wav": {"acoustics": sounding(9)}}), tmp_path / "report.html")
    with opened(browser, page) as seen:
        assert seen.console == []
        assert seen.page.locator("#overview").count() == 0
        assert seen.page.locator("svg.span polyline").count() > 1


@pytest.mark.sweep
def test_hostile_words_are_shown_and_never_run(browser: Any, tmp_path: Path) -> None:
    tables = {
        **spoken(12, [HOSTILE]),
        "face": [row | {"measured_by": f"{HOSTILE}@1#0123abcd"} for row in faces(3)],
        "ner": [{"text": HOSTILE, "label": HOSTILE, "begin": 0, "end": 1}],
    }
    page = write_report(results(tmp_path, {HOSTILE: tables}), tmp_path / "report.html")
    with opened(browser, page) as seen:
        seen.page.locator("svg.span").hover()
        assert seen.page.locator("img").count() == 0
        assert HOSTILE in seen.page.locator("#who").text_content()
        assert "{{7*7}}" in seen.page.inner_text("#detail .loose")
        assert seen.console == []
        assert seen.requests == [page.as_uri()]


@pytest.mark.sweep
def test_long_recordings_are_thinned_faces_of_a_picture_stay_together_and_words_in_order(tmp_path: Path) -> None:
    hours = {**spoken(3 * 3600), "acoustics": sounding(3 * 3600), "face": faces(3600, tracks=3)}
    gathered = gather(results(tmp_path / "out", {"long.mp4": hours}))
    drawn = gathered.sources[0]["g"]

    assert all(len(part["rows"]) <= 4_000 for part in drawn.values())
    assert {name: part["n"] for name, part in drawn.items()} == {
        name: len(rows) for name, rows in hours.items() if name in drawn
    }
    assert [row[2] for row in drawn["words"]["rows"]] == [row["text"] for row in hours["words"][:4_000]]
    assert drawn["acoustics"]["rows"][-1][0] > 3 * 3600 - 10
    pictures: dict[float, set[int]] = {}
    for row in drawn["face"]["rows"]:
        pictures.setdefault(row[0], set()).add(row[3])
    assert all(tracks == {0, 1, 2} for tracks in pictures.values())

    assert (
        write_report(results(tmp_path / "again", {"long.mp4": hours}), tmp_path / "r.html").stat().st_size < 1_500_000
    )


@pytest.mark.sweep
def test_many_sources_share_the_page_and_each_keeps_a_picture(tmp_path: Path) -> None:
    tables = {"acoustics": sounding(60), "face": faces(20)}
    gathered = gather(results(tmp_path, {f"{number}.mp4": tables for number in range(300)}))
    assert {len(source["g"]["acoustics"]["rows"]) for source in gathered.sources} == {60}
    assert rows_for(most_parts()) * most_parts() * 50 <= 5_000_000
    assert rows_for(1) == 4_000
    assert rows_for(10**6) == rows_for(most_parts()) == 24


@pytest.mark.sweep
@pytest.mark.parametrize("letter", ["ü", "<"])
def test_long_texts_in_many_sources_do_not_outgrow_the_page(tmp_path: Path, letter: str) -> None:
    utterances = spoken(2_000, [letter * 300])["speech"]
    run = results(tmp_path / "out", {f"{number}.wav": {"speech": utterances} for number in range(20)})
    parts = [source["g"]["speech"] for source in gather(run).sources]
    assert {part["n"] for part in parts} == {500}
    assert all(60 <= len(part["rows"]) < 500 and part["stride"] > 1 for part in parts)
    assert write_report(run, tmp_path / "report.html").stat().st_size < 5_500_000


@pytest.mark.sweep
def test_a_run_tells_who_measures_in_run_json_and_in_its_report(tmp_path: Path, browser: Any) -> None:
    samples = (9000 * np.sin(np.arange(3 * 16000) * 2 * np.pi * 200 / 16000)).astype("<i2")
    with wave.open(str(tmp_path / "tone.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(samples.tobytes())
    manifest = {
        "version": 1, "name": "here", "service": {"api": "local"}, "models": {"language": {}, "acoustics": {}},
        "sources": {"files": [str(tmp_path / "tone.wav")], "text": ["I am so happy that you came!"]},
        "outputs": {"directory": str(tmp_path / "out"), "report": True},
    }  # fmt: skip
    assert hume_runner.run(manifest).exit_code == 0
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    validator("run-v1").validate(run)
    assert [(one["model"], one["measured_by"]) for one in run["measurers"]] == [
        ("acoustics", BY["acoustics"]),
        ("language", BY["language"]),
    ]
    assert all(one["licence"] and one["limits"] for one in run["measurers"])
    with opened(browser, tmp_path / "out" / "report.html") as seen:
        assert seen.console == []
        assert "joy" in seen.page.inner_text("#list")
        choose(seen.page, "tone.wav")
        seen.page.locator("svg.span").hover()
        assert "pitch 200 Hz" in seen.page.inner_text("#tip")


@pytest.mark.sweep
def test_recorded_speech_and_a_real_face_are_drawn(tmp_path: Path, browser: Any) -> None:
    root = Path(os.environ.get("HUME_RUNNER_MODELS", ""), "recordings", "beckett.wav")
    try:
        from PIL import Image
        from skimage.data import astronaut
    except ImportError:
        root = Path()
    if not root.is_file():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("no weights, recordings or scikit-image here")
    shutil.copy(root, tmp_path / "beckett.wav")
    Image.fromarray(astronaut()).save(tmp_path / "astronaut.png")
    manifest = {
        "version": 1, "name": "real", "service": {"api": "local"},
        "models": {"speech": {}, "language": {}, "acoustics": {}, "face": {}},
        "sources": {"files": [str(tmp_path / "beckett.wav"), str(tmp_path / "astronaut.png")]},
        "execution": {"workers": 1}, "outputs": {"directory": str(tmp_path / "out"), "report": True},
    }  # fmt: skip
    assert hume_runner.run(manifest).exit_code == 0
    with opened(browser, tmp_path / "out" / "report.html") as seen:
        page = seen.page
        choose(page, "beckett.wav")
        page.get_by_role("button", name="3 seconds").click()
        assert "tried" in page.locator("svg.span").text_content()
        choose(page, "astronaut.png")
        assert page.locator(".frames g rect").count() == 2
        assert seen.console == []
