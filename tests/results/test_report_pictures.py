"""Pictures that the page saves: as wide as asked, with title, model, n, axes and legend, whole without the page."""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from hume_runner.results.report.page import write_report
from tests.results.browser import opened
from tests.results.local_answers import results, sounding, spoken
from tests.results.sample_answers import interviews

SVG = "{http://www.w3.org/2000/svg}"


def saved(page: Any, button: Any, path: Path) -> Path:
    with page.expect_download() as waiting:
        button.click()
    waiting.value.save_as(path)
    return path


def words(path: Path) -> list[str]:
    return [node.text or "" for node in ET.parse(path).getroot().iter(f"{SVG}text")]


@pytest.mark.sweep
def test_every_chart_is_saved_with_title_model_n_axes_and_legend(browser: Any, report: Path, tmp_path: Path) -> None:
    with opened(browser, report, scheme="dark") as seen:
        page = seen.page
        page.fill("#search", "p1-post")
        page.locator("#list button").first.click()
        detail = page.locator("#detail .save-svg")
        top = page.locator("#detail .chips").first.locator("button[aria-pressed=true]").first.inner_text()
        charts = {
            "groups": (page.locator("#groups-controls .save-svg"), {"time:", "post (n = 12)", "pre (n = 10)"}),
            "overview": (page.locator("#overview-controls .save-svg"), {"mean score", "Joy", "p2-pre"}),
            "bars": (detail.nth(0), {"mean score over rows", "Joy"}),
            "timeline": (detail.nth(1), {"score", "time from the start, s", top}),
        }
        page.get_by_label("Label", exact=True).select_option("time")
        found = {}
        for name, (button, expected) in charts.items():
            path = saved(page, button, tmp_path / f"{name}.svg")
            found[name] = words(path)
            assert expected <= set(found[name]), name
            root = ET.parse(path).getroot()
            assert root.get("width") == "180mm"
            assert float(root.get("viewBox", "").split()[2]) == pytest.approx(180 / 25.4 * 96, abs=1)
            # Black on white, whatever the screen, and nothing that the page alone could resolve.
            assert root.find(f"{SVG}rect").get("fill") == "#fff"  # type: ignore[union-attr]
            text = path.read_text(encoding="utf-8")
            assert "var(" not in text
            assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
        assert found["groups"][0] == "walk: face by time"
        assert found["overview"][0] == "walk: face: expressions, source by source"
        assert any("n = 22 sources" in line for line in found["overview"])
        assert found["timeline"][0] == "p1-post: face over time"
        assert any("Model face; n = 20 rows" in line for line in found["timeline"])
        assert seen.console == []


@pytest.mark.sweep
def test_a_picture_is_as_wide_as_asked_and_png_has_300_dots_an_inch(browser: Any, report: Path, tmp_path: Path) -> None:
    with opened(browser, report) as seen:
        page = seen.page
        page.locator("#groups-controls input.mm").fill("89")
        page.keyboard.press("Tab")
        assert page.locator("#overview-controls input.mm").input_value() == "89"
        path = saved(page, page.locator("#overview-controls .save-svg"), tmp_path / "a.svg")
        assert ET.parse(path).getroot().get("width") == "89mm"
        edge = float(ET.parse(path).getroot().get("viewBox", "").split()[2])
        assert all(float(node.get("x") or 0) <= edge for node in ET.parse(path).getroot().iter(f"{SVG}text"))
        image = saved(page, page.locator("#overview-controls .save"), tmp_path / "a.png").read_bytes()
        width, height = struct.unpack(">II", image[16:24])
        assert width == pytest.approx(89 / 25.4 * 300, abs=3)
        assert height > 500
        assert seen.console == []
        # What is on screen stays as it was.
        assert page.locator("#overview-chart svg").evaluate("svg => +svg.getAttribute('width')") > 1000


@pytest.mark.sweep
def test_simulated_scores_say_so_in_pictures(browser: Any, tmp_path: Path) -> None:
    with opened(browser, write_report(interviews(tmp_path, 6), tmp_path / "r.html")) as seen:
        path = saved(seen.page, seen.page.locator("#jobs-controls .save-svg"), tmp_path / "jobs.svg")
        assert words(path)[-1] == "SIMULATED SCORES: made up by the emulator, no measurement"
        assert "time since the first job, s" in words(path)


@pytest.mark.sweep
def test_what_was_heard_over_time_is_saved_too(browser: Any, tmp_path: Path) -> None:
    run = results(tmp_path / "out", {"talk.wav": {**spoken(90), "acoustics": sounding(90)}})
    with opened(browser, write_report(run, tmp_path / "r.html")) as seen:
        path = saved(seen.page, seen.page.locator("#detail .controls .save-svg").first, tmp_path / "t.svg")
        assert {"loudness", "pitch", "time from the start, min:s", "language: score"} <= set(words(path))
        assert any("acoustics: n = 90 rows" in line for line in words(path))
