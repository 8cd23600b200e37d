"""What is paid for, or may be: doubts, what somebody agreed to pay once more, and the bill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hume_runner.state.file import StateFile
from hume_runner.state.rows import (
    StoredAnswer,
)

# What was paid for although this may have been it, also what was measured again elsewhere since. Only what the service
# has was paid for: a job that was refused, and is planned anew under another number, gets no consent from that.
_AGREED_CONTENTS = (
    "SELECT n.content FROM agreed a JOIN jobs h ON h.job = a.job AND h.remote_id IS NOT NULL "
    "JOIN (SELECT job, key FROM members UNION ALL SELECT job, key FROM retried) c ON c.job = a.job "
    "JOIN measurements n ON n.key = c.key WHERE a.endpoint = ? AND a.remote_id = ?"
)


class Consent(StateFile):
    """Reads what the state knows of money; nothing here changes the file."""

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

    def duplicates(self) -> list[tuple[str, int]]:
        """(remote id, our job) of jobs that were paid for twice."""
        return self._db.execute("SELECT remote_id, job FROM duplicates ORDER BY at, remote_id").fetchall()

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
