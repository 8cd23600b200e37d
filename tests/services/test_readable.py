"""One source of an answer that cannot be read fails alone: at fetching, and in the tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hume_runner.results.read import LooseResults
from hume_runner.results.tables import write_tables
from tests.cli.conftest import *  # noqa: F403
from tests.cli.project import Project
from tests.results.sample_answers import face_rows, file_element, model

_GOOD = json.dumps(file_element("good.jpg", {"face": model({"unknown": face_rows(2)})}))
_BAD = json.dumps(file_element("bad.jpg", {"face": model({"unknown": face_rows(2)})}))

ODD = {
    "too large a number": _BAD.replace('"prob": ', '"prob": 1e999, "other": '),
    "too small a number": _BAD.replace('"prob": ', '"prob": -1e400, "other": '),
    "an endless integer": _BAD.replace('"frame": ', '"frame": ' + "9" * 10_000 + ', "other": '),
    "a model that is a list": _BAD.replace('"models": {"face": ', '"models": {"face": [], "other": '),
    "models that are text": _BAD.replace('"models": ', '"models": "x", "other": '),
    "predictions that are an object": '{"source": {"type": "file", "filename": "bad.jpg"}, '
    '"results": {"predictions": {}}}',
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_one_odd_source_leaves_the_others_their_rows(odd: str, tmp_path: Path) -> None:
    path = tmp_path / "predictions.json"
    path.write_text(f"[{odd}, {_GOOD}]")
    write_tables(LooseResults([path], tmp_path), tmp_path / "t", format="jsonl")
    rows = [json.loads(line) for line in (tmp_path / "t" / "face.jsonl").read_text().splitlines()]
    assert [row["item_id"] for row in rows].count("good.jpg") == 2
    (error,) = [json.loads(line) for line in (tmp_path / "t" / "errors.jsonl").read_text().splitlines()]
    assert error["item_id"] == "bad.jpg"
    assert "cannot be read" in error["message"]


@pytest.mark.parametrize("nobody", ['{"source": null}', '{"results": {}}', "5", "[]"])
def test_an_element_that_is_nobodys_takes_nothing_from_the_others(nobody: str, tmp_path: Path) -> None:
    path = tmp_path / "predictions.json"
    path.write_text(f"[{nobody}, {_GOOD}]")
    write_tables(LooseResults([path], tmp_path), tmp_path / "t", format="jsonl")
    assert len((tmp_path / "t" / "face.jsonl").read_text().splitlines()) == 2


def test_an_item_with_an_unreadable_answer_fails_alone_in_a_run(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUME_API_KEY", project.emulator.api_key)
    urls = ["https://example.org/good.jpg", "https://example.org/bad.jpg"]
    project.manifest["sources"] = {"urls": urls}
    project.manifest["models"] = {"face": {}}
    project.manifest["outputs"] = {"directory": "out", "tables": ["jsonl"]}
    good, bad = json.loads(_GOOD), json.loads(_BAD)
    good["source"], bad["source"] = ({"type": "url", "url": url} for url in urls)
    bad["results"]["predictions"][0]["models"]["face"] = []
    body = [bad, good]
    route = "GET /v0/batch/jobs/{id}/predictions"
    project.emulator.inject([{"route": route, "action": {"status": 200, "body": body}}])
    ran = project.run()
    assert ran.code == 3, ran.err
    found = {Path(line["source"]).name: line for line in project.results()}
    assert found["good.jpg"]["status"] == "done"
    assert (found["bad.jpg"]["status"], "cannot be read" in found["bad.jpg"]["error"]) == ("failed", True)
    assert len((project.out / "tables" / "face.jsonl").read_text().splitlines()) == 2
    (error,) = [json.loads(line) for line in (project.out / "tables" / "errors.jsonl").read_text().splitlines()]
    assert error["item_id"] == found["bad.jpg"]["id"]
    assert project.call("verify").code == 0
