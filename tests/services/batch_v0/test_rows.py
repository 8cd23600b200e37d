"""Rows of batch-v0 answers: a large source gives the rows that it would give if it were small."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hume_runner.errors import ResultsError
from hume_runner.services.batch_v0.rows import BatchEntry, read_entries
from hume_runner.services.batch_v0.shapes import SMALL_BYTES
from hume_runner.services.table_shapes import Block
from hume_runner.services.unreadable import UNREADABLE
from tests.http.test_large_answers import linux_only, source
from tests.tiers import sampled

PADDING = "x" * (SMALL_BYTES + 1)


def odd_source() -> dict[str, Any]:
    """Every member where it may be, and some where none is due."""
    scores = [{"name": "Admiration", "score": 0.5}, {"name": "Unheard of", "score": 0.1}]
    words = [
        {"text": "\ud800 é \U0001f600 \"]},{", "position": {"begin": 0, "end": 2**70}, "emotions": scores},
        {"text": None, "time": {"begin": 0.5, "more": [1]}, "emotions": None, "toxicity": scores},
        {"emotions": [*scores, {"name": "Joy", "score": None}, {"score": 0.5}], "unknown": {"a": [None]}},
        {"position": {"begin": 5.0, "end": 5.5}},
    ]  # fmt: skip
    groups = [{"predictions": words, "id": 7}, {"id": None, "predictions": None}, {"id": "again", "predictions": words}]
    language = {"grouped_predictions": groups, "metadata": {"confidence": 0.5, "detected_language": "en", "x": 1}}
    files = [
        {"models": {"language": language, "other": [1], "ner": None}, "file": "a/1.txt", "file_type": "text"},
        {"models": None, "file": "2.txt"},
        {"file": None, "file_type": 5, "models": {"language": {"grouped_predictions": None}, "burst": {}}},
    ]
    errors = [{"file": "3.txt", "message": "no"}, "words", {"message": {"deep": 1}}]
    return {"error": {"message": "partly"}, "results": {"errors": errors, "predictions": files},
            "source": {"filename": "a.zip", "type": "file"}}  # fmt: skip


def told(entry: BatchEntry) -> Any:
    return entry.kind, entry.match, entry.errors, [plain(block) for block in entry.blocks()]


def plain(block: Block) -> Any:
    grids = {name: [grid.row(row) for row in range(block.rows)] for name, grid in block.grids.items()}
    return block.layout.name, block.columns, grids, block.extra


def read(path: Path, *elements: Any) -> list[Any]:
    # Lone halves of surrogate pairs are escaped, as services do.
    path.write_text(json.dumps(elements))
    return [told(entry) for entry in read_entries(path)]


def texts() -> dict[str, Any]:
    files = [{"file": str(n), "models": {"language": {"grouped_predictions": []}}} for n in (2, 10, 1)]
    return {"source": {"type": "text"}, "results": {"predictions": files, "errors": [{"file": "3", "message": "no"}]}}


@pytest.mark.parametrize("element", [odd_source(), source("a.mp4", 40), texts()], ids=["odd", "usual", "texts"])
def test_a_large_source_gives_the_rows_of_a_small_one(element: dict[str, Any], tmp_path: Path) -> None:
    small = read(tmp_path / "small.json", element, element)
    for large in ({"padding": PADDING, **element}, {**element, "padding": PADDING}):
        assert read(tmp_path / "large.json", large, element) == small


@pytest.mark.sweep
def test_a_source_that_is_larger_than_a_window_has_all_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps([source("a.mp4", 3000), source("b.mp4", 5)]))
    frames = [[frame for block in entry.blocks() for frame in block.columns["frame"]] for entry in read_entries(path)]
    assert frames == [list(range(3000)), list(range(5))]


@pytest.mark.parametrize(
    "wrong",
    [
        {"results": []},
        {"results": {"predictions": {}}},
        {"results": {"predictions": [{"models": [1]}]}},
        {"results": {"predictions": [{"models": {"face": {"grouped_predictions": [{"predictions": {}}]}}}]}},
        {"results": {"predictions": [{"file": 5}]}},
    ],
)
def test_a_large_source_of_no_known_shape_fails_alone_as_a_small_one_does(wrong: Any, tmp_path: Path) -> None:
    name = {"source": {"type": "url", "url": "https://example.org/a"}}
    for padding in ({}, {"padding": PADDING}):
        first, second = read(tmp_path / "a.json", {**name, **wrong, **padding}, source("b.mp4", 2))
        assert first[1] == "https://example.org/a"
        assert first[2][0].message.startswith(UNREADABLE)
        assert first[3] == []
        assert second[1] == "https://example.org/b.mp4"
        assert len(second[3][0][1]["frame"]) == 2


@sampled(6)
@pytest.mark.parametrize("padding", ["", PADDING], ids=["small", "large"])
@pytest.mark.parametrize("number", ["1e999", "-1e400", "NaN", "Infinity", "9" * 5000], ids=lambda n: n[:9])
def test_a_number_that_is_none_fails_its_source_alone_whatever_its_size(
    number: str, padding: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.json"
    bad = source("a.mp4", 3, padding=padding)
    bad["results"]["predictions"][0]["models"]["face"]["grouped_predictions"][0]["predictions"][1]["prob"] = "HERE"
    path.write_text(json.dumps([bad, source("b.mp4", 2)]).replace('"HERE"', number))
    first, second = read_entries(path)
    if number in ("NaN", "Infinity", "1e999", "-1e400"):
        unreadable = [error for error in first.errors if error.message.startswith(UNREADABLE)]
        if not unreadable:
            with pytest.raises(ResultsError, match=UNREADABLE):
                list(first.blocks())
    assert sum(block.rows for block in second.blocks()) == 2


@pytest.mark.sweep
def test_an_answer_wrapped_in_an_object_is_not_held(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    wrapped = {"job_id": "j", "predictions": [source("a.mp4", 5), {**odd_source(), "padding": PADDING}], "status": "x"}
    path.write_text(json.dumps(wrapped))
    bare = read(tmp_path / "b.json", *wrapped["predictions"])
    assert [told(entry) for entry in read_entries(path)] == bare


PROGRAM = """
import sys
from pathlib import Path
from hume_runner.services.batch_v0.rows import read_entries

def peak_kb():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

def rows(path):
    return sum(block.rows for entry in read_entries(Path(path)) for block in entry.blocks())

assert rows(sys.argv[1]) == 3000
before = peak_kb()
assert rows(sys.argv[2]) == 15_000
print((peak_kb() - before) * 1024)
"""


@pytest.mark.sweep
@linux_only
@pytest.mark.parametrize("wrapped", [False, True])
def test_the_rows_of_one_large_source_take_a_fraction_of_its_size(wrapped: bool, tmp_path: Path) -> None:
    small, large = tmp_path / "small.json", tmp_path / "large.json"
    small.write_text(json.dumps([source("a.mp4", 3000)]))
    document: Any = [source("a.mp4", 15_000)]
    large.write_text(json.dumps({"predictions": document} if wrapped else document))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(small), str(large)], check=True, capture_output=True, text=True
    )
    assert int(done.stdout) < large.stat().st_size / 4


@pytest.mark.sweep
def test_rows_can_be_read_more_than_once(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([source("a.mp4", 2500)]))
    (entry,) = read_entries(path)
    assert [block.rows for block in entry.blocks()] == [block.rows for block in entry.blocks()]
    assert replace(entry, errors=()).predictions == entry.predictions
