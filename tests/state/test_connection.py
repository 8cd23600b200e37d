"""A state that is damaged, foreign, newer or another manifest's is refused with the way out, and never overwritten."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from hume_runner.errors import StateError
from hume_runner.state.connection import PATIENT_MS, open_state
from hume_runner.state.disk import Disk
from hume_runner.state.migrations import APPLICATION_ID, MIGRATIONS
from hume_runner.state.reader import StateReader
from hume_runner.state.seal import seal_path
from hume_runner.state.store import Store
from tests.fakes import World

NAME = "fake"


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A state with three finished items."""
    world = World(tmp_path_factory.mktemp("original"))
    assert world.run().exit_code == 0
    return world.state.read_bytes()


@pytest.fixture
def path(tmp_path: Path, original: bytes) -> Path:
    path = tmp_path / "state.sqlite3"
    path.write_bytes(original)
    return path


def open_for_writing(path: Path) -> Store:
    return Store.create_or_open(path, disk=Disk(), name=NAME, lineage="new")


def open_for_reading(path: Path) -> Store:
    return StateReader.peek(path, name=NAME)


OPENERS = [open_for_writing, open_for_reading]


def refused(path: Path, opener: Callable[[Path], Store]) -> StateError:
    """The refusal; the file is as it was afterwards."""
    before = path.read_bytes()
    with pytest.raises(StateError) as caught:
        opener(path).close()
    assert path.read_bytes() == before
    assert caught.value.exit_code == 10
    assert caught.value.hint
    assert str(path) in str(caught.value)
    return caught.value


def test_a_new_state_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state.sqlite3"
    before = os.umask(0)
    try:
        open_for_writing(path).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_new_state_says_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    open_for_writing(path).close()
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    db.close()


def test_every_commit_waits_for_the_medium(tmp_path: Path) -> None:
    opened = open_state(tmp_path / "state.sqlite3", create=True, name=NAME, lineage="new")
    assert opened.db.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    opened.db.close()


def test_without_a_state_there_is_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_for_reading(tmp_path / "state.sqlite3")
    assert list(tmp_path.iterdir()) == []


