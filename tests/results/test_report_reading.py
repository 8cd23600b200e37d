"""The report as it is read: from top to bottom, source by source, by eye, keyboard and screen reader."""

from __future__ import annotations

import csv
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hume_runner.results.read import DirectoryResults
from hume_runner.results.report.gather import gather
from hume_runner.results.report.page import write_report
from hume_runner.services.local.measurers.language import LANGUAGE
from tests.results.browser import opened
from tests.results.local_answers import results, sounding
from tests.results.sample_answers import interviews
from tests.results.study_answers import DESCRIPTION, PEOPLE, TEXTS, joy, study


def numbers_of_joy(waves: tuple[str, ...]) -> dict[str, list[float]]:
    """Without the recording that failed and the one in which nothing was found."""
    gone = {(5, "pre"), (6, "pre")}
    return {wave: [joy(p, wave) for p in range(1, PEOPLE + 1) if (p, wave) not in gone] for wave in waves}


@pytest.mark.sweep
def test_what_it_is_comes_first_then_findings_then_groups_sources_failures_and_settings(
    browser: Any, report: Path
) -> None:
    with opened(browser, report) as seen:
        page = seen.page
        assert page.locator("h1").inner_text() == "walk"
        assert DESCRIPTION in page.inner_text("header")
        assert "26 of 27 sources measured" in page.inner_text(".lead")
        order = page.locator("main > section").evaluate_all("all => all.map(one => one.id)")
        assert order == ["findings", "groups", "overview", "sources", "failures", "jobs", "about"]
        assert page.locator(".finding h3").all_inner_texts() == [
            "Strongest overall",
            "Between groups",
            "What to distrust",
        ]
        assert seen.console == []


@pytest.mark.sweep
def test_findings_say_what_is_strongest_where_groups_differ_and_what_to_distrust(tmp_path: Path) -> None:
    strongest, groups, doubts = gather(study(tmp_path)).findings

    every = [number for numbers in numbers_of_joy(("pre", "post")).values() for number in numbers]
    means = dict(re.findall(r"(\w[\w ()]*) (0\.\d\d)", strongest.sentences[0]))
    assert strongest.sentences[0].startswith("face: ")
    assert f"{len(every)} of 26 sources" in strongest.sentences[0]
    assert len(means) >= 3

    time = next(one for one in groups.sentences if one.startswith("time: "))
    both = numbers_of_joy(("pre", "post"))
    assert f"Joy (face), {np.mean(both['pre']):.2f} in pre (n = 10)" in time
    assert f"{np.mean(both['post']):.2f} in post (n = 12)" in time
    assert "do not overlap" in time
    people = [p for p in range(1, PEOPLE + 1) if p not in (5, 6)]
    apart = [joy(p, "post") - joy(p, "pre") for p in people]
    assert f"Within 10 pairs, post less pre: +{np.mean(apart):.2f}" in time
    assert "by chance" in groups.sentences[-1]

    assert gather(study(tmp_path / "again")).cures == (
        "replace the files, which the next run measures, or remove them; nothing else helps",
    )
    told = " ".join(doubts.sentences)
    assert "1 source failed (4 %), all with no audio" in told
    assert "In 1 source nothing was found to measure" in told
    assert "1 source has fewer than 3 rows in face, no steady mean: p7-pre." in told
    assert "1 source has a mean confidence below 0.5 in prosody: p8-post." in told


@pytest.mark.sweep
def test_simulated_cut_and_thinned_are_told_and_a_clean_run_is_not_blamed(tmp_path: Path) -> None:
    simulated = " ".join(gather(interviews(tmp_path / "a", 12)).findings[2].sentences)
    assert simulated.startswith("Every score is made up")
    long = gather(results(tmp_path / "b", {f"{n}.wav": {"acoustics": sounding(9_000)} for n in range(12)})).findings
    assert "12 sources were thinned for drawing" in " ".join(long[2].sentences)
    assert re.match(
        r"acoustics, means over sources: loudness -30 LUFS \(12 sources\), pitch 120 Hz", long[0].sentences[0]
    )
    short = results(tmp_path / "c", {f"{n}.wav": {"acoustics": sounding(9)} for n in range(12)})
    (nothing,) = gather(short).findings[2].sentences
    assert nothing.startswith("Nothing that the answers tell")


