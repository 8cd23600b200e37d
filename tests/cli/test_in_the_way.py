"""What is no file or folder at a place of a run's: `validate` and `plan` tell it as `run` does, before anything is
sent, and what they advise helps."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.project import Project
from tests.tiers import sampled

FILES = (
    "run.json",
    "results.jsonl",
    "datapackage.json",
    "report.html",
    "tables/items.csv",
    "state.sqlite3.outputs.json",
    "state.sqlite3.lock",
    "state.sqlite3.outputs.lock",
    "state.sqlite3.seal",
)
MAKES: dict[str, Callable[[Path], object]] = {
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a link that leads to itself": lambda path: path.symlink_to(path.name),
    "a file": Path.touch,
}


@pytest.fixture
def study(project: Project) -> Project:
    project.of_texts("I could not be happier.")
    return project


def told_and_helped(study: Project, path: Path, what: str, *, kept: bool) -> None:
    """`kept`: what was there before comes back to its place once `path` is moved away."""
    aside = study.folder / "aside"
    if kept:
        path.rename(aside)
    path.parent.mkdir(parents=True, exist_ok=True)
    MAKES[what](path)
    link = path.name.endswith(".lock") and what.startswith("a link to a")
    sent = study.requests()
    for command, code in (("validate", 0), ("plan", 64), ("run", 64)):
        ran = study.call(command)
        assert ran.code == code, ran.err
        assert f"{path}: {'a link' if link else what} is where a fi" in ran.err or f"{what} is where a fo" in ran.err
        assert str(path) in ran.err
        assert "Traceback" not in ran.err
        if code:
            assert "next: move it away, or name another place; nothing is lost" in ran.err
    assert os.path.lexists(path)
    assert study.requests() == sent
    path.rename(study.folder / "moved away")
    if kept:
        aside.rename(path)
    assert study.run().code == 0


@sampled(1)
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("what", [one for one in MAKES if one != "a file"])
@pytest.mark.parametrize("name", FILES)
def test_what_is_no_file_is_told_before_anything_is_sent(study: Project, name: str, what: str, known: bool) -> None:
    if known:
        assert study.run().code == 0
        (study.out / name).unlink(missing_ok=True)
    told_and_helped(study, study.out / name, what, kept=False)


@sampled(1)
@pytest.mark.parametrize("what", [one for one in MAKES if one != "a folder"])
@pytest.mark.parametrize("name", ["raw", "tables", "raw/ANSWER", ""])
def test_what_is_no_folder_is_told_before_anything_is_sent(study: Project, name: str, what: str) -> None:
    assert study.run().code == 0
    if name == "raw/ANSWER":
        name = next((study.out / "raw").iterdir()).relative_to(study.out).as_posix()
    told_and_helped(study, study.out / name, what, kept=True)


def test_what_nobody_asks_for_may_be_called_like_a_folder_of_ours(study: Project) -> None:
    study.manifest["outputs"] = {"directory": "out"}
    study.out.mkdir()
    for name in ("tables", "prepared", "cluster", "emulator"):
        (study.out / name).write_text("mine")
    assert study.run().code == 0
    assert (study.out / "tables").read_text() == "mine"


def test_what_is_in_the_way_of_a_command_s_own_file_is_told_with_what_helps(study: Project) -> None:
    assert study.run().code == 0
    (study.out / "report.html").unlink()
    (study.out / "report.html").symlink_to("report.html")
    ran = study.call("report")
    assert ran.code == 64, ran.err
    assert f"{study.out / 'report.html'}: a link that leads to itself is where a file should be" in ran.err
    assert "next: move it away" in ran.err
