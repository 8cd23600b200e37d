"""Disks that are really full: a run ends with 5 and says what to do, and goes on once there is room."""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hume_runner.emulator.server import Emulator
from hume_runner.errors import NoRoom, StateError, of_system
from hume_runner.state.connection import guarded
from tests.cli.project import JOBS, Project
from tests.expression.runs import Folder, measured_runs
from tests.media_files import speech, write_wav
from tests.small_disk import mounted
from tests.tiers import sampled


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "small", megabytes=3) as place:
        yield place


def fill(disk: Path, *, but: int = 0) -> Path:
    """Take all the room that is left, but for so many bytes."""
    filler, rest = disk / "filler", disk / "rest"
    rest.write_bytes(bytes(but))
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    rest.unlink()
    return filler


@sampled(2)
@pytest.mark.parametrize("left", [0, 100_000, 350_000])
def test_a_batch_run_on_a_full_disk_goes_on_once_there_is_room(tmp_path: Path, small_disk: Path, left: int) -> None:
    with Emulator(data=tmp_path / "service", processing_time_s=0.01) as emulator:
        project = Project(tmp_path / "project", emulator)
        project.manifest["outputs"] = {"directory": str(small_disk / "out"), "tables": ["csv"], "report": True}
        filler = fill(small_disk, but=left)
        ran = project.run()
        assert ran.code == 5, ran.err
        assert "next: free some space" in ran.err
        filler.unlink()
        assert project.run().code == 0
        assert project.requests()[JOBS] == 1


@sampled(2)
@pytest.mark.parametrize("left", [0, 120_000, 250_000])
def test_an_expression_run_on_a_full_disk_goes_on_once_there_is_room(
    tmp_path: Path, small_disk: Path, left: int
) -> None:
    with Emulator(data=tmp_path / "service") as emulator:
        folder = Folder(path=tmp_path / "case", url=emulator.url, key=emulator.api_key)
        folder.path.mkdir()
        write_wav(folder.path / "a.wav", speech([("speech", 12.0), ("pause", 1)]))
        folder.write({"files": ["a.wav"]}, outputs={"directory": str(small_disk / "out")})
        filler = fill(small_disk, but=left)
        ran = folder.run()
        assert ran.code == 5, ran.err
        assert "next: free some space" in ran.err
        filler.unlink()
        assert folder.run().code == 0
        assert len(measured_runs(emulator.url)) == 1


@pytest.mark.sweep
def test_a_full_temporary_folder_is_no_damage(
    tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Emulator(data=tmp_path / "service", processing_time_s=0.01) as emulator:
        project = Project(tmp_path / "project", emulator)
        project.manifest["sources"]["text"] = [f"Sentence {n}. {'x' * 600}" for n in range(1_000)]
        monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
        filler = fill(small_disk, but=100_000)
        ran = project.run()
        assert ran.code == 5, ran.err
        assert "TMPDIR" in ran.err or "free some space" in ran.err
        filler.unlink()
        assert project.run().code == 0


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_what_the_system_says_of_room_is_never_damage(tmp_path: Path, code: int) -> None:
    error = OSError(code, os.strerror(code), str(tmp_path / "a"))
    known = of_system(error)
    assert known is not None
    assert known.exit_code == 5
    with pytest.raises(NoRoom), guarded(tmp_path / "state.sqlite3"):
        raise error


def test_a_disk_that_is_broken_stays_the_states_trouble(tmp_path: Path) -> None:
    with pytest.raises(StateError) as caught, guarded(tmp_path / "state.sqlite3"):
        raise sqlite3.OperationalError("disk I/O error")
    assert caught.value.exit_code == 10


def test_what_sqlite_calls_broken_is_looked_at_again(small_disk: Path) -> None:
    fill(small_disk)
    for text in ("disk I/O error", "unable to open database file", "database or disk is full"):
        with pytest.raises(NoRoom), guarded(small_disk / "state.sqlite3"):
            raise sqlite3.OperationalError(text)
