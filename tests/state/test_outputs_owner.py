"""An output directory belongs to one manifest with one state; whoever else comes is refused before anything is made."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hume_runner.errors import UsageError
from hume_runner.sources.outputs import RECORD
from hume_runner.state.disk import Disk
from hume_runner.state.outputs_owner import OutputsOwner


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def files(outputs: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in outputs.iterdir()}


def taken(outputs: Path, state: Path, *, manifest: str = "first", lineage: str = "one") -> None:
    state.parent.mkdir(exist_ok=True)
    state.touch()
    owner = OutputsOwner(outputs)
    owner.check(manifest=manifest, state=state, lineage=lineage)
    owner.record(Disk(), manifest=manifest, state=state, lineage=lineage)


def refused(outputs: Path, state: Path, *, manifest: str = "first", lineage: str = "two") -> str:
    with pytest.raises(UsageError) as caught:
        OutputsOwner(outputs).check(manifest=manifest, state=state, lineage=lineage)
    assert caught.value.exit_code == 64
    assert "--output-dir" in caught.value.hint
    return f"{caught.value} {caught.value.hint}"


def allowed(outputs: Path, state: Path, *, manifest: str = "first", lineage: str = "two") -> None:
    before = files(outputs)
    OutputsOwner(outputs).check(manifest=manifest, state=state, lineage=lineage)
    assert files(outputs) == before


def test_another_manifest_is_refused_and_both_are_named(outputs: Path, tmp_path: Path) -> None:
    taken(outputs, outputs / "state.sqlite3")
    said = refused(outputs, tmp_path / "mine.sqlite3", manifest="second")
    assert "'first'" in said
    assert "'second'" in said


def test_another_state_of_the_same_manifest_is_refused_and_both_are_named(outputs: Path, tmp_path: Path) -> None:
    for where in (outputs / "state.sqlite3", tmp_path / "states" / "a.sqlite3"):
        (outputs / RECORD).unlink(missing_ok=True)
        taken(outputs, where)
        said = refused(outputs, tmp_path / "b.sqlite3")
        assert str(where) in said
        assert str(tmp_path / "b.sqlite3") in said
        assert f"--state {where}" in said


def test_the_same_state_by_another_name_is_the_same_state(outputs: Path, tmp_path: Path) -> None:
    taken(outputs, outputs / "state.sqlite3")
    (tmp_path / "link").symlink_to(outputs)
    allowed(tmp_path / "link", tmp_path / "link" / "state.sqlite3", lineage="one")
    allowed(outputs, tmp_path / "link" / ".." / "out" / "state.sqlite3", lineage="new")


def test_a_fresh_state_in_the_place_of_a_deleted_one_is_welcome(outputs: Path, tmp_path: Path) -> None:
    for where in (outputs / "state.sqlite3", tmp_path / "states" / "a.sqlite3"):
        (outputs / RECORD).unlink(missing_ok=True)
        taken(outputs, where)
        where.unlink()
        allowed(outputs, where)
        allowed(outputs, tmp_path / "fresh.sqlite3")


def test_a_state_that_was_moved_is_welcome_from_its_new_place(outputs: Path, tmp_path: Path) -> None:
    taken(outputs, outputs / "state.sqlite3")
    moved = Path(shutil.move(outputs / "state.sqlite3", tmp_path / "moved.sqlite3"))
    allowed(outputs, moved, lineage="one")
    taken(outputs, moved)
    assert json.loads((outputs / RECORD).read_bytes())["state"] == str(moved)
    refused(outputs, outputs / "state.sqlite3")


def test_a_copied_folder_speaks_of_its_own_state(outputs: Path, tmp_path: Path) -> None:
    taken(outputs, outputs / "state.sqlite3")
    copy = Path(shutil.copytree(outputs, tmp_path / "copy"))
    allowed(copy, copy / "state.sqlite3", lineage="one")
    refused(copy, tmp_path / "mine.sqlite3")
    (copy / "state.sqlite3").unlink()
    allowed(copy, copy / "state.sqlite3", lineage="fresh")
    refused(outputs, tmp_path / "mine.sqlite3")


def test_outputs_of_a_version_without_a_record_belong_to_the_manifest_that_they_name(outputs: Path) -> None:
    (outputs / "run.json").write_text('{"name": "first"}')
    allowed(outputs, outputs / "state.sqlite3")
    assert "'first'" in refused(outputs, outputs / "other.sqlite3", manifest="second")


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '"x"', "\xff"])
def test_a_record_that_cannot_be_read_is_none(outputs: Path, content: str) -> None:
    (outputs / RECORD).write_bytes(content.encode("latin-1"))
    allowed(outputs, outputs / "state.sqlite3")


def test_a_directory_whose_state_is_at_home_in_a_store_says_where(tmp_path: Path) -> None:
    outputs = tmp_path / "out"
    outputs.mkdir()
    (state := outputs / "state.sqlite3").touch()
    owner, home = OutputsOwner(outputs), "s3://bucket/study"
    owner.record(Disk(), manifest="m", state=state, lineage="one", home=home)
    owner.check(manifest="m", state=state, lineage="one", home=home)
    for place in (state, tmp_path / "copy.sqlite3"):
        with pytest.raises(UsageError, match=f"at home in {home}") as refused:
            owner.check(manifest="m", state=place, lineage="one")
        assert f"--state {home}" in str(refused.value.hint)
    with pytest.raises(UsageError) as refused:
        owner.check(manifest="m", state=tmp_path / "other.sqlite3", lineage="two", home="s3://bucket/other")
    assert f"go on with --state {home}" in str(refused.value.hint)
