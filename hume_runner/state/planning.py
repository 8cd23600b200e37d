"""The plan: the manifest's items become the state's, and jobs are planned of what has to be sent, all at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from hume_runner.planning.diff import Again
from hume_runner.planning.fingerprint import job_key
from hume_runner.services.jobs import Draft
from hume_runner.state.lifecycle import JobStatus
from hume_runner.state.rows import to_json
from hume_runner.state.transactions import Transactions

# What the state keeps by an item's key besides its measurement, and beyond one plan: a new key goes to all of it.
KEPT_BY_KEY = ("members", "retried", "doubts")


class Planning(Transactions):
    """Replaces the plan."""

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