def test_a_crash_before_the_first_page_leaves_a_file_that_counts_as_none(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    path.touch()
    with pytest.raises(FileNotFoundError):
        open_for_reading(path)
    open_for_writing(path).close()
    open_for_reading(path).close()


def test_a_crash_before_the_schema_leaves_a_file_that_counts_as_none(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = WAL")
    db.close()
    with pytest.raises(FileNotFoundError):
        open_for_reading(path)
    with open_for_writing(path) as store:
        assert store.lineage == "new"


@pytest.mark.parametrize("opener", OPENERS)
def test_a_state_that_was_cut_anywhere_is_refused(
    tmp_path: Path, original: bytes, opener: Callable[..., Store]
) -> None:
    lengths = {1, 15, 16, 99, 100, 101, 4095, 4096, 4097, len(original) - 4096, len(original) - 1}
    lengths |= set(range(512, len(original), len(original) // 40))
    assert len(lengths) > 40
    for length in sorted(lengths):
        path = tmp_path / f"cut-{length}.sqlite3"
        path.write_bytes(original[:length])
        refused(path, opener)


@pytest.mark.sweep
def test_no_flipped_byte_of_the_header_is_overwritten(tmp_path: Path, original: bytes) -> None:
    """Some bytes of the header mean nothing; every other flip is refused, and none loses an item."""
    refusals = 0
    for at in range(100):
        path = tmp_path / f"flip-{at}.sqlite3"
        path.write_bytes(original[:at] + bytes([original[at] ^ 0xFF]) + original[at + 1 :])
        try:
            with open_for_writing(path) as store:
                assert store.counts().items["done"] == 3
        except StateError:
            refusals += 1
            assert path.read_bytes()[100:] == original[100:]
    assert refusals >= 30


def test_a_flipped_byte_anywhere_is_seen_where_the_last_run_ended_well(tmp_path: Path, original: bytes) -> None:
    path = tmp_path / "state.sqlite3"
    path.write_bytes(original)
    open_for_writing(path).close()
    assert seal_path(path).exists()
    sealed = path.read_bytes()
    for at in range(200, len(sealed), len(sealed) // 25):
        path.write_bytes(sealed[:at] + bytes([sealed[at] ^ 0x01]) + sealed[at + 1 :])
        for opener in OPENERS:
            assert "damaged" in str(refused(path, opener))


def test_without_its_seal_a_sound_state_opens(path: Path) -> None:
    open_for_writing(path).close()
    seal_path(path).unlink()
    with open_for_writing(path) as store:
        assert store.counts().items["done"] == 3


@pytest.mark.parametrize("damage", [b"", b"{", b'{"size": "x", "sha256": 1}'])
def test_a_damaged_seal_says_nothing_about_the_state(path: Path, damage: bytes) -> None:
    open_for_writing(path).close()
    seal_path(path).write_bytes(damage)
    with open_for_reading(path) as store:
        assert store.counts().items["done"] == 3


def test_an_open_state_is_not_sealed_so_a_crash_leaves_none(path: Path) -> None:
    open_for_writing(path).close()
    store = open_for_writing(path)
    assert not seal_path(path).exists()
    store.close()
    assert seal_path(path).exists()


@pytest.mark.parametrize("opener", OPENERS)
def test_a_database_of_another_program_is_left_alone(tmp_path: Path, opener: Callable[..., Store]) -> None:
    path = tmp_path / "theirs.sqlite3"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE theirs (x)")
    db.commit()
    db.close()
    assert "another program" in str(refused(path, opener))


@pytest.mark.parametrize("opener", OPENERS)
def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path, opener: Callable[..., Store]) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear state,\n" * 20)
    assert "not a state of hume_runner" in str(refused(path, opener))


@pytest.mark.parametrize("opener", OPENERS)
def test_a_newer_state_asks_for_a_newer_program(path: Path, opener: Callable[..., Store]) -> None:
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    db.close()
    error = refused(path, opener)
    assert "a newer hume_runner wrote this state" in str(error)
    assert error.hint.startswith("install a newer hume_runner; this one came from ")


@pytest.mark.parametrize("opener", OPENERS)
def test_another_manifest_s_state_is_refused(path: Path, opener: Callable[..., Store]) -> None:
    del opener
    for create in (True, False):
        with pytest.raises(StateError, match="belongs to the manifest 'fake', not to 'other'"):
            open_state(path, create=create, name="other", lineage="new")


def test_a_directory_in_its_place_is_told_in_words(tmp_path: Path) -> None:
    for opener in OPENERS:
        with pytest.raises(StateError, match="cannot read the state"):
            opener(tmp_path)


def test_reading_changes_nothing(path: Path) -> None:
    before = path.read_bytes()
    with open_for_reading(path) as store:
        assert store.counts().items["done"] == 3
    assert path.read_bytes() == before


class Watching(Disk):
    """Looks at the state through a reader right before each commit."""

    def __init__(self) -> None:
        self.reader: Store | None = None
        self.seen: list[object] = []

    def commit(self, db: sqlite3.Connection, what: str) -> None:
        if self.reader is not None:
            self.seen.append(self.reader.meta("told"))
        super().commit(db, what)


def test_who_holds_the_file_is_waited_for_once_and_not_by_each_record(path: Path) -> None:
    """Fifty acceptances that cannot be recorded would take four minutes, and a second signal as long."""
    with Store.create_or_open(path, disk=Disk(), name=NAME, lineage="new") as store:

        def patience_ms() -> int:
            return int(store.copied_by(lambda db: db.execute("PRAGMA busy_timeout").fetchone()[0]))

        store.copied_by(lambda db: db.execute("PRAGMA busy_timeout = 50"))
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateError, match="stayed locked"):
            store.remember(one="1")
        assert patience_ms() == 100
        other.execute("ROLLBACK")
        other.close()
        store.remember(one="2")
        assert (patience_ms(), store.meta("one")) == (PATIENT_MS, "2")


def test_readers_are_never_blocked_and_see_the_last_commit(path: Path) -> None:
    disk = Watching()
    with Store.create_or_open(path, disk=disk, name=NAME, lineage="new") as writer, open_for_reading(path) as reader:
        disk.reader = reader
        for number in (1, 2, 3):
            writer.remember(told=number)
        assert disk.seen == [None, 1, 2]
        assert reader.meta("told") == 3
