"""What the state tells: jobs, items, answers and counts, streamed where there may be many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hume_runner.planning.model import PlannedJob
from hume_runner.services.jobs import Carried, Job, Member, PlanItem, Waiting
from hume_runner.state.consent import Consent
from hume_runner.state.counting import Counting
from hume_runner.state.known import Known
from hume_runner.state.lifecycle import HELD, JobStatus
from hume_runner.state.rows import (
    ITEM_COLUMNS,
    JOB_COLUMNS,
    UNTOLD,
    ItemRow,
    JobRow,
    MemberRow,
    StoredAnswer,
    from_json,
    item_row,
    job_row,
    plan_item,
)


class Reading(Known, Consent, Counting):
    """Reads; nothing here changes the file."""

    def planned(self, limit: int, *, beyond: int = 0) -> list[tuple[int, bool]]:
        """(number, whether its media have to be prepared) of the next planned jobs after job `beyond`, in order.

        Jobs that wait for another in a chain are left out: see `freed`.
        """
        rows = self._db.execute(
            "SELECT job, prepare FROM jobs INDEXED BY jobs_first "
            "WHERE status = 'planned' AND after IS NULL AND job > ? ORDER BY job LIMIT ?",
            (beyond, limit),
        )
        return [(row[0], bool(row[1])) for row in rows]

    def any_planned(self) -> bool:
        """Whether any job is still to be sent, now or after another."""
        return self._db.execute("SELECT 1 FROM jobs WHERE status = 'planned' LIMIT 1").fetchone() is not None

    def planned_jobs(self) -> Iterator[tuple[int, PlannedJob, bool]]:
        """(number, job, whether its media have to be prepared) of every job that is planned and not sent, streamed."""
        rows = self._db.execute(
            "SELECT job, key, sources, bytes, billable_seconds, prepare FROM main.jobs WHERE status = 'planned' "
            "ORDER BY job"
        )
        for number, key, sources, size, billable_seconds, prepare in rows:
            job = PlannedJob(key=key, sources=sources, bytes=size, billable_seconds=billable_seconds)
            yield number, job, bool(prepare)

    def is_planned(self, item: str) -> bool:
        """Whether the source of this id is in a job that is still to be sent."""
        row = self._db.execute(
            "SELECT 1 FROM items i JOIN members b ON b.key = i.key JOIN jobs j ON j.job = b.job "
            "WHERE i.id = ? AND j.status = 'planned' LIMIT 1",
            (item,),
        ).fetchone()
        return row is not None

    def planned_with_content(self, content: bytes) -> str | None:
        """The id of a source with this content that was planned when this was first asked."""
        db = self._db
        if not db.execute("SELECT 1 FROM temp.sqlite_master WHERE name = 'planned_content'").fetchone():
            # Only who finds answers that the state does not know asks, and then for each of them.
            db.execute("CREATE TEMP TABLE planned_content (content BLOB PRIMARY KEY, id TEXT NOT NULL) WITHOUT ROWID")
            db.execute(
                "INSERT OR IGNORE INTO temp.planned_content SELECT m.content, i.id FROM main.jobs j "
                "JOIN main.members b ON b.job = j.job JOIN main.measurements m ON m.key = b.key "
                "JOIN main.items i ON i.key = b.key WHERE j.status = 'planned'"
            )
        row = db.execute("SELECT id FROM temp.planned_content WHERE content = ?", (content,)).fetchone()
        return None if row is None else str(row[0])

    def freed(self) -> list[int]:
        """Planned jobs of a chain whose turn has come."""
        return [row[0] for row in self._db.execute("SELECT job FROM freed ORDER BY job")]

    def load_job(self, number: int, *, now: float | None = None) -> Job:
        """A job with its members, ready to be prepared."""
        row = self.job(number)
        members = self._db.execute(
            "SELECT b.key, i.id, m.kind, i.value, i.path, i.inside, m.size, m.content, m.facts, m.md5, "
            "b.detail, b.match, b.position FROM members b JOIN measurements m ON m.key = b.key "
            "LEFT JOIN items i ON i.ord = (SELECT min(ord) FROM items WHERE key = b.key) "
            "WHERE b.job = ? ORDER BY b.position",
            (number,),
        ).fetchall()
        prepare, carry, carry_at = self._db.execute(
            "SELECT p.prepare, q.carry, q.finished_at FROM jobs p LEFT JOIN jobs q ON q.job = p.after WHERE p.job = ?",
            (number,),
        ).fetchone()
        carried = self._carried(number) if prepare else {}
        return Job(
            number=number,
            key=row.key,
            nonce=row.nonce or "",
            members=tuple(
                Member(
                    item=plan_item(r[0], r[1] or "", r[2], r[3] or "", *r[4:10]),
                    position=r[12],
                    detail=from_json(r[10]),
                    carried=tuple(carried.get(r[0], ())),
                )
                for r in members
            ),
            size_bytes=row.bytes,
            billable_seconds=row.billable_seconds,
            prepare=bool(prepare),
            carry=carry,
            carry_age_s=now - carry_at if now is not None and carry_at is not None else None,
            matches={r[12]: r[11] for r in members if r[11]},
            request=row.request,
        )

    def _carried(self, number: int) -> dict[bytes, list[Carried]]:
        """The parts of a job's items that are measured or at the service, by the items' keys."""
        found: dict[bytes, list[Carried]] = {}
        rows = self._db.execute(
            "SELECT c.key, c.job, c.detail, c.outcome FROM members b "
            "JOIN members c ON c.key = b.key AND c.job != b.job JOIN jobs j ON j.job = c.job "
            "WHERE b.job = ? AND j.status NOT IN ('planned', 'failed') AND c.outcome IS NOT 'failed' ORDER BY c.job",
            (number,),
        )
        for key, job, detail, outcome in rows:
            found.setdefault(key, []).append(Carried(job=job, detail=from_json(detail), done=outcome == "done"))
        return found

    def job(self, number: int) -> JobRow:
        row = self._db.execute(f"SELECT {JOB_COLUMNS} FROM jobs WHERE job = ?", (number,)).fetchone()  # noqa: S608
        return job_row(row)

    def jobs(self, *statuses: JobStatus) -> Iterator[JobRow]:
        """Jobs in these states (all without any), by number, streamed."""
        where = f"WHERE status IN ({','.join('?' * len(statuses))})" if statuses else ""
        for row in self._db.execute(f"SELECT {JOB_COLUMNS} FROM jobs {where} ORDER BY job", statuses):  # noqa: S608
            yield job_row(row)

    def received(self, number: int) -> bytes | None:
        """The answer that came with the submission, until it is a file."""
        row = self._db.execute("SELECT body FROM received WHERE job = ?", (number,)).fetchone()
        return row[0] if row else None

    def request_sha256(self, number: int) -> str:
        """The hash of what a job's last submission asked for; empty before one."""
        (sha256,) = self._db.execute("SELECT request_sha256 FROM jobs WHERE job = ?", (number,)).fetchone()
        return sha256 or ""

    def left_out(self, number: int) -> frozenset[bytes]:
        """The keys that a job carries of items that the last plan was not about, or that are measured by now: an answer
        that was given up may be back."""
        rows = self._db.execute(
            "SELECT b.key FROM members b WHERE b.job = ? AND (EXISTS (SELECT 1 FROM items i WHERE i.key = b.key) "
            "AND NOT EXISTS (SELECT 1 FROM items i WHERE i.key = b.key AND NOT i.outside) "
            "OR EXISTS (SELECT 1 FROM measurements m WHERE m.key = b.key AND m.outcome = 'done'))",
            (number,),
        )
        return frozenset(key for (key,) in rows)

    def awaited(self, number: int) -> bool:
        """Whether anything that is listed waits for what a job carries."""
        row = self._db.execute(
            "SELECT 1 FROM members b JOIN measurements m ON m.key = b.key AND m.outcome != 'done' "
            "JOIN items i ON i.key = b.key WHERE b.job = ? LIMIT 1",
            (number,),
        ).fetchone()
        return row is not None

    def load_items(self, keys: Sequence[bytes]) -> list[PlanItem]:
        """Listed items by key, in the order asked for."""
        found = []
        for key in keys:
            row = self._db.execute(
                "SELECT m.key, i.id, m.kind, i.value, i.path, i.inside, m.size, m.content, m.facts, m.md5 "
                "FROM measurements m JOIN items i ON i.key = m.key WHERE m.key = ? ORDER BY i.ord LIMIT 1",
                (key,),
            ).fetchone()
            if row:
                found.append(plan_item(*row))
        return found

    def items(self) -> Iterator[ItemRow]:
        """Every item of the last planned manifest, in its order, streamed."""
        rows = self._db.execute(
            f"SELECT {ITEM_COLUMNS} FROM items i JOIN measurements m ON m.key = i.key "  # noqa: S608
            "LEFT JOIN jobs j ON j.job = m.job ORDER BY i.ord"
        )
        for row in rows:
            yield item_row(row)

    def contents(self) -> Iterator[tuple[bytes, ItemRow]]:
        """(digest of its content, item) of every item of the last planned manifest, in its order, streamed."""
        rows = self._db.execute(
            f"SELECT {ITEM_COLUMNS}, m.content FROM items i JOIN measurements m ON m.key = i.key "  # noqa: S608
            "LEFT JOIN jobs j ON j.job = m.job ORDER BY i.ord"
        )
        for row in rows:
            yield row[-1], item_row(row)

    def item(self, name: str) -> ItemRow | None:
        """One item by its id."""
        row = self._db.execute(
            f"SELECT {ITEM_COLUMNS} FROM items i JOIN measurements m ON m.key = i.key "  # noqa: S608
            "LEFT JOIN jobs j ON j.job = m.job WHERE i.id = ?",
            (name,),
        ).fetchone()
        return item_row(row) if row else None

    def simulated(self) -> bool | None:
        """True if the emulator took the job of any listed item; None if it did so of none that is known, and nobody
        said of a kept answer whether a service measured it."""
        if self.any_simulated():
            return True
        return None if self._any_untold() else False

    def _any_untold(self) -> bool:
        return (
            self._db.execute(
                "SELECT 1 FROM jobs j JOIN measurements m ON m.job = j.job "  # noqa: S608
                f"JOIN items i ON i.key = m.key WHERE {UNTOLD} LIMIT 1"
            ).fetchone()
            is not None
        )

    def untold(self) -> str | None:
        """The place of a kept answer of which nobody said whether a service measured it, if that is true of all that is
        not surely simulated; None where there is a real measurement, or nothing."""
        row = self._db.execute(
            f"SELECT min(endpoint), min({UNTOLD}) FROM jobs j WHERE remote_id IS NOT NULL AND NOT simulated"  # noqa: S608
        ).fetchone()
        return row[0] if row[1] else None

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
        """Whether any job was taken by a real service, or may have been: of kept answers nobody knows."""
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

    def given_up(self, endpoint: str) -> list[Waiting]:
        """Jobs that this endpoint gave up, of which something is still failed."""
        rows = self._db.execute(
            "SELECT job, remote_id, coalesce(created_at, submitting_at, 0) FROM jobs WHERE status = 'failed' "
            "AND reason = 'job_failed' AND remote_id IS NOT NULL AND endpoint = ? AND EXISTS ("
            "SELECT 1 FROM measurements m JOIN items i ON i.key = m.key "
            "WHERE m.job = jobs.job AND m.outcome = 'failed') ORDER BY job",
            (endpoint,),
        )
        return [Waiting(number=row[0], remote_id=row[1], created_at=row[2]) for row in rows]

    def members(self, number: int) -> list[MemberRow]:
        """A job's members with the ids that the manifest gives them."""
        rows = self._db.execute(
            "SELECT b.position, m.kind, b.match, b.detail, b.outcome, b.error, b.key, m.content FROM members b "
            "JOIN measurements m ON m.key = b.key WHERE b.job = ? ORDER BY b.position",
            (number,),
        ).fetchall()
        return [
            MemberRow(
                position=r[0],
                kind=r[1],
                match=r[2],
                detail=from_json(r[3]),
                ids=tuple(x[0] for x in self._db.execute("SELECT id FROM items WHERE key = ? ORDER BY ord", (r[6],))),
                outcome=r[4],
                error=r[5],
                content=r[7],
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
            f"SELECT job, name, path, size, sha256, stamp, at FROM answers {where} ORDER BY job, name",  # noqa: S608
            values,
        )
        for job, name, path, size, sha256, stamp, at in rows:
            yield job, StoredAnswer(name=name, path=path, size=size, sha256=sha256, stamp=stamp, at=at)

    def answer_to(self, content: bytes, request_sha256: str, *, besides: str) -> StoredAnswer | None:
        """The newest answer to such a request about such a medium that was looked into, under any key; `besides`: the
        name of what is no answer."""
        row = self._db.execute(
            # In this order, from the one medium: SQLite would go through all jobs that are done, for each that is sent.
            "SELECT a.name, a.path, a.size, a.sha256, a.stamp, a.at "
            "FROM measurements m CROSS JOIN members b ON b.key = m.key CROSS JOIN jobs j ON j.job = b.job "
            "CROSS JOIN answers a ON a.job = j.job WHERE m.content = ? AND m.facts IS NOT NULL "
            "AND j.status = 'done' AND j.request_sha256 = ? AND a.name != ? ORDER BY j.job DESC LIMIT 1",
            (content, request_sha256, besides),
        ).fetchone()
        if row is None:
            return None
        name, path, size, sha256, stamp, at = row
        return StoredAnswer(name=name, path=path, size=size, sha256=sha256, stamp=stamp, at=at)

    def recorded_files(self) -> Iterator[StoredAnswer]:
        """Every recorded file once, in order of its path, streamed."""
        rows = self._db.execute(
            "SELECT path, size, sha256 FROM outputs UNION ALL SELECT path, size, sha256 FROM answers "
            "WHERE path NOT IN (SELECT path FROM outputs) ORDER BY path"
        )
        for path, size, sha256 in rows:
            yield StoredAnswer(name=path, path=path, size=size, sha256=sha256)

    def is_recorded(self, path: str) -> bool:
        """Whether a file at this path below the output directory is one of ours."""
        return (
            self._db.execute(
                "SELECT 1 FROM outputs WHERE path = ? UNION ALL SELECT 1 FROM answers WHERE path = ?", (path, path)
            ).fetchone()
            is not None
        )

    def needed(self, number: int) -> bool:
        """Whether the answer of this job holds what some listed item was measured as."""
        return (
            self._db.execute(
                "SELECT 1 FROM members b JOIN measurements m ON m.key = b.key JOIN items i ON i.key = m.key "
                "WHERE b.job = ? AND b.outcome = 'done' AND (m.job = b.job OR b.detail IS NOT NULL) LIMIT 1",
                (number,),
            ).fetchone()
            is not None
        )

    def outcomes(self, number: int) -> dict[int, bool]:
        """Position -> whether it was measured, of a job's members whose outcome is recorded."""
        rows = self._db.execute(
            "SELECT position, outcome FROM members WHERE job = ? AND outcome IS NOT NULL", (number,)
        )
        return {position: outcome == "done" for position, outcome in rows}

    def outputs(self) -> Iterator[StoredAnswer]:
        rows = self._db.execute("SELECT path, size, sha256 FROM outputs ORDER BY path")
        for path, size, sha256 in rows:
            yield StoredAnswer(name=path, path=path, size=size, sha256=sha256)

    def derived(self) -> dict[str, str]:
        """The mark of each group of derived files."""
        rows = self._db.execute("SELECT name, value FROM meta WHERE name LIKE 'derived:%' ORDER BY name")
        return {name.removeprefix("derived:"): str(value) for name, value in rows}

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
