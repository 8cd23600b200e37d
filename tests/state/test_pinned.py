"""A state that becomes another file while it is written: noticed before the next write, and left as it is."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from hume_runner.errors import StateError
from hume_runner.state.disk import Disk
from hume_runner.state.reader import StateReader
from hume_runner.state.store import Store
from tests.fakes import World


def open_for_writing(path: Path) -> Store:
    return Store.create_or_open(path, disk=Disk(), name="n", lineage="l")


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """A sound state, as it was some time ago."""
    path = tmp_path / "backup.sqlite3"
    with open_for_writing(path) as store:
        store.remember(fact="backup")
    return path


@pytest.fixture
def state(tmp_path: Path, backup: Path) -> Path:
    return Path(shutil.copy(backup, tmp_path / "state.sqlite3"))


def by_rename(backup: Path, state: Path) -> None:
    shutil.copy(backup, state.with_name("copy"))
    state.with_name("copy").replace(state)


def by_removal_and_copy(backup: Path, state: Path) -> None:
    for path in state.parent.glob(f"{state.name}*"):
        path.unlink()
    shutil.copy(backup, state)


def in_place(backup: Path, state: Path) -> None:
    before = state.stat().st_ino
    shutil.copy(backup, state)
    assert state.stat().st_ino == before


def in_place_without_the_log(backup: Path, state: Path) -> None:
    Path(f"{state}-wal").unlink()
    in_place(backup, state)


def by_a_link(backup: Path, state: Path) -> None:
    state.unlink()
    state.symlink_to(backup)


def by_a_link_to_itself(backup: Path, state: Path) -> None:
    """The same inode behind another path, whose log would be another one."""
    moved = backup.with_name("moved.sqlite3")
    state.rename(moved)
    state.symlink_to(moved)


RESTORED = [by_rename, by_removal_and_copy, in_place, in_place_without_the_log, by_a_link]


@pytest.mark.parametrize("attack", [*RESTORED, by_a_link_to_itself])
def test_a_state_that_was_replaced_is_written_no_more(
    backup: Path, state: Path, attack: Callable[[Path, Path], None]
) -> None:
    store = open_for_writing(state)
    store.remember(fact="run")
    attack(backup, state)
    for _ in range(2):
        with pytest.raises(StateError, match="while this run worked") as stopped:
            store.remember(fact="later")
        assert stopped.value.exit_code == 10
        assert "run the same command again" in stopped.value.hint
    store.close()


@pytest.mark.parametrize("attack", RESTORED)
def test_what_was_restored_is_what_is_there_afterwards(
    backup: Path, state: Path, attack: Callable[[Path, Path], None]
) -> None:
    store = open_for_writing(state)
    for number in range(50):
        store.remember(**{f"fact-{number}": "x" * 1000}, fact="run")
    attack(backup, state)
    store.close()
    assert state.read_bytes() == backup.read_bytes()
    with open_for_writing(state) as again:
        assert again.meta("fact") == "backup"
        assert again.meta("fact-1") is None


def test_a_state_that_was_removed_is_not_written_into_nowhere(state: Path) -> None:
    store = open_for_writing(state)
    state.unlink()
    with pytest.raises(StateError, match="removed while this run worked"):
        store.remember(fact="lost")
    store.close()
    assert not state.exists()
    assert not state.with_name(state.name + ".seal").exists()


def test_a_log_that_was_removed_stops_the_run_and_loses_nothing(state: Path) -> None:
    store = open_for_writing(state)
    store.remember(fact="run")
    Path(f"{state}-wal").unlink()
    with pytest.raises(StateError, match="write-ahead log"):
        store.remember(fact="later")
    store.close()
    with open_for_writing(state) as again:
        assert again.meta("fact") == "run"


def test_a_replacement_between_the_check_and_the_commit_is_noticed_before_anything_follows(
    backup: Path, state: Path
) -> None:
    class Slow(Disk):
        def commit(self, db: sqlite3.Connection, what: str) -> None:
            by_rename(backup, state)
            super().commit(db, what)

    store = Store.create_or_open(state, disk=Slow(), name="n", lineage="l")
    with pytest.raises(StateError, match="replaced"):
        store.remember(fact="lost")
    store.close()


@pytest.mark.sweep
def test_our_own_checkpoints_and_other_readers_are_no_replacement(state: Path) -> None:
    with open_for_writing(state) as store:
        for number in range(40):  # beyond the thousand pages at which SQLite writes its log into the file
            store.remember(**{f"{number}": "x" * 200_000})
            with StateReader.peek(state, name="n") as reader:
                assert reader.meta("fact") == "backup"
    with open_for_writing(state) as again:
        assert again.meta("39") == "x" * 200_000


def test_a_failed_or_interrupted_commit_is_no_replacement(state: Path) -> None:
    class Interrupting(Disk):
        """A signal that arrives when the commit is done and before anybody noted it."""

        def commit(self, db: sqlite3.Connection, what: str) -> None:
            super().commit(db, what)
            db.execute("PRAGMA wal_checkpoint(PASSIVE)")
            raise KeyboardInterrupt

    store = Store.create_or_open(state, disk=Interrupting(), name="n", lineage="l")
    for number in range(3):
        with pytest.raises(KeyboardInterrupt):
            store.remember(fact=number)
    store.close()
    with open_for_writing(state) as again:
        assert again.meta("fact") == 2


def test_only_a_state_of_its_own_making_is_taken_back(tmp_path: Path, backup: Path, state: Path) -> None:
    there = open_for_writing(state)
    there.discard()
    assert state.with_name(state.name + ".seal").exists()
    with open_for_writing(state) as again:
        assert again.meta("fact") == "backup"
    fresh = tmp_path / "fresh.sqlite3"
    open_for_writing(fresh).discard()
    assert not list(tmp_path.glob("fresh*"))
    made = open_for_writing(fresh)
    by_rename(backup, fresh)
    made.discard()
    assert fresh.read_bytes() == backup.read_bytes()


def test_a_run_whose_state_is_replaced_sends_nothing_more(tmp_path: Path) -> None:
    world = World(tmp_path, ["a", "b", "c", "d"])
    world.service.most = 1

    class Restoring(Disk):
        """A backup is put back once the first job is known to be at the service."""

        def commit(self, db: sqlite3.Connection, what: str) -> None:
            super().commit(db, what)
            if what == "accepted":
                shutil.copy(world.state, tmp_path / "copy")
                (tmp_path / "copy").replace(world.state)

    world.disk = Restoring()
    with pytest.raises(StateError, match="the state was replaced while this run worked"):
        world.run(max_jobs_in_flight=1)
    assert len(world.service.submitted) == 1
