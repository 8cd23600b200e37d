"""The state file: the runner's memory, and the only place with SQL beside its schema and its scratch file.

Every write is one transaction that ends in `Disk.commit`; after it returns, the fact survives a power cut. Methods are
named after facts (`record_accepted`), take the time as an argument and check each job's move against the lifecycle.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hume_runner.plan.diff import Known
from hume_runner.plan.fingerprint import job_key
from hume_runner.services.base import Draft, Job, Member, Outcome, PlanItem
from hume_runner.state.connection import Opened, guarded, inode_of, open_state
from hume_runner.state.disk import Disk
from hume_runner.state.lifecycle import HELD, Event, ItemStatus, JobStatus, item_status, move
from hume_runner.state.seal import write_seal


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """A job as the state knows it. Times are Unix seconds; `*_at` of the service are by the service's clock."""

    number: int
    key: str
    status: JobStatus
    sources: int
    bytes: int
    billable_seconds: float | None
    nonce: str | None
    request: Mapping[str, Any]
    tries: int
    endpoint: str | None
    simulated: bool
    remote_id: str | None
    clock_offset: float | None
    submitting_at: float | None
    submitted_at: float | None
    created_at: float | None
    started_at: float | None
    ended_at: float | None
    finished_at: float | None
    billed_seconds: float | None
    reason: str | None
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """A file with an answer: `path` is relative to the output directory, POSIX."""

    name: str
    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemRow:
    """One line of the results: an item and what became of it."""

    id: str
    kind: str
    value: str
    place: str
    labels: Mapping[str, Any]
    status: ItemStatus
    reason: str | None
    error: str | None
    job: int | None
    remote_id: str | None
    simulated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRow:
    """A job's member with every id under which the manifest lists its content."""

    position: int
    kind: str
    match: str | None
    detail: Mapping[str, Any]
    ids: tuple[str, ...]
    outcome: str | None
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Items and jobs by state."""

    items: Mapping[str, int]
    jobs: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """One item of the manifest with what the state knows of it."""

    ord: int
    id: str
    kind: str
    known: Known
    problem: str | None = None  # what a look at the medium found wrong


_ITEM_COLUMNS = (
    "i.id, i.kind, i.value, i.place, i.labels, m.outcome, m.reason, m.error, m.job, j.remote_id, m.simulated, j.status"
)
_JOB_COLUMNS = (
    "job, key, status, sources, bytes, billable_seconds, nonce, request, tries, endpoint, simulated, remote_id, "
    "clock_offset, submitting_at, submitted_at, created_at, started_at, ended_at, finished_at, billed_seconds, "
    "reason, error"
)


_EXPORTED = (
    *("meta", "settings", "items", "measurements", "jobs", "members"),
    *("attempts", "answers", "outputs", "duplicates", "requests"),
)


class Store:
    """One open state file. Not shared between threads: the engine's loop is its only writer."""

    def __init__(self, opened: Opened, disk: Disk, *, writes: bool = False) -> None:
        self._writes = writes
        self._db = opened.db
        self._disk = disk
        self.path = opened.path
        self.copied = opened.copied
        self._request_counts: dict[str, int] = {}

    @classmethod
    def create_or_open(cls, path: Path, *, disk: Disk, name: str, lineage: str) -> Store:
        """Open for writing; a new file gets this manifest name and lineage. Raises: StateError."""
        return cls(open_state(path, create=True, name=name, lineage=lineage), disk, writes=True)

    @classmethod
    def peek(cls, path: Path, *, name: str | None = None) -> Store:
        """Open for reading, never blocked by a writer. Raises: StateError; FileNotFoundError without a state."""
        return cls(open_state(path, create=False, name=name, lineage=""), Disk())

    @classmethod
    def empty(cls, name: str) -> Store:
        """A state that knows nothing and is written nowhere: what a plan compares with before the first run."""
        return cls(open_state(None, create=True, name=name, lineage=""), Disk())

    def close(self) -> None:
        """Close the file; one that was open for writing is sealed, if nothing of it is in the log any more."""
        whole = False
        with contextlib.suppress(sqlite3.Error):
            if self._writes:
                busy, *_ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                whole = not busy
        with contextlib.suppress(sqlite3.Error):
            self._db.close()
        if whole and self.path is not None:
            write_seal(self.path)
        self._writes = False

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- facts about the file ---------------------------------------------------------------------------------------

    def meta(self, name: str) -> Any:
        with guarded(self.path):
            row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    @property
    def lineage(self) -> str:
        return str(self.meta("lineage") or "")

    @property
    def serial(self) -> int:
        return int(self.meta("serial") or 0)

    def remember(self, **facts: Any) -> None:
        """Set a few facts about the file."""
        with self._transaction("facts", bump=False):
            self._set(facts)

    def _set(self, facts: Mapping[str, Any]) -> None:
        self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", facts.items())

    @contextlib.contextmanager
    def _transaction(self, what: str, *, bump: bool = True) -> Iterator[sqlite3.Connection]:
        with guarded(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                if bump:
                    self._db.execute("UPDATE meta SET value = value + 1 WHERE name = 'serial'")
                self._flush_requests()
                self._disk.commit(self._db, what)
            except BaseException:
                # The commit itself may have failed half-way; SQLite then has rolled back already.
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise

    # -- comparing with the manifest --------------------------------------------------------------------------------

    def attach(self, scan: Path) -> None:
        """Bring the scratch file with the manifest's items alongside."""
        with guarded(self.path):
            self._db.execute("ATTACH DATABASE ? AS scan", (str(scan),))
            # A scratch file: nobody reads it after a crash.
            self._db.execute("PRAGMA scan.journal_mode = OFF")
            self._db.execute("PRAGMA scan.synchronous = OFF")

    def detach(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._db.execute("DETACH DATABASE scan")

    def digest(self, path: str, size: int, mtime_ns: int, inode: int) -> bytes | None:
        """The cached SHA-256 of a file that looks unchanged, or None."""
        row = self._db.execute(
            "SELECT sha256 FROM digests WHERE path = ? AND size = ? AND mtime_ns = ? AND inode = ?",
            (path, size, mtime_ns, inode),
        ).fetchone()
        return row[0] if row else None

    def facts(self, key: bytes) -> str | None:
        """What a look at a medium told before, as JSON."""
        row = self._db.execute("SELECT facts FROM measurements WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def compare(self) -> Iterator[Staged]:
        """Each staged item with what is known of its key and of its id, in manifest order, streamed."""
        # A measurement that is still pending may be spread over several jobs; the most telling state counts.
        rows = self._db.execute(
            """
            SELECT s.ord, s.id, s.kind, s.key, s.content, m.outcome, m.job,
                   CASE m.outcome WHEN 'pending' THEN (
                     SELECT CASE max(CASE j.status WHEN 'ambiguous' THEN 3 WHEN 'planned' THEN 1
                                                   WHEN 'failed' THEN 1 ELSE 2 END)
                            WHEN 3 THEN 'ambiguous' WHEN 2 THEN 'submitted' WHEN 1 THEN 'planned' END
                     FROM members b JOIN jobs j ON j.job = b.job WHERE b.key = s.key) END,
                   m.error, m.simulated,
                   CASE m.outcome WHEN 'pending' THEN EXISTS (
                     SELECT 1 FROM members b JOIN jobs j ON j.job = b.job WHERE b.key = s.key AND j.tries > 0) END,
                   i.key, o.content, t.json, s.facts
            FROM scan.staged s
            LEFT JOIN main.measurements m ON m.key = s.key
            LEFT JOIN main.items i ON i.id = s.id AND m.key IS NULL
            LEFT JOIN main.measurements o ON o.key = i.key
            LEFT JOIN main.settings t ON t.digest = o.settings
            ORDER BY s.ord
            """
        )
        for row in rows:
            yield Staged(
                ord=row[0],
                id=row[1],
                kind=row[2],
                known=Known(
                    key=row[3],
                    content=row[4],
                    outcome=row[5],
                    job=row[6],
                    job_status=row[7],
                    error=row[8],
                    simulated=bool(row[9]),
                    attempted=bool(row[10]),
                    old_key=row[11],
                    old_content=row[12],
                    old_settings=row[13],
                ),
                problem=_load(row[14]).get("problem") if row[14] else None,
            )

    def knows_nothing(self) -> bool:
        """Whether no item was ever recorded, so that all that is staged is new."""
        return self._db.execute("SELECT 1 FROM measurements LIMIT 1").fetchone() is None

    def repeated(self) -> set[int]:
        """The `ord`s of staged items whose key an earlier item has already."""
        rows = self._db.execute(
            "SELECT s.ord FROM (SELECT key, min(ord) AS first FROM scan.staged GROUP BY key HAVING count(*) > 1) d "
            "JOIN scan.staged s ON s.key = d.key AND s.ord > d.first"
        )
        return {row[0] for row in rows}

    def want(self, batch: Sequence[tuple[int, bool]]) -> None:
        """Note staged items that have to be submitted: (ord, whether it is a retry)."""
        # One transaction a batch: by itself, each row would be one.
        self._db.execute("BEGIN")
        self._db.executemany("INSERT OR IGNORE INTO scan.todo VALUES (?, ?)", batch)
        self._db.execute("COMMIT")

    def wanted(self) -> Iterator[PlanItem]:
        """The staged items that have to be submitted, in manifest order, streamed."""
        rows = self._db.execute(
            "SELECT s.key, s.id, s.kind, s.value, s.path, s.inside, s.size, s.content, s.facts "
            "FROM scan.todo t JOIN scan.staged s ON s.ord = t.ord ORDER BY t.ord"
        )
        for row in rows:
            yield plan_item(*row)

    def removed(self) -> Iterator[tuple[str, str]]:
        """(id, kind) of items that the state lists and the manifest does not, in their old order."""
        yield from self._db.execute(
            "SELECT i.id, i.kind FROM main.items i "
            "WHERE NOT EXISTS (SELECT 1 FROM scan.staged s WHERE s.id = i.id) ORDER BY i.ord"
        )

    def place_of(self, key: bytes) -> str | None:
        """Where the manifest lists the staged item with this key."""
        row = self._db.execute("SELECT place FROM scan.staged WHERE key = ? ORDER BY ord LIMIT 1", (key,)).fetchone()
        return row[0] if row else None

    def replace_plan(
        self, drafts: Iterable[Draft], *, settings_digest: bytes, settings: str, facts: Mapping[str, Any]
    ) -> None:
        """Make the staged items the state's items and plan these jobs, all or nothing.

        Jobs that were planned and never sent are dissolved: `drafts` holds their items again where they are wanted.
        """
        with self._transaction("plan") as db:
            db.execute("DELETE FROM main.items")
            db.execute(
                "INSERT INTO main.items SELECT ord, id, kind, key, value, path, inside, place, labels "
                "FROM scan.staged ORDER BY ord"
            )
            db.execute("INSERT OR IGNORE INTO main.settings VALUES (?, ?)", (settings_digest, settings))
            db.execute(
                "INSERT OR IGNORE INTO main.measurements (key, kind, content, settings, size, facts) "
                "SELECT key, kind, content, ?, size, facts FROM scan.staged ORDER BY key",
                (settings_digest,),
            )
            db.execute("INSERT OR REPLACE INTO main.digests SELECT * FROM scan.digests")
            # The parts of a medium whose other parts were sent already stay: they are all that it still needs.
            db.execute(
                "DELETE FROM main.jobs WHERE status = 'planned' AND NOT EXISTS ("
                "SELECT 1 FROM main.members b JOIN main.members c ON c.key = b.key JOIN main.jobs k ON k.job = c.job "
                "WHERE b.job = jobs.job AND k.status NOT IN ('planned', 'failed'))"
            )
            db.execute("DELETE FROM main.members WHERE job NOT IN (SELECT job FROM main.jobs)")
            db.execute(
                "DELETE FROM main.members WHERE key IN "
                "(SELECT s.key FROM scan.todo t JOIN scan.staged s ON s.ord = t.ord WHERE t.retry)"
            )
            db.execute(
                "UPDATE main.measurements "
                "SET outcome = 'pending', reason = NULL, error = NULL, job = NULL, simulated = 0 "
                "WHERE key IN (SELECT s.key FROM scan.todo t JOIN scan.staged s ON s.ord = t.ord WHERE t.retry)"
            )
            self._insert_jobs(drafts)
            self._set(facts)

    def _insert_jobs(self, drafts: Iterable[Draft]) -> None:
        numbers: list[int] = []
        for draft in drafts:
            keys = [member.item.key for member in draft.members]
            after = numbers[-draft.after] if draft.after else None
            cursor = self._db.execute(
                "INSERT INTO main.jobs (key, status, sources, bytes, billable_seconds, prepare, after) "
                "VALUES (?,?,?,?,?,?,?)",
                (
                    job_key(keys),
                    JobStatus.PLANNED,
                    len(keys),
                    draft.size_bytes,
                    draft.billable_seconds,
                    int(draft.prepare),
                    after,
                ),
            )
            number = cursor.lastrowid
            assert number is not None
            self._db.executemany(
                "INSERT INTO main.members (job, position, key, detail) VALUES (?, ?, ?, ?)",
                [(number, n, m.item.key, _json(m.detail)) for n, m in enumerate(draft.members)],
            )
            self._db.executemany("UPDATE main.measurements SET job = ? WHERE key = ?", [(number, k) for k in keys])
            numbers.append(number)
            if len(numbers) > 10_000:
                del numbers[:5_000]

    # -- jobs on their way ------------------------------------------------------------------------------------------

    def planned(self, limit: int, *, beyond: int = 0) -> list[tuple[int, bool]]:
        """(number, whether its media have to be prepared) of the next planned jobs after job `beyond`, in order.

        Jobs that wait for another in a chain are left out: see `freed`.
        """
        rows = self._db.execute(
            "SELECT job, prepare FROM jobs WHERE status = 'planned' AND after IS NULL AND job > ? ORDER BY job LIMIT ?",
            (beyond, limit),
        )
        return [(row[0], bool(row[1])) for row in rows]

    def any_planned(self) -> bool:
        """Whether any job is still to be sent, now or after another."""
        return self._db.execute("SELECT 1 FROM jobs WHERE status = 'planned' LIMIT 1").fetchone() is not None

    def freed(self) -> list[int]:
        """Planned jobs of a chain whose turn has come."""
        rows = self._db.execute(
            "SELECT p.job FROM jobs p JOIN jobs q ON q.job = p.after "
            "WHERE p.after IS NOT NULL AND p.status = 'planned' AND q.status = 'done' ORDER BY p.job"
        )
        return [row[0] for row in rows]

    def load_job(self, number: int, *, now: float | None = None) -> Job:
        """A job with its members, ready to be prepared."""
        row = self.job(number)
        members = self._db.execute(
            "SELECT b.key, i.id, m.kind, i.value, i.path, i.inside, m.size, m.content, m.facts, b.detail, b.match "
            "FROM members b JOIN measurements m ON m.key = b.key "
            "LEFT JOIN items i ON i.ord = (SELECT min(ord) FROM items WHERE key = b.key) "
            "WHERE b.job = ? ORDER BY b.position",
            (number,),
        ).fetchall()
        prepare, carry, carry_at = self._db.execute(
            "SELECT p.prepare, q.carry, q.finished_at FROM jobs p LEFT JOIN jobs q ON q.job = p.after WHERE p.job = ?",
            (number,),
        ).fetchone()
        return Job(
            number=number,
            key=row.key,
            nonce=row.nonce or "",
            members=tuple(
                Member(item=plan_item(r[0], r[1] or "", r[2], r[3] or "", *r[4:9]), detail=_load(r[9])) for r in members
            ),
            size_bytes=row.bytes,
            billable_seconds=row.billable_seconds,
            prepare=bool(prepare),
            carry=carry,
            carry_age_s=now - carry_at if now is not None and carry_at is not None else None,
            matches=tuple(r[10] or "" for r in members),
            request=row.request,
        )

    def job(self, number: int) -> JobRow:
        row = self._db.execute(f"SELECT {_JOB_COLUMNS} FROM jobs WHERE job = ?", (number,)).fetchone()  # noqa: S608
        return _job_row(row)

    def jobs(self, *statuses: JobStatus) -> Iterator[JobRow]:
        """Jobs in these states (all without any), by number, streamed."""
        where = f"WHERE status IN ({','.join('?' * len(statuses))})" if statuses else ""
        for row in self._db.execute(f"SELECT {_JOB_COLUMNS} FROM jobs {where} ORDER BY job", statuses):  # noqa: S608
            yield _job_row(row)

    def _move(self, number: int, event: Event, now: float, message: str | None = None, **columns: Any) -> None:
        (status,) = self._db.execute("SELECT status FROM jobs WHERE job = ?", (number,)).fetchone()
        columns["status"] = move(JobStatus(status), event)
        names = ", ".join(f"{name} = ?" for name in columns)
        self._db.execute(f"UPDATE jobs SET {names} WHERE job = ?", (*columns.values(), number))  # noqa: S608
        self._db.execute(
            "INSERT INTO attempts (job, at, event, message) VALUES (?, ?, ?, ?)", (number, now, event, message)
        )

    def record_submitting(
        self,
        number: int,
        *,
        nonce: str,
        sha256: str,
        request: Mapping[str, Any],
        matches: Sequence[str],
        endpoint: str,
        clock_offset: float | None,
        now: float,
    ) -> None:
        """The intent: durable before the first byte of the POST leaves."""
        with self._transaction("submitting") as db:
            self._move(
                number,
                Event.INTEND,
                now,
                nonce=nonce,
                request_sha256=sha256,
                request=_json(request),
                endpoint=endpoint,
                clock_offset=clock_offset,
                submitting_at=now,
                reason=None,
                error=None,
            )
            db.execute("UPDATE jobs SET tries = tries + 1 WHERE job = ?", (number,))
            self._name_members(number, matches)

    def _name_members(self, number: int, matches: Sequence[str]) -> None:
        self._db.executemany(
            "UPDATE members SET match = ? WHERE job = ? AND position = ?",
            [(match, number, position) for position, match in enumerate(matches)],
        )

    def record_accepted(
        self,
        number: int,
        remote_id: str,
        *,
        created_at: float | None,
        simulated: bool,
        now: float,
        answer: bytes | None = None,
        carry: str | None = None,
        billed_seconds: float | None = None,
    ) -> None:
        """The service's name for the job, and its whole answer where that came at once: durable before anything else
        is done with them."""
        with self._transaction("accepted") as db:
            self._move(
                number,
                Event.ACCEPT,
                now,
                remote_id=remote_id,
                submitted_at=now,
                created_at=created_at,
                simulated=int(simulated),
                carry=carry,
                billed_seconds=billed_seconds,
            )
            if answer is not None:
                db.execute("INSERT OR REPLACE INTO received VALUES (?, ?)", (number, answer))

    def received(self, number: int) -> bytes | None:
        """The answer that came with the submission, until it is a file."""
        row = self._db.execute("SELECT body FROM received WHERE job = ?", (number,)).fetchone()
        return row[0] if row else None

    def record_prepared(
        self, number: int, drafts: Sequence[Draft], failed: Sequence[tuple[int, str, str]], now: float
    ) -> None:
        """A job's media are prepared: the jobs that are sent take its place; what cannot be sent has failed."""
        with self._transaction("prepared") as db:
            for position, reason, message in failed:
                db.execute(
                    "UPDATE measurements SET outcome = 'failed', reason = ?, error = ? "
                    "WHERE key = (SELECT key FROM members WHERE job = ? AND position = ?)",
                    (reason, message, number, position),
                )
            db.execute("DELETE FROM members WHERE job = ?", (number,))
            if drafts:
                db.execute("UPDATE measurements SET job = NULL WHERE job = ?", (number,))
                db.execute("DELETE FROM jobs WHERE job = ?", (number,))
                self._insert_jobs(drafts)
            else:
                self._move(
                    number, Event.SPOIL, now, reason="media", error="none of its media can be sent", finished_at=now
                )

    def record_refused(self, number: int, message: str, now: float) -> None:
        """Surely not accepted: it may be sent again."""
        with self._transaction("refused"):
            self._move(number, Event.REFUSE, now, message, error=message)

    def record_rejected(self, number: int, reason: str, message: str, now: float) -> None:
        """Surely not accepted, and it would not be another time: its items failed."""
        with self._transaction("rejected"):
            self._move(number, Event.REJECT, now, message, reason=reason, error=message, finished_at=now)
            self._fail_members(number, reason, message)

    def record_rejected_unsent(self, number: int, reason: str, message: str, now: float) -> None:
        """A planned job that cannot even be built any more: its items failed, nothing was sent."""
        with self._transaction("unsent"):
            self._move(number, Event.SPOIL, now, message, reason=reason, error=message, finished_at=now)
            self._fail_members(number, reason, message)

    def record_split(self, number: int, message: str, halves: Sequence[Draft], now: float) -> None:
        """A refused job whose halves are planned in its place, to find the member at fault."""
        with self._transaction("split"):
            self._move(number, Event.REJECT, now, message, reason="split", error=message, finished_at=now)
            self._db.execute("DELETE FROM members WHERE job = ?", (number,))
            self._insert_jobs(halves)

    def record_lost(self, number: int, message: str, now: float) -> None:
        """No answer: nobody knows whether the service took it."""
        with self._transaction("lost"):
            self._move(number, Event.LOSE, now, message, error=message)

    def recover(self, now: float) -> list[int]:
        """After a crash: what was being submitted has no answer. Returns the jobs concerned."""
        numbers = [row.number for row in self.jobs(JobStatus.SUBMITTING)]
        if numbers:
            with self._transaction("recover"):
                for number in numbers:
                    message = "the run ended before the answer came"
                    self._move(number, Event.LOSE, now, message, error=message)
        return numbers

    def suspect_planned(self, now: float) -> None:
        """This file is a copy: the original may have sent what is planned here, so the service is asked first."""
        assert self.path is not None
        rows = list(self.jobs(JobStatus.PLANNED))
        last = self._db.execute("SELECT coalesce(min(at), ?) FROM attempts", (now,)).fetchone()[0]
        with self._transaction("suspect"):
            for row in rows:
                message = "the state is a copy; its original may have sent this job"
                self._move(
                    row.number,
                    Event.SUSPECT,
                    now,
                    message,
                    nonce=nonce_of(self.lineage, row.number, row.tries + 1),
                    submitting_at=row.submitting_at or last,
                    clock_offset=None,
                    error=message,
                )
            # From here on this file is the one that counts for its place.
            self._set({"inode": inode_of(self.path)})

    def record_found(
        self,
        number: int,
        remote_id: str,
        *,
        endpoint: str,
        matches: Sequence[str],
        created_at: float | None,
        simulated: bool,
        others: Sequence[str],
        now: float,
    ) -> None:
        """A lost submission that the service has; `others` carry the same and were paid for as well."""
        with self._transaction("found") as db:
            self._move(
                number,
                Event.FIND,
                now,
                endpoint=endpoint,
                remote_id=remote_id,
                submitted_at=now,
                created_at=created_at,
                simulated=int(simulated),
                error=None,
            )
            self._name_members(number, matches)
            db.executemany(
                "INSERT OR IGNORE INTO duplicates (endpoint, remote_id, job, at) VALUES (?, ?, ?, ?)",
                [(endpoint, other, number, now) for other in others],
            )

    def record_gone(self, number: int, remote_id: str, billed_seconds: float | None, now: float) -> None:
        """A lost submission that was measured and billed, and whose answer cannot be had: it may be sent again."""
        with self._transaction("gone") as db:
            (endpoint,) = db.execute("SELECT endpoint FROM jobs WHERE job = ?", (number,)).fetchone()
            self._move(number, Event.MISS, now, f"measured as {remote_id}, and the answer is lost")
            db.execute(
                "INSERT OR IGNORE INTO duplicates VALUES (?, ?, ?, ?, ?)",
                (endpoint, remote_id, number, now, billed_seconds),
            )

    def record_missed(self, number: int, now: float) -> None:
        """A lost submission that the service does not have: it may be sent again."""
        with self._transaction("missed"):
            self._move(number, Event.MISS, now)

    def record_finished(
        self,
        number: int,
        *,
        answers: Sequence[StoredAnswer],
        outcomes: Sequence[Outcome],
        times: Mapping[str, float | None],
        simulated: bool,
        now: float,
    ) -> None:
        """Answers that are on disk, checked and hashed, and what they say about each member."""
        with self._transaction("finished") as db:
            columns: dict[str, Any] = {**times, "finished_at": now}
            self._move(number, Event.FINISH, now, **columns)
            self._record_answers(number, answers, now)
            db.executemany(
                "UPDATE members SET outcome = ?, reason = ?, error = ? WHERE job = ? AND position = ?",
                [("done" if o.ok else "failed", o.reason, o.message, number, o.position) for o in outcomes],
            )
            db.execute("DELETE FROM received WHERE job = ?", (number,))
            # An item that is spread over several jobs is done with the last of them, and failed with the first that
            # fails.
            db.execute(
                "UPDATE measurements "
                "SET outcome = b.outcome, reason = b.reason, error = b.error, job = ?, simulated = ? "
                "FROM members b WHERE b.job = ? AND b.key = measurements.key AND b.outcome IS NOT NULL "
                "AND measurements.outcome != 'failed' AND (b.outcome = 'failed' OR NOT EXISTS ("
                "SELECT 1 FROM members o WHERE o.key = b.key AND o.outcome IS NULL))",
                (number, int(simulated), number),
            )

    def record_answers(self, number: int, answers: Sequence[StoredAnswer], now: float) -> None:
        with self._transaction("answers", bump=False):
            self._record_answers(number, answers, now)

    def _record_answers(self, number: int, answers: Sequence[StoredAnswer], now: float) -> None:
        self._db.executemany(
            "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?)",
            [(number, a.name, a.path, a.size, a.sha256, now) for a in answers],
        )

    def record_broken(
        self, number: int, reason: str, message: str, now: float, times: Mapping[str, float | None] | None = None
    ) -> None:
        """The service gave the job up, or its time is over: its items failed."""
        with self._transaction("broken"):
            self._move(
                number, Event.BREAK, now, message, reason=reason, error=message, finished_at=now, **(times or {})
            )
            self._fail_members(number, reason, message)

    def record_revived(self, number: int, now: float) -> None:
        """A job that was given up for its time is waited for again: it was paid for."""
        with self._transaction("revived") as db:
            self._move(number, Event.REVIVE, now, submitted_at=now, reason=None, error=None)
            db.execute(
                "UPDATE measurements SET outcome = 'pending', reason = NULL, error = NULL "
                "WHERE job = ? AND outcome = 'failed'",
                (number,),
            )

    def retry_parts(self, now: float) -> None:
        """Plan again what failed of media that are measured in part; what was paid for stays.

        Concerns jobs that the service surely never took. Media of which nothing is measured are planned anew instead.
        """
        rows = self._db.execute(
            "SELECT DISTINCT j.job FROM jobs j JOIN members b ON b.job = j.job "
            "JOIN members o ON o.key = b.key AND o.job != j.job AND o.outcome = 'done' "
            "WHERE j.status = 'failed' AND j.remote_id IS NULL ORDER BY j.job"
        ).fetchall()
        if not rows:
            return
        with self._transaction("retry") as db:
            for (number,) in rows:
                self._move(number, Event.RETRY, now, reason=None, error=None, finished_at=None)
                db.execute("UPDATE members SET outcome = NULL, reason = NULL, error = NULL WHERE job = ?", (number,))
                db.execute(
                    "UPDATE measurements SET outcome = 'pending', reason = NULL, error = NULL "
                    "WHERE key IN (SELECT key FROM members WHERE job = ?)",
                    (number,),
                )

    def _fail_members(self, number: int, reason: str, message: str) -> None:
        self._db.execute(
            "UPDATE members SET outcome = 'failed', reason = ?, error = ? WHERE job = ?", (reason, message, number)
        )
        self._db.execute(
            "UPDATE measurements SET outcome = 'failed', reason = ?, error = ?, job = ? "
            "WHERE key IN (SELECT key FROM members WHERE job = ?)",
            (reason, message, number, number),
        )
        # What waits for this job in a chain will never go out.
        after = self._db.execute("SELECT job FROM jobs WHERE after = ? AND status = 'planned'", (number,)).fetchall()
        for (follower,) in after:
            self._db.execute(
                "UPDATE jobs SET status = 'failed', reason = ?, error = ? WHERE job = ?", (reason, message, follower)
            )
            self._fail_members(follower, reason, message)

    def adopt(
        self,
        draft: Draft,
        *,
        remote_id: str,
        endpoint: str,
        nonce: str,
        matches: Sequence[str],
        request: Mapping[str, Any],
        created_at: float | None,
        simulated: bool,
        now: float,
    ) -> int:
        """A job that was started elsewhere becomes one of ours, submitted. Planned jobs give its members up."""
        with self._transaction("adopted") as db:
            keys = [member.item.key for member in draft.members]
            for key in keys:
                db.execute(
                    "DELETE FROM members WHERE key = ? AND job IN (SELECT job FROM jobs WHERE status = 'planned')",
                    (key,),
                )
            db.execute("DELETE FROM jobs WHERE status = 'planned' AND job NOT IN (SELECT job FROM members)")
            self._insert_jobs([draft])
            (number,) = db.execute("SELECT max(job) FROM jobs").fetchone()
            self._move(
                number,
                Event.INTEND,
                now,
                nonce=nonce,
                endpoint=endpoint,
                submitting_at=created_at or now,
                request=_json(request),
            )
            self._move(
                number,
                Event.ACCEPT,
                now,
                remote_id=remote_id,
                submitted_at=now,
                created_at=created_at,
                simulated=int(simulated),
            )
            self._name_members(number, matches)
            db.execute(
                "UPDATE jobs AS p SET sources = (SELECT count(*) FROM members b WHERE b.job = p.job) "
                "WHERE status = 'planned'"
            )
        return int(number)

    def knows_remote(self, endpoint: str, remote_id: str) -> bool:
        """Whether this state holds that job already, as its own or as a duplicate."""
        return (
            self._db.execute(
                "SELECT 1 FROM jobs WHERE endpoint = ? AND remote_id = ? UNION "
                "SELECT 1 FROM duplicates WHERE endpoint = ? AND remote_id = ?",
                (endpoint, remote_id) * 2,
            ).fetchone()
            is not None
        )

    def find_item(self, kind: str, content: bytes) -> bytes | None:
        """The key of a listed item of this kind and content, under the manifest's present settings."""
        row = self._db.execute(
            "SELECT m.key FROM items i JOIN measurements m ON m.key = i.key "
            "WHERE m.kind = ? AND m.content = ? ORDER BY i.ord LIMIT 1",
            (kind, content),
        ).fetchone()
        return row[0] if row else None

    def status_of(self, key: bytes) -> ItemStatus | None:
        """The state of a listed item's measurement."""
        row = self._db.execute(
            "SELECT m.outcome, j.status FROM measurements m LEFT JOIN jobs j ON j.job = m.job WHERE m.key = ?", (key,)
        ).fetchone()
        return item_status(row[0], JobStatus(row[1]) if row[1] else None) if row else None

    def waiting_files(self) -> Iterator[PlanItem]:
        """Listed files that are not measured yet, in manifest order."""
        rows = self._db.execute(
            "SELECT m.key, i.id, m.kind, i.value, i.path, i.inside, m.size, m.content, m.facts FROM items i "
            "JOIN measurements m ON m.key = i.key WHERE m.kind = 'file' AND m.outcome = 'pending' ORDER BY i.ord"
        ).fetchall()
        for row in rows:
            yield plan_item(*row)

    def load_items(self, keys: Sequence[bytes]) -> list[PlanItem]:
        """Listed items by key, in the order asked for."""
        found = []
        for key in keys:
            row = self._db.execute(
                "SELECT m.key, i.id, m.kind, i.value, i.path, i.inside, m.size, m.content, m.facts FROM measurements m "
                "JOIN items i ON i.key = m.key WHERE m.key = ? ORDER BY i.ord LIMIT 1",
                (key,),
            ).fetchone()
            if row:
                found.append(plan_item(*row))
        return found

    # -- counting and reading ---------------------------------------------------------------------------------------

    def count_request(self, kind: str, number: int = 1) -> None:
        """Count requests by kind; written with the next transaction, so that counting costs no sync of its own."""
        self._request_counts[kind] = self._request_counts.get(kind, 0) + number

    def _flush_requests(self) -> None:
        if self._request_counts:
            self._db.executemany(
                "INSERT INTO requests VALUES (?, ?) ON CONFLICT (kind) DO UPDATE SET count = count + excluded.count",
                list(self._request_counts.items()),
            )
            self._request_counts.clear()

    def counts(self) -> Counts:
        """Items and jobs by state; `total` among the items."""
        with guarded(self.path):
            items = dict.fromkeys(ItemStatus, 0)
            rows = self._db.execute(
                "SELECT m.outcome, j.status, count(*) FROM items i JOIN measurements m ON m.key = i.key "
                "LEFT JOIN jobs j ON j.job = m.job GROUP BY m.outcome, j.status"
            )
            for outcome, status, number in rows:
                items[item_status(outcome, JobStatus(status) if status else None)] += number
            jobs = dict.fromkeys(JobStatus, 0)
            for status, number in self._db.execute("SELECT status, count(*) FROM jobs GROUP BY status"):
                jobs[JobStatus(status)] = number
        return Counts(
            items={"total": sum(items.values()), **{str(k): v for k, v in items.items()}},
            jobs={str(k): v for k, v in jobs.items()},
        )

    def items(self) -> Iterator[ItemRow]:
        """Every item of the last planned manifest, in its order, streamed."""
        rows = self._db.execute(
            f"SELECT {_ITEM_COLUMNS} FROM items i JOIN measurements m ON m.key = i.key "  # noqa: S608
            "LEFT JOIN jobs j ON j.job = m.job ORDER BY i.ord"
        )
        for row in rows:
            yield _item_row(row)

    def item(self, name: str) -> ItemRow | None:
        """One item by its id."""
        row = self._db.execute(
            f"SELECT {_ITEM_COLUMNS} FROM items i JOIN measurements m ON m.key = i.key "  # noqa: S608
            "LEFT JOIN jobs j ON j.job = m.job WHERE i.id = ?",
            (name,),
        ).fetchone()
        return _item_row(row) if row else None

    def any_simulated(self) -> bool:
        """Whether the emulator took the job of any listed item."""
        return (
            self._db.execute(
                "SELECT 1 FROM jobs j JOIN members b ON b.job = j.job "
                "JOIN measurements m ON m.key = b.key AND m.job = j.job "
                "JOIN items i ON i.key = m.key WHERE j.simulated LIMIT 1"
            ).fetchone()
            is not None
        )

    def any_measured(self) -> bool:
        """Whether any job was taken by a real service."""
        return (
            self._db.execute("SELECT 1 FROM jobs WHERE remote_id IS NOT NULL AND NOT simulated LIMIT 1").fetchone()
            is not None
        )

    def timed_out(self) -> list[int]:
        """Jobs that were given up for their time alone: the service may have finished them since."""
        rows = self._db.execute(
            "SELECT job FROM jobs WHERE status = 'failed' AND reason = 'job_timeout' AND remote_id IS NOT NULL"
        )
        return [row[0] for row in rows]

    def members(self, number: int) -> list[MemberRow]:
        """A job's members with the ids that the manifest gives them."""
        rows = self._db.execute(
            "SELECT b.position, m.kind, b.match, b.detail, b.outcome, b.error, b.key FROM members b "
            "JOIN measurements m ON m.key = b.key WHERE b.job = ? ORDER BY b.position",
            (number,),
        ).fetchall()
        return [
            MemberRow(
                position=r[0],
                kind=r[1],
                match=r[2],
                detail=_load(r[3]),
                ids=tuple(x[0] for x in self._db.execute("SELECT id FROM items WHERE key = ? ORDER BY ord", (r[6],))),
                outcome=r[4],
                error=r[5],
            )
            for r in rows
        ]

    def companions(self, number: int) -> list[int]:
        """The jobs that an item is spread over, in order, where this job carries a part of one; else none.

        A job that carries a part carries nothing else. An item that is measured again gives its old jobs up.
        """
        rows = self._db.execute(
            "SELECT c.job FROM members b JOIN members c ON c.key = b.key AND c.detail IS NOT NULL "
            "WHERE b.job = ? AND b.position = 0 AND b.detail IS NOT NULL "
            "AND NOT EXISTS (SELECT 1 FROM members o WHERE o.job = b.job AND o.position > 0) ORDER BY c.job",
            (number,),
        )
        return [row[0] for row in rows]

    def answers(self, number: int | None = None) -> Iterator[tuple[int, StoredAnswer]]:
        """(job, answer) of one job or of all, by job and name."""
        where, values = ("WHERE job = ?", (number,)) if number is not None else ("", ())
        rows = self._db.execute(
            f"SELECT job, name, path, size, sha256 FROM answers {where} ORDER BY job, name",  # noqa: S608
            values,
        )
        for job, name, path, size, sha256 in rows:
            yield job, StoredAnswer(name=name, path=path, size=size, sha256=sha256)

    def record_outputs(self, outputs: Sequence[StoredAnswer], now: float) -> None:
        """Files that a run wrote beside the raw answers."""
        with self._transaction("outputs", bump=False) as db:
            db.executemany(
                "INSERT OR REPLACE INTO outputs VALUES (?, ?, ?, ?)", [(o.path, o.size, o.sha256, now) for o in outputs]
            )

    def outputs(self) -> Iterator[StoredAnswer]:
        rows = self._db.execute("SELECT path, size, sha256 FROM outputs ORDER BY path")
        for path, size, sha256 in rows:
            yield StoredAnswer(name=path, path=path, size=size, sha256=sha256)

    def duplicates(self) -> list[tuple[str, int]]:
        """(remote id, our job) of jobs that were paid for twice."""
        return self._db.execute("SELECT remote_id, job FROM duplicates ORDER BY at, remote_id").fetchall()

    def failed_items(self) -> tuple[int, int]:
        """(failed, all) items; takes as long as there are failures."""
        (failed,) = self._db.execute(
            "SELECT count(*) FROM measurements m INDEXED BY measurements_failed JOIN items i ON i.key = m.key "
            "WHERE m.outcome = 'failed'"
        ).fetchone()
        (total,) = self._db.execute("SELECT coalesce(max(ord) + 1, 0) FROM items").fetchone()
        return int(failed), int(total)

    def first_failures(self, limit: int) -> list[tuple[str, str]]:
        """(id, error) of the first failed items, in manifest order."""
        return self._db.execute(
            "SELECT i.id, coalesce(m.error, m.reason, 'failed') FROM measurements m INDEXED BY measurements_failed "
            "JOIN items i ON i.key = m.key WHERE m.outcome = 'failed' ORDER BY i.ord LIMIT ?",
            (limit,),
        ).fetchall()

    def failures(self) -> dict[str, int]:
        """Failed items by reason."""
        return dict(
            self._db.execute(
                "SELECT coalesce(m.reason, 'unknown'), count(*) FROM items i JOIN measurements m ON m.key = i.key "
                "WHERE m.outcome = 'failed' GROUP BY 1 ORDER BY 2 DESC, 1"
            ).fetchall()
        )

    def requests(self) -> dict[str, int]:
        """Requests sent over the life of this state, by kind."""
        counts = dict(self._db.execute("SELECT kind, count FROM requests ORDER BY kind").fetchall())
        for kind, number in self._request_counts.items():
            counts[kind] = counts.get(kind, 0) + number
        return counts

    def committed_seconds(self) -> float:
        """Billable seconds of all jobs that were sent and not surely refused."""
        (total,) = self._db.execute(
            "SELECT coalesce(sum(coalesce(billed_seconds, billable_seconds)), 0) FROM jobs "
            "WHERE status IN ('submitting', 'submitted', 'done', 'ambiguous')"
        ).fetchone()
        (lost,) = self._db.execute("SELECT coalesce(sum(billed_seconds), 0) FROM duplicates").fetchone()
        return float(total) + float(lost)

    def billed_seconds(self) -> float | None:
        """Billable seconds of what the service took, None where the API has no such bill."""
        (total,) = self._db.execute(
            "SELECT sum(seconds) FROM (SELECT coalesce(billed_seconds, billable_seconds) AS seconds FROM jobs "
            "WHERE remote_id IS NOT NULL UNION ALL SELECT billed_seconds FROM duplicates)"
        ).fetchone()
        return None if total is None else float(total)

    def work_left(self) -> bool:
        """Whether any job is planned or held by the service."""
        left = (JobStatus.PLANNED, *HELD)
        return (
            self._db.execute(
                f"SELECT 1 FROM jobs WHERE status IN ({','.join('?' * len(left))}) LIMIT 1",  # noqa: S608
                left,
            ).fetchone()
            is not None
        )

    def export(self) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
        """(table, its rows, streamed) of everything, digests and keys in hex, for `state export`."""
        for table in _EXPORTED:
            cursor = self._db.execute(f"SELECT * FROM {table}")  # noqa: S608
            names = [column[0] for column in cursor.description]
            yield table, ({n: _plain(v) for n, v in zip(names, row, strict=True)} for row in cursor)


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def nonce_of(lineage: str, number: int, tries: int) -> str:
    """What marks one try of one job of one state. Derived, so that a copy of the state finds what the original sent."""
    return hashlib.sha256(f"{lineage}/{number}/{tries}".encode()).hexdigest()[:10]


def plan_item(
    key: bytes,
    id: str,
    kind: Any,
    value: str,
    path: str | bytes | None,
    inside: str | None,
    size: int,
    content: bytes,
    facts: str | None,
) -> PlanItem:
    """A `PlanItem` from its columns."""
    return PlanItem(
        key=key,
        id=id,
        kind=kind,
        value=value,
        path=Path(os.fsdecode(path)) if path is not None else None,
        inside=inside,
        size_bytes=size,
        content_sha256=content.hex(),
        facts=_load(facts),
    )


def _item_row(r: Sequence[Any]) -> ItemRow:
    return ItemRow(
        id=r[0],
        kind=r[1],
        value=r[2],
        place=r[3],
        labels=_load(r[4]),
        status=item_status(r[5], JobStatus(r[11]) if r[11] else None),
        reason=r[6],
        error=r[7],
        job=r[8],
        remote_id=r[9],
        simulated=bool(r[10]),
    )


def _job_row(row: Sequence[Any]) -> JobRow:
    return JobRow(
        number=row[0],
        key=row[1],
        status=JobStatus(row[2]),
        sources=row[3],
        bytes=row[4],
        billable_seconds=row[5],
        nonce=row[6],
        request=_load(row[7]),
        tries=row[8],
        endpoint=row[9],
        simulated=bool(row[10]),
        remote_id=row[11],
        clock_offset=row[12],
        submitting_at=row[13],
        submitted_at=row[14],
        created_at=row[15],
        started_at=row[16],
        ended_at=row[17],
        finished_at=row[18],
        billed_seconds=row[19],
        reason=row[20],
        error=row[21],
    )


def _json(value: Mapping[str, Any]) -> str | None:
    return json.dumps(value, ensure_ascii=False, sort_keys=True) if value else None


def _load(text: str | None) -> Mapping[str, Any]:
    return json.loads(text) if text else {}
