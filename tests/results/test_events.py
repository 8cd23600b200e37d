"""Rows joined with the events of a manifest, against a plain reading of the same rows."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.errors import ManifestError, SourceError
from hume_runner.manifest.model import EventEntry, Place
from hume_runner.results.intervals import Interval, Intervals, holding, read_intervals
from hume_runner.results.options import TableOptions
from hume_runner.results.tables import write_tables
from tests.cli.project import Project
from tests.results.sample_answers import interviews

PLACE = Place(file="m.yaml", line=3, column=5, path="events[0]")
FILM = Interval(name="film", begin_s=0.0, end_s=1.0)
SCENE = Interval(name="scene", begin_s=0.5, end_s=0.8)
LATER = Interval(name="later", begin_s=3.0, end_s=60.0)


def listed(path: Path) -> Intervals:
    return read_intervals([EventEntry(place=PLACE, listing=path)])


def rows(path: Path) -> list[dict[str, Any]]:
    return pq.read_table(path).to_pylist()


interval = st.builds(
    lambda name, begin, length: Interval(name=name, begin_s=begin, end_s=begin + length),
    st.sampled_from("abc"),
    st.integers(0, 20),
    st.integers(1, 9),
)


@given(st.lists(interval, max_size=8), st.lists(st.none() | st.integers(0, 30), max_size=9))
def test_a_moment_lies_in_what_began_before_and_ends_after_it(found: list[Interval], moments: list[int | None]) -> None:
    intervals = Intervals(everywhere=(), by_item={"a": tuple(found)}).of("a")

    for moment, held in zip(moments, holding(intervals, moments), strict=True):
        expected = [one for one in found if moment is not None and one.begin_s <= moment < one.end_s]
        assert sorted(map(str, held)) == sorted(map(str, expected))
        assert [one.begin_s for one in held] == sorted(one.begin_s for one in held)


@pytest.mark.sweep
def test_every_row_names_its_event_and_each_event_is_summed_up(tmp_path: Path) -> None:
    results = interviews(tmp_path / "out", 9)
    some = next(item.id for item in results.items() if item.kind != "text" and item.status == "done")
    intervals = Intervals(everywhere=(FILM, LATER), by_item={some: (SCENE,)})

    write_tables(results, tmp_path / "t", intervals=intervals, options=TableOptions(long=True))

    face, events = rows(tmp_path / "t" / "face.parquet"), rows(tmp_path / "t" / "events.parquet")
    for row in face:
        held = [one for one in intervals.of(row["item_id"]) if one.begin_s <= row["time_s"] < one.end_s]
        assert row["event"] == (held[-1].name if held else None)
    assert {row["event"] for row in face} >= {"film", "later", None}
    checked = 0
    for told in events:
        if told["table"] != "face":
            continue
        mine = [
            row["emotion_joy"]
            for row in face
            if row["item_id"] == told["item_id"] and told["event_begin_s"] <= row["time_s"] < told["event_end_s"]
        ]
        assert told["n"] == len(mine)
        assert dict(told["mean"])["emotion_joy"] == pytest.approx(fmean(mine))
        checked += 1
    assert checked >= 4
    assert {row["event"] for row in rows(tmp_path / "t" / "events_long.parquet")} >= {"film", "scene", "later"}


@pytest.mark.sweep
def test_without_events_there_is_neither_column_nor_table(tmp_path: Path) -> None:
    write_tables(interviews(tmp_path / "out", 3), tmp_path / "t")

    assert not (tmp_path / "t" / "events.parquet").exists()
    assert "event" not in pq.read_schema(tmp_path / "t" / "face.parquet").names


def test_a_list_has_times_as_a_player_shows_them(tmp_path: Path) -> None:
    path = tmp_path / "stimuli.csv"
    path.write_text("start,end,name\n0:30,1:15.5,film\n1m20s,90s,question\n", encoding="utf-8")

    assert [(one.begin_s, one.end_s) for one in listed(path).everywhere] == [(30.0, 75.5), (80.0, 90.0)]


def test_a_list_names_sources_or_means_all_of_them(tmp_path: Path) -> None:
    path = tmp_path / "stimuli.csv"
    path.write_text('\ufeffsource,Start,end,name\n,0,1.5,film\na,2,3e1,"q, 1"\n\n', encoding="utf-8")

    found = listed(path)

    assert found.of("b") == (Interval(name="film", begin_s=0.0, end_s=1.5),)
    assert [one.name for one in found.of("a")] == ["film", "q, 1"]


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("begin,name\n1,a\n", 1, "no column start and no end"),
        ("start,end,name\n1,1,a\n", 2, "no event"),
        ("start,end,name\n0,1,a\n-1,2,b\n", 3, "no event"),
        ("start,end,name\n0,nan,a\n", 2, "no event"),
        ("start,end,name\n0,1\n", 2, "2 cells instead of 3"),
        ('start,end,name\n0,1,"a\n', 2, "no line of a table"),
        ("start,end,name\n0,1,\n", 2, "no event"),
        ("", 1, "no column"),
    ],
)
def test_a_list_that_says_something_else_is_told_by_its_line(text: str, line: int, told: str, tmp_path: Path) -> None:
    path = tmp_path / "stimuli.csv"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(ManifestError) as caught:
        listed(path)

    (problem,) = caught.value.problems
    assert (problem.file, problem.line, told in problem.message) == (str(path), line, True)


def test_a_list_that_is_not_there_is_told_at_the_manifests_line(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"m\.yaml:3:5: events\[0\]: the list .* cannot be read"):
        listed(tmp_path / "gone.csv")


@pytest.mark.sweep
def test_a_manifest_lists_events_and_a_changed_list_makes_the_tables_again_and_nothing_else(project: Project) -> None:
    project.manifest["events"] = [
        {"name": "start", "start": 0, "end": "500ms"},
        {"from": "stimuli.csv"},
    ]
    project.manifest["outputs"] = {"directory": "out", "tables": ["csv"]}
    stimuli = project.folder / "stimuli.csv"

    assert (project.call("validate").code, project.run().code) == (66, 66)
    assert not project.requests()
    stimuli.write_text("start,end,name\n0.5,100,rest\n")
    assert project.run().code == 0
    before = project.requests()
    assert "rest" in (project.out / "tables" / "events.csv").read_text()

    stimuli.write_text("start,end,name\n0.5,100,later\n")
    assert project.run().code == 0
    assert project.requests().get("POST /v0/batch/jobs") == before["POST /v0/batch/jobs"]
    assert "later" in (project.out / "tables" / "events.csv").read_text()
    assert "`event`" in (project.out / "codebook.md").read_text()


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ({"name": "a", "start": 2, "end": "1s"}, "ends at 1 s, and starts at 2 s"),
        ({"name": "a", "start": "2", "end": 3}, "a number with a unit"),
        ({"name": "a", "start": 2}, "end"),
        ({"from": "x.csv", "name": "a"}, "a list says name itself"),
        ({"name": "a", "start": -1, "end": 3}, "start"),
    ],
)
def test_an_event_that_cannot_be_is_refused_with_its_place(event: dict[str, Any], told: str, project: Project) -> None:
    project.manifest["events"] = [event]

    ran = project.run()

    assert (ran.code, told in ran.err, "events[0]" in ran.err) == (65, True, True), ran.err


@pytest.mark.parametrize("command", ["validate", "plan", "run"])
def test_an_event_of_a_source_that_is_not_there_is_refused_with_the_nearest_id(command: str, project: Project) -> None:
    project.manifest["events"] = [
        {"name": "film", "start": 0, "end": 1, "source": "hello"},
        {"name": "film", "start": 0, "end": 1, "source": "one.wav"},
    ]

    ran = project.call(command)

    told = ran.out + ran.err
    assert (ran.code, project.requests(), (project.out / "state.sqlite3").exists()) == (65, {}, False), told
    assert "events[1].source: no source has the id 'one.wav'" in told
    assert "next: did you mean 'media/one.wav'?" in told
    project.manifest["events"][1]["source"] = "media/one.wav"
    assert project.call(command).code == 0


@pytest.mark.sweep
def test_an_event_that_is_misspelt_later_is_refused_too_although_nothing_is_left_to_measure(project: Project) -> None:
    project.manifest["sources"] = {"text": [{"text": "Hello.", "id": "hello"}]}
    assert project.run().code == 0
    project.manifest["events"] = [{"from": "stimuli.csv"}]
    stimuli = project.folder / "stimuli.csv"
    stimuli.write_text("source,start,end,name\nhello,0,1,film\n")
    assert project.run().code == 0
    stimuli.write_text("source,start,end,name\nhelo,0,1,film\n")

    ran = project.run()

    assert (ran.code, "stimuli.csv:2:1: no source has the id 'helo'" in ran.err) == (65, True), ran.err
    assert "did you mean 'hello'?" in ran.err
    assert "'helo'" in project.call("tables", "--format", "csv").err


@pytest.mark.parametrize("command", ["validate", "plan", "run"])
def test_a_list_of_events_may_be_about_more_sources_and_tells_which(command: str, project: Project) -> None:
    """One list for the manifests of several waves."""
    (project.folder / "stimuli.csv").write_text("source,start,end,name\nhello,0,1,film\nwave-2/a.wav,0,1,film\n")
    project.manifest["events"] = [{"from": "stimuli.csv"}]

    ran = project.call(command)

    told = "stimuli.csv:3:1: no source has the id 'wave-2/a.wav': this event holds nothing"
    assert (ran.code, told in ran.err) == (0, True), ran.err


@pytest.mark.sweep
def test_who_looks_at_a_part_misses_no_source(project: Project) -> None:
    project.manifest["events"] = [{"name": "film", "start": 0, "end": 1, "source": "hello"}]
    project.manifest["outputs"] = {"directory": "out", "tables": ["csv"]}

    ran = project.run("--limit", "1")

    assert (ran.code, "no source" in ran.err) == (0, False), ran.err
    assert "no source in these results has the id 'hello'" in project.call("tables", "--format", "csv").err


def test_an_event_may_name_what_only_reading_shows(project: Project) -> None:
    """Of two sources of one name the second has a number behind it, and an archive's members have ids of their own."""
    project.manifest["sources"]["text"] = [{"from": "lines.csv"}]
    (project.folder / "lines.csv").write_text("text\nHello.\nGoodbye.\n")
    project.manifest["events"] = [{"name": "film", "start": 0, "end": 1, "source": "media/one.wav~2"}]

    assert project.call("validate").code == 0
    assert project.call("plan").code == 65


def test_many_events_cost_what_a_row_lies_in_and_not_all_that_came_before() -> None:
    class Counted:
        looked = 0

        def __init__(self, begin_s: float) -> None:
            self.begin_s = begin_s

        @property
        def end_s(self) -> float:
            Counted.looked += 1
            return self.begin_s + 1

    found = list(holding([Counted(float(n)) for n in range(2_000)], [n + 0.5 for n in range(2_000)]))  # type: ignore[misc]

    assert all(len(one) == 1 for one in found)
    assert Counted.looked < 10_000
