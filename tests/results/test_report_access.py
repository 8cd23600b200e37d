"""The report for everybody: axe-core finds nothing, and large runs open as quickly as small ones."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from hume_runner.results.report.page import write_report
from tests.results.browser import opened
from tests.results.local_answers import faces, results, sounding, spoken
from tests.results.sample_answers import interviews
from tests.results.study_answers import study
from tests.results.test_report import many

OPENS_WITHIN_S = 2.0
LARGEST = 15_000_000


def violations(page: Any) -> list[str]:
    axe = pytest.importorskip("axe_core_python.sync_playwright")
    found = axe.Axe().run(page)
    return [f"{one['id']}: {node['html'][:160]}" for one in found["violations"] for node in one["nodes"]]


@pytest.mark.sweep
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light")])
def test_axe_finds_nothing_in_a_study(browser: Any, tmp_path: Path, width: int, scheme: str) -> None:
    with opened(browser, write_report(study(tmp_path), tmp_path / "r.html"), width=width, scheme=scheme) as seen:
        page = seen.page
        assert violations(page) == []
        for summary in page.locator("summary").all():
            summary.click()
        page.get_by_label("Colour and group by").select_option("group")
        page.fill("#search", "t2")
        page.locator("#list button").first.click()
        assert violations(page) == []


@pytest.mark.sweep
def test_axe_finds_nothing_in_what_is_measured_here_or_simulated(browser: Any, tmp_path: Path) -> None:
    here = results(tmp_path / "a", {"talk.mp4": {**spoken(60), "acoustics": sounding(60), "face": faces(60)}})
    for run in (here, interviews(tmp_path / "b", 12)):
        with opened(browser, write_report(run, tmp_path / "r.html")) as seen:
            assert violations(seen.page) == []


@pytest.mark.sweep
def test_all_of_it_is_reached_by_keyboard(browser: Any, tmp_path: Path) -> None:
    with opened(browser, write_report(study(tmp_path), tmp_path / "r.html")) as seen:
        page = seen.page
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the sources"
        visited = set()
        for _ in range(220):
            page.keyboard.press("Tab")
            visited.add(page.evaluate("document.activeElement.closest('section')?.id"))
        assert {"findings", "groups", "overview", "sources", "failures", "about"} <= visited
        row = page.locator("#overview-chart g[role=button]").nth(3)
        row.focus()
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "detail"


@pytest.mark.sweep
@pytest.mark.parametrize("count", [10, *(pytest.param(many, marks=pytest.mark.sweep) for many in (1_000, 10_000))])
def test_many_sources_open_within_two_seconds_and_15_megabytes(browser: Any, tmp_path: Path, count: int) -> None:
    report = write_report(many(tmp_path / "out", count), tmp_path / "report.html")
    assert report.stat().st_size <= LARGEST
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        page = context.new_page()
        session = context.new_cdp_session(page)
        # Processor time of the page's own thread: the machine may be busy with other things.
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        began = time.perf_counter()
        page.goto(report.as_uri())
        page.wait_for_selector("html[data-ready]", timeout=60_000)
        took = time.perf_counter() - began
        told = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
        print(
            f"{count} sources: {report.stat().st_size} bytes, {told['TaskDuration']:.2f} s of the thread, {took:.2f} s"
        )
        assert told["TaskDuration"] < OPENS_WITHIN_S
        assert page.inner_text("#found") == f"{count:,} sources"
    finally:
        context.close()
