"""Records of uploads that were taken in, in a SQLite file of their own. They never hold measurements.

Used by the server's own thread alone. WAL without a sync at each commit: a killed process loses nothing. Times are
Unix milliseconds.
"""

from __future__ import annotations

import os
import sqlite3
import uuid
from pathlib import Path

from hume_runner.frozen import frozen

_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    request_id TEXT NOT NULL,
    owner TEXT NOT NULL,
    user_id TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    status TEXT NOT NULL,
    started_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    bytes_received INTEGER,
    metered_ms INTEGER NOT NULL DEFAULT 0,
    visible_ms INTEGER,
    config TEXT NOT NULL,
    media TEXT NOT NULL,
    content_sha256 TEXT NOT NULL,
    error TEXT
);
CREATE INDEX IF NOT EXISTS runs_started ON runs (owner, started_ms, seq);
"""
_COLUMNS = (
    "seq, id, request_id, owner, user_id, endpoint, status, started_ms, ended_ms, bytes_received, metered_ms, "
    "visible_ms, config, media, content_sha256, error"
)


@frozen(kw_only=False)
class RunRow:
    """One run as stored.

    `config` and `media` are JSON text: the effective configuration, and the digest and size of each file.
    `visible_ms` None: the run is measured and billed, but the run operations never show it. `error`: the code with
    which an errored run was answered.
    """

    seq: int
    id: str
    request_id: str
    owner: str
    user_id: str
    endpoint: str
    status: str
    started_ms: int
    ended_ms: int | None
    bytes_received: int | None
    metered_ms: int
    visible_ms: int | None
    config: str
    media: str
    content_sha256: str
    error: str | None


@frozen
class RunFilter:
    """The filters of the list operation, already checked. `user_id` and the like: None does not filter."""

    user_id: str | None = None
    status: str | None = None
    endpoint: str | None = None
    started_before_ms: int | None = None  # exclusive
    started_after_ms: int | None = None  # inclusive
    behind: tuple[int, int] | None = None  # started_ms and seq of the last run of the page before


class RunStore:
    def __init__(self, folder: Path) -> None:
        self._db = sqlite3.connect(folder / "expression.sqlite3", isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    def record_started(
        self,
        *,
        run_id: str,
        request_id: str,
        owner: str,
        user_id: str,
        endpoint: str,
        started_ms: int,
        visible_ms: int | None,
        config: str,
        media: str,
        content_sha256: str,
    ) -> None:
        self._db.execute(
            "INSERT INTO runs (id, request_id, owner, user_id, endpoint, status, started_ms, visible_ms, config, "
            "media, content_sha256) VALUES (?, ?, ?, ?, ?, 'live', ?, ?, ?, ?, ?)",
            (run_id, request_id, owner, user_id, endpoint, started_ms, visible_ms, config, media, content_sha256),
        )

    def record_measured(self, run_id: str, *, ended_ms: int, bytes_received: int, metered_ms: int) -> None:
        self._db.execute(
            "UPDATE runs SET status = 'ended', ended_ms = ?, bytes_received = ?, metered_ms = ? WHERE id = ?",
            (ended_ms, bytes_received, metered_ms, run_id),
        )

    def record_errored(self, run_id: str, *, ended_ms: int, bytes_received: int | None, error: str) -> None:
        self._db.execute(
            "UPDATE runs SET status = 'errored', ended_ms = ?, bytes_received = ?, error = ? WHERE id = ?",
            (ended_ms, bytes_received, error, run_id),
        )

    def abandon_live(self, now_ms: int) -> None:
        """Runs that a killed server left: their connection is lost, and nothing is billed."""
        self._db.execute("UPDATE runs SET status = 'errored', ended_ms = ? WHERE status = 'live'", (now_ms,))

    def run(self, run_id: str, owner: str, now_ms: int) -> RunRow | None:
        """The owner's run, once it is visible."""
        row = self._db.execute(
            f"SELECT {_COLUMNS} FROM runs WHERE id = ? AND owner = ? AND visible_ms <= ?",  # noqa: S608 - fixed words
            (run_id, owner, now_ms),
        ).fetchone()
        return RunRow(*row) if row else None

    def runs(self, owner: str, wanted: RunFilter, now_ms: int, limit: int) -> list[RunRow]:
        """The owner's visible runs, newest first. A limit below 0 is none."""
        terms: list[tuple[str, tuple[str | int, ...]]] = [("owner = ?", (owner,)), ("visible_ms <= ?", (now_ms,))]
        for column in ("user_id", "status", "endpoint"):
            value: str | None = getattr(wanted, column)
            if value is not None:
                terms.append((f"{column} = ?", (value,)))
        if wanted.started_before_ms is not None:
            terms.append(("started_ms < ?", (wanted.started_before_ms,)))
        if wanted.started_after_ms is not None:
            terms.append(("started_ms >= ?", (wanted.started_after_ms,)))
        if wanted.behind is not None:
            terms.append(("(started_ms, seq) < (?, ?)", wanted.behind))
        where = " AND ".join(term for term, _ in terms)
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM runs WHERE {where} ORDER BY started_ms DESC, seq DESC LIMIT ?",  # noqa: S608
            (*(value for _, values in terms for value in values), limit),
        )
        return [RunRow(*row) for row in rows]

    def all_runs(self) -> list[RunRow]:
        return [RunRow(*row) for row in self._db.execute(f"SELECT {_COLUMNS} FROM runs ORDER BY seq")]  # noqa: S608

    def latest_ms(self) -> int:
        return int(self._db.execute("SELECT coalesce(max(coalesce(ended_ms, started_ms)), 0) FROM runs").fetchone()[0])


def new_run_id(now_ms: int) -> str:
    """A version 7 UUID: 48 bits of time, then chance."""
    value = now_ms << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))
