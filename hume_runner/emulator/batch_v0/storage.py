"""What the emulator remembers of batch-v0: jobs, their analysis, callbacks that are due."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from hume_runner.emulator.storage import Storage
from hume_runner.frozen import frozen

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    seed INTEGER NOT NULL,
    status TEXT NOT NULL,
    request TEXT NOT NULL,
    content_sha256 TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    started_ms INTEGER,
    ended_ms INTEGER,
    analysis TEXT,
    predictions INTEGER NOT NULL DEFAULT 0,
    errors INTEGER NOT NULL DEFAULT 0,
    message TEXT
);
CREATE INDEX IF NOT EXISTS jobs_created ON jobs (owner, created_ms, seq);
CREATE INDEX IF NOT EXISTS jobs_started ON jobs (owner, started_ms, seq);
CREATE INDEX IF NOT EXISTS jobs_ended ON jobs (owner, ended_ms, seq);
CREATE INDEX IF NOT EXISTS jobs_status ON jobs (status, seq);
CREATE TABLE IF NOT EXISTS callbacks (
    job_id TEXT PRIMARY KEY,
    url TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    detail TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
"""
_COLUMNS = (
    "id, owner, seed, status, request, content_sha256, created_ms, started_ms, ended_ms, analysis, predictions, "
    "errors, message"
)


@frozen(kw_only=False)
class JobRow:
    """One job as stored; `request` is the echo as JSON text, `analysis` what was found in its sources, JSON too."""

    id: str
    owner: str
    seed: int
    status: str
    request: str
    content_sha256: str
    created_ms: int
    started_ms: int | None
    ended_ms: int | None
    analysis: str | None
    predictions: int
    errors: int
    message: str | None


@frozen
class JobFilter:
    """The filters of the list operation, already checked."""

    limit: int = 50
    statuses: tuple[str, ...] = ()
    created_before_ms: int | None = None
    created_after_ms: int | None = None
    sort_by: Literal["created", "started", "ended"] = "created"
    ascending: bool = False


@frozen(kw_only=False)
class CallbackRow:
    job_id: str
    url: str
    state: str
    attempts: int
    detail: str


class JobStore:
    """Jobs and callbacks, in tables of their own in the emulator's file."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._db = storage.db
        self._db.executescript(_SCHEMA)

    def latest_ms(self) -> int:
        """The latest moment that any job tells; 0 where there is none."""
        row = self._db.execute("SELECT max(coalesce(ended_ms, started_ms, created_ms)) FROM jobs").fetchone()
        return int(row[0] or 0)

    def record_accepted(
        self, *, job_id: str, owner: str, seed: int, request: str, content_sha256: str, created_ms: int
    ) -> None:
        self._db.execute(
            "INSERT INTO jobs (id, owner, seed, status, request, content_sha256, created_ms) "
            "VALUES (?, ?, ?, 'QUEUED', ?, ?, ?)",
            (job_id, owner, seed, request, content_sha256, created_ms),
        )

    def record_started(self, job_id: str, started_ms: int) -> None:
        self._db.execute("UPDATE jobs SET status = 'IN_PROGRESS', started_ms = ? WHERE id = ?", (started_ms, job_id))

    def record_analysed(self, job_id: str, analysis: str) -> None:
        self._db.execute("UPDATE jobs SET analysis = ? WHERE id = ?", (analysis, job_id))

    def record_completed(
        self, job_id: str, *, ended_ms: int, predictions: int, errors: int, callback_url: str | None
    ) -> None:
        with self._storage.transaction():
            self._db.execute(
                "UPDATE jobs SET status = 'COMPLETED', ended_ms = ?, predictions = ?, errors = ? WHERE id = ?",
                (ended_ms, predictions, errors, job_id),
            )
            self._owe_callback(job_id, callback_url)

    def record_failed(self, job_id: str, *, ended_ms: int, message: str, callback_url: str | None) -> None:
        with self._storage.transaction():
            self._db.execute(
                "UPDATE jobs SET status = 'FAILED', ended_ms = ?, message = ? WHERE id = ?", (ended_ms, message, job_id)
            )
            self._owe_callback(job_id, callback_url)

    def _owe_callback(self, job_id: str, url: str | None) -> None:
        if url is not None:
            self._db.execute("INSERT INTO callbacks (job_id, url, state) VALUES (?, ?, 'pending')", (job_id, url))

    def job(self, job_id: str, owner: str | None = None) -> JobRow | None:
        row = self._db.execute(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (job_id,)).fetchone()  # noqa: S608
        found = JobRow(*row) if row else None
        return found if found and owner in (None, found.owner) else None

    def job_of_digits(self, digits: str, owner: str) -> JobRow | None:
        """The owner's job whose id begins with these hexadecimal digits, which have their dashes."""
        row = self._db.execute(
            f"SELECT {_COLUMNS} FROM jobs WHERE id >= ? AND id < ? AND owner = ?",  # noqa: S608
            (digits, digits + "g", owner),
        ).fetchone()
        return JobRow(*row) if row else None

    def jobs(self, owner: str, wanted: JobFilter) -> list[JobRow]:
        """The owner's jobs. Jobs that lack the time sorted by come last when descending, first when ascending."""
        terms, values = ["owner = ?"], [owner]
        parameters: list[str | int] = [*values]
        if wanted.statuses:
            terms.append(f"status IN ({', '.join('?' * len(wanted.statuses))})")
            parameters.extend(wanted.statuses)
        if wanted.created_before_ms is not None:
            terms.append("created_ms < ?")
            parameters.append(wanted.created_before_ms)
        if wanted.created_after_ms is not None:
            terms.append("created_ms > ?")
            parameters.append(wanted.created_after_ms)
        order = "ASC" if wanted.ascending else "DESC"
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM jobs WHERE {' AND '.join(terms)} "  # noqa: S608 - fixed words and placeholders
            f"ORDER BY {wanted.sort_by}_ms {order}, seq {order} LIMIT ?",
            (*parameters, wanted.limit),
        )
        return [JobRow(*row) for row in rows]

    def all_jobs(self) -> list[JobRow]:
        return [JobRow(*row) for row in self._db.execute(f"SELECT {_COLUMNS} FROM jobs ORDER BY seq")]  # noqa: S608

    def next_queued(self) -> str | None:
        row = self._db.execute("SELECT id FROM jobs WHERE status = 'QUEUED' ORDER BY seq LIMIT 1").fetchone()
        return row[0] if row else None

    def queued_count(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM jobs WHERE status = 'QUEUED'").fetchone()[0])

    def running(self) -> Sequence[str]:
        return [row[0] for row in self._db.execute("SELECT id FROM jobs WHERE status = 'IN_PROGRESS' ORDER BY seq")]

    def pending_callbacks(self) -> list[CallbackRow]:
        rows = self._db.execute("SELECT job_id, url, state, attempts, detail FROM callbacks WHERE state = 'pending'")
        return [CallbackRow(*row) for row in rows]

    def callbacks(self) -> dict[str, CallbackRow]:
        rows = self._db.execute("SELECT job_id, url, state, attempts, detail FROM callbacks")
        return {row[0]: CallbackRow(*row) for row in rows}

    def record_callback(self, job_id: str, *, state: str, attempts: int, detail: str) -> None:
        self._db.execute(
            "UPDATE callbacks SET state = ?, attempts = ?, detail = ? WHERE job_id = ?",
            (state, attempts, detail, job_id),
        )
