"""What a state file was told, written down, so that another machine can tell it to a copy.

A recording connection notes every statement of a transaction that changes something, with its values and how many rows
it touched. Told again to the same state they make the same state, row by row; where a count differs, it was not the
same. What cannot be told again (it read another file) makes the record stale: then only a whole copy will do.
"""

from __future__ import annotations

import base64
import json
import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, field
from typing import Any

from hume_runner import installing, small_json
from hume_runner.errors import StateError
from hume_runner.frozen import frozen
from hume_runner.state.said import Said

POSITION = "remote"  # under this name a state says how far it is
_SINCE = "remote_since"  # under this one, from where its last owner went on; earlier versions wrote none
_READS = ("SELECT", "PRAGMA", "EXPLAIN")
_FRAME = ("BEGIN", "COMMIT", "ROLLBACK", "ATTACH", "DETACH")
_MOST_LINE_BYTES = 1 << 40  # one transaction, with all its rows: as large as it was
_DAMAGED = "look with `hume-runner state pull MANIFEST`; or put the objects back from the bucket's own versions"


@frozen
class Position:
    """How far a state is: `number` counts transactions over all epochs; `epoch` and `owner` say whose the last was;
    `serial` is the state's own, which also counts what nobody recorded."""

    epoch: int
    owner: str
    number: int
    serial: int

    @classmethod
    def of(cls, db: sqlite3.Connection) -> Position | None:
        """None for a state that was never anywhere else."""
        row = db.execute("SELECT value FROM meta WHERE name = ?", (POSITION,)).fetchone()
        return cls(**small_json.kept(row[0])) if row else None

    @property
    def transaction(self) -> tuple[int, str, int]:
        """Which one was the last, whatever the state's own count."""
        return self.epoch, self.owner, self.number


def begun_at(db: sqlite3.Connection, position: Position | None) -> tuple[int, str, int] | None:
    """The transaction that the owner of this position found as the last one when the state became his, so that nothing
    in between is missing here. None where that is not known, or where there was none."""
    row = db.execute("SELECT value FROM meta WHERE name = ?", (_SINCE,)).fetchone()
    if row is None or position is None:
        return None
    said = small_json.kept(row[0])
    # A row of another owner's is what an earlier version left standing.
    if (said["epoch"], said["owner"]) != (position.epoch, position.owner) or said["on"] is None:
        return None
    epoch, owner, number = said["on"]
    return int(epoch), str(owner), int(number)


@frozen
class Told:
    """One transaction. `statements`: (SQL, rows of values, rows touched); `schema`: the version that they speak to."""

    at: Position
    schema: int
    statements: tuple[tuple[str, tuple[tuple[Any, ...], ...], int], ...]


