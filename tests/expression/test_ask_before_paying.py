"""A state that was lost, put back or copied: what was measured meanwhile is not paid for a second time unasked."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hume_runner.emulator.server import Emulator
from tests.durability.children import Nursery
from tests.expression.runs import Folder, measured_runs
from tests.media_files import picture, picture_bytes, speech, write_wav


def write_media(folder: Folder, *, first: int = 0, recordings: int = 2) -> list[str]:
    folder.path.mkdir(parents=True, exist_ok=True)
    names = []
    for number in range(first, first + recordings):
        write_wav(folder.path / f"{number}.wav", speech([("speech", 1.5 + number / 4), ("pause", 1)], seed=number))
        names.append(f"{number}.wav")
    (folder.path / f"{first}.jpg").write_bytes(picture_bytes(picture(seed=first)))
    return [*names, f"{first}.jpg"]


def delete_state(folder: Folder) -> None:
    for path in folder.outputs.glob("state.sqlite3*"):
        path.unlink()


def assert_asks_and_pays_once_more_only_if_told(folder: Folder, emulator: Emulator, *, twice: int) -> None:
    paid = len(measured_runs(emulator.url))
    ran = folder.run()
    assert ran.code == 9, ran.err
    assert "--pay-again" in ran.err
    assert "measured something of this size already" in ran.err
    assert len(measured_runs(emulator.url)) == paid
    assert folder.run("--pay-again").code == 0
    assert len(measured_runs(emulator.url)) == paid + twice
    assert {line["status"] for line in folder.results().values()} == {"done"}
    assert folder.run().code == 0
    assert len(measured_runs(emulator.url)) == paid + twice


def test_a_deleted_state_asks(folder: Folder, emulator: Emulator) -> None:
    folder.write({"files": write_media(folder)})
    assert folder.run().code == 0
    delete_state(folder)
    assert_asks_and_pays_once_more_only_if_told(folder, emulator, twice=3)


def test_a_copied_folder_asks_for_what_its_original_measured(
    folder: Folder, emulator: Emulator, tmp_path: Path
) -> None:
    names = write_media(folder)
    folder.write({"files": names[:1]})
    assert folder.run().code == 0
    copy = Folder(path=tmp_path / "copy", url=folder.url, key=folder.key)
    shutil.copytree(folder.path, copy.path)
    folder.write({"files": names})
    assert folder.run().code == 0
    copy.write({"files": names})
    assert_asks_and_pays_once_more_only_if_told(copy, emulator, twice=2)


def test_a_restored_backup_asks_for_what_was_measured_since(folder: Folder, emulator: Emulator, tmp_path: Path) -> None:
    names = write_media(folder)
    folder.write({"files": names[:1]})
    assert folder.run().code == 0
    backup = tmp_path / "backup.sqlite3"
    shutil.copyfile(folder.state, backup)
    folder.write({"files": names})
    assert folder.run().code == 0
    delete_state(folder)
    shutil.copyfile(backup, folder.state)
    assert_asks_and_pays_once_more_only_if_told(folder, emulator, twice=2)


@pytest.mark.parametrize("flags", [(), ("--pay-again",)])
def test_runs_of_other_sizes_are_nobodys_business(
    folder: Folder, emulator: Emulator, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    folder.write({"files": write_media(folder)})
    assert folder.run().code == 0
    other = Folder(path=tmp_path / "other", url=folder.url, key=folder.key)
    other.write({"files": write_media(other, first=5)})
    assert other.run(*flags).code == 0
    assert len(measured_runs(emulator.url)) == 6


def test_a_run_that_died_leaves_no_word_after_which_nothing_is_looked_for(
    folder: Folder, emulator: Emulator, tmp_path: Path, nursery: Nursery
) -> None:
    names = write_media(folder, recordings=1)
    folder.write({"files": names[:1]})
    child = {"argv": ["run", str(folder.manifest), "--no-progress"], "key": "", "out": str(folder.path / "run")}
    died = {"kind": "kill", "at": {"name": "commit submitting"}, "moment": "after"}
    assert nursery.run([{**child, "disk": died}]) == [-9]
    copy = Folder(path=tmp_path / "copy", url=folder.url, key=folder.key)
    copy.write({"files": write_media(copy, recordings=0)})
    assert copy.run().code == 0
    folder.write({"files": names[1:]})
    assert_asks_and_pays_once_more_only_if_told(folder, emulator, twice=1)


def test_what_was_asked_about_is_asked_about_until_it_is_answered(
    folder: Folder, emulator: Emulator, tmp_path: Path
) -> None:
    names = write_media(folder, recordings=3)
    folder.write({"files": names[:1]})
    assert folder.run().code == 0
    backup = tmp_path / "backup.sqlite3"
    shutil.copyfile(folder.state, backup)
    folder.write({"files": names[:3]})
    assert folder.run().code == 0
    delete_state(folder)
    shutil.copyfile(backup, folder.state)
    # Something new goes first: the state's last word is then younger than what it does not know of.
    write_wav(folder.path / "new.wav", speech([("speech", 12.0), ("pause", 1)], seed=77))
    folder.write({"files": ["new.wav", *names[:3]]}, execution={"transfer_workers": 1})
    for _ in range(3):
        assert folder.run().code == 9
        assert len(measured_runs(emulator.url)) <= 4
    assert folder.run("--pay-again").code == 0
    assert len(measured_runs(emulator.url)) == 6
    assert folder.run().code == 0
    assert len(measured_runs(emulator.url)) == 6
