"""What a state was told makes the same state elsewhere, and nothing else."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from hume_runner.errors import StateError
from hume_runner.state.remote.redo import Answer, Facts, Position, Recorder, Told, note_position, pack, tell, unpack

SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE jobs (job INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT, at REAL, body BLOB);
CREATE TABLE members (job INTEGER NOT NULL REFERENCES jobs (job) ON DELETE CASCADE, n INTEGER);
INSERT INTO meta VALUES ('serial', 0);
PRAGMA user_version = 3;
"""


def state(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(SCHEMA)


@pytest.fixture
def told(tmp_path: Path) -> list[Told]:
    """What the state at a.sqlite3 was told, which has no more than that."""
    state(tmp_path / "a.sqlite3")
    found: list[Told] = []
    with contextlib.closing(sqlite3.connect(tmp_path / "a.sqlite3", isolation_level=None, factory=Recorder)) as db:
        db.execute("PRAGMA foreign_keys = ON")
        for number, statements in enumerate(
            (
                [("INSERT INTO jobs (key, at, body) VALUES (?, ?, ?)", ("first", 0.1 + 0.2, b"\x00\xff"))],
                [("INSERT INTO jobs (key) VALUES (?)", ("ünï",)), ("INSERT INTO members VALUES (?, ?)", (1, 7))],
                [("UPDATE jobs SET at = ? WHERE key = ?", (1e300, "nobody")), ("DELETE FROM jobs WHERE job = ?", (1,))],
            ),
            start=1,
        ):
            db.execute("BEGIN IMMEDIATE")
            db.listen()
            for sql, values in statements:
                db.execute(sql, values)
                db.execute("SELECT count(*) FROM jobs").fetchone()
            db.executemany("INSERT INTO members VALUES (?, ?)", iter([(2, n) for n in range(number - 1)]))
            at = note_position(db, epoch=1, owner="me", number=number)
            db.execute("COMMIT")
            found.append(Told(at=at, schema=3, statements=db.heard()))
    return found


def dump(path: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(path)) as db:
        return list(db.iterdump())


def tell_copy(path: Path, told: list[Told]) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        tell(db, told)


def test_told_again_it_is_the_same_row_by_row(tmp_path: Path, told: list[Told]) -> None:
    state(tmp_path / "b.sqlite3")
    tell_copy(tmp_path / "b.sqlite3", list(unpack(pack(told, ())).told))
    assert dump(tmp_path / "b.sqlite3") == dump(tmp_path / "a.sqlite3")


def test_what_was_heard_is_not_told_twice(tmp_path: Path, told: list[Told]) -> None:
    state(tmp_path / "b.sqlite3")
    tell_copy(tmp_path / "b.sqlite3", told[:2])
    tell_copy(tmp_path / "b.sqlite3", told)
    assert dump(tmp_path / "b.sqlite3") == dump(tmp_path / "a.sqlite3")


def test_a_gap_is_refused(tmp_path: Path, told: list[Told]) -> None:
    state(tmp_path / "b.sqlite3")
    with pytest.raises(StateError, match="gap between 1 and 3"):
        tell_copy(tmp_path / "b.sqlite3", [told[0], told[2]])


def test_another_state_is_noticed_by_its_rows_and_left_as_it_was(tmp_path: Path, told: list[Told]) -> None:
    state(tmp_path / "b.sqlite3")
    tell_copy(tmp_path / "b.sqlite3", told[:2])
    with contextlib.closing(sqlite3.connect(tmp_path / "b.sqlite3", isolation_level=None)) as db:
        db.execute("DELETE FROM members")
        db.execute("DELETE FROM jobs")
    before = dump(tmp_path / "b.sqlite3")
    with pytest.raises(StateError, match="does not fit its snapshot"):
        tell_copy(tmp_path / "b.sqlite3", told)
    assert dump(tmp_path / "b.sqlite3") == before


def test_another_schema_is_refused(tmp_path: Path, told: list[Told]) -> None:
    state(tmp_path / "b.sqlite3")
    with pytest.raises(StateError, match="schema 4, and the state has 3") as refused:
        tell_copy(tmp_path / "b.sqlite3", [replace(told[0], schema=4)])
    assert "newer" in refused.value.hint


@pytest.mark.parametrize(
    "sql",
    [
        "ATTACH DATABASE '{folder}/stolen.sqlite3' AS other",
        "PRAGMA user_version = 99",
        "PRAGMA journal_mode = DELETE",
        "DROP TABLE jobs",
        "CREATE TABLE more (x)",
        "CREATE TRIGGER t AFTER INSERT ON jobs BEGIN DELETE FROM members; END",
        "UPDATE sqlite_master SET sql = ''",
        "INSERT INTO jobs (key) VALUES (load_extension('evil'))",
        "INSERT INTO jobs (body) VALUES (readfile('/etc/passwd'))",
    ],
)
def test_a_journal_of_somebody_else_changes_rows_and_nothing_else(tmp_path: Path, sql: str) -> None:
    state(tmp_path / "b.sqlite3")
    before = dump(tmp_path / "b.sqlite3")
    evil = Told(
        at=Position(epoch=1, owner="x", number=1, serial=0),
        schema=3,
        statements=((sql.format(folder=tmp_path), ((),), -1),),
    )
    with pytest.raises(StateError):
        tell_copy(tmp_path / "b.sqlite3", [evil])
    assert dump(tmp_path / "b.sqlite3") == before
    assert not (tmp_path / "stolen.sqlite3").exists()


def test_facts_are_read_as_they_were_written(told: list[Told]) -> None:
    answer = Answer(
        number=3, nonce="n", asked="a", endpoint="https://x", remote_id="id", created_at=None, simulated=True, at=0.1,
        kept="answers/n.gz",
    )  # fmt: skip
    assert unpack(pack(told, [answer])) == Facts(tuple(told), (answer,))


@pytest.mark.parametrize("data", [b"", b"words", pack((), ())[:-3]])
def test_what_no_runner_wrote_is_refused(data: bytes) -> None:
    with pytest.raises(StateError, match="cannot be read"):
        unpack(data)