@pytest.mark.sweep
def test_groups_have_the_means_and_intervals_of_scipy_and_pairs_their_differences(browser: Any, report: Path) -> None:
    from scipy import stats

    with opened(browser, report) as seen:
        page = seen.page
        page.get_by_label("Label", exact=True).select_option("time")
        page.locator("#groups summary").click()
        rows = [row.split("\t") for row in page.locator("#groups tbody tr").all_inner_texts()]
        assert rows[0][0] == "Joy"
        for row, (wave, joys) in zip(rows[:2], numbers_of_joy(("pre", "post")).items(), strict=True):
            low, high = stats.t.interval(0.95, len(joys) - 1, loc=np.mean(joys), scale=stats.sem(joys))
            assert row[1:3] == [wave, str(len(joys))]
            assert [float(cell) for cell in row[3:]] == pytest.approx([np.mean(joys), low, high], abs=0.001)
        page.get_by_label("Show", exact=True).select_option("pairs")
        first = page.locator("#groups tbody tr").first.inner_text().split("\t")
        apart = [joy(p, "post") - joy(p, "pre") for p in range(1, PEOPLE + 1) if p not in (5, 6)]
        low, high = stats.t.interval(0.95, 9, loc=np.mean(apart), scale=stats.sem(apart))
        assert first[:3] == ["Joy", "post less pre", "10"]
        assert [float(cell) for cell in first[3:]] == pytest.approx([np.mean(apart), low, high], abs=0.001)
        assert "difference within pairs, with 95 % interval" in page.locator("#groups-chart svg").text_content()
        page.get_by_label("Show", exact=True).select_option("means")
        page.get_by_label("Scores", exact=True).select_option("all")
        assert page.locator("#groups-chart svg g[role=img]").count() == 48
        page.locator("#groups-controls").get_by_label("Model").select_option(label="face: FACS")
        assert page.locator("#groups-chart svg g[role=img]").count() > 20
        assert seen.console == []


@pytest.mark.sweep
def test_measurements_with_units_have_an_axis_each_in_groups(browser: Any, tmp_path: Path) -> None:
    run = results(
        tmp_path / "out", {f"{n}-{wave}.wav": {"acoustics": sounding(20 + n)} for n in range(4) for wave in "ab"}
    )
    lines = (run.directory / "results.jsonl").read_text().splitlines()
    labelled = [line.replace('"labels": {}', f'"labels": {{"wave": "{"ab"[i % 2]}"}}') for i, line in enumerate(lines)]
    (run.directory / "results.jsonl").write_text("\n".join(labelled) + "\n")
    with opened(browser, write_report(run, tmp_path / "r.html")) as seen:
        chart = seen.page.locator("#groups-chart svg")
        assert "mean over sources, LUFS, with 95 % interval" in chart.text_content()
        assert "mean over sources, Hz, with 95 % interval" in chart.text_content()
        assert seen.console == []


@pytest.mark.sweep
def test_rows_go_by_id_with_2_before_10_and_texts_by_how_they_begin(browser: Any, report: Path) -> None:
    with opened(browser, report) as seen:
        page = seen.page
        listed = page.locator("#list .name").all_text_contents() + next_page(page, "#pager", "#list .name")
        assert listed[:4] == ["p1-post", "p1-pre", "p2-post", "p2-pre"]
        assert listed.index("p9-pre") < listed.index("p10-post")
        assert listed[-3:] == ["t1", "t2", "t10"]
        starts = page.locator("#list .start").all_text_contents()
        assert TEXTS["t2"] in starts
        assert "sources.text" not in page.inner_text("#list")
        page.locator("#overview-controls").get_by_label("Names").select_option("name")
        page.fill("#search", "goes on")
        assert page.locator("#list .name").inner_text().startswith("A long letter that goes on")
        assert page.locator("#list .start").inner_text() == "t10"
        page.fill("#search", "p3-pre")
        assert page.locator("#list .name").inner_text() == "p3-pre.mp4"


def next_page(page: Any, pager: str, names: str) -> list[str]:
    page.locator(pager).get_by_role("button", name="Next").click()
    return list(page.locator(names).all_text_contents())


