"""Hosts give names back in spellings of their own: results are told by them all the same, and never by a guess."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.project import JOBS, Project
from tests.media_files import speech, write_wav
from tests.tiers import sampled

SPELLINGS = {
    "upper": {"filenames": "upper"},
    "another composition": {"filenames": "nfd"},
    "percent": {"filenames": "percent"},
    "a folder": {"filenames": ["path", "upper"]},
    "a folder of Windows": {"filenames": "backslash_path"},
    "without the nonce": {"filenames": {"without": "^[0-9a-f]{10}-[0-9]{3}-"}},
    "decoded links": {"urls": "decode"},
    "links encoded twice": {"urls": "encode_again"},
    "links in lower hex": {"urls": "lower_hex"},
}


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_a_host_that_spells_names_another_way_has_its_answers_read(
    project: Project, monkeypatch: pytest.MonkeyPatch, spelling: dict[str, Any]
) -> None:
    monkeypatch.setenv("HUME_API_KEY", project.emulator.api_key)
    for seed, name in enumerate(("one.wav", "Größe 100%.wav")):
        write_wav(project.folder / "media" / name, speech([("speech", 2.0)], seed=seed))
    project.manifest["sources"] = {
        "urls": ["https://example.org/Gr%C3%B6%C3%9Fe%20a.mp4", "https://example.org/b%2Fc.mp4?q=a%20b"],
        "files": ["media/*"],
        "text": ["Hello."],
    }
    project.manifest["outputs"] = {"directory": "out", "tables": ["jsonl"], "report": True}
    project.emulator.make_difficult({"jobs": {**spelling, "predictions_spell": True}})
    ran = project.run()
    assert ran.code == 0, ran.err
    assert {line["status"] for line in project.results()} == {"done"}
    assert project.requests()[JOBS] == 1
    items = {line["id"] for line in project.results()}
    rows = [
        json.loads(line)
        for name in ("prosody", "language")
        for line in (project.out / "tables" / f"{name}.jsonl").read_text().splitlines()
    ]
    assert {row["item_id"] for row in rows} == items
    assert (project.out / "tables" / "errors.jsonl").read_text() == ""
    assert project.call("verify").code == 0
    assert project.run().code == 0
    assert project.requests()[JOBS] == 1
