"""Tables against a second, deliberately plain flattening of the same answers."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hume_runner.errors import ResultsError
from hume_runner.results.options import TableOptions
from hume_runner.results.read import DirectoryResults, LooseResults
from hume_runner.results.tables import write_tables
from tests.results.sample_answers import (
    NAMES_48,
    WORDS,
    Outputs,
    face_rows,
    file_element,
    interviews,
    language_rows,
    model,
    prosody_rows,
    score_list,
    text_element,
    url_element,
)
from tests.tiers import sampled

LONG = TableOptions(long=True)

FAMILIES = {"emotions": "emotion", "facs": "facs", "sentiment": "sentiment", "toxicity": "toxicity"}


def spelled(prefix: str, name: str) -> str:
    words = re.findall(r"[a-z0-9]+", name.lower())
    return "_".join([prefix, *words])


def plain_rows(answer: list[Any], table: str, ids: Mapping[tuple[str, str], str]) -> Iterator[dict[str, Any]]:
    """What the table must hold, cell by cell: only what is there; everything else must be null."""
    for element in answer:
        for prediction in (element["results"] or {})["predictions"]:
            kind = element["source"]["type"]
            name = {"url": element["source"].get("url"), "file": element["source"].get("filename")}.get(kind)
            item_id = ids[kind, name or prediction["file"]]
            content = prediction["models"].get(table)
            number = 0
            for group in content["grouped_predictions"] if content else ():
                for row in group["predictions"]:
                    yield {
                        "item_id": item_id,
                        "group_id": group["id"],
                        "row": number,
                        **plain_cells(table, content, row),
                    }
                    number += 1


def plain_cells(table: str, content: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    cells: dict[str, Any] = {}
    for name, value in row.items():
        if name == "box":
            cells |= {f"box_{side}": value[side] for side in "xywh"}
        elif name == "time" and isinstance(value, dict):
            cells |= {"begin_s": value["begin"], "end_s": value["end"]}
        elif name == "time" and value is not None:
            cells["time_s"] = value
        elif name == "position":
            cells |= {"position_begin": value["begin"], "position_end": value["end"]}
        elif isinstance(value, list):
            prefix = FAMILIES.get(name, "description")
            cells |= {spelled(prefix, score["name"]): score["score"] for score in value}
        elif value is not None:
            cells[name] = value
    if content["metadata"]:
        cells["transcript_confidence"] = content["metadata"]["confidence"]
        cells["detected_language"] = content["metadata"].get("detected_language")
    return {name: value for name, value in cells.items() if value is not None}


def told(record: Mapping[str, Any]) -> dict[str, Any]:
    """A row of ours without its nulls and without what the plain flattening does not tell."""
    known = {"source", "labels", "job", "remote_id", "simulated", "file", "file_type"}
    return {name: value for name, value in record.items() if value is not None and name not in known}


def rows_of(path: Path) -> list[dict[str, Any]]:
    return list(pq.read_table(path).to_pylist())


def loose(path: Path, answer: Any) -> LooseResults:
    path.write_text(json.dumps(answer), encoding="utf-8")
    return LooseResults([path], path.parent)


@pytest.fixture
def one_of_each() -> list[Any]:
    facs = [{"name": "AU1 Inner Brow Raise", "score": 1.5}, {"name": "Hand touching Face / Head", "score": 0.25}]
    smile = [{"name": "Wide-eyed", "score": 0.5}]
    burst = {"time": {"begin": 27.0, "end": 28.0}, "emotions": score_list(NAMES_48, 3.0),
             "descriptions": [{"name": "Uh-huh", "score": 0.125}]}  # fmt: skip
    entity = {"entity": "Lyon", "position": {"begin": 3, "end": 7}, "entity_confidence": 0.75, "support": 12.0,
              "uri": "http://example.org/Lyon", "link_word": "Lyon", "time": None, "confidence": None,
              "speaker_confidence": None, "emotions": score_list(NAMES_48, 8.0)}  # fmt: skip
    films = {
        "face": model({"face_1": face_rows(3), "face_0": face_rows(2, 5.0, facs=facs, descriptions=smile)}),
        "prosody": model({"spk_0": prosody_rows(WORDS)}, {"confidence": 0.875, "detected_language": "en"}),
        "burst": model({"unknown": [burst]}),
    }
    texts = {
        "2": {"language": model({"unknown": language_rows(WORDS[:2])})},
        "10": {"language": model({"unknown": language_rows(WORDS[2:4], 3.0)}), "ner": model({"unknown": [entity]})},
        "1": {"facemesh": model({"unknown": [{"emotions": score_list(NAMES_48, 2.0)}]})},
    }
    return [url_element("https://example.org/a.mp4", films), file_element("b.wav", {}), text_element(texts)]


@sampled(4)
@pytest.mark.parametrize("table", ["face", "prosody", "burst", "language", "ner", "facemesh"])
def test_every_number_of_the_answer_is_in_the_table_and_nothing_else(
    table: str, one_of_each: list[Any], tmp_path: Path
) -> None:
    write_tables(loose(tmp_path / "predictions.json", one_of_each), tmp_path)

    ids = {("url", "https://example.org/a.mp4"): "https://example.org/a.mp4"}
    ids |= {("text", position): f"text-{position}" for position in ("1", "2", "10")}
    # Texts come in any order in an answer, and by position in the table.
    one_of_each[2]["results"]["predictions"].sort(key=lambda prediction: int(prediction["file"]))
    assert [told(row) for row in rows_of(tmp_path / f"{table}.parquet")] == list(plain_rows(one_of_each, table, ids))


def test_scores_are_the_same_doubles_in_every_format(one_of_each: list[Any], tmp_path: Path) -> None:
    results = loose(tmp_path / "predictions.json", one_of_each)
    for format in ("parquet", "csv", "jsonl"):
        write_tables(results, tmp_path, format=format)

    parquet = rows_of(tmp_path / "face.parquet")
    lines = [json.loads(line) for line in (tmp_path / "face.jsonl").read_text().splitlines()]
    with (tmp_path / "face.csv").open(newline="", encoding="utf-8") as stream:
        cells = list(csv.DictReader(stream))
    scores = [name for name in parquet[0] if name.startswith(("emotion_", "box_"))]
    assert len(scores) == 48 + 4
    for name in scores:
        assert [row[name] for row in parquet] == [row[name] for row in lines] == [float(row[name]) for row in cells]


def test_a_score_that_the_service_left_out_is_null_and_never_zero(tmp_path: Path) -> None:
    row = face_rows(1)[0] | {"emotions": [{"name": "Joy", "score": 0.0}]}
    whole, none = face_rows(2)[1], {"frame": 3, "time": 1.0, "emotions": None}
    answer = [file_element("a.jpg", {"face": model({"unknown": [row, whole, none]})})]

    write_tables(loose(tmp_path / "predictions.json", answer), tmp_path)

    table = pq.read_table(tmp_path / "face.parquet")
    assert table["emotion_joy"].to_pylist()[0] == 0.0
    assert table["emotion_anger"].is_null().to_pylist() == [True, False, True]
    assert table["facs_au1_inner_brow_raise"].null_count == 3
    assert table["box_x"].to_pylist()[2] is None


def test_names_and_members_that_nobody_knows_yet_are_kept_in_extra(tmp_path: Path) -> None:
    row = face_rows(1)[0]
    row["emotions"].append({"name": "Saudade", "score": 0.5})
    row["emotions"][0]["score"] = None
    row["gaze"] = {"yaw": 0.25}
    row["frame"] = 2**70
    later = {**model({"face_0": [row]}), "version": 7}
    answer = [file_element("a.jpg", {"face": later, "aura": {"grouped_predictions": []}}) | {"region": "eu"}]

    write_tables(loose(tmp_path / "predictions.json", answer), tmp_path)

    (record,) = rows_of(tmp_path / "face.parquet")
    assert record["emotion_joy"] == row["emotions"][NAMES_48.index("Joy")]["score"]
    assert record["emotion_admiration"] is None
    assert record["frame"] is None
    extra = json.loads(record["extra"])
    assert extra["gaze"] == {"yaw": 0.25}
    assert {"name": "Saudade", "score": 0.5} in extra["emotions"]
    assert extra["frame"] == 2**70


@pytest.mark.sweep
def test_rows_carry_the_items_that_a_manifest_named(tmp_path: Path) -> None:
    results = interviews(tmp_path / "out", 9)
    write_tables(results, tmp_path / "out" / "tables")

    face = pq.read_table(tmp_path / "out" / "tables" / "face.parquet")
    assert face.num_rows == 8 * 64
    first = face.slice(0, 1).to_pylist()[0]
    assert (first["item_id"], first["job"], first["remote_id"]) == ("p00", "job-000001", "00000000-aaaa")
    assert json.loads(first["labels"]) == {"site": "Lyon", "wave": 1}
    assert first["simulated"] is True
    assert face["item_id"].null_count == 0
    assert "SECRET" not in "".join(face["source"].to_pylist())


def test_content_listed_twice_has_rows_under_both_ids(tmp_path: Path) -> None:
    outputs = Outputs(directory=tmp_path / "out")
    for name in ("first", "second"):
        outputs.item(name, "file", f"{name}.wav")
    answer = [file_element("upload-0.wav", {"prosody": model({"unknown": prosody_rows(WORDS)})})]
    outputs.job("job-000001", "r1", answer, [("file", "upload-0.wav", ["first", "second"])])

    write_tables(outputs.write(), tmp_path / "tables")

    ids = pq.read_table(tmp_path / "tables" / "prosody.parquet")["item_id"].to_pylist()
    assert ids == ["first"] * 6 + ["second"] * 6


def test_each_failure_is_one_row_of_errors(tmp_path: Path) -> None:
    outputs = Outputs(directory=tmp_path / "out")
    outputs.item("zip", "url", "https://example.org/faces.zip")
    outputs.item("told", "file", "a.wav", status="failed", error="no speech", reason="transcript_confidence")
    outputs.item("lost", "file", "b.wav", status="failed", error="the upload is too large", reason="too_large")
    inside = [{"message": "not an image", "file": "faces/7.txt"}, {"message": "no face", "file": "faces/8.jpg"}]
    answer = [
        url_element("https://example.org/faces.zip", {"face": model({"unknown": face_rows(1)})}, inside),
        file_element("a.wav", {}) | {"results": None, "error": "no speech"},
    ]
    members = [("url", "https://example.org/faces.zip", ["zip"]), ("file", "a.wav", ["told"])]
    outputs.job("job-000001", "r1", answer, members)

    write_tables(outputs.write(), tmp_path / "tables")

    rows = rows_of(tmp_path / "tables" / "errors.parquet")
    assert [(row["item_id"], row["file"], row["message"]) for row in rows] == [
        ("zip", "faces/7.txt", "not an image"),
        ("zip", "faces/8.jpg", "no face"),
        ("told", None, "no speech"),
        ("lost", None, "the upload is too large"),
    ]


def test_items_has_a_row_an_item_and_a_column_a_label(tmp_path: Path) -> None:
    outputs = Outputs(directory=tmp_path / "out")
    outputs.item("a", "text", "Hello", labels={"wave": 1, "Site": "Lyon", "weight": 0.5, "ok": True, "mixed": 1})
    outputs.item("b", "text", "World", labels={"wave": 2, "site": "Oslo", "weight": 2, "mixed": "x"}, status="pending")

    write_tables(outputs.write(), tmp_path / "tables")

    table = pq.read_table(tmp_path / "tables" / "items.parquet")
    assert table["item_id"].to_pylist() == ["a", "b"]
    assert table["status"].to_pylist() == ["done", "pending"]
    labels = {name: table[name].to_pylist() for name in table.column_names if name.startswith("label_")}
    assert labels == {
        "label_site": ["Lyon", None],
        "label_site_2": [None, "Oslo"],
        "label_mixed": ["1", "x"],
        "label_ok": [True, None],
        "label_wave": [1, 2],
        "label_weight": [0.5, 2.0],
    }


@sampled(1)
@pytest.mark.parametrize("format", ["parquet", "csv", "jsonl"])
def test_a_rebuild_gives_the_same_bytes(format: str, tmp_path: Path) -> None:
    results = interviews(tmp_path / "out", 9)
    first = {
        path.name: path.read_bytes() for path in write_tables(results, tmp_path / "a", format=format, options=LONG)
    }
    second = {
        path.name: path.read_bytes() for path in write_tables(results, tmp_path / "b", format=format, options=LONG)
    }

    assert first == second
    stems = {name.split(".")[0] for name in first}
    assert stems == {
        "items",
        "errors",
        "sources",
        "sources_long",
        *(f"{m}{s}" for m in ("face", "prosody", "language") for s in ("", "_long")),
    }


def test_the_long_form_has_a_row_a_score_that_is_there(tmp_path: Path) -> None:
    rows = [face_rows(1)[0] | {"emotions": [{"name": "Joy", "score": 0.5}]}, face_rows(2)[1]]
    answer = [file_element("a.jpg", {"face": model({"face_0": rows})})]

    write_tables(loose(tmp_path / "predictions.json", answer), tmp_path, options=LONG)

    scores = rows_of(tmp_path / "face_long.parquet")
    assert [(row["row"], row["family"], row["name"], row["score"]) for row in scores] == [
        (0, "emotion", "Joy", 0.5),
        *((1, "emotion", score["name"], score["score"]) for score in rows[1]["emotions"]),
    ]


HOSTILE = ('=HYPERLINK("http://evil")', "+1", "-1+2", "@SUM(A1)", "\tx", 'a,"b"\r\nc', "naïve 😀", "=1\x00")


def test_csv_survives_every_text_and_no_cell_is_a_formula(tmp_path: Path) -> None:
    answer = [file_element("-x.wav", {"prosody": model({"=spk": prosody_rows(HOSTILE)})})]

    write_tables(loose(tmp_path / "predictions.json", answer), tmp_path, format="csv")

    content = (tmp_path / "prosody.csv").read_bytes().decode()
    assert content.endswith("\r\n")
    rows = list(csv.reader(content.splitlines(keepends=True), strict=True))
    assert {len(row) for row in rows} == {len(rows[0])}
    text = rows[0].index("text")
    assert [row[text].removeprefix("'") for row in rows[1:]] == list(HOSTILE)
    for row in rows[1:]:
        for cell in row:
            number = re.fullmatch(r"-?[0-9.e+-]+", cell)
            assert number or not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_negative_numbers_stay_numbers_in_csv(tmp_path: Path) -> None:
    row = face_rows(1)[0] | {"emotions": [{"name": "Joy", "score": -0.125}]}
    write_tables(
        loose(tmp_path / "p.json", [file_element("a.jpg", {"face": model({"unknown": [row]})})]), tmp_path, format="csv"
    )
    with (tmp_path / "face.csv").open(newline="") as stream:
        assert next(csv.DictReader(stream))["emotion_joy"] == "-0.125"


def test_a_table_of_a_model_that_is_gone_is_told_and_is_for_the_caller_to_remove(tmp_path: Path) -> None:
    face = [file_element("a.jpg", {"face": model({"unknown": face_rows(1)})})]
    speech = [file_element("a.wav", {"prosody": model({"unknown": prosody_rows(WORDS)})})]
    write_tables(loose(tmp_path / "one.json", face), tmp_path / "tables")
    (tmp_path / "tables" / "mine.parquet").write_bytes(b"x")

    left: list[Path] = []
    write_tables(loose(tmp_path / "two.json", speech), tmp_path / "tables", left=left.append)

    assert [path.name for path in left] == ["face.parquet"]
    assert {path.name for path in (tmp_path / "tables").iterdir()} == {
        "items.parquet", "errors.parquet", "sources.parquet", "prosody.parquet", "face.parquet", "mine.parquet"
    }  # fmt: skip


def test_a_damaged_answer_leaves_the_old_tables_untouched(tmp_path: Path) -> None:
    path = tmp_path / "predictions.json"
    write_tables(loose(path, [file_element("a.jpg", {"face": model({"unknown": face_rows(1)})})]), tmp_path / "tables")
    before = {file.name: file.read_bytes() for file in (tmp_path / "tables").iterdir()}
    results = LooseResults([path], tmp_path)
    path.write_text(path.read_text()[:-40])

    with pytest.raises(ResultsError, match=r"predictions\.json"):
        write_tables(results, tmp_path / "tables")

    assert {file.name: file.read_bytes() for file in (tmp_path / "tables").iterdir()} == before


def test_a_model_that_was_asked_for_and_found_nothing_has_an_empty_table(tmp_path: Path) -> None:
    outputs = Outputs(directory=tmp_path / "out", settings={"models": {"burst": {}, "face": None}})
    outputs.item("a", "file", "a.wav")
    outputs.job("job-000001", "r1", [file_element("a.wav", {})], [("file", "a.wav", ["a"])])

    names = {path.stem for path in write_tables(outputs.write(), tmp_path / "tables")}

    assert names == {"items", "errors", "sources", "burst"}
    assert pq.read_table(tmp_path / "tables" / "burst.parquet").num_rows == 0


@pytest.mark.sweep
def test_long_sources_are_written_in_row_groups(tmp_path: Path) -> None:
    row = {"emotions": [{"name": "Joy", "score": 0.5}], "frame": 1}
    answer = [file_element("a.mp4", {"face": model({"face_0": [row] * 40_000})})]

    write_tables(loose(tmp_path / "predictions.json", answer), tmp_path)

    file = pq.ParquetFile(tmp_path / "face.parquet")
    assert file.metadata.num_rows == 40_000
    assert file.metadata.num_row_groups > 1
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    assert file.read(["row"])["row"].to_pylist() == list(range(40_000))
    assert isinstance(file.schema_arrow, pa.Schema)


def test_names_that_are_no_unicode_are_written_with_a_question_mark(tmp_path: Path) -> None:
    outputs = Outputs(directory=tmp_path / "out")
    name = "caf\udce9.wav"
    outputs.item(name, "file", name, labels={"place": name}, status="failed", error=f"{name}: too large")
    (tmp_path / "out").mkdir()
    line = json.dumps(outputs.lines[0])
    (tmp_path / "out" / "results.jsonl").write_text(line + "\n")

    for format in ("parquet", "csv", "jsonl"):
        write_tables(DirectoryResults(tmp_path / "out"), tmp_path / "tables", format=format)

    (item,) = rows_of(tmp_path / "tables" / "items.parquet")
    assert (item["item_id"], item["label_place"]) == ("caf?.wav", "caf?.wav")
    assert rows_of(tmp_path / "tables" / "errors.parquet")[0]["message"] == "caf?.wav: too large"