@pytest.mark.sweep
def test_every_score_is_within_reach_and_the_widest_model_comes_first(browser: Any, report: Path) -> None:
    with opened(browser, report) as seen:
        page = seen.page
        model = page.locator("#overview-controls").get_by_label("Model")
        assert model.locator("option:checked").inner_text() == "face: expressions (22)"
        found: set[str] = set()
        for _ in range(3):
            heads = page.locator("#overview-chart svg > text[role=button]")
            found |= {
                name.removeprefix("Sort by ") for name in heads.evaluate_all("all => all.map(one => one.ariaLabel)")
            }
            weaker = page.get_by_role("button", name="Weaker")
            if weaker.is_enabled():
                weaker.click()
        assert len(found) == 48
        page.get_by_label("Sort by", exact=True).select_option(label="Triumph")
        assert (
            page.locator("#overview-chart svg > text[font-weight='700']").get_attribute("aria-label")
            == "Sort by Triumph"
        )
        for label in (
            "face: FACS",
            "face: descriptions",
            "burst: descriptions",
            "language: sentiment",
            "language: toxicity",
        ):
            option = model.locator("option", has_text=label)
            model.select_option(value=option.get_attribute("value"))
            assert page.locator("#overview-chart svg g rect").count() > 3
        assert seen.console == []


@pytest.mark.sweep
def test_facs_descriptions_sentiment_toxicity_and_entities_are_shown_with_a_source(browser: Any, report: Path) -> None:
    with opened(browser, report) as seen:
        page = seen.page
        choose(page, "p1-post")
        face = page.locator("#detail .switches").first
        assert face.locator("button[aria-pressed]").all_inner_texts() == [
            "expressions",
            "FACS",
            "descriptions",
            "all 48",
        ]
        face.get_by_role("button", name="FACS").click()
        assert "AU" in page.locator("#detail figure svg").first.text_content()
        face.get_by_role("button", name="expressions").click()
        face.get_by_role("button", name="all 48").click()
        assert page.locator("#detail figure svg").first.locator("g[role=img]").count() == 48
        choose(page, "t2")
        assert "Sentiment, 1 to 9" in page.inner_text("#detail")
        assert "identity hate" in page.inner_text("#detail")
        entities = page.get_by_role("region", name="ner: entities").locator("tbody tr").all_inner_texts()
        assert [row.split("\t")[:2] for row in entities] == [["Ada Lovelace", "2"], ["Charles Babbage", "1"]]
        page.locator("#detail .switches").first.get_by_role("button", name="sentiment").click()
        labels = page.locator("#detail figure svg").first.locator("g[role=img] text").all_text_contents()
        assert [label for label in labels if label.startswith("level")] == [f"level {n}" for n in range(1, 10)]


def choose(page: Any, name: str) -> None:
    page.fill("#search", name)
    page.locator("#list button").first.click()


@pytest.mark.sweep
def test_bursts_and_utterances_are_stretches_and_no_line_joins_them(browser: Any, report: Path) -> None:
    with opened(browser, report) as seen:
        choose(seen.page, "p1-post")
        charts = seen.page.locator("#detail svg[tabindex]")
        assert charts.count() == 3
        assert charts.nth(0).locator("polyline").count() == 3
        for number, rows in ((1, 4), (2, 3)):  # burst, prosody
            chart = charts.nth(number)
            assert chart.locator("polyline").count() == 0
            assert chart.locator(".stretch").count() == 3 * rows
            assert "time from the start, s" in chart.text_content()
        # A burst of 0.6 s in a chart from 0.5 s to 7.1 s.
        wide = charts.nth(1).evaluate("svg => +svg.getAttribute('width')") - 52 - 14
        first = charts.nth(1).locator(".stretch").first.get_attribute("d")
        begin, end = map(float, re.findall(r"M([\d.]+),[\d.]+H([\d.]+)", first)[0])
        assert end - begin == pytest.approx(wide * 0.6 / 6.6, abs=1)


@pytest.mark.sweep
def test_scores_are_picked_anew_for_each_source_until_the_reader_chooses(browser: Any, report: Path) -> None:
    with opened(browser, report) as seen:
        page = seen.page
        drawn = lambda: page.locator("#detail .chips").first.locator("button[aria-pressed=true]").all_inner_texts()  # noqa: E731
        sources = ("p1-post", "p4-pre", "p9-pre")
        usual = []
        for source in sources:
            choose(page, source)
            usual.append(drawn())
            strongest = (
                page.locator("#detail figure svg").first.locator("g[role=img] text:first-of-type").all_text_contents()
            )
            assert drawn() == strongest[:3]
        assert usual[0] != usual[1]
        page.get_by_label("Add a score").first.select_option(label="Nostalgia")
        chosen = drawn()
        assert "Nostalgia" in chosen
        choose(page, sources[1])
        assert drawn() == chosen
        page.get_by_role("button", name="the strongest of each source").first.click()
        assert drawn() == usual[1]


