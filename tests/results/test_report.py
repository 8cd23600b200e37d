"""The report as a file, and as a person sees it in a browser."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from pathlib import Path
from typing import Any

import pytest

from hume_runner.results.read import DirectoryResults, LooseResults
from hume_runner.results.report.gather import detail_for, gather
from hume_runner.results.report.page import write_report
from tests.results.browser import opened
from tests.results.sample_answers import (
    Outputs,
    face_rows,
    file_element,
    interviews,
    language_rows,
    model,
    prosody_rows,
    text_element,
)
from tests.tiers import sampled

HOSTILE = '"><img src=x onerror=alert(1)></script><script>alert(2)</script>{{7*7}}&lt;b\u2028'


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("interviews")
    return write_report(interviews(directory, 30), directory / "report.html")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("hostile")
    outputs = Outputs(directory=directory, name=HOSTILE, settings={"models": {HOSTILE: {}}})
    outputs.item(HOSTILE, "file", HOSTILE, labels={HOSTILE: HOSTILE})
    outputs.item("t", "text", HOSTILE)
    outputs.item("f", "file", HOSTILE, status="failed", error=HOSTILE, reason=HOSTILE)
    models = {"face": model({HOSTILE: face_rows(5)}), "prosody": model({HOSTILE: prosody_rows([HOSTILE] * 3)})}
    answer = [file_element(HOSTILE, models), text_element({"1": {"language": model({"x": language_rows([HOSTILE])})}})]
    outputs.job("job-000001", "r1", answer, [("file", HOSTILE, [HOSTILE]), ("text", "1", ["t"])])
    return write_report(outputs.write(), directory / "report.html")


@pytest.mark.sweep
def test_the_same_results_give_the_same_bytes(tmp_path: Path, report: Path) -> None:
    again = write_report(interviews(tmp_path / "out", 30), tmp_path / "again.html")

    assert again.read_bytes() == report.read_bytes()


@pytest.mark.sweep
def test_the_policy_allows_no_network_and_only_the_scripts_that_it_names(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    directives = dict(part.strip().split(" ", 1) for part in html.unescape(policy[1]).split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["img-src"] == "data:"
    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert directives[directive] == f"'sha256-{digest}'"
    assert not re.search(r'(?:src|href)="(?!data:|#)', text)


def test_the_page_opens_without_an_error_or_a_request(browser: Any, report: Path) -> None:
    for width, height, scheme in ((1280, 900, "light"), (390, 844, "dark")):
        with opened(browser, report, width=width, height=height, scheme=scheme) as seen:
            assert seen.console == []
            assert seen.requests == [report.as_uri()]
            # Nothing to scroll sideways, on a phone either.
            assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.sweep
def test_what_a_person_wants_to_see_first_is_there(browser: Any, report: Path) -> None:
    with opened(browser, report) as seen:
        page = seen.page
        assert "27 of 30 sources measured" in page.inner_text(".lead")
        assert "transcript_confidence" in page.inner_text("#failures")
        assert "0.31 < 0.5" in page.inner_text("#failures")
        assert page.locator("#overview-chart svg rect").count() > 27 * 6
        assert page.locator("#detail svg polyline").count() > 0
        assert page.locator("#jobs-chart svg rect").count() > 4
        assert "not inferences of emotional experience" in page.inner_text("header")
        assert "SECRET" not in page.content()


@pytest.mark.sweep
def test_search_filters_by_name_label_and_outcome(browser: Any, report: Path) -> None:
    with opened(browser, report) as seen:
        page = seen.page
        page.fill("#search", "participant-07")
        assert page.locator("#list li").count() == 1
        page.fill("#search", "site: oslo")
        assert page.inner_text("#found") == "10 of 30 sources"
        page.fill("#search", "no such thing")
        assert page.locator("#list li").count() == 0
        page.fill("#search", "")
        page.select_option("#outcome", "failed")
        assert page.locator("#list li").count() == 3
        page.locator("#list button").first.click()
        assert "transcript confidence" in page.inner_text("#detail .error")


@pytest.mark.sweep
def test_a_timeline_shows_values_under_the_pointer_and_to_the_keyboard(browser: Any, report: Path) -> None:
    with opened(browser, report) as seen:
        page = seen.page
        chart = page.locator("#detail svg[tabindex]").first
        chart.hover()
        assert re.search(r"face_\d\n(.+ \d\.\d{3}\n?){3}", page.inner_text("#tip"))
        before = page.locator("#detail svg polyline").count()
        page.locator("#detail .chips").first.locator("button[aria-pressed=false]").first.click()
        assert page.locator("#detail svg polyline").count() == before + 2  # one line for each of two faces
        chart = page.locator("#detail svg[tabindex]").first
        chart.focus()
        page.keyboard.press("ArrowRight")
        assert "face_" in page.locator("#detail .readout").first.inner_text()


@pytest.mark.sweep
def test_labels_group_and_colour(browser: Any, report: Path) -> None:
    with opened(browser, report) as seen:
        page = seen.page
        page.get_by_label("Colour and group by").select_option("site")
        page.locator("#overview-controls select").last.select_option("group")
        names = page.locator("#overview-chart g text").all_text_contents()
        assert names == ["site: Kyoto", "site: Lyon", "site: Oslo"]
        page.locator("#overview-chart g[role=button]").first.click()
        assert page.inner_text("#found") == "10 of 30 sources"


@pytest.mark.sweep
def test_a_picture_can_be_saved(browser: Any, report: Path, tmp_path: Path) -> None:
    with opened(browser, report) as seen:
        with seen.page.expect_download() as waiting:
            seen.page.locator("#overview-controls .save").click()
        waiting.value.save_as(tmp_path / "picture.png")
        assert seen.console == []
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "picture.png").stat().st_size > 10_000


@pytest.mark.sweep
def test_hostile_names_and_texts_are_shown_and_never_run(browser: Any, hostile: Path) -> None:
    with opened(browser, hostile) as seen:
        page = seen.page
        assert seen.console == []
        assert seen.requests == [hostile.as_uri()]
        assert page.locator("img").count() == 0
        assert page.inner_text("h1").startswith('"><img src=x onerror=alert(1)>')
        assert "{{7*7}}" in page.inner_text("#failures")
        page.get_by_label("Colour and group by").select_option(index=1)
        page.locator("#detail svg[tabindex]").first.hover()
        for button in page.locator("#list button").all():
            button.click()
        assert page.locator("img").count() == 0
        assert seen.console == []


@pytest.mark.sweep
def test_simulated_scores_say_so_on_every_page_that_prints(browser: Any, report: Path, tmp_path: Path) -> None:
    with opened(browser, report) as seen:
        assert "Simulated scores" in seen.page.inner_text(".simulated")
        seen.page.emulate_media(media="print")
        banner = seen.page.locator(".simulated-print")
        assert banner.is_visible()
        # The head of a table is repeated on every printed page.
        assert banner.evaluate("node => getComputedStyle(node).display") == "table-header-group"
        assert seen.page.evaluate("getComputedStyle(document.body).display") == "table"
    real = write_report(interviews(tmp_path / "real", 3, simulated=False), tmp_path / "real.html").read_text("utf-8")
    assert "simulated-print" not in real.split("</style>")[1]


def many(directory: Path, count: int) -> DirectoryResults:
    """A run of `count` recordings, with answers that share their rows, so that making them is quick."""
    outputs = Outputs(directory=directory, settings={"models": {"prosody": {}}})
    rows = [prosody_rows(["Well, that is that."] * 2, seed) for seed in range(7)]
    names = [f"recording-{number:05d}.wav" for number in range(count)]
    answer = [file_element(name, {"prosody": model({"spk_0": rows[i % 7]})}) for i, name in enumerate(names)]
    outputs.job("job-000001", "r1", answer, [("file", name, [name]) for name in names])
    for name in names:
        outputs.item(name, "file", f"media/{name}", labels={"room": name[-5]}, job="job-000001")
    return outputs.write()


@pytest.mark.sweep
def test_ten_thousand_sources_fit_and_more_are_sampled_and_told(browser: Any, tmp_path: Path) -> None:
    results = many(tmp_path / "out", 1_000)
    whole = gather(results)
    assert (len(whole.sources), whole.total) == (1_000, 1_000)
    some = gather(results, most_sources=150)
    assert (len(some.sources), some.total, some.by_status["done"]) == (143, 1_000, 1_000)

    report = write_report(results, tmp_path / "report.html")

    # Ten times as many sources have to fit, and take ten times as much.
    assert report.stat().st_size < 12_000_000 / 10
    with opened(browser, report) as seen:
        assert seen.console == []
        assert seen.page.inner_text("#found") == "1,000 sources"
        assert "page 1 of 40" in seen.page.inner_text("#pager")
        seen.page.fill("#search", "00734")
        assert seen.page.locator("#list li").count() == 1


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("parts", [1, 30, 1_000, 20_000, 60_000])
def test_less_of_each_source_is_drawn_the_more_there_are(parts: int) -> None:
    detail = detail_for(parts)

    assert 4 <= detail.rows <= 160
    assert parts * detail.rows * (75 if detail.scores else 200) <= max(6_000_000, parts * 4 * 75)


@pytest.mark.sweep
def test_long_media_are_thinned_evenly_and_means_stay_exact(tmp_path: Path) -> None:
    rows = face_rows(2_000)
    (tmp_path / "p.json").write_text(json.dumps([file_element("a.mp4", {"face": model({"face_0": rows})})]))

    gathered = gather(LooseResults([tmp_path / "p.json"], tmp_path))

    face = gathered.sources[0]["m"]["face"]
    joy = gathered.models["face"]["names"].index("Joy")
    assert face["n"] == 2_000
    assert face["mean"][joy] == round(sum(row["emotions"][joy]["score"] for row in rows) / 2_000 * 1000)
    assert face["peak"][joy] == round(max(row["emotions"][joy]["score"] for row in rows) * 1000)
    assert 80 <= len(face["rows"]) <= 160
    assert [row[0] for row in face["rows"]] == [
        round(rows[number]["time"], 2) for number in range(0, 2_000, face["stride"])
    ]


@pytest.mark.sweep
def test_a_run_without_any_answer_still_has_a_page(browser: Any, tmp_path: Path) -> None:
    outputs = Outputs(directory=tmp_path)
    outputs.item("a", "url", "https://example.org/a.mp4", status="pending")

    report = write_report(outputs.write(), tmp_path / "report.html")

    with opened(browser, report) as seen:
        assert seen.console == []
        assert "0 of 1 sources measured" in seen.page.inner_text(".lead")
        assert "No source has a measurement yet" in seen.page.inner_text("#overview-chart")
