"""Tables and report of expression-v1, after real runs against the emulator and from directories alone."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from jsonschema import Draft202012Validator

from hume_runner import read_results
from hume_runner.emulator.server import Emulator
from hume_runner.results.read import DirectoryResults
from hume_runner.results.tables import write_tables
from tests.expression.runs import AUDIO, VIDEO, Folder
from tests.media_files import picture, speech, write_video, write_wav
from tests.results.browser import chromium, opened

SMALL_BODY = 200_000  # some six seconds a part
TABLES = ("items", "sources", "errors", "audio", "audio_scores", "video", "video_scores")


@pytest.fixture
def folder(tmp_path: Path, emulator: Emulator) -> Folder:
    folder = Folder(path=tmp_path / "case", url=emulator.url, key=emulator.api_key)
    folder.path.mkdir()
    write_wav(folder.path / "talk.wav", speech([("speech", 2.5), ("pause", 0.8)] * 5, seed=3))
    sound = speech([("speech", 1.5), ("pause", 0.7)])
    write_video(folder.path / "film.mp4", seconds=2, fps=3, sound=sound, draw=lambda n: picture(seed=n))
    for number in range(3):
        picture(seed=50 + number).save(folder.path / f"still-{number}.jpg")
    return folder


def write(folder: Folder, **sections: Any) -> Folder:
    sections.setdefault("outputs", {"tables": ["parquet"], "report": True})
    sections.setdefault("batching", {"max_bytes": SMALL_BODY, "max_sources": 4})
    return folder.write({"files": ["talk.wav", "film.mp4", "still-*.jpg"]}, **sections)


def table(folder: Folder, name: str) -> list[dict[str, Any]]:
    read = pq.read_table(folder.outputs / "tables" / f"{name}.parquet")
    maps = {field.name for field in read.schema if pa.types.is_map(field.type)}
    return [{n: _as_dict(v) if n in maps else v for n, v in row.items()} for row in read.to_pylist()]


def _as_dict(pairs: list[tuple[str, Any]] | None) -> dict[str, Any] | None:
    found = None if pairs is None else dict(pairs)
    assert found is None or len(found) == len(pairs or ())  # no name twice
    return found


def of(rows: list[dict[str, Any]], item_id: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["item_id"] == item_id]


def plain_scores(folder: Folder) -> list[float]:
    """Every probability in every answer, whatever it belongs to."""
    found: list[float] = []

    def walk(value: Any) -> None:
        if isinstance(value, list):
            for one in value:
                walk(one)
        elif isinstance(value, dict):
            if value.keys() >= {"name", "probability"}:
                found.append(value["probability"])
            for one in value.values():
                walk(one)

    for _, answer in folder.raw():
        walk(answer)
    return sorted(found)


def test_one_run_becomes_tables_that_hold_every_score_once(folder: Folder) -> None:
    assert write(folder).run().code == 0
    audio, video = table(folder, "audio"), table(folder, "video")

    talk = of(audio, "talk.wav")
    assert len({row["job"] for row in talk}) > 2
    assert [row["row"] for row in talk] == list(range(len(talk)))
    assert [row["measurement_id"] for row in talk] == list(range(len(talk)))
    assert [row["utterance_id"] for row in talk] == sorted(row["utterance_id"] for row in talk)
    assert [row["begin_s"] for row in talk] == sorted(row["begin_s"] for row in talk)
    assert 13 < talk[-1]["end_s"] < 16.6
    film = of(video, "film.mp4")
    assert len({row["job"] for row in film}) == 2
    assert sorted({row["frame"] for row in film}) == list(range(6))
    assert sorted({row["time_s"] for row in film}) == pytest.approx([0, 1 / 3, 2 / 3, 1, 4 / 3, 5 / 3], abs=0.001)
    assert {row["epoch"] for row in film} == {0}
    assert {row["file_type"] for row in film} == {"video"}
    for number in range(3):
        assert {row["time_s"] for row in of(video, f"still-{number}.jpg")} <= {None}

    wide = [
        score
        for rows, columns in ((audio, ("expressions", "voice_attributes")), (video, ("expressions", "descriptions")))
        for row in rows
        for column in columns
        for score in (row[column] or {}).values()
    ]
    long = [row["score"] for name in ("audio_scores", "video_scores") for row in table(folder, name)]
    assert sorted(wide) == sorted(long) == plain_scores(folder)
    assert 0 not in wide


@pytest.mark.sweep
def test_the_scores_table_leads_back_to_its_rows(folder: Folder) -> None:
    assert write(folder).run().code == 0

    for name, families in (
        ("audio", {"expression": "expressions", "voice_attribute": "voice_attributes"}),
        ("video", {"expression": "expressions", "description": "descriptions"}),
    ):
        rows = {(row["item_id"], row["row"]): row for row in table(folder, name)}
        scores = table(folder, f"{name}_scores")
        assert scores
        for one in scores:
            assert rows[one["item_id"], one["row"]][families[one["family"]]][one["name"]] == one["score"]


@pytest.mark.sweep
def test_an_item_names_all_its_answers(folder: Folder) -> None:
    assert write(folder).run().code == 0

    for item_id, line in folder.results().items():
        jobs = {row["remote_id"] for name in ("audio", "video") for row in of(table(folder, name), item_id)}
        assert {path.split("/")[1] for path in line["raw"]} >= jobs


@pytest.mark.sweep
def test_rebuilt_tables_and_report_have_the_same_bytes_with_and_without_the_state(folder: Folder) -> None:
    assert write(folder).run().code == 0
    made = folder.outputs / "tables"
    first = {path.name: path.read_bytes() for path in made.iterdir()}
    page = (folder.outputs / "report.html").read_bytes()

    assert folder.command("tables").code == folder.command("report").code == 0
    from_files = write_tables(DirectoryResults(folder.outputs), folder.path / "again")

    assert set(first) == {f"{name}.parquet" for name in TABLES}
    assert {path.name: path.read_bytes() for path in made.iterdir()} == first
    assert (folder.outputs / "report.html").read_bytes() == page
    for path in from_files:
        assert pq.read_table(path).equals(pq.read_table(made / path.name)), path.name


@pytest.mark.sweep
def test_the_schema_of_run_json_lists_every_member_that_a_run_writes(folder: Folder) -> None:
    assert write(folder).run().code == 0
    schema = json.loads((Path(__file__).parents[2] / "schemas" / "run-v1.schema.json").read_text(encoding="utf-8"))

    summary = folder.summary()

    Draft202012Validator(schema).validate(summary)
    assert summary.keys() <= schema["properties"].keys()
    assert summary["outputs"].keys() <= schema["properties"]["outputs"]["properties"].keys()


@pytest.mark.sweep
def test_results_are_read_as_arrow(folder: Folder) -> None:
    assert write(folder, outputs={}).run().code == 0
    assert not (folder.outputs / "tables").exists()

    results = read_results(folder.outputs)

    assert set(results.tables) == set(TABLES)
    assert results.items["status"].to_pylist() == ["done"] * 5
    assert results.tables["audio"].num_rows > 5


@pytest.mark.sweep
def test_csv_and_jsonl_hold_the_same(folder: Folder) -> None:
    assert write(folder, outputs={"tables": ["parquet", "csv", "jsonl"]}).run().code == 0
    made = folder.outputs / "tables"

    with (made / "audio.csv").open(newline="", encoding="utf-8") as file:
        cells = list(csv.DictReader(file))
    lines = [json.loads(line) for line in (made / "audio.jsonl").read_text(encoding="utf-8").splitlines()]
    rows = table(folder, "audio")
    assert [json.loads(row["expressions"]) for row in cells] == [row["expressions"] for row in rows]
    assert [row["voice_attributes"] for row in lines] == [row["voice_attributes"] for row in rows]
    assert [float(row["end_s"]) for row in cells] == [row["end_s"] for row in rows]


@pytest.mark.sweep
def test_the_long_form_has_the_tables_own_columns(folder: Folder) -> None:
    assert write(folder).run().code == 0
    assert folder.command("tables", "--long").code == 0

    long, scores = table(folder, "audio_long"), table(folder, "audio_scores")
    assert [(r["item_id"], r["row"], r["name"], r["score"]) for r in long] == [
        (r["item_id"], r["row"], r["name"], r["score"]) for r in scores
    ]
    assert {"begin_s", "utterance_id", "group_id"} <= long[0].keys()


@pytest.mark.sweep
def test_what_there_is_of_an_item_in_parts_is_told_and_its_failure_too(folder: Folder, emulator: Emulator) -> None:
    write(folder, execution={"transfer_workers": 1})
    error = {"type": "error", "code": "audio_decode_failed", "message": "not this one", "request_id": "0" * 32}
    emulator.inject([{"route": AUDIO, "nth": [2], "action": {"status": 400, "body": error}}])
    assert folder.run().code == 3

    (failure,) = table(folder, "errors")
    partial = of(table(folder, "audio"), "talk.wav")
    assert (failure["item_id"], failure["reason"]) == ("talk.wav", "audio_decode_failed")
    assert partial
    # The parts around the missing one keep their place in time.
    assert max(row["end_s"] for row in partial) > 13

    emulator.inject([])
    assert folder.run("--retry-failed").code == 0
    whole = of(table(folder, "audio"), "talk.wav")
    assert table(folder, "errors") == []
    assert len(whole) > len(partial)
    assert [row["measurement_id"] for row in whole] == list(range(len(whole)))
    assert {row["begin_s"] for row in partial} < {row["begin_s"] for row in whole}


@pytest.mark.sweep
def test_an_answer_of_an_unknown_shape_is_a_failure_and_no_table_stops_for_it(
    folder: Folder, emulator: Emulator
) -> None:
    odd = {"request_id": "q", "run_id": "5d3f1a86-0000-4000-8000-000000000000", "measurements": "see elsewhere"}
    emulator.inject([{"route": VIDEO, "nth": [1], "action": {"status": 200, "body": odd}}])
    write(folder, execution={"transfer_workers": 1})
    assert folder.run().code == 3

    failed = {row["item_id"] for row in table(folder, "errors")}
    assert failed
    assert not failed & {row["item_id"] for row in table(folder, "video") if row["time_s"] is None}
    again = write_tables(DirectoryResults(folder.outputs), folder.path / "again")
    for path in again:
        assert pq.read_table(path).num_rows == len(table(folder, path.stem)), path.name


@pytest.mark.sweep
def test_short_recordings_that_were_joined_are_items_of_their_own(folder: Folder) -> None:
    for number in range(3):
        sound = speech([("pause", 0.3), ("speech", 1 + number / 2), ("pause", 0.4)], seed=20 + number)
        write_wav(folder.path / f"clip-{number}.wav", sound)
    folder.write({"files": ["clip-*.wav"]}, batching={"pack_short_audio": True}, outputs={"tables": ["parquet"]})
    assert folder.run().code == 0
    assert len(folder.raw()) == 1

    rows = table(folder, "audio")
    assert sorted({row["item_id"] for row in rows}) == [f"clip-{number}.wav" for number in range(3)]
    for number in range(3):
        mine = of(rows, f"clip-{number}.wav")
        assert mine[0]["measurement_id"] == mine[0]["utterance_id"] == 0
        assert all(0 <= row["begin_s"] < row["end_s"] < 2 + number for row in mine)


@pytest.mark.sweep
def test_a_table_that_is_gone_is_made_again_by_a_run_with_nothing_to_do(folder: Folder) -> None:
    assert write(folder, outputs={"tables": ["parquet", "csv"]}).run().code == 0
    made = folder.outputs / "tables"
    before = {path.name: path.read_bytes() for path in made.iterdir()}
    (made / "items.csv").unlink()
    (made / "video.csv").unlink()

    assert folder.run().code == 0

    assert {path.name: path.read_bytes() for path in made.iterdir()} == before


@pytest.mark.sweep
def test_the_report_draws_gaps_and_says_how_often_a_score_was_there(folder: Folder) -> None:
    quiet = np.concatenate([speech([("speech", 9), ("pause", 0.6)], seed=1), speech([("speech", 8)], seed=2)])
    write_wav(folder.path / "talk.wav", quiet)
    assert write(folder, batching={}).run().code == 0
    page = folder.outputs / "report.html"

    with chromium() as browser, opened(browser, page) as seen:
        assert (seen.console, seen.requests) == ([], [page.as_uri()])
        assert "5 of 5 sources measured" in seen.page.inner_text(".lead")
        assert "billed" in seen.page.inner_text("#about")
        assert seen.page.locator("#overview-chart svg rect").count() > 5
        # Colours begin at the cutoff: at the lowest score that the service told.
        shown = seen.page.locator("#overview-controls").get_by_label("Model").locator("option:checked").inner_text()
        rows = table(folder, shown.split(":")[0])
        lowest = min(score for row in rows for score in (row["expressions"] or {}).values())
        words = seen.page.locator("#overview-chart svg > text:not([role])").all_text_contents()
        assert words.pop() == "SIMULATED"
        assert float(words[0]) == pytest.approx(lowest, abs=0.0006)
        assert words[-1] == "mean score, from the lowest above the cutoff"
        seen.page.locator("#list button").filter(has_text="talk.wav").click()
        detail = seen.page.locator("#detail")
        assert "audio" in detail.inner_text()
        assert "below the service's cutoff, which is not zero" in detail.inner_text()
        rows = len(of(table(folder, "audio"), "talk.wav"))
        assert f" of {rows}" in detail.inner_text()
        # Each drawn point is a score that is there: none is invented at zero.
        data = json.loads(seen.page.locator("#data").text_content() or "")
        part = next(s["m"]["audio"] for s in data["sources"] if s["i"] == "talk.wav")
        assert any(None in row[4] for row in part["rows"])
        assert all(value != 0 for row in part["rows"] for value in row[4])
        for name, mean, peak, count in part["open"]:
            scores = [
                row["expressions"][data["models"]["audio"]["names"][name]]
                for row in of(table(folder, "audio"), "talk.wav")
                if data["models"]["audio"]["names"][name] in row["expressions"]
            ]
            assert count == len(scores)
            assert (mean, peak) == (
                pytest.approx(1000 * sum(scores) / count, abs=0.51),
                pytest.approx(1000 * max(scores), abs=0.51),
            )