@pytest.mark.sweep
def test_axes_have_round_numbers_and_titles_and_a_number_stands_at_its_bar(browser: Any, report: Path) -> None:
    with opened(browser, report) as seen:
        page = seen.page
        choose(page, "p1-post")
        bars = page.locator("#detail figure svg").first
        assert "mean score over rows" in bars.text_content()
        ticks = [float(t) for t in bars.locator("> text").all_text_contents() if re.fullmatch(r"[\d.]+", t)]
        steps = {round(b - a, 6) for a, b in pairwise(ticks)}
        assert len(steps) == 1
        assert float(f"{steps.pop():.0e}") in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
        gaps = bars.locator("g[role=img]").evaluate_all(
            "all => all.map(g => +g.querySelector('text:last-of-type').getAttribute('x') - "
            "(+g.querySelector('rect[fill]:not([fill=transparent])').getAttribute('x') + "
            "+g.querySelector('rect[fill]:not([fill=transparent])').getAttribute('width')))"
        )
        assert all(3 < gap < 7 for gap in gaps)
        chart = page.locator("#detail svg[tabindex]").first
        assert {"score", "time from the start, s"} <= set(chart.locator("> text").all_text_contents())


@pytest.mark.sweep
def test_colours_begin_at_zero_where_every_score_is_told(browser: Any, report: Path) -> None:
    with opened(browser, report) as seen:
        words = seen.page.locator("#overview-chart svg > text:not([role])").all_text_contents()
        assert words[0] == "0"
        assert words[-1] == "mean score"


@pytest.mark.sweep
def test_on_a_phone_the_source_stands_above_the_list_and_wide_tables_say_so(browser: Any, report: Path) -> None:
    with opened(browser, report, width=390, height=844) as seen:
        page = seen.page
        choose(page, "t2")
        top = lambda one: page.locator(one).evaluate("node => node.getBoundingClientRect().top + scrollY")  # noqa: E731
        assert top("#detail") < top("#list")
        assert page.evaluate("document.activeElement.id") == "detail"
        assert page.locator("#detail .hint").count() >= 1
        assert page.locator("#detail .hint").first.inner_text().startswith("Wider than the screen")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.set_viewport_size({"width": 1280, "height": 900})
        page.locator("#detail .hint").first.wait_for(state="detached")
        assert page.locator(".split > :last-child").get_attribute("id") == "detail"


@pytest.mark.sweep
def test_controls_keep_the_focus_when_they_are_drawn_anew(browser: Any, report: Path) -> None:
    with opened(browser, report) as seen:
        page = seen.page
        page.get_by_label("Scores", exact=True).focus()
        page.keyboard.press("ArrowDown")
        assert page.evaluate("document.activeElement.parentElement.textContent").startswith("Scores")
        weaker = page.get_by_role("button", name="Weaker")
        weaker.focus()
        page.keyboard.press("Enter")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.textContent") in ("Weaker", "Stronger")


def few(folder: Path) -> DirectoryResults:
    """Four texts in two groups; joy is 0.02, 0.05 and 0.9 in one of them, and alone in the other."""
    labels = LANGUAGE.layouts[0].families[0].names
    joys = {"p1-pre": 0.02, "p2-pre": 0.05, "p3-pre": 0.9, "p1-post": 0.3}
    scores = {item: dict.fromkeys(labels, 0.01) | {"joy": joy} for item, joy in joys.items()}
    sources = {item: {"language": [{"text": "So.", "goemotions": of}]} for item, of in scores.items()}
    return results(
        folder, sources, labels={item: {"wave": item[3:], "code": "=1+1" if "p1" in item else "b"} for item in joys}
    )


def test_the_label_with_the_larger_groups_comes_first_and_its_groups_as_people_read_them(tmp_path: Path) -> None:
    sources = {f"p{p}-{wave}": {"acoustics": sounding(4)} for p in range(4) for wave in ("post", "pre")}
    labels = {item: {"person": item[:2], "wave": item[3:]} for item in sources}

    groups = gather(results(tmp_path, sources, labels=labels)).groups

    assert (groups[0]["label"], groups[0]["groups"]) == ("wave", ["pre", "post"])


def test_an_interval_beyond_the_scale_is_told_to_be_of_too_few_sources(tmp_path: Path) -> None:
    (told,) = gather(few(tmp_path)).findings[0].sentences

    assert re.search(
        r"joy 0\.32 \(mean over 4 sources, 95 % interval -0\.\d+ to 0\.\d+, beyond the scale from 0 to 1", told
    )


