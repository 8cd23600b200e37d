"""What the state tells: jobs, items, answers and counts, streamed where there may be many."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from hume_runner.services.base import Carried, Job, Member, PlanItem, Waiting
from hume_runner.state.connection import guarded
from hume_runner.state.file import StateFile
from hume_runner.state.lifecycle import HELD, ItemStatus, JobStatus, item_status
from hume_runner.state.rows import (
    ITEM_COLUMNS,
    JOB_COLUMNS,
    KEPT,
    REMOVED,
    UNTOLD,
    Counts,
    ItemRow,
    JobRow,
    MemberRow,
    StoredAnswer,
    from_json,
    item_row,
    job_row,
    plan_item,
)

_EXPORTED = (
    *("meta", "settings", "items", "measurements", "jobs", "members"),
    *("attempts", "answers", "outputs", "duplicates", "requests", "retried", "unproven", "agreed"),
    *("doubts", "given_up"),
    *("merged", "merged_jobs"),
)


# What was paid for although this may have been it, also what was measured again elsewhere since. Only what the service
# has was paid for: a job that was refused, and is planned anew under another number, gets no consent from that.
_AGREED_CONTENTS = (
    "SELECT n.content FROM agreed a JOIN jobs h ON h.job = a.job AND h.remote_id IS NOT NULL "
    "JOIN (SELECT job, key FROM members UNION ALL SELECT job, key FROM retried) c ON c.job = a.job "
    "JOIN measurements n ON n.key = c.key WHERE a.endpoint = ? AND a.remote_id = ?"
)

# Two headers in whole seconds, each as old as its answer took.
_DATES_S = 3.0


class Reading(StateFile):
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

    # What others know whose jobs are no strangers': the shards of one whole, of each other.
    kin: Callable[[str, str], bool] | None = None

    def kin_knows(self, endpoint: str, remote_id: str) -> bool:
        """Whether a state that belongs to the same whole sent that job."""
        return self.kin is not None and self.kin(endpoint, remote_id)

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

    def number_of(self, endpoint: str, remote_id: str) -> int | None:
        """The job that the service calls so; None for one of which this state holds nothing but a duplicate."""
        row = self._db.execute(
            "SELECT job FROM jobs WHERE endpoint = ? AND remote_id = ?", (endpoint, remote_id)
        ).fetchone()
        return row[0] if row is not None else None

    def adopted_in_part(self, endpoint: str, remote_id: str) -> int | None:
        """The job that this state took from elsewhere for some of its sources, so that it may carry more."""
        row = self._db.execute(
            "SELECT job, request FROM jobs WHERE endpoint = ? AND remote_id = ?", (endpoint, remote_id)
        ).fetchone()
        return row[0] if row is not None and from_json(row[1]).get("adopted") else None

    def holds_answer(self, remote_id: str) -> bool:
        """Whether this state knows of that job's answer, wherever it came from."""
        return (
            self._db.execute(
                "SELECT 1 FROM jobs WHERE remote_id = ? UNION SELECT 1 FROM duplicates WHERE remote_id = ?",
                (remote_id,) * 2,
            ).fetchone()
            is not None
        )

    def kept_answer(self, remote_id: str) -> int | None:
        """The job whose answer came from a file of this name (see `engine/adopt_files.py`), wherever that lay."""
        row = self._db.execute(
            "SELECT job FROM jobs WHERE remote_id = ? AND endpoint LIKE ?", (remote_id, f"{KEPT}%")
        ).fetchone()
        return row[0] if row is not None else None

    def never_in(self, number: int, keys: Iterable[bytes]) -> list[bytes]:
        """Those of these items that this job has never carried for us. What it failed to measure, and what of its
        answer was lost for good, it has no better answer for."""
        return [
            key
            for key in keys
            if self._db.execute(
                "SELECT 1 FROM members WHERE key = ? AND job = ? UNION ALL "
                "SELECT 1 FROM retried WHERE key = ? AND job = ?",
                (key, number) * 2,
            ).fetchone()
            is None
        ]

    def taken_since(self, endpoint: str, since: float) -> dict[str, float]:
        """Remote id -> latest time of creation (the service's clock) of the jobs that it took from us from then on, and
        of the last one before. A time in whole seconds comes from a header that is cut to them."""
        latest = "created_at + (created_at = CAST(created_at AS INTEGER)) * 0.999"
        rows = self._db.execute(
            f"SELECT remote_id, {latest} FROM jobs WHERE endpoint = ? AND remote_id IS NOT NULL "  # noqa: S608
            f"AND {latest} >= ? UNION ALL SELECT * FROM (SELECT remote_id, {latest} FROM jobs WHERE endpoint = ? "
            f"AND remote_id IS NOT NULL AND {latest} < ? ORDER BY 2 DESC LIMIT 1)",
            (endpoint, since, endpoint, since),
        )
        return dict(rows.fetchall())

    def taken_around(
        self, number: int, endpoint: str, *, most: int = 20
    ) -> tuple[tuple[str, ...], dict[str, float], frozenset[str]]:
        """What the service surely took from us around a lost job, by the order of what was recorded and not by any
        clock: the nearest `most` on either side.

        Remote ids of those accepted before it was sent, the last one first; of those accepted since, with how many
        seconds after it was sent; and which of these were sent after its answer was lost.
        """
        sent, sent_at, lost = self._db.execute(
            "SELECT max(CASE WHEN event = 'intend' THEN attempt END), max(CASE WHEN event = 'intend' THEN at END), "
            "max(CASE WHEN event IN ('lose', 'disown') THEN attempt END) FROM attempts WHERE job = ?",
            (number,),
        ).fetchone()
        if sent is None:
            return (), {}, frozenset()
        before = self._db.execute(
            "SELECT j.remote_id FROM attempts a JOIN jobs j ON j.job = a.job WHERE a.attempt < ? AND j.endpoint = ? "
            "AND j.remote_id IS NOT NULL AND j.job != ? AND a.event IN ('accept', 'find') "
            "ORDER BY a.attempt DESC LIMIT ?",
            (sent, endpoint, number, most),
        )
        since = self._db.execute(
            "SELECT j.remote_id, a.at, (SELECT max(i.attempt) FROM attempts i WHERE i.job = a.job AND i.event = "
            "'intend' AND i.attempt < a.attempt), a.at + j.clock_offset - l.submitting_at - l.clock_offset "
            "FROM attempts a JOIN jobs j ON j.job = a.job JOIN jobs l ON l.job = ? WHERE a.attempt > ? "
            "AND j.endpoint = ? AND j.remote_id IS NOT NULL AND j.job != ? AND a.event IN ('accept', 'find') "
            "ORDER BY a.attempt LIMIT ?",
            (number, sent, endpoint, number, most),
        ).fetchall()
        end = sent if lost is None else lost
        return (
            tuple(row[0] for row in before),
            {remote_id: _apart_s(at - sent_at, by_service) for remote_id, at, _, by_service in since},
            frozenset(remote_id for remote_id, _, begun, _ in since if begun > end),
        )

    def planned_kinds(self) -> set[str]:
        """Kinds of sources that planned jobs carry."""
        rows = self._db.execute(
            "SELECT DISTINCT m.kind FROM jobs j JOIN members b ON b.job = j.job JOIN measurements m ON m.key = b.key "
            "WHERE j.status = 'planned'"
        )
        return {row[0] for row in rows}

    def planned_with(self, keys: set[bytes]) -> int | None:
        """The planned job, never sent, that carries these items whole and nothing else; None without one."""
        some = next(iter(keys))
        for (number,) in self._db.execute(
            "SELECT b.job FROM members b JOIN jobs j ON j.job = b.job WHERE b.key = ? AND j.status = 'planned' "
            "AND j.prepare = 0 AND j.after IS NULL",
            (some,),
        ).fetchall():
            rows = self._db.execute("SELECT key, detail FROM members WHERE job = ?", (number,)).fetchall()
            if {row[0] for row in rows} == keys and not any(row[1] for row in rows):
                return int(number)
        return None

    def foreign_endpoints(self, endpoint: str) -> list[tuple[str, int]]:
        """(endpoint, jobs) of submissions that are open at other endpoints than this one."""
        return self._db.execute(
            "SELECT endpoint, count(*) FROM jobs WHERE status IN ('submitting', 'submitted', 'ambiguous') "
            "AND endpoint IS NOT NULL AND endpoint != ? GROUP BY endpoint ORDER BY endpoint",
            (endpoint,),
        ).fetchall()

    def endpoints(self) -> frozenset[str]:
        """Where anything was measured or sent that this state knows of."""
        rows = self._db.execute("SELECT DISTINCT endpoint FROM jobs WHERE endpoint IS NOT NULL")
        return frozenset(endpoint for (endpoint,) in rows)

    def find_item(self, kind: str, content: bytes) -> bytes | None:
        """The key of a listed item of this kind and content, under the manifest's present settings."""
        row = self._db.execute(
            "SELECT m.key FROM items i JOIN measurements m ON m.key = i.key "
            "WHERE m.kind = ? AND m.content = ? ORDER BY i.ord LIMIT 1",
            (kind, content),
        ).fetchone()
        return row[0] if row else None

    def find_by_md5(self, md5: bytes) -> bytes | None:
        """The key of a listed file whose bytes have this MD5, under the manifest's present settings."""
        row = self._db.execute(
            "SELECT i.key FROM measurements m JOIN items i ON i.key = m.key WHERE m.md5 = ? ORDER BY i.ord LIMIT 1",
            (md5,),
        ).fetchone()
        return row[0] if row else None

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

    def doubts(self, number: int) -> Mapping[bytes, str]:
        """Why what a job carries may have been paid for, of what somebody agreed to and that the service has not taken
        since."""
        return dict(
            self._db.execute(
                "SELECT b.key, d.why FROM members b JOIN doubts d ON d.key = b.key WHERE b.job = ? "
                "ORDER BY d.answer DESC",
                (number,),
            )
        )

    def doubtful(self) -> int:
        """How many listed items that are still to be sent there is such a doubt about."""
        (number,) = self._db.execute(
            "SELECT count(*) FROM (SELECT DISTINCT key FROM doubts) d JOIN measurements m ON m.key = d.key "
            "JOIN items i ON i.key = d.key LEFT JOIN jobs j ON j.job = m.job WHERE m.outcome = 'pending' "
            "AND NOT i.outside AND coalesce(j.status, 'planned') NOT IN ('submitting', 'ambiguous')"
        ).fetchone()
        return int(number)

    def answers_given_up(self) -> Mapping[int, Sequence[StoredAnswer]]:
        """Job -> its answers as they were recorded, where they were given up and some of it is still in doubt for that.

        Not that of a part for which another may be on its way: both would count as parts.
        """
        found: dict[int, list[StoredAnswer]] = {}
        rows = self._db.execute(
            "SELECT g.job, g.name, g.path, g.size, g.sha256 FROM given_up g WHERE EXISTS (SELECT 1 FROM members b "
            "JOIN doubts d ON d.key = b.key AND d.answer = b.job WHERE b.job = g.job) AND NOT EXISTS ("
            "SELECT 1 FROM members b JOIN measurements m ON m.key = b.key AND coalesce(m.parts, 1) != 1 "
            "JOIN members o ON o.key = b.key AND o.job > b.job JOIN jobs j ON j.job = o.job "
            "WHERE b.job = g.job AND j.status IN ('submitting', 'submitted', 'ambiguous')) ORDER BY g.job, g.name"
        )
        for job, name, path, size, sha256 in rows:
            found.setdefault(job, []).append(StoredAnswer(name=name, path=path, size=size, sha256=sha256))
        return found

    def sent(self) -> frozenset[int]:
        """Jobs that were sent, or may have been."""
        rows = self._db.execute(
            "SELECT job FROM jobs WHERE remote_id IS NOT NULL OR status IN ('submitting', 'submitted', 'ambiguous')"
        )
        return frozenset(row[0] for row in rows)

    def merged_from(self, lineage: str) -> frozenset[int]:
        """The jobs of the shard of this lineage that are merged here, by its own numbers."""
        rows = self._db.execute("SELECT theirs FROM merged_jobs WHERE lineage = ?", (lineage,))
        return frozenset(row[0] for row in rows)

    def holds(self, key: bytes, *, surely: bool = False) -> bool:
        """Whether something was measured or failed, or may be at the service, under this key; `surely`: or is there."""
        row = self._db.execute(
            "SELECT 1 FROM measurements m WHERE m.key = ? AND (m.outcome != 'pending' OR EXISTS ("
            "SELECT 1 FROM members b JOIN jobs j ON j.job = b.job "
            "WHERE b.key = m.key AND j.status NOT IN ('planned', 'failed') "
            "AND NOT (? AND j.status IN ('submitting', 'ambiguous'))))",
            (key, surely),
        ).fetchone()
        return row is not None

    def status_of(self, key: bytes) -> ItemStatus | None:
        """The state of a listed item's measurement."""
        row = self._db.execute(
            "SELECT m.outcome, j.status FROM measurements m LEFT JOIN jobs j ON j.job = m.job WHERE m.key = ?", (key,)
        ).fetchone()
        return item_status(row[0], JobStatus(row[1]) if row[1] else None) if row else None

    def waiting_words(self) -> Iterator[tuple[bytes, str, str, str]]:
        """(key, id, kind, value) of listed URLs and texts that were never sent, in manifest order; streamed, whatever
        is written meanwhile."""
        after = -1
        while True:
            rows = self._db.execute(
                "SELECT i.ord, m.key, i.id, m.kind, i.value FROM items i JOIN measurements m ON m.key = i.key "
                "LEFT JOIN jobs j ON j.job = m.job WHERE i.ord > ? AND m.kind != 'file' AND m.outcome = 'pending' "
                "AND coalesce(j.status, 'planned') = 'planned' ORDER BY i.ord LIMIT 2000",
                (after,),
            ).fetchall()
            if not rows:
                return
            for after, *row in rows:  # noqa: B007 - where the next page begins
                key, name, kind, value = row
                yield key, name, kind, value

    def waiting_files(self) -> Iterator[PlanItem]:
        """Listed files that are not measured yet, in manifest order."""
        rows = self._db.execute(
            "SELECT m.key, i.id, m.kind, i.value, i.path, i.inside, m.size, m.content, m.facts, m.md5 FROM items i "
            "JOIN measurements m ON m.key = i.key WHERE m.kind = 'file' AND m.outcome = 'pending' ORDER BY i.ord"
        ).fetchall()
        for row in rows:
            yield plan_item(*row)

    def urls(self) -> Iterator[tuple[bytes, str]]:
        """(key, URL) of all listed links, in manifest order; streamed, whatever is written meanwhile."""
        after = -1
        while True:
            rows = self._db.execute(
                "SELECT i.ord, m.key, i.value FROM items i JOIN measurements m ON m.key = i.key "
                "WHERE m.kind = 'url' AND i.ord > ? ORDER BY i.ord LIMIT 2000",
                (after,),
            ).fetchall()
            if not rows:
                return
            for after, key, url in rows:  # noqa: B007 - where the next page begins
                yield key, url

    def texts(self) -> Iterator[str]:
        """All listed texts, each once."""
        for (value,) in self._db.execute(
            "SELECT DISTINCT i.value FROM items i JOIN measurements m ON m.key = i.key WHERE m.kind = 'text'"
        ):
            yield value

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

    @property
    def numbers(self) -> Mapping[str, int]:
        """Listed items by status; `total` among them."""
        return self.counts().items

    @property
    def never_chosen(self) -> int:
        """How many items the manifest listed besides what the state has, when it was planned last."""
        return int(self.meta("left_out") or 0)

    @property
    def selected_numbers(self) -> Mapping[str, int]:
        """The items by status that the last plan was about; `total` among them."""
        everything, selected = self.counts().items, self.meta("selected")
        if selected is None or selected == everything["total"]:
            return everything
        with guarded(self.path):
            return self._item_counts("WHERE NOT i.outside")

    def _item_counts(self, where: str = "") -> dict[str, int]:
        items = dict.fromkeys(ItemStatus, 0)
        rows = self._db.execute(
            "SELECT m.outcome, j.status, count(*) FROM items i JOIN measurements m ON m.key = i.key "  # noqa: S608
            f"LEFT JOIN jobs j ON j.job = m.job {where} GROUP BY m.outcome, j.status"
        )
        for outcome, status, number in rows:
            items[item_status(outcome, JobStatus(status) if status else None)] += number
        return {"total": sum(items.values()), **{str(k): v for k, v in items.items()}}

    def counts(self) -> Counts:
        """Items and jobs by state; `total` among the items.

        A job that was dropped, as the manifest lists nothing of it any more, is none (earlier versions: spoilt media).
        """
        # To count a million items takes a second, and a run that finds nothing to do asks three times.
        unchanged = self._changes()
        if self._counted is None or self._counted[0] != unchanged:
            self._counted = (unchanged, self._count())
        return self._counted[1]

    def _count(self) -> Counts:
        with guarded(self.path):
            items = self._item_counts()
            jobs = dict.fromkeys(JobStatus, 0)
            by_status = self._db.execute(
                "SELECT status, count(*) FROM jobs WHERE coalesce(reason, '') != ? "
                "AND NOT (status = 'failed' AND reason IS 'media' AND NOT prepare) GROUP BY status",
                (REMOVED,),
            )
            for status, number in by_status:
                jobs[JobStatus(status)] = number
        return Counts(
            items=items,
            jobs={str(k): v for k, v in jobs.items()},
        )

    def of_media(self) -> tuple[int, int]:
        """(media that wait to be prepared, and are no jobs before that; those of which nothing can be sent)."""
        waiting, spoilt = self._db.execute(
            "SELECT count(*) FILTER (WHERE status = 'planned'), count(*) FILTER (WHERE status = 'failed' AND tries = 0 "
            "AND reason IS 'media') FROM jobs WHERE prepare"
        ).fetchone()
        return int(waiting), int(spoilt)

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

    def duplicates(self) -> list[tuple[str, int]]:
        """(remote id, our job) of jobs that were paid for twice."""
        return self._db.execute("SELECT remote_id, job FROM duplicates ORDER BY at, remote_id").fetchall()

    def failed_items(self) -> tuple[int, int]:
        """(failed, all) of the items that the last plan was about; takes as long as there are failures."""
        (failed,) = self._db.execute(
            "SELECT count(*) FROM measurements m INDEXED BY measurements_failed JOIN items i ON i.key = m.key "
            "WHERE m.outcome = 'failed' AND NOT i.outside"
        ).fetchone()
        total = self.meta("selected")
        if total is None:  # an earlier version planned it, and everything
            (total,) = self._db.execute("SELECT coalesce(max(ord) + 1, 0) FROM items").fetchone()
        return int(failed), int(total)

    def first_failures(self, limit: int) -> list[tuple[str, str]]:
        """(id, error) of the first failed items, in manifest order."""
        return self._db.execute(
            "SELECT i.id, coalesce(m.error, m.reason, 'failed') FROM measurements m INDEXED BY measurements_failed "
            "JOIN items i ON i.key = m.key WHERE m.outcome = 'failed' AND NOT i.outside ORDER BY i.ord LIMIT ?",
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

    def failed_links(self) -> dict[str, int]:
        """How many of `failures` are links, by reason."""
        return dict(
            self._db.execute(
                "SELECT coalesce(m.reason, 'unknown'), count(*) FROM items i JOIN measurements m ON m.key = i.key "
                "WHERE m.outcome = 'failed' AND m.kind = 'url' GROUP BY 1"
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
        return round(float(total) + float(lost) + self.unproven_seconds(), 3)

    def unproven_seconds(self) -> float:
        """Billable seconds of lost submissions that were sent again without a proof that they had not been billed."""
        (total,) = self._db.execute("SELECT coalesce(sum(billable_seconds), 0) FROM unproven").fetchone()
        return round(float(total), 3)

    def possible_seconds(self) -> float:
        """Billable seconds that may have been billed besides, for answers that were lost: nobody knows."""
        (total,) = self._db.execute(
            "SELECT coalesce(sum(billable_seconds), 0) FROM jobs "
            "WHERE status IN ('submitting', 'ambiguous') AND billed_seconds IS NULL"
        ).fetchone()
        return round(float(total) + self.unproven_seconds(), 3)

    def is_agreed(self, endpoint: str, remote_id: str) -> bool:
        """Whether something was paid for although this may have been it, or somebody agreed to pay for all that there
        was to send: that is in doubt by itself until the service has it."""
        row = self._db.execute(
            "SELECT 1 FROM agreed a WHERE a.endpoint = ? AND a.remote_id = ? AND (a.job = 0 AND a.whole "
            "OR EXISTS (SELECT 1 FROM jobs h WHERE h.job = a.job AND h.remote_id IS NOT NULL)) LIMIT 1",
            (endpoint, remote_id),
        ).fetchone()
        return row is not None

    def is_agreed_to_all(self, endpoint: str, remote_id: str) -> bool:
        """Whether somebody agreed to pay for all that there was to send although this may have been some of it."""
        return self._agreed_at(endpoint, remote_id, whole=True) is not None

    def _agreed_at(self, endpoint: str, remote_id: str, *, whole: bool = False) -> int | None:
        """After which attempt somebody agreed to that for the first time; `whole`: for all that was listed."""
        row = self._db.execute(
            "SELECT attempt FROM agreed WHERE endpoint = ? AND remote_id = ? AND job = 0 AND whole >= ?",
            (endpoint, remote_id, whole),
        ).fetchone()
        return None if row is None else int(row[0])

    def _note_taken(self) -> None:
        """What the service took, by content, and when last by the order of what was recorded: in a table that is made
        when this is first asked."""
        db = self._db
        if not db.execute("SELECT 1 FROM temp.sqlite_master WHERE name = 'taken_content'").fetchone():
            db.execute("CREATE TEMP TABLE taken_content (content BLOB PRIMARY KEY, attempt INTEGER) WITHOUT ROWID")
            db.execute(
                "INSERT INTO temp.taken_content SELECT n.content, max(t.attempt) FROM ("
                "SELECT job, max(attempt) AS attempt FROM main.attempts WHERE event IN ('accept', 'find') "
                "GROUP BY job) t "
                "JOIN (SELECT job, key FROM main.members UNION ALL SELECT job, key FROM main.retried) c "
                "ON c.job = t.job JOIN main.measurements n ON n.key = c.key GROUP BY n.content"
            )

    def is_agreed_for_source(self, endpoint: str, remote_id: str, item: str) -> bool:
        """Whether the content of the source of this id was paid for although this may have been it, whatever settings
        there are since; or is in doubt by itself, as all that was to be sent when somebody agreed to that."""
        row = self._db.execute(
            f"SELECT 1 WHERE (SELECT m.content FROM items i JOIN measurements m ON m.key = i.key WHERE i.id = ?) "  # noqa: S608
            f"IN ({_AGREED_CONTENTS})",
            (item, endpoint, remote_id),
        ).fetchone()
        if row is not None:
            return True
        agreed_at = self._agreed_at(endpoint, remote_id)
        if agreed_at is None:
            return False
        self._note_taken()
        doubted = self.is_agreed_to_all(endpoint, remote_id)
        row = self._db.execute(
            "SELECT 1 FROM items i JOIN measurements m ON m.key = i.key WHERE i.id = ? AND (EXISTS ("
            "SELECT 1 FROM temp.taken_content c WHERE c.content = m.content AND c.attempt > ?) "
            "OR ? AND EXISTS (SELECT 1 FROM doubts d WHERE d.key = m.key))",
            (item, agreed_at, doubted),
        ).fetchone()
        return row is not None

    def is_agreed_for_planned(self, endpoint: str, remote_id: str) -> bool:
        """The same for all that is planned, where nothing tells what this is."""
        agreed_at = self._agreed_at(endpoint, remote_id, whole=True)
        if agreed_at is None:
            return False
        if agreed_at not in self._agreed_planned:  # many were agreed to at a time
            self._note_taken()
            row = self._db.execute(
                "SELECT 1 FROM jobs j CROSS JOIN members b ON b.job = j.job CROSS JOIN measurements m ON m.key = b.key "
                "WHERE j.status = 'planned' AND NOT EXISTS (SELECT 1 FROM doubts d WHERE d.key = b.key) "
                "AND NOT EXISTS (SELECT 1 FROM temp.taken_content c WHERE c.content = m.content AND c.attempt > ?) "
                "LIMIT 1",
                (agreed_at,),
            ).fetchone()
            self._agreed_planned[agreed_at] = row is None
        return self._agreed_planned[agreed_at]

    def is_agreed_for_job(self, endpoint: str, remote_id: str, number: int) -> bool:
        """Whether all that a job carries was paid for although this may have been it."""
        later = ""
        values: list[object] = [number, endpoint, remote_id]
        if (agreed_at := self._agreed_at(endpoint, remote_id)) is not None:
            self._note_taken()
            later = "AND NOT EXISTS (SELECT 1 FROM temp.taken_content c WHERE c.content = m.content AND c.attempt > ?) "
            values.append(agreed_at)
        row = self._db.execute(
            "SELECT 1 FROM members b JOIN measurements m ON m.key = b.key WHERE b.job = ? "  # noqa: S608
            f"AND m.content NOT IN ({_AGREED_CONTENTS}) {later}LIMIT 1",
            values,
        ).fetchone()
        return row is None

    def perhaps_paid_twice(self) -> list[tuple[str, int]]:
        """(remote id, our job) of what may have been paid for twice, as somebody agreed."""
        return self._db.execute(
            "SELECT a.remote_id, a.job FROM agreed a JOIN jobs h ON h.job = a.job AND h.remote_id IS NOT NULL "
            "WHERE NOT EXISTS (SELECT 1 FROM duplicates d WHERE d.endpoint = a.endpoint "
            "AND d.remote_id = a.remote_id) ORDER BY a.at, a.remote_id, a.job"
        ).fetchall()

    def billed_seconds(self) -> float | None:
        """Billable seconds of what the service took, None where the API has no such bill."""
        (total,) = self._db.execute(
            "SELECT sum(seconds) FROM (SELECT coalesce(billed_seconds, billable_seconds) AS seconds FROM jobs "
            "WHERE remote_id IS NOT NULL UNION ALL SELECT billed_seconds FROM jobs WHERE status = 'ambiguous' "
            "UNION ALL SELECT billed_seconds FROM duplicates)"
        ).fetchone()
        return None if total is None else round(float(total), 3)

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


def _apart_s(by_machine: float, by_service: float | None) -> float:
    """How long after one thing another happened at the most, by two clocks: the machine's, which somebody may have set
    meanwhile, and the service's, which is known to a second or two, or not at all."""
    if by_service is None or abs(by_service - by_machine) <= _DATES_S:
        return max(0.0, by_machine)
    return max(0.0, by_machine, by_service + _DATES_S)


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value
