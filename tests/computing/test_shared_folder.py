"""What a run shares with its workers lies beside what others have, and a run removes what it made and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hume_runner.computing.base import FOLDER
from hume_runner.computing.shared_folder import SharedFolder, remove_abandoned
from tests.computing.case import Case


def test_what_others_have_in_a_folder_of_that_name_stays(tmp_path: Path) -> None:
    root = tmp_path / FOLDER
    others = {"state.sqlite3": "a study", "run-0123456789abcdef/nonce": "notes", "0123abcd/calls/x": "y"}
    others |= {"run-00000000000000aa/data.csv": "1"}
    for name, content in others.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    folder = SharedFolder(tmp_path)
    assert folder.is_there()
    folder.close()
    assert {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()} == others


def test_an_empty_folder_that_was_there_before_stays(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    SharedFolder(tmp_path).close()
    assert (tmp_path / FOLDER).is_dir()


def test_nothing_is_left_of_a_run_that_found_nothing(tmp_path: Path) -> None:
    folder = SharedFolder(tmp_path / "out")
    (folder.path / "seen-0").mkdir()
    folder.close()
    assert not folder.is_there()
    assert list((tmp_path / "out").iterdir()) == []


def test_two_runs_at_one_place_leave_each_other_alone(tmp_path: Path) -> None:
    first = SharedFolder(tmp_path)
    second = SharedFolder(tmp_path)
    assert first.is_there()
    second.close()
    assert first.is_there()
    first.close()
    assert list(tmp_path.iterdir()) == []


def left_behind(outputs: Path) -> Path:
    """What a run that was killed left there."""
    left = "import os, pathlib\nfrom hume_runner.computing.shared_folder import SharedFolder\n"
    left += "print(SharedFolder(pathlib.Path.cwd()).path)\n"
    # An interpreter of its own: its lock has to end with it.
    command = [sys.executable, "-c", f"{left}import sys; sys.stdout.flush(); os._exit(9)"]
    path = Path(subprocess.run(command, cwd=outputs, capture_output=True, text=True, check=False).stdout.strip())
    assert path.is_dir()
    return path


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path: Path) -> None:
    path = left_behind(tmp_path)
    folder = SharedFolder(tmp_path)
    assert not path.exists()
    folder.close()
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_a_cluster_removes_what_a_killed_one_left_and_no_more(case: Case) -> None:
    case.write(["One"])
    out = case.folder / "out"
    out.mkdir()
    path = left_behind(out)
    used = SharedFolder(out)
    (out / "cluster/notes.txt").write_text("mine")
    ran = case.run()
    assert ran.code == 0, ran.err
    assert not path.exists()
    assert used.is_there()
    used.close()
    assert [one.name for one in (out / "cluster").iterdir()] == ["notes.txt"]


def test_a_folder_that_held_nothing_else_goes_with_what_a_killed_run_left(tmp_path: Path) -> None:
    remove_abandoned(tmp_path)
    left_behind(tmp_path)
    remove_abandoned(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_link_of_that_name_is_nobody_of_ours(tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir()
    here.mkdir()
    path = left_behind(there)
    (here / FOLDER).symlink_to(there / FOLDER)
    remove_abandoned(here)
    assert path.is_dir()


@pytest.mark.sweep  # two whole runs
def test_a_study_in_a_folder_of_that_name_survives_a_run_with_a_cluster_beside_it(case: Case) -> None:
    (case.folder / "threads.py").write_text(
        "import concurrent.futures\ndef make():\n    return concurrent.futures.ThreadPoolExecutor(1)\n"
    )
    case.write(["One"], outputs={"directory": "out/cluster", "tables": ["csv"]})
    assert case.run().code == 0
    (case.folder / "out/cluster/notes.txt").write_text("mine")
    before = case.written("out/cluster")
    case.write(["Two"])
    ran = case.run("--cluster", "threads:make")
    assert ran.code == 0, ran.err
    assert case.written("out/cluster") == before
    case.write(["One"], outputs={"directory": "out/cluster", "tables": ["csv"]})
    assert case.run().code == 0
