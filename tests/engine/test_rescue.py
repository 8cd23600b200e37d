"""Records of what the state could not take: where they go, who may read them, and whose are believed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hume_runner.engine.rescue import Rescued, keep, records

RECORD = Rescued(
    lineage="lineage",
    number=7,
    nonce="0123456789",
    asked="ab" * 32,
    endpoint="https://api.example.org",
    remote_id="run-1",
    created_at=1.5,
    simulated=False,
    at=2.5,
    carry="state",
    billed_seconds=10.0,
    answer=b"{}\n\x00",
)


@pytest.mark.parametrize("answer", [b"{}\n\x00", b"", None])
def test_a_record_comes_back_as_it_was(tmp_path: Path, temporary: Path, answer: bytes | None) -> None:
    state = tmp_path / "state.sqlite3"
    record = replace(RECORD, answer=answer)
    path = keep(record, state)
    assert path is not None
    assert path.parent == tmp_path
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(records("lineage", state)) == [(path, record)]
    assert keep(record, state) == path  # said twice, kept once
    assert list(records("another", state)) == []


def test_without_room_beside_the_state_it_goes_where_the_next_run_looks_as_well(
    tmp_path: Path, temporary: Path
) -> None:
    (tmp_path / "file").touch()
    nowhere = tmp_path / "file" / "state.sqlite3"
    path = keep(RECORD, nowhere)
    assert path is not None
    assert path.parent == temporary
    assert list(records("lineage", nowhere)) == [(path, RECORD)]
    assert list(records("lineage", tmp_path / "moved" / "state.sqlite3")) == [(path, RECORD)]


def test_a_link_in_its_place_is_not_followed(tmp_path: Path, temporary: Path) -> None:
    state = tmp_path / "state.sqlite3"
    path = keep(RECORD, state)
    assert path is not None
    path.unlink()
    victim = tmp_path / "victim"
    victim.write_text("mine")
    path.symlink_to(victim)
    other = keep(RECORD, state)
    assert victim.read_text() == "mine"
    assert other is not None
    assert other.parent == temporary


def test_no_room_anywhere_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    assert keep(RECORD, tmp_path / "file" / "state.sqlite3") is None