@pytest.mark.sweep
def test_a_chart_of_groups_ends_where_scores_end_and_saves_all_of_its_numbers(browser: Any, tmp_path: Path) -> None:
    with opened(browser, write_report(few(tmp_path), tmp_path / "r.html")) as seen:
        page = seen.page
        page.get_by_label("Label", exact=True).select_option("wave")
        chart = page.locator("#groups-chart svg")
        ticks = [float(text) for text in chart.locator("text").all_text_contents() if re.fullmatch(r"-?\d[\d.]*", text)]
        assert (min(ticks), max(ticks)) == (0, 1)
        note = page.locator("#groups-chart p").inner_text()
        assert "Cut at 0 and 1, beyond which no score lies" in note
        assert "Hollow: a single source, without an interval." in note
        assert chart.locator(".alone").count() == 8
        with page.expect_download() as download:
            page.locator("#groups-controls .save-csv").click()
        rows = list(csv.DictReader(Path(download.value.path()).read_text(encoding="utf-8").splitlines()))
        assert len(rows) == 2 * 28
        (joy,) = [row for row in rows if (row["name"], row["group"]) == ("joy", "pre")]
        assert (joy["label"], joy["table"], joy["n"], float(joy["mean"])) == ("wave", "language", "3", 0.3233)
        assert float(joy["low_95"]) < 0
        page.get_by_label("Label", exact=True).select_option("code")
        with page.expect_download() as download:
            page.locator("#groups-controls .save-csv").click()
        assert ",'=1+1," in Path(download.value.path()).read_text(encoding="utf-8")  # no formula
        assert seen.console == []


@pytest.mark.sweep
def test_paper_has_numbers_unfolded_and_words_as_large_as_the_text(browser: Any, report: Path) -> None:
    with opened(browser, report) as seen:
        page = seen.page
        wide = page.locator("#groups-chart svg").evaluate("svg => +svg.getAttribute('width')")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.locator("#groups details").evaluate("one => one.open")
        narrow = page.locator("#groups-chart svg").evaluate("svg => +svg.getAttribute('width')")
        assert narrow <= 46 * 16 < wide
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert not page.locator("#groups details").evaluate("one => one.open")
        assert page.locator("#groups-chart svg").evaluate("svg => +svg.getAttribute('width')") == wide


@pytest.mark.sweep
def test_a_heading_goes_with_what_it_introduces_on_paper(browser: Any, report: Path) -> None:
    with opened(browser, report) as seen:
        page = seen.page
        page.emulate_media(media="print")
        for what, rule in (("h2", "breakAfter"), ("#groups > .note", "breakAfter"), (".chart svg", "breakInside")):
            found = page.locator(what).evaluate_all(
                "(all, rule) => all.map((one) => getComputedStyle(one)[rule])", rule
            )
            assert found
            assert set(found) == {"avoid"}
        assert not page.locator(
            ".split > div"
        ).is_visible()  # an empty box between heading and source is a place to break


@pytest.mark.sweep
def test_every_chart_of_simulated_scores_says_so_by_itself(browser: Any, tmp_path: Path) -> None:
    for simulated in (True, False):
        where = tmp_path / str(simulated)
        with opened(browser, write_report(interviews(where, 6, simulated=simulated), where / "r.html")) as seen:
            for chart in ("#groups-chart", "#overview-chart", "#detail figure"):
                told = seen.page.locator(f"{chart} svg").first.text_content() or ""
                assert ("SIMULATED" in told) is simulated, chart
            head = seen.page.locator("header").inner_text().lower()
            assert ("· measured 20" in head) is not simulated
            assert ("sources measured in a rehearsal, every score made up" in head) is simulated


@pytest.mark.sweep
def test_groups_stand_as_the_manifest_lists_them_where_somebody_asks(browser: Any, tmp_path: Path) -> None:
    when = ("morning", "noon", "evening")
    sources = {f"p{p}-{day}": {"acoustics": sounding(4 + p)} for p in range(2) for day in when}
    run = results(tmp_path / "out", sources, labels={item: {"day": item[3:]} for item in sources})
    with opened(browser, write_report(run, tmp_path / "r.html")) as seen:
        page = seen.page
        page.locator("#groups summary").click()

        def told() -> list[str]:
            return [row.split("\t")[1] for row in page.locator("#groups tbody tr").all_inner_texts()[:3]]

        assert told() == ["evening", "morning", "noon"]
        page.get_by_label("Order", exact=True).select_option("listed")
        assert told() == list(when)
        assert seen.console == []
