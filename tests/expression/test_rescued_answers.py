"""An answer that the state could not take is paid for all the same: the next run reads it and pays nothing twice."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from hume_runner.emulator.server import Emulator
from hume_runner.state.disk import Disk
from tests.expression.runs import Folder, measured_runs
from tests.media_files import speech, write_wav
from tests.small_disk import mounted
from tests.tiers import sampled


class FullAt(Disk):
    """Takes no more of what is received, from the n-th time on."""

    def __init__(self, code: int, nth: int = 1) -> None:
        self._code = code
        self._left = nth

    def commit(self, db: sqlite3.Connection, what: str) -> None:
        if what == "accepted":
            self._left -= 1
            if self._left <= 0:
                raise OSError(self._code, os.strerror(self._code))
        super().commit(db, what)


class FilledUp(Disk):
    """Really full: somebody else writes all that is left before the first answer is recorded."""

    def __init__(self, folder: Path) -> None:
        self._filler = folder / "filler"

    def commit(self, db: sqlite3.Connection, what: str) -> None:
        if what == "accepted" and not self._filler.exists():
            with self._filler.open("wb", buffering=0) as file:
                for size in (1 << 16, 1 << 12, 1):
                    try:
                        while True:
                            file.write(bytes(size))
                    except OSError:
                        continue
        super().commit(db, what)


def write_recordings(folder: Folder, number: int = 3) -> dict[str, list[str]]:
    folder.path.mkdir(parents=True, exist_ok=True)
    names = [f"{n}.wav" for n in range(number)]
    for n, name in enumerate(names):
        write_wav(folder.path / name, speech([("speech", 1.5 + n / 4), ("pause", 1)], seed=n))
    return {"files": names}


def rescued(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in folder.glob("*.rescued")]


def assert_read_and_paid_once(folder: Folder, emulator: Emulator, *places: Path, recordings: int = 3) -> None:
    files = rescued(*places)
    assert files
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)
    assert folder.run().code == 0
    assert len(measured_runs(emulator.url)) == recordings
    assert {line["status"] for line in folder.results().values()} == {"done"}
    assert folder.summary()["paid_twice"] == []
    assert folder.summary()["bill"]["billable_seconds"] == 10 * recordings
    assert rescued(*places) == []
    assert folder.command("verify").code == 0


@pytest.mark.sweep
@sampled(2)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
def test_an_answer_beside_the_state_is_read_by_the_next_run(
    folder: Folder, emulator: Emulator, temporary: Path, code: int
) -> None:
    folder.write(write_recordings(folder))
    ran = folder.run(disk=FullAt(code, 2))
    assert ran.code == (5 if code in (errno.ENOSPC, errno.EDQUOT) else 10)
    assert "its answer is in" in ran.err
    assert_read_and_paid_once(folder, emulator, folder.outputs, temporary)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "small", megabytes=4) as place:
        yield place


@pytest.mark.sweep
def test_a_disk_that_is_really_full_loses_no_answer(emulator: Emulator, temporary: Path, small_disk: Path) -> None:
    folder = Folder(path=small_disk / "case", url=emulator.url, key=emulator.api_key)
    folder.write(write_recordings(folder))
    assert folder.run(disk=FilledUp(small_disk)).code == 5
    assert rescued(folder.outputs) == []
    (small_disk / "filler").unlink()
    assert_read_and_paid_once(folder, emulator, temporary)


def test_a_plan_that_changes_meanwhile_still_takes_the_answer_in(
    folder: Folder, emulator: Emulator, temporary: Path
) -> None:
    sources = write_recordings(folder)
    folder.write(sources)
    assert folder.run(disk=FullAt(errno.ENOSPC)).code == 5
    paid = len(measured_runs(emulator.url))
    folder.write({"files": sources["files"][:1]})
    assert folder.run().code == 0
    folder.write(sources)
    assert folder.run().code == 0
    assert len(measured_runs(emulator.url)) == 3 >= paid


def spoil(path: Path, how: str) -> None:
    content = path.read_bytes()
    match how:
        case "cut":
            path.write_bytes(content[:-10])
        case "changed":
            path.write_bytes(content.replace(b'"measurements"', b'"measurementz"', 1))
        case "another state's":
            path.write_bytes(content.replace(b'"lineage": "', b'"lineage": "x', 1))
        case "empty":
            path.write_bytes(b"")
        case "a link":
            path.rename(path.with_suffix(".kept"))
            path.symlink_to(path.with_suffix(".kept"))
        case "a pipe":
            path.unlink()
            os.mkfifo(path)


@sampled(3)
@pytest.mark.parametrize("how", ["cut", "changed", "another state's", "empty", "a link", "a pipe"])
def test_what_is_no_whole_record_of_this_state_is_not_believed(
    folder: Folder, emulator: Emulator, temporary: Path, how: str
) -> None:
    folder.write(write_recordings(folder, 1), execution={"on_lost_answer": "stop"})
    assert folder.run(disk=FullAt(errno.ENOSPC)).code == 5
    [path] = rescued(folder.outputs, temporary)
    spoil(path, how)
    assert folder.run().code == 9  # measured and billed, and nothing here tells what it measured
    assert len(measured_runs(emulator.url)) == 1
    assert path.is_fifo() or path.is_symlink() or path.exists()


def test_an_answer_that_comes_to_light_late_is_taken_instead_of_paying_again(
    folder: Folder, emulator: Emulator, temporary: Path
) -> None:
    folder.write(write_recordings(folder, 1), execution={"on_lost_answer": "stop"})
    assert folder.run(disk=FullAt(errno.ENOSPC)).code == 5
    [path] = rescued(folder.outputs, temporary)
    elsewhere = path.rename(temporary / "put away")
    assert folder.run().code == 9
    elsewhere.rename(path)
    assert_read_and_paid_once(folder, emulator, folder.outputs, temporary, recordings=1)


def test_adopt_takes_it_in_as_well(folder: Folder, emulator: Emulator, temporary: Path) -> None:
    folder.write(write_recordings(folder, 1))
    assert folder.run(disk=FullAt(errno.ENOSPC)).code == 5
    [run] = measured_runs(emulator.url)
    said = folder.command("adopt", run["run_id"])
    assert "this state has it already" in said.out
    assert rescued(folder.outputs, temporary) == []
    assert folder.run().code == 0
    assert len(measured_runs(emulator.url)) == 1
