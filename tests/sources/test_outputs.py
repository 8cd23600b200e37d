"""What of a folder runs wrote, told by as little as possible."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from hume_runner.sources.globbing import matching_files
from hume_runner.sources.left_out import LeftOut
from hume_runner.sources.outputs import RECORD
from hume_runner.state.disk import Disk
from hume_runner.state.store import Store
from tests.sources.trees import found, tree


def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are opened from here on to tell whose they are."""
    names: list[str] = []
    real = os.open

    def opening(path: Any, *how: Any, **more: Any) -> int:
        names.append(Path(path).name)
        return real(path, *how, **more)

    monkeypatch.setattr(os, "open", opening)
    return names


def test_no_medium_is_opened_to_tell_whose_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    media = [f"raw/p{number}/{name}" for number in range(20) for name in ("a.wav", "b.mp4", "c.png", "d.txt", "e.dbx")]
    tree(tmp_path, *media, "report.html")
    (tmp_path / RECORD).write_text("{}")
    names = opened(monkeypatch)
    assert len(found("**/*", tmp_path)) == len(media) + 1
    assert sorted(set(names)) == ["e.dbx", "report.html"]


def test_an_answer_is_judged_by_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [f"raw/{number:08x}/{name}" for number in range(50) for name in ("request.json", "predictions.json")]
    tree(tmp_path, *answers, "raw/p07/a.wav")
    (tmp_path / RECORD).write_text("{}")
    names, listed, scandir = opened(monkeypatch), [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(path) or scandir(path))
    left_out = LeftOut()
    matched = list(matching_files("**/*", str(tmp_path), lambda _: None, left_out=left_out))
    assert [os.path.relpath(path, tmp_path) for path in matched] == ["raw/p07/a.wav"]
    assert (len(listed), names, len(left_out.folders)) == (3, [], 50)


def test_a_state_that_is_being_written_is_known_without_being_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To close it again would take away the locks that this process has on it."""
    tree(tmp_path, "a.wav", "st.lock")
    with Store.create_or_open(tmp_path / "st", disk=Disk(), name="trial", lineage="l"):
        assert (tmp_path / "st-wal").exists()
        names = opened(monkeypatch)
        assert found("*", tmp_path) == ["a.wav"]
        assert names == []
    tree(tmp_path, "st.seal", "st.ctl", "st.job-000001-0a1b.rescued")
    (tmp_path / "copy of st.sqlite3.bak").write_bytes((tmp_path / "st").read_bytes())
    assert found("*", tmp_path) == ["a.wav"]
    assert "st" in names


def test_databases_and_documents_of_a_person_are_found(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "mine.sqlite3") as db:
        db.execute("CREATE TABLE t (x)")
    db.close()
    mine = {
        "mine.csv": "item_id,source,mine\n1,2,3\n",
        "mine.jsonl": '{"item_id":"1","source":"a","mine":1}\n',
        "mine.json": '{"about": "hume_runner table 0123"}',
        "mine.html": "<p>hume_runner report</p><!-- a note -->\n",
        "mine.md": "# About hume_runner\n",
        "mine.lock": "x",
        "mine.sqlite3.lock": "x",
        "run.json": '{"runs": 3}',
        "results.jsonl": '{"result": 1}',
        "state.sqlite3": "x",
        "state.sqlite3-wal": "x",
    }
    for name, text in mine.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert sorted(found("*", tmp_path)) == sorted([*mine, "mine.sqlite3"])
