"""The schema grows by steps that are only ever added."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from hume_runner.planning.staged import FileDigest
from hume_runner.state import migrations
from hume_runner.state.disk import Disk
from hume_runner.state.migrations import APPLICATION_ID, MIGRATIONS, migrate
from hume_runner.state.reader import StateReader
from hume_runner.state.store import Store
from tests.tiers import sampled


def schema_of(db: sqlite3.Connection) -> list[tuple[str, str]]:
    return db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name").fetchall()


@pytest.fixture
def db(tmp_path: Path) -> sqlite3.Connection:
    return sqlite3.connect(tmp_path / "state.sqlite3", isolation_level=None)


def test_all_steps_from_nothing_give_the_newest_version(db: sqlite3.Connection) -> None:
    assert migrate(db) == 0
    assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    assert db.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    db.close()


def test_a_state_that_is_up_to_date_stays_as_it_is(db: sqlite3.Connection) -> None:
    migrate(db)
    before = schema_of(db)
    assert migrate(db) == len(MIGRATIONS)
    assert schema_of(db) == before
    db.close()


@sampled(8)
@pytest.mark.parametrize("version", range(len(MIGRATIONS)))
def test_a_state_of_any_earlier_version_is_brought_up_to_date(
    db: sqlite3.Connection, version: int, tmp_path: Path
) -> None:
    for step in MIGRATIONS[:version]:
        step(db)
    db.execute(f"PRAGMA user_version = {version}")
    assert migrate(db) == version
    fresh = sqlite3.connect(tmp_path / "fresh.sqlite3", isolation_level=None)
    migrate(fresh)
    assert schema_of(db) == schema_of(fresh)
    fresh.close()
    db.close()


def test_a_step_that_fails_leaves_the_file_as_it_was(db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    def adds(db: sqlite3.Connection) -> None:
        db.execute("ALTER TABLE items ADD COLUMN colour TEXT")

    def breaks(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE half (x)")
        db.execute("SELECT * FROM nowhere")

    migrate(db)
    before = schema_of(db)
    monkeypatch.setattr(migrations, "MIGRATIONS", (*MIGRATIONS, adds, breaks))
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        migrate(db)
    assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    assert schema_of(db) == before
    db.close()


def test_a_state_with_items_survives_a_new_step(db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate(db)
    db.execute("INSERT INTO items (ord, id, kind, key, value, place) VALUES (0, 'a', 'text', x'00', 'Hi.', 'm:1:1')")

    def adds(db: sqlite3.Connection) -> None:
        db.execute("ALTER TABLE items ADD COLUMN colour TEXT DEFAULT 'grey'")

    monkeypatch.setattr(migrations, "MIGRATIONS", (*MIGRATIONS, adds))
    assert migrate(db) == len(MIGRATIONS)
    assert db.execute("SELECT id, colour FROM items").fetchall() == [("a", "grey")]
    db.close()


def test_reading_a_state_of_an_earlier_version_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        MIGRATIONS[0](old)
        old.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        old.execute("PRAGMA user_version = 1")
        old.execute("INSERT INTO meta VALUES ('manifest', 'a'), ('lineage', 'l'), ('serial', 7)")
        old.execute("INSERT INTO measurements (key, kind, content, settings, size) VALUES (x'01', 'text', x'', x'', 1)")
        old.execute("INSERT INTO items (ord, id, kind, key, value, place) VALUES (0, 'a', 'text', x'01', 'Hi', 'm')")
    before = path.read_bytes()
    path.chmod(0o400)
    with StateReader.peek(path, name="a") as store:
        assert (store.lineage, store.serial) == ("l", 7)
        assert store.counts().items["pending"] == 1
        assert store.digest("/a", 1, 2, 3) is None
        assert store.find_by_md5(b"m") is None
    assert path.read_bytes() == before


def test_writing_to_a_state_of_an_earlier_version_brings_it_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        MIGRATIONS[0](old)
        old.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        old.execute("PRAGMA user_version = 1")
        old.execute("INSERT INTO digests VALUES ('/a', 1, 2, 3, x'aa')")
    with Store.create_or_open(path, disk=Disk(), name="a", lineage="l") as store:
        assert store.digest("/a", 1, 2, 3) == FileDigest(sha256=b"\xaa", md5=None)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