class Recorder(sqlite3.Connection):
    """A connection that notes what changes something, between `listen` and `heard`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._noted: list[tuple[str, tuple[tuple[Any, ...], ...], int]] | None = None

    def listen(self) -> None:
        self._noted = []

    def heard(self) -> tuple[tuple[str, tuple[tuple[Any, ...], ...], int], ...]:
        noted, self._noted = self._noted, None
        return tuple(noted or ())

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        cursor = super().execute(sql, parameters)
        if self._noted is not None and _changes(sql):
            self._noted.append((sql, (tuple(parameters),), cursor.rowcount))
        return cursor

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        if self._noted is None or not _changes(sql):
            return super().executemany(sql, parameters)
        rows = tuple(tuple(row) for row in parameters)
        cursor = super().executemany(sql, rows)
        if rows:
            self._noted.append((sql, rows, cursor.rowcount))
        return cursor

    def executescript(self, sql_script: str, /) -> sqlite3.Cursor:
        raise AssertionError("a script is not recorded")


def _changes(sql: str) -> bool:
    word = sql.lstrip()[:8].upper()
    if word.startswith("WITH"):
        return not sql.lower().partition("select")[1] or any(
            f"{verb} " in sql for verb in ("INSERT", "UPDATE", "DELETE")
        )
    return not word.startswith((*_READS, *_FRAME))


def reads_others(db: sqlite3.Connection) -> bool:
    """Whether other files are attached: what is recorded meanwhile cannot be told to a copy."""
    return any(name not in ("main", "temp") for _, name, _ in db.execute("PRAGMA database_list"))


def note_position(
    db: sqlite3.Connection, *, epoch: int, owner: str, number: int, on: tuple[int, str, int] | None = None
) -> Position:
    """Write into the open transaction how far the state is with it; with an owner's first one, `on` which it went
    on."""
    before = Position.of(db)
    if before is None or (before.epoch, before.owner) != (epoch, owner):
        since = json.dumps({"epoch": epoch, "owner": owner, "on": on})
        db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_SINCE, since))
    (serial,) = db.execute("SELECT value FROM meta WHERE name = 'serial'").fetchone()
    at = Position(epoch=epoch, owner=owner, number=number, serial=serial)
    told = {"epoch": at.epoch, "owner": at.owner, "number": at.number, "serial": at.serial}
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (POSITION, json.dumps(told)))
    return at


# -- as bytes ----------------------------------------------------------------------------------------------------------


@frozen
class Answer(Said):
    """What was said; `kept` names the object with the answer, where that came at once and cannot be had again."""

    kept: str | None = None


@frozen(kw_only=False)
class Facts:
    """What one entry holds, in order."""

    told: tuple[Told, ...] = ()
    answers: tuple[Answer, ...] = field(default=())


def pack(told: Sequence[Told], answers: Sequence[Answer]) -> bytes:
    lines = [json.dumps({"told": _told_json(one)}) for one in told]
    lines += [json.dumps({"answer": asdict(one)}) for one in answers]
    return zlib.compress("\n".join(lines).encode(), 3)


def unpack(packed: bytes) -> Facts:
    """Raises: StateError for what no runner wrote."""
    told: list[Told] = []
    answers: list[Answer] = []
    try:
        for line in zlib.decompress(packed).decode().split("\n"):
            fact = small_json.parsed(line, most_bytes=_MOST_LINE_BYTES)
            if "told" in fact:
                told.append(_told_from(fact["told"]))
            else:
                answers.append(Answer(**fact["answer"]))
    except (ValueError, KeyError, TypeError, AttributeError, zlib.error) as error:
        raise StateError("an entry of the remote journal cannot be read", hint=_DAMAGED) from error
    return Facts(tuple(told), tuple(answers))


def _told_json(one: Told) -> dict[str, Any]:
    at = one.at
    return {
        "at": [at.epoch, at.owner, at.number, at.serial],
        "schema": one.schema,
        "statements": [[sql, [[_plain(v) for v in row] for row in rows], n] for sql, rows, n in one.statements],
    }


def _told_from(fact: Any) -> Told:
    epoch, owner, number, serial = fact["at"]
    return Told(
        at=Position(epoch=int(epoch), owner=str(owner), number=int(number), serial=int(serial)),
        schema=int(fact["schema"]),
        statements=tuple(
            (str(sql), tuple(tuple(_value(v) for v in row) for row in rows), int(n))
            for sql, rows, n in fact["statements"]
        ),
    )


def _plain(value: Any) -> Any:
    return {"b": base64.b64encode(value).decode()} if isinstance(value, bytes | memoryview) else value


def _value(value: Any) -> Any:
    return base64.b64decode(value["b"]) if isinstance(value, dict) else value


# -- told again --------------------------------------------------------------------------------------------------------


def tell(db: sqlite3.Connection, told: Iterable[Told]) -> None:
    """Tell a state what it has not heard yet. Raises: StateError where it is not the state that this was told to."""
    position = Position.of(db)
    heard = position.number if position else 0
    db.execute("PRAGMA foreign_keys = ON")  # as it was told: members go with their job
    db.set_authorizer(_only_rows)
    try:
        for one in told:
            if one.at.number <= heard:
                continue
            if one.at.number != heard + 1:
                raise StateError(f"the remote journal has a gap between {heard} and {one.at.number}", hint=_DAMAGED)
            _tell_one(db, one)
            heard = one.at.number
    finally:
        db.set_authorizer(None)


def _tell_one(db: sqlite3.Connection, one: Told) -> None:
    (schema,) = db.execute("PRAGMA user_version").fetchone()
    if schema != one.schema:
        raise StateError(
            f"the remote journal speaks to schema {one.schema}, and the state has {schema}",
            hint=installing.newer() if one.schema > schema else _DAMAGED,
        )
    db.execute("BEGIN IMMEDIATE")
    try:
        for sql, rows, touched in one.statements:
            cursor = db.executemany(sql, rows) if len(rows) > 1 else db.execute(sql, rows[0])
            if cursor.rowcount != touched:
                raise StateError(
                    f"the remote journal does not fit its snapshot (transaction {one.at.number})", hint=_DAMAGED
                )
        db.execute("COMMIT")
    except BaseException as error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error):
            raise StateError(
                f"the remote journal does not fit its snapshot (transaction {one.at.number}): {error}", hint=_DAMAGED
            ) from error
        raise


_ALLOWED = frozenset(
    {
        sqlite3.SQLITE_INSERT,
        sqlite3.SQLITE_UPDATE,
        sqlite3.SQLITE_DELETE,
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_TRANSACTION,
        sqlite3.SQLITE_RECURSIVE,
    }
)
_FOREIGN = frozenset({"load_extension", "fts3_tokenizer", "readfile", "writefile", "edit"})  # what reaches beyond rows


def _only_rows(action: int, first: str | None, second: str | None, where: str | None, by: str | None) -> int:
    """Rows of the state alone: a journal that somebody else wrote must not open files or change what a state is."""
    del by
    if action == sqlite3.SQLITE_PRAGMA:
        return sqlite3.SQLITE_OK if first == "user_version" and second is None else sqlite3.SQLITE_DENY
    if action == sqlite3.SQLITE_FUNCTION:
        return sqlite3.SQLITE_DENY if second in _FOREIGN else sqlite3.SQLITE_OK
    if action not in _ALLOWED or ((first or "").startswith("sqlite_") and action != sqlite3.SQLITE_READ):
        # AUTOINCREMENT keeps its count in a table of SQLite's own.
        own = first == "sqlite_sequence"
        return sqlite3.SQLITE_OK if own and action in _ALLOWED else sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK if where in (None, "main") else sqlite3.SQLITE_DENY
