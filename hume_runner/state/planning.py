"""The manifest's items beside the state's: compared in SQL, row by row, and made the state's all at once."""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hume_runner.manifest.model import SourceKind
from hume_runner.planning.diff import Again, Known
from hume_runner.planning.fingerprint import job_key
from hume_runner.planning.model import PlannedJob
from hume_runner.planning.staged import FileDigest, Staged
from hume_runner.services.base import Draft, PlanItem
from hume_runner.state.connection import guarded
from hume_runner.state.lifecycle import JobStatus
from hume_runner.state.reading import Reading
from hume_runner.state.rows import from_json, plan_item, to_json

# What the state keeps by an item's key besides its measurement, and beyond one plan: a new key goes to all of it.
KEPT_BY_KEY = ("members", "retried", "doubts")
_OPEN = (JobStatus.SUBMITTING, JobStatus.SUBMITTED, JobStatus.AMBIGUOUS)


class Planning(Reading):
    """Compares with the scratch file of a scan, and replaces the plan."""

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

    def digest(self, path: str, size: int, mtime_ns: int, inode: int) -> FileDigest | None:
        """The cached digest of a file that looks unchanged, or None."""
        row = self._db.execute(
            "SELECT sha256, md5 FROM digests WHERE path = ? AND size = ? AND mtime_ns = ? AND inode = ?",
            (path, size, mtime_ns, inode),
        ).fetchone()
        return FileDigest(sha256=row[0], md5=row[1]) if row else None

    def waiting_without_md5(self) -> Iterator[tuple[bytes, Path]]:
        """(key, path) of listed files that are not measured yet and whose MD5 is not known, in manifest order."""
        after = -1
        while True:
            rows = self._db.execute(
                "SELECT i.ord, m.key, i.path FROM items i JOIN measurements m ON m.key = i.key WHERE i.ord > ? "
                "AND m.kind = 'file' AND m.outcome = 'pending' AND m.md5 IS NULL AND i.inside IS NULL "
                "AND i.path NOT LIKE '%://%' "  # what lies in a store is read when it is planned
                "ORDER BY i.ord LIMIT 500",
                (after,),
            ).fetchall()
            if not rows:
                return
            for after, key, path in rows:  # noqa: B007 - where the next page begins
                yield key, Path(os.fsdecode(path))

    def remember_md5(self, key: bytes, md5: bytes) -> None:
        """The MD5 of a file that was read for it."""
        with self._transaction("md5", bump=False) as db:
            db.execute("UPDATE measurements SET md5 = ? WHERE key = ?", (md5, key))

    def facts(self, content: bytes) -> list[str]:
        """What looks at a medium told before, as JSON."""
        rows = self._db.execute("SELECT facts FROM measurements WHERE content = ? AND facts IS NOT NULL", (content,))
        return [row[0] for row in rows]

    def sort_out(self, *, real_endpoint: bool) -> tuple[int, int]:
        """Decide, in one go, about the staged items of which there is nothing to consider: (never seen, measured).

        The first are wanted from now on. `compare` tells of the others. A result of the emulator is not plain where
        the endpoint is a real one.
        """
        with guarded(self.path):
            self._db.execute("BEGIN")
            self._db.execute(
                "INSERT INTO scan.repeated SELECT s.ord FROM (SELECT key, min(ord) AS first FROM scan.staged "
                "GROUP BY key HAVING count(*) > 1) d JOIN scan.staged s ON s.key = d.key AND s.ord > d.first"
            )
            if self.knows_nothing():
                self._db.execute("INSERT INTO scan.todo SELECT ord, ?, 0 FROM scan.staged", (Again.NOTHING,))
                (new,) = self._db.execute("SELECT count(*) FROM scan.staged").fetchone()
                measured = 0
            else:
                new, measured = self._sort_out_against_what_is_known(real_endpoint)
            self._db.execute("DELETE FROM scan.todo WHERE ord IN (SELECT ord FROM scan.repeated)")
            self._db.execute("COMMIT")
        return new, measured

    def _sort_out_against_what_is_known(self, real_endpoint: bool) -> tuple[int, int]:
        self._db.execute(
            "INSERT INTO scan.plain SELECT s.ord, CASE "
            "WHEN m.key IS NULL THEN NOT EXISTS (SELECT 1 FROM main.items i WHERE i.id = s.id) "
            "WHEN m.outcome = 'done' AND NOT (m.simulated AND ?) THEN 2 ELSE 0 END "
            "FROM scan.staged s LEFT JOIN scan.former f ON f.key = s.key "
            "LEFT JOIN main.measurements m ON m.key = coalesce(f.old, s.key) ORDER BY s.ord",
            (real_endpoint,),
        )
        self._db.execute("INSERT INTO scan.todo SELECT ord, ?, 0 FROM scan.plain WHERE what = 1", (Again.NOTHING,))
        # Whole numbers: `total` would give 1.0.
        summed = "SELECT coalesce(sum(what = 1), 0), coalesce(sum(what = 2), 0) FROM scan.plain"
        new, measured = self._db.execute(summed).fetchone()
        return new, measured

    def compare(self, *, all_of_them: bool = True) -> Iterator[Staged]:
        """Each staged item with what is known of its key and of its id, in manifest order, streamed; or those alone
        that were not sorted out."""
        if not all_of_them and self.knows_nothing():
            return
        # A measurement that is still pending may be spread over several jobs. What one of them may have at the service
        # is the most telling; and some parts may be measured while others are in no job at all.
        rows = self._db.execute(
            """
            SELECT s.ord, s.id, s.kind, s.key, s.content, m.outcome, m.job,
                   CASE m.outcome WHEN 'pending' THEN (
                     SELECT CASE max(CASE j.status WHEN 'ambiguous' THEN 3 WHEN 'submitting' THEN 2
                                                   WHEN 'submitted' THEN 2 ELSE 1 END)
                            WHEN 3 THEN 'ambiguous' WHEN 2 THEN 'submitted' WHEN 1 THEN 'planned' END
                     FROM members b JOIN jobs j ON j.job = b.job WHERE b.key = m.key) END,
                   CASE m.outcome WHEN 'pending' THEN (
                     SELECT max(j.error) FROM members b JOIN jobs j ON j.job = b.job
                     WHERE b.key = m.key AND j.tries > 0 AND j.status = 'planned') ELSE m.error END,
                   CASE m.outcome WHEN 'pending' THEN EXISTS (
                     SELECT 1 FROM members b JOIN jobs j ON j.job = b.job
                     WHERE b.key = m.key AND b.outcome = 'done' AND j.simulated) ELSE m.simulated END,
                   CASE m.outcome WHEN 'pending' THEN (
                     SELECT max(CASE b.reason WHEN 'answer_lost' THEN 2 ELSE 1 END)
                     FROM members b JOIN jobs j ON j.job = b.job WHERE b.key = m.key AND j.tries > 0) END,
                   i.key, o.content, s.facts,
                   coalesce(m.parts, 1),
                   CASE m.outcome WHEN 'pending' THEN (
                     SELECT count(*) FROM members b JOIN jobs j ON j.job = b.job
                     WHERE b.key = m.key AND b.outcome IS NOT 'failed' AND j.status NOT IN ('planned', 'failed'))
                     ELSE 0 END,
                   CASE m.outcome WHEN 'pending' THEN (
                     SELECT total(CASE WHEN j.prepare THEN 1e9 ELSE 1 END) FROM members b JOIN jobs j ON j.job = b.job
                     WHERE b.key = m.key AND j.status = 'planned') ELSE 0 END,
                   m.reason,
                   CASE WHEN o.outcome = 'pending' THEN EXISTS (
                     SELECT 1 FROM members b JOIN jobs j ON j.job = b.job WHERE b.key = o.key
                     AND (j.tries > 0 OR j.status != 'planned'))
                     ELSE o.key IS NOT NULL END,
                   t.json
            FROM scan.staged s
            LEFT JOIN scan.former f ON f.key = s.key
            LEFT JOIN main.measurements m ON m.key = coalesce(f.old, s.key)
            LEFT JOIN main.items i ON i.id = s.id AND m.key IS NULL
            LEFT JOIN main.measurements o ON o.key = i.key
            LEFT JOIN main.settings t ON t.digest = o.settings
            WHERE ? OR s.ord IN (SELECT ord FROM scan.plain WHERE what = 0)
            ORDER BY s.ord
            """,
            (all_of_them,),
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
                    parts=row[14],
                    carried=row[15],
                    planned=int(row[16]),
                    lost=row[10] == 2,
                    reason=row[17],
                    link=row[2] == "url",
                    old_tried=bool(row[18]),
                    old_settings=row[19],
                ),
                facts=from_json(row[13]),
            )

    def former_settings(self) -> list[tuple[bytes, str]]:
        """(digest, canonical JSON) of the settings that keys of schema 1 may have been made with; none in a state that
        never had such keys."""
        if not self.meta("former_keys"):
            return []
        return self._db.execute("SELECT digest, json FROM settings ORDER BY digest").fetchall()

    def unmeasured(self) -> Iterator[tuple[SourceKind, bytes, bytes, str | None]]:
        """(kind, key, content, facts) of staged items whose key the state has never seen, streamed."""
        yield from self._db.execute(
            "SELECT s.kind, s.key, s.content, s.facts FROM scan.staged s "
            "WHERE NOT EXISTS (SELECT 1 FROM main.measurements m WHERE m.key = s.key) ORDER BY s.ord"
        )

    def most_telling(self, keys: Sequence[bytes]) -> bytes | None:
        """Of several measurements of the same, the key of the one that counts: measured for real before what is at the
        service, then simulated, failed, and never sent. None if there is none."""
        row = self._db.execute(
            f"SELECT m.key FROM main.measurements m WHERE m.key IN ({','.join('?' * len(keys))}) "  # noqa: S608
            "ORDER BY CASE WHEN m.outcome = 'done' AND NOT m.simulated THEN 0 "
            "WHEN m.outcome = 'pending' AND EXISTS (SELECT 1 FROM main.members b JOIN main.jobs h ON h.job = b.job "
            "WHERE b.key = m.key AND h.status NOT IN ('planned', 'failed')) THEN 1 "
            "WHEN m.outcome = 'done' THEN 2 WHEN m.outcome = 'failed' THEN 3 ELSE 4 END, m.job DESC LIMIT 1",
            tuple(keys),
        ).fetchone()
        return row[0] if row else None

    def note_former(self, batch: Sequence[tuple[bytes, bytes]]) -> None:
        """Note under which key an earlier version measured staged items: (key, old key)."""
        with guarded(self.path):
            self._db.execute("BEGIN")
            self._db.executemany("INSERT OR IGNORE INTO scan.former VALUES (?, ?)", batch)
            self._db.execute("COMMIT")

    def knows_nothing(self) -> bool:
        """Whether no item was ever recorded, so that all that is staged is new."""
        return self._db.execute("SELECT 1 FROM measurements LIMIT 1").fetchone() is None

    def repeated(self) -> set[int]:
        """The `ord`s of staged items whose key an earlier item has already, once they are sorted out."""
        return {row[0] for row in self._db.execute("SELECT ord FROM scan.repeated")}

    def want(self, batch: Sequence[tuple[int, int, bool]]) -> None:
        """Note staged items that have to be submitted: (ord, what of it is given up as `Again` says, whether parts of
        it are kept)."""
        # One transaction a batch: by itself, each row would be one.
        with guarded(self.path):
            self._db.execute("BEGIN")
            self._db.executemany("INSERT OR IGNORE INTO scan.todo VALUES (?, ?, ?)", batch)
            self._db.execute("COMMIT")

    def wanted(self) -> Iterator[PlanItem]:
        """The staged items that have to be submitted, in manifest order, streamed."""
        rows = self._db.execute(
            "SELECT t.carried, s.key, s.id, s.kind, s.value, s.path, s.inside, s.size, s.content, s.facts, s.md5 "
            "FROM scan.todo t JOIN scan.staged s ON s.ord = t.ord ORDER BY t.ord"
        )
        for carried, *row in rows:
            item = plan_item(*row)
            yield replace(item, carried=self._details(item.key)) if carried else item

    def under_way(self, *, staged: bool, size: int) -> Iterator[bytes]:
        """So many bytes of the keys of what is to be submitted (if anything is `staged`), or may be at the service: in
        ascending order, each once."""
        rows = "SELECT m.key FROM main.members m JOIN main.jobs j ON j.job = m.job WHERE j.status IN (?, ?, ?)"
        if staged:
            rows += " UNION ALL SELECT s.key FROM scan.todo t JOIN scan.staged s ON s.ord = t.ord"
        return self._beginnings(rows, _OPEN, size)

    def wants_plain_ones_only(self) -> bool:
        """Whether all that has to be submitted are texts, and links without a query, none of them in part."""
        if self._db.execute("SELECT plain FROM scan.shape").fetchone()[0]:
            return self._db.execute("SELECT 1 FROM scan.todo WHERE carried LIMIT 1").fetchone() is None
        row = self._db.execute(
            "SELECT 1 FROM scan.todo t JOIN scan.staged s ON s.ord = t.ord "
            "WHERE t.carried OR s.kind = 'file' OR s.facts IS NOT NULL OR s.kind = 'url' AND instr(s.value, '?') "
            "LIMIT 1"
        ).fetchone()
        return row is None

    def wanted_sizes(self) -> Iterator[tuple[bytes, int]]:
        """(key, bytes) of what `wanted` tells of, in its order, streamed."""
        counts = "SELECT (SELECT count(*) FROM scan.staged) - (SELECT count(*) FROM scan.todo)"
        (others,) = self._db.execute(counts).fetchone()
        if not others:  # as at first: all of them
            yield from self._db.execute("SELECT key, size FROM scan.staged ORDER BY ord")
            return
        yield from self._db.execute(
            "SELECT s.key, s.size FROM scan.todo t JOIN scan.staged s ON s.ord = t.ord ORDER BY t.ord"
        )

    def _details(self, key: bytes) -> tuple[Mapping[str, Any], ...]:
        """Which parts of an item are measured or at the service."""
        rows = self._db.execute(
            "SELECT b.detail FROM members b JOIN jobs j ON j.job = b.job WHERE b.key = ? "
            "AND b.outcome IS NOT 'failed' AND j.status NOT IN ('planned', 'failed') ORDER BY b.job, b.position",
            (key,),
        )
        return tuple(from_json(row[0]) for row in rows)

    def removed(self) -> Iterator[tuple[str, str, str | None]]:
        """(id, kind, the id under which the same is listed now, if it is) of items that the state lists and the
        manifest does not, in their old order."""
        yield from self._db.execute(
            # Rather an id that is new than one that was there beside it.
            "SELECT i.id, i.kind, coalesce(min(CASE WHEN NOT EXISTS (SELECT 1 FROM main.items o WHERE o.id = n.id) "
            "THEN n.id END), min(n.id)) FROM main.items i LEFT JOIN scan.staged n ON n.key = i.key "
            "WHERE NOT EXISTS (SELECT 1 FROM scan.staged s WHERE s.id = i.id) "
            "AND NOT EXISTS (SELECT 1 FROM scan.passed p WHERE p.id = i.id) GROUP BY i.ord ORDER BY i.ord"
        )

    def relabelled_number(self) -> int:
        """How many items are listed as before, with other labels."""
        if self.knows_nothing():  # a first plan of a million looks none of them up
            return 0
        (number,) = self._db.execute(
            "SELECT count(*) FROM scan.staged s JOIN main.items i ON i.id = s.id "
            "WHERE i.key = s.key AND i.labels IS NOT s.labels"
        ).fetchone()
        return int(number)

    def added_number(self) -> int:
        """How many staged items are measured, and have an id that the state does not list."""
        if self.knows_nothing():
            return 0
        (number,) = self._db.execute(
            "SELECT count(*) FROM scan.staged s JOIN main.measurements m ON m.key = s.key AND m.outcome = 'done' "
            "WHERE NOT EXISTS (SELECT 1 FROM main.items i WHERE i.id = s.id)"
        ).fetchone()
        return int(number)

    def removed_number(self) -> int:
        """How many `removed` tells of."""
        (number,) = self._db.execute(
            "SELECT count(*) FROM main.items i WHERE NOT EXISTS (SELECT 1 FROM scan.staged s WHERE s.id = i.id) "
            "AND NOT EXISTS (SELECT 1 FROM scan.passed p WHERE p.id = i.id)"
        ).fetchone()
        return int(number)

    def keep_jobs(self, batch: Sequence[PlannedJob]) -> None:
        """Keep jobs as they were packed, beside the staged items."""
        rows = [(job.key, job.sources, job.bytes, job.billable_seconds) for job in batch]
        with guarded(self.path):
            self._db.execute("BEGIN")
            self._db.executemany(
                "INSERT INTO scan.packed (key, sources, bytes, billable_seconds) VALUES (?, ?, ?, ?)", rows
            )
            self._db.execute("COMMIT")

    def kept_jobs(self) -> Iterator[PlannedJob]:
        """What was kept, in its order, streamed."""
        rows = self._db.execute("SELECT key, sources, bytes, billable_seconds FROM scan.packed ORDER BY job")
        for key, sources, size, billable_seconds in rows:
            yield PlannedJob(key=key, sources=sources, bytes=size, billable_seconds=billable_seconds)

    def planned_jobs(self) -> Iterator[tuple[int, PlannedJob, bool]]:
        """(number, job, whether its media have to be prepared) of every job that is planned and not sent, streamed."""
        rows = self._db.execute(
            "SELECT job, key, sources, bytes, billable_seconds, prepare FROM main.jobs WHERE status = 'planned' "
            "ORDER BY job"
        )
        for number, key, sources, size, billable_seconds, prepare in rows:
            job = PlannedJob(key=key, sources=sources, bytes=size, billable_seconds=billable_seconds)
            yield number, job, bool(prepare)

    def absent(self, ids: Iterable[str], *, staged: bool) -> list[str]:
        """Those of these ids that no item has: of those that are `staged`, or of the state's own."""
        asked = f"SELECT 1 FROM {'scan.staged' if staged else 'main.items'} WHERE id = ? LIMIT 1"  # noqa: S608
        return [one for one in ids if self._db.execute(asked, (one,)).fetchone() is None]

    def ids(self, *, staged: bool) -> Iterator[str]:
        """The ids of these items, in manifest order, streamed."""
        for (name,) in self._db.execute(
            f"SELECT id FROM {'scan.staged' if staged else 'main.items'} ORDER BY ord"  # noqa: S608
        ):
            yield name

    def place_of(self, key: bytes) -> str | None:
        """Where the manifest lists the staged item with this key."""
        row = self._db.execute("SELECT place FROM scan.staged WHERE key = ? ORDER BY ord LIMIT 1", (key,)).fetchone()
        return row[0] if row else None

    def replace_plan(self, drafts: Iterable[Draft], *, facts: Mapping[str, Any], keep: bool = False) -> None:
        """Make the staged items the state's items and plan these jobs, all or nothing.

        Jobs that were planned and never sent are dissolved: `drafts` holds their items again where they are wanted.
        So are the parts of a medium of which others were sent: its preparation leaves out what a job carries already.
        `keep`: items that are not staged stay, marked as left out; jobs of theirs that were never sent are dissolved
        like others, and planned again by a plan that is about them.
        """
        with self._transaction("plan") as db:
            self._replace_items(db, keep=keep)
            db.execute("INSERT OR IGNORE INTO main.settings SELECT digest, json FROM scan.settings")
            self._rekey(db)
            db.execute(
                "INSERT OR IGNORE INTO main.measurements (key, kind, content, settings, size, facts, md5) "
                "SELECT key, kind, content, settings, size, facts, md5 FROM scan.staged ORDER BY key"
            )
            # What was measured before its MD5 was of use, or looked at with another outcome, gets what is known now.
            db.execute(
                "UPDATE main.measurements SET md5 = coalesce(s.md5, measurements.md5), facts = s.facts "
                "FROM scan.staged s WHERE s.facts IS NOT NULL AND measurements.key = s.key "
                "AND (measurements.facts IS NOT s.facts OR measurements.md5 IS NOT coalesce(s.md5, measurements.md5))"
            )
            db.execute(
                "INSERT OR REPLACE INTO main.digests (path, size, mtime_ns, inode, sha256, md5) "
                "SELECT path, size, mtime_ns, inode, sha256, md5 FROM scan.digests"
            )
            db.execute("DELETE FROM main.jobs WHERE status = 'planned'")
            db.execute("DELETE FROM main.members WHERE job NOT IN (SELECT job FROM main.jobs)")
            # What is measured or at the service stays of a medium of which another part failed: it was paid for.
            given_up = (
                "FROM main.members WHERE key IN "
                "(SELECT s.key FROM scan.todo t JOIN scan.staged s ON s.ord = t.ord WHERE t.retry) "
                "AND (outcome = 'failed' OR job IN (SELECT job FROM main.jobs WHERE status = 'failed') OR ("
                "outcome IS NOT NULL AND key IN "
                "(SELECT s.key FROM scan.todo t JOIN scan.staged s ON s.ord = t.ord WHERE t.retry = ?)))"
            )
            db.execute(f"INSERT OR IGNORE INTO main.retried SELECT job, key {given_up}", (Again.ALL,))
            db.execute(f"DELETE {given_up}", (Again.ALL,))
            db.execute(
                "UPDATE main.measurements "
                "SET outcome = 'pending', reason = NULL, error = NULL, job = NULL, simulated = 0 "
                "WHERE key IN (SELECT s.key FROM scan.todo t JOIN scan.staged s ON s.ord = t.ord WHERE t.retry)"
            )
            self._insert_jobs(drafts)
            self._set(facts)

    def _replace_items(self, db: sqlite3.Connection, *, keep: bool) -> None:
        if keep:
            db.execute("DELETE FROM main.items WHERE id IN (SELECT id FROM scan.staged)")
            # Aside, so that what is staged has the places that the manifest gives it.
            db.execute("UPDATE main.items SET ord = -1 - ord, outside = 1")
        else:
            db.execute("DELETE FROM main.items")
        db.execute(
            "INSERT INTO main.items (ord, id, kind, key, value, path, inside, place, labels) "
            "SELECT ord, id, kind, key, value, path, inside, place, labels FROM scan.staged ORDER BY ord"
        )
        if keep:
            db.execute(
                "UPDATE main.items SET ord = -1 - ord WHERE ord < 0 "
                "AND NOT EXISTS (SELECT 1 FROM main.items o WHERE o.ord = -1 - items.ord)"
            )
            # The manifest has changed since: behind all others, in their old order.
            db.execute(
                "UPDATE main.items SET ord = l.last - ord "
                "FROM (SELECT max(ord) AS last FROM main.items) l WHERE ord < 0"
            )
        (selected,) = db.execute("SELECT count(*) FROM scan.staged").fetchone()
        left_out = 0
        if keep:  # what is listed besides, was not chosen, and has never been planned
            (left_out,) = db.execute(
                "SELECT count(*) FROM scan.passed p WHERE NOT EXISTS (SELECT 1 FROM main.items i WHERE i.id = p.id)"
            ).fetchone()
        self._set({"selected": selected, "left_out": left_out})

    def _rekey(self, db: sqlite3.Connection) -> None:
        """What an earlier version measured gets the keys of today, together with the plan that found it."""
        for table in KEPT_BY_KEY:
            db.execute(
                f"UPDATE OR REPLACE main.{table} SET key = (SELECT f.key FROM scan.former f WHERE f.old = {table}.key) "  # noqa: S608
                "WHERE key IN (SELECT old FROM scan.former)"
            )
        db.execute(
            "UPDATE main.measurements SET key = f.key, settings = s.settings "
            "FROM scan.former f JOIN scan.staged s ON s.key = f.key WHERE measurements.key = f.old"
        )

    def _insert_jobs(self, drafts: Iterable[Draft], free: list[int] | None = None) -> None:
        """Plan these jobs; the numbers of those that wait for no other are added to `free`.

        Here alone are members numbered: from then on their positions are what they are told by.
        """
        numbers: list[int] = []
        for draft in drafts:
            keys = [member.item.key for member in draft.members]
            after = numbers[-draft.after] if draft.after else draft.behind
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
                [(number, n, m.item.key, to_json(m.detail)) for n, m in enumerate(draft.members)],
            )
            self._db.executemany("UPDATE main.measurements SET job = ? WHERE key = ?", [(number, k) for k in keys])
            if free is not None and after is None:
                free.append(number)
            numbers.append(number)
            if len(numbers) > 10_000:
                del numbers[:5_000]

    def planned_keys(self, size: int) -> Iterator[bytes]:
        """So many bytes of the keys of what is planned and not sent: in ascending order, each once."""
        rows = "SELECT m.key FROM main.members m JOIN main.jobs j ON j.job = m.job WHERE j.status = ?"
        return self._beginnings(rows, (JobStatus.PLANNED,), size)

    def planned_as(self, beginning: bytes) -> list[int]:
        """The jobs that are planned and not sent, of items whose keys begin so."""
        rows = self._db.execute(
            "SELECT j.job FROM main.members m JOIN main.jobs j ON j.job = m.job WHERE m.key >= ? AND m.key < ? "
            "AND j.status = ? ORDER BY j.job",
            (beginning, beginning + b"\xff" * 32, JobStatus.PLANNED),
        )
        return [number for (number,) in rows]

    def unseen_keys(self, since: float, size: int) -> Iterator[bytes]:
        """The same of what the service has, or may have, and may not show yet: what is open, or was sent since then
        (Unix seconds). What failed there was shown by it, and is not paid for, unless it was given up for its time."""
        rows = (
            "SELECT m.key FROM main.members m JOIN main.jobs j ON j.job = m.job WHERE j.status IN (?, ?, ?) "
            "OR j.submitted_at >= ? AND (j.status = ? OR j.status = ? AND j.reason = 'job_timeout')"
        )
        return self._beginnings(rows, (*_OPEN, since, JobStatus.DONE, JobStatus.FAILED), size)

    def lost_slowly(self) -> bool:
        """Whether anything is open that was lost by a time-out."""
        with guarded(self.path):
            row = self._db.execute(
                "SELECT 1 FROM main.jobs WHERE status = ? AND lost_how = 'slow' LIMIT 1", (JobStatus.AMBIGUOUS,)
            ).fetchone()
        return row is not None

    def _beginnings(self, keys: str, values: Sequence[object], size: int) -> Iterator[bytes]:
        # Twice as quick as to have SQLite leave out what comes twice.
        with guarded(self.path):
            rows = self._db.execute(
                f"SELECT substr(key, 1, ?) AS beginning FROM ({keys}) ORDER BY beginning",  # noqa: S608
                (size, *values),
            )
            for (beginning,), _ in itertools.groupby(rows):
                yield beginning
