"""A shard's state becomes a part of the whole's: its jobs, what they measured, and where their answers lie.

One transaction a shard, and nothing of it twice: `merged_jobs` tells which job of which history is which of ours, and
`recognising` whether it is that one still. So a merge may be repeated: after a kill, when a shard has gone on since,
and when its state was put back. A shard is read from a private copy, in which an earlier version's schema is brought
up to date.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence

from hume_runner.aside import open_new
from hume_runner.frozen import frozen
from hume_runner.scratch import Scratch
from hume_runner.state.connection import guarded
from hume_runner.state.reader import StateReader
from hume_runner.state.recognising import MERGED, Recognised
from hume_runner.state.rows import StoredAnswer
from hume_runner.state.shard_facts import ShardFacts
from hume_runner.state.store import Store
from hume_runner.state.taking import forget, take

_CLOSED = ("done", "failed")
# What the whole has, or the service has for it. Of an item in parts the service may have others than those in doubt.
_TAKEN = (
    "(EXISTS (SELECT 1 FROM main.measurements m WHERE m.key = {0}.key AND m.outcome = 'done') OR EXISTS ("
    "SELECT 1 FROM main.members b JOIN main.jobs j ON j.job = b.job JOIN main.measurements m ON m.key = b.key "
    "WHERE b.key = {0}.key AND j.status = 'submitted' AND b.outcome IS NULL AND coalesce(m.parts, 1) = 1))"
)

# Which job here one of theirs becomes: one of its own; one that another shard, or the whole, took from the service as
# well; itself, as it was when it was taken in.
_NEW, _JOINED, _ITSELF = range(3)
# Whether their job ?2, our ?4, has the answer to something that is not measured here, nor on its way: it was lost here,
# or was passed over for what came to nothing.
_MISSED = (
    "EXISTS (SELECT 1 FROM theirs.members b JOIN main.measurements m ON m.key = b.key "
    "WHERE b.job = ?2 AND b.outcome = 'done' AND m.outcome != 'done' AND NOT EXISTS ("
    "SELECT 1 FROM main.members o JOIN main.jobs j ON j.job = o.job WHERE o.key = b.key AND j.status = 'submitted') "
    "AND (NOT EXISTS (SELECT 1 FROM main.members o WHERE o.key = b.key AND o.job = ?4) OR EXISTS ("
    "SELECT 1 FROM theirs.answers a WHERE a.job = ?2 AND NOT EXISTS ("
    "SELECT 1 FROM main.answers o WHERE o.job = ?4 AND o.name = a.name))))"
)
# Whether a job `t` of theirs is further than it is here: answered, or asked for once more.
_FURTHER = (
    "(t.status = 'done' AND jobs.status != 'done' OR t.status IN ('submitting', 'submitted', 'ambiguous') AND ("
    "jobs.status IN ('planned', 'failed') OR jobs.status = 'done' AND EXISTS ("
    "SELECT 1 FROM theirs.members b WHERE b.job = t.job AND b.outcome IS NULL "
    "AND NOT EXISTS (SELECT 1 FROM main.measurements m WHERE m.key = b.key AND m.outcome = 'done'))))"
)
# What a job says of its members, which may be others here.
_DESCRIBED = ("key", "sources", "bytes", "billable_seconds")


@frozen
class Taken:
    """What came of merging one shard. `jobs`: those that are new, or further than the whole knew. `again`: items that
    the whole had measured as well, with the first of their ids: what it had counts, and the other answer is kept."""

    jobs: int
    items: int
    again: int
    names: tuple[str, ...]


class Copy:
    """A private copy of a shard's state, attached to the whole's as `theirs` for `with`."""

    def __init__(self, store: Store, shard: StateReader) -> None:
        self._store = store
        self._shard = shard
        self._folder = Scratch()
        self.path = self._folder.path / "shard.sqlite3"

    def __enter__(self) -> Copy:
        try:
            with guarded(self.path):
                open_new(self.path, private=True).close()
                with contextlib.closing(sqlite3.connect(self.path, isolation_level=None)) as copy:
                    self._shard._db.backup(copy)
                self._store._db.execute("ATTACH DATABASE ? AS theirs", (str(self.path),))
        except BaseException:
            self._folder.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._store._db.execute("DETACH DATABASE theirs")
        self._folder.close()


class Merger:
    """Merges shards into an open state, one after another.

    `number` all of them first: jobs are numbered by the place of their first item in the manifest, whatever shard they
    come from, so that rows come in the order in which one run would have had them.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._db = store._db
        with guarded(store.path):
            self._db.execute("PRAGMA temp_store = FILE")
            self._db.execute(
                "CREATE TEMP TABLE numbering (lineage TEXT NOT NULL, theirs INTEGER NOT NULL, place INTEGER NOT NULL, "
                "turn INTEGER NOT NULL, job INTEGER, joined INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (lineage, theirs))"
            )
            self._db.execute("CREATE INDEX temp.numbering_job ON numbering (job)")

    def close(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._db.execute("DROP TABLE temp.numbering")

    def count(self, facts: ShardFacts, turn: int, jobs: Iterable[Recognised]) -> None:
        """Note those of the attached shard's jobs that are new here, or further than they are here, or whose answer is
        missing here where it is needed."""
        with guarded(self._store.path):
            self._db.executemany(
                "INSERT INTO temp.numbering (lineage, theirs, place, turn, job, joined) "  # noqa: S608
                "SELECT ?1, ?2, coalesce((SELECT min(i.ord) FROM theirs.members b JOIN theirs.items i "
                f"ON i.key = b.key WHERE b.job = ?2), 9e15), ?3, ?4, ?5 WHERE NOT ?6 OR ({_MISSED})",
                (
                    (facts.lineage, one.number, turn, one.job, _NEW if one.job is None else _ITSELF, one.told)
                    for one in jobs
                ),
            )

    def number(self) -> None:
        """Every shard is counted: give their jobs numbers."""
        with guarded(self._store.path):
            (base,) = self._db.execute(
                "SELECT max(coalesce((SELECT max(job) FROM main.jobs), 0), "
                "coalesce((SELECT seq FROM main.sqlite_sequence WHERE name = 'jobs'), 0))"
            ).fetchone()
            self._db.execute(
                "UPDATE temp.numbering SET job = ? + r.rank FROM (SELECT lineage, theirs, "
                "row_number() OVER (ORDER BY place, turn, theirs) AS rank FROM temp.numbering WHERE joined = ?) r "
                "WHERE r.lineage = numbering.lineage AND r.theirs = numbering.theirs",
                (base, _NEW),
            )

    def new_answers(self, facts: ShardFacts) -> Iterator[tuple[int, StoredAnswer]]:
        """(their job, answer) of the attached shard's jobs that were counted, where it is not the one here."""
        with guarded(self._store.path):
            self._join(facts.lineage)
            rows = self._db.execute(
                "SELECT a.job, a.name, a.path, a.size, a.sha256, a.stamp, a.at FROM theirs.answers a "
                "JOIN temp.numbering n ON n.lineage = ? AND n.theirs = a.job WHERE NOT EXISTS ("
                "SELECT 1 FROM main.answers o WHERE o.job = n.job AND o.name = a.name "
                "AND (n.joined != ? OR o.sha256 = a.sha256)) ORDER BY a.job, a.name",
                (facts.lineage, _ITSELF),
            ).fetchall()
        for job, name, path, size, sha256, stamp, at in rows:
            yield job, StoredAnswer(name=name, path=path, size=size, sha256=sha256, stamp=stamp, at=at)

    def take(self, facts: ShardFacts, answers: Sequence[tuple[int, StoredAnswer]], now: float) -> Taken:
        """Make the attached shard's jobs ours, all or nothing. `answers`: (their job, answer as it lies here)."""
        db, lineage = self._db, facts.lineage
        with self._store._transaction("merge"):
            first = db.execute("SELECT 1 FROM main.merged WHERE lineage = ?", (lineage,)).fetchone() is None
            db.execute(
                "INSERT OR REPLACE INTO main.merged_jobs SELECT lineage, theirs, job FROM temp.numbering "
                "WHERE lineage = ?",
                (lineage,),
            )
            self._jobs(lineage)
            took = take(db, lineage)
            joined = db.execute("SELECT job FROM temp.numbering WHERE lineage = ? AND joined", (lineage,)).fetchall()
            for (number,) in joined:
                self._store._describe(number)
            self._beside(lineage, answers, now, first=first)
            db.execute("INSERT OR REPLACE INTO main.merged VALUES (?, ?, ?)", (lineage, facts.shard, now))
            # What was planned from the items before holds no more.
            db.execute("DELETE FROM main.meta WHERE name = 'scan'")
            (jobs,) = db.execute("SELECT count(*) FROM temp.numbering WHERE lineage = ?", (lineage,)).fetchone()
            db.execute("DELETE FROM temp.numbering WHERE lineage = ?", (lineage,))
            forget(db)
        return Taken(jobs=jobs, items=took.items, again=took.again, names=took.names)

    def _join(self, lineage: str) -> None:
        """A job at the service that two shards took from elsewhere, each for sources of its own, is one job."""
        self._db.execute(
            "UPDATE temp.numbering SET job = h.job, joined = ? FROM theirs.jobs t JOIN main.jobs h "
            "ON h.endpoint = t.endpoint AND h.remote_id = t.remote_id "
            "WHERE numbering.lineage = ? AND joined = ? AND t.job = numbering.theirs AND t.remote_id IS NOT NULL",
            (_JOINED, lineage, _NEW),
        )

    def _jobs(self, lineage: str) -> None:
        table = self._db.execute("PRAGMA main.table_info(jobs)")
        columns = [row[1] for row in table if row[1] not in ("job", "after")]
        self._db.execute(
            f"INSERT INTO main.jobs (job, after, {', '.join(columns)}) "  # noqa: S608
            f"SELECT n.job, (SELECT d.job FROM main.merged_jobs d WHERE d.lineage = n.lineage AND d.theirs = j.after), "
            f"{', '.join(f'j.{name}' for name in columns)} "
            "FROM temp.numbering n JOIN theirs.jobs j ON j.job = n.theirs "
            "WHERE n.lineage = ? AND NOT n.joined ORDER BY n.job",
            (lineage,),
        )
        # What one of them has of a job that is the same counts for both.
        self._db.execute(
            "UPDATE main.jobs SET status = t.status, reason = t.reason, error = t.error, finished_at = t.finished_at "
            "FROM temp.numbering n JOIN theirs.jobs t ON t.job = n.theirs "
            "WHERE n.lineage = ? AND n.joined = ? AND n.job = jobs.job AND t.status = 'done' AND jobs.status != 'done'",
            (lineage, _JOINED),
        )
        went_on = [name for name in columns if name not in _DESCRIBED]
        self._db.execute(
            f"UPDATE main.jobs SET {', '.join(f'{name} = t.{name}' for name in went_on)} "  # noqa: S608
            "FROM temp.numbering n JOIN theirs.jobs t ON t.job = n.theirs "
            f"WHERE n.lineage = ? AND n.joined = ? AND n.job = jobs.job AND {_FURTHER}",
            (lineage, _ITSELF),
        )
        self._db.execute(
            "UPDATE main.jobs SET billed_seconds = t.billed_seconds FROM temp.numbering n "
            "JOIN theirs.jobs t ON t.job = n.theirs WHERE n.lineage = ? AND n.joined = ? AND n.job = jobs.job "
            "AND t.billed_seconds IS NOT NULL",
            (lineage, _ITSELF),
        )

    def _beside(self, lineage: str, answers: Sequence[tuple[int, StoredAnswer]], now: float, *, first: bool) -> None:
        """What belongs to jobs, and what was found out about files."""
        db = self._db
        ours = "JOIN temp.numbering n ON n.lineage = ? AND n.theirs = x.job"
        closed = f"j.status IN {_CLOSED}"
        # Closed ones first: an open one is judged by what was surely recorded before and after it here.
        db.execute(
            "INSERT INTO main.attempts (job, at, event, message) "  # noqa: S608
            f"SELECT n.job, x.at, CASE WHEN {closed} THEN '{MERGED}' || x.event ELSE x.event END, x.message "
            f"FROM theirs.attempts x {ours} JOIN theirs.jobs j ON j.job = x.job WHERE NOT EXISTS ("
            "SELECT 1 FROM main.attempts o WHERE o.job = n.job AND o.at = x.at "
            f"AND o.event IN (x.event, '{MERGED}' || x.event)) ORDER BY NOT ({closed}), x.attempt",
            (lineage,),
        )
        for table, columns in (
            ("received", "n.job, x.body"),
            ("retried", "n.job, x.key"),
            ("agreed", "x.endpoint, x.remote_id, n.job, x.at, x.whole, x.attempt"),
        ):
            db.execute(f"INSERT OR IGNORE INTO main.{table} SELECT {columns} FROM theirs.{table} x {ours}", (lineage,))  # noqa: S608
        # What was paid twice counts whatever became of the job: it may be planned anew, and have another number.
        db.execute(
            "INSERT OR IGNORE INTO main.duplicates SELECT x.endpoint, x.remote_id, coalesce("
            "(SELECT d.job FROM main.merged_jobs d WHERE d.lineage = ? AND d.theirs = x.job), 0), x.at, "
            "x.billed_seconds FROM theirs.duplicates x",
            (lineage,),
        )
        db.execute(
            f"INSERT INTO main.unproven SELECT n.job, x.at, x.billable_seconds FROM theirs.unproven x {ours} "  # noqa: S608
            "WHERE NOT EXISTS (SELECT 1 FROM main.unproven o WHERE o.job = n.job AND o.at = x.at)",
            (lineage,),
        )
        db.execute(
            "INSERT OR IGNORE INTO main.agreed (endpoint, remote_id, job, at, whole, attempt) "
            "SELECT endpoint, remote_id, 0, at, whole, (SELECT coalesce(max(attempt), 0) FROM main.attempts) "
            "FROM theirs.agreed WHERE job = 0"
        )
        self._doubts(lineage)
        db.executemany(
            "INSERT OR REPLACE INTO main.answers (job, name, path, size, sha256, at, stamp) "
            "SELECT n.job, ?1, ?2, ?3, ?4, ?5, ?6 FROM temp.numbering n WHERE n.lineage = ?7 AND n.theirs = ?8 AND ("
            "NOT EXISTS (SELECT 1 FROM main.answers o WHERE o.job = n.job AND o.name = ?1) OR n.joined = ?9 "
            "AND EXISTS (SELECT 1 FROM theirs.members b JOIN temp.chosen c ON c.key = b.key WHERE b.job = n.theirs))",
            [(a.name, a.path, a.size, a.sha256, now, a.stamp, lineage, job, _ITSELF) for job, a in answers],
        )
        db.execute(
            "DELETE FROM main.given_up WHERE job IN (SELECT job FROM temp.numbering WHERE lineage = ? AND joined = ?) "
            "AND EXISTS (SELECT 1 FROM main.answers a WHERE a.job = given_up.job AND a.name = given_up.name)",
            (lineage, _ITSELF),
        )
        db.execute(
            "INSERT OR IGNORE INTO main.digests (path, size, mtime_ns, inode, sha256, md5) "
            "SELECT path, size, mtime_ns, inode, sha256, md5 FROM theirs.digests"
        )
        if first:
            db.execute(
                "INSERT INTO main.requests SELECT kind, count FROM theirs.requests WHERE true "
                "ON CONFLICT (kind) DO UPDATE SET count = count + excluded.count"
            )

    def _doubts(self, lineage: str) -> None:
        """What is in doubt in a shard is so in the whole, whatever is planned there, unless the whole has it by now.
        What it has, from this shard as well, is in doubt no more."""
        db = self._db
        merged = "(SELECT d.job FROM main.merged_jobs d WHERE d.lineage = ? AND d.theirs = x.{0})"
        db.execute(
            "INSERT OR IGNORE INTO main.doubts (key, answer, at, why, job, parts) "  # noqa: S608
            f"SELECT x.key, coalesce({merged.format('answer')}, 0), x.at, x.why, {merged.format('job')}, x.parts "
            f"FROM theirs.doubts x WHERE NOT {_TAKEN.format('x')}",
            (lineage, lineage),
        )
        db.execute(f"DELETE FROM main.doubts WHERE {_TAKEN.format('doubts')}")  # noqa: S608
        db.execute(
            "INSERT OR IGNORE INTO main.given_up (job, name, path, size, sha256) "
            "SELECT d.job, x.name, x.path, x.size, x.sha256 FROM theirs.given_up x "
            "JOIN main.merged_jobs d ON d.lineage = ? AND d.theirs = x.job WHERE EXISTS (SELECT 1 FROM main.doubts o "
            "JOIN main.members b ON b.key = o.key AND b.job = d.job WHERE o.answer = d.job)",
            (lineage,),
        )


def merged_shards(store: StateReader) -> frozenset[str]:
    """`I/N` of what was merged into a state."""
    return frozenset(row[0] for row in store._db.execute("SELECT shard FROM merged"))


def waiting(store: StateReader) -> Iterator[tuple[str, str, bytes]]:
    """(id, kind, content) of listed items that nobody has sent, in manifest order; streamed."""
    yield from store._db.execute(
        "SELECT i.id, i.kind, m.content FROM items i JOIN measurements m ON m.key = i.key "
        "LEFT JOIN jobs j ON j.job = m.job WHERE m.outcome = 'pending' "
        "AND coalesce(j.status, 'planned') IN ('planned', 'failed', 'done') ORDER BY i.ord"
    )


def close_shard(store: Store, lineage: str) -> None:
    """The shard's open jobs are another state's from here on: durable before that state takes them."""
    if store.meta("closed") != lineage:
        store.remember(closed=lineage)
