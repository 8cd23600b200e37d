"""What lies on disk: answers that are harmed, mended, lost and back, and the outputs that were made of them."""

from __future__ import annotations

from collections.abc import Sequence

from hume_runner.planning.fingerprint import job_key
from hume_runner.services.jobs import Outcome
from hume_runner.state.rows import StoredAnswer
from hume_runner.state.settled import Settled


class OnDisk(Settled):
    """Records answers and outputs as files."""

    def note_stamps(self, seen: Sequence[tuple[str, int, str]]) -> None:
        """(stamp, job, name) of answers that were read and are what they were."""
        if seen:
            with self._transaction("stamps", bump=False) as db:
                db.executemany("UPDATE answers SET stamp = ? WHERE job = ? AND name = ?", seen)

    def record_mended(
        self, number: int, answers: Sequence[StoredAnswer], outcomes: Sequence[Outcome], now: float
    ) -> None:
        """Answers of a finished job that were harmed on disk and are there again; `outcomes` may name members anew."""
        with self._transaction("mended"):
            self._record_answers(number, answers, now)
            self._name_members(number, {one.position: one.match for one in outcomes if one.match is not None})

    def record_answer_lost(self, number: int, now: float, *, pays: bool) -> None:
        """The answer of a finished job cannot be had any more: what it was for is pending, but for the parts of an item
        that other jobs measured. `pays`: somebody agreed to pay again, see `_doubt`."""
        with self._transaction("answer lost") as db:
            if pays:
                db.execute(
                    "INSERT INTO doubts (key, answer, at, why, job, parts) SELECT m.key, ?, ?, ?, "
                    "CASE m.outcome WHEN 'done' THEN m.job END, CASE m.outcome WHEN 'done' THEN m.parts END "
                    "FROM measurements m WHERE m.key IN (SELECT key FROM members WHERE job = ? AND outcome = 'done') "
                    "AND (m.job = ? OR m.parts IS NOT NULL) ON CONFLICT (key, answer) DO UPDATE SET "
                    "at = excluded.at, why = excluded.why, job = excluded.job, parts = excluded.parts",
                    (number, now, "it was measured, and its answer was lost on disk", number, number),
                )
                db.execute(
                    "INSERT OR REPLACE INTO given_up SELECT job, name, path, size, sha256 FROM answers WHERE job = ?",
                    (number,),
                )
            db.execute(
                "INSERT INTO attempts (job, at, event, message) VALUES (?, ?, 'lost on disk', NULL)", (number, now)
            )
            db.execute(
                "UPDATE measurements SET outcome = 'pending', reason = NULL, error = NULL, job = NULL, "
                "parts = CASE WHEN EXISTS (SELECT 1 FROM members b WHERE b.job = ? AND b.key = measurements.key "
                "AND b.detail IS NOT NULL) THEN 0 ELSE parts END "
                "WHERE key IN (SELECT key FROM members WHERE job = ? AND outcome = 'done') "
                "AND (job = ? OR parts IS NOT NULL)",
                (number, number, number),
            )
            db.execute(
                "UPDATE members SET outcome = 'failed', reason = 'answer_lost', error = 'its answer was lost on disk' "
                "WHERE job = ? AND outcome = 'done'",
                (number,),
            )
            db.execute("DELETE FROM answers WHERE job = ?", (number,))

    def record_answer_back(self, number: int, now: float) -> None:
        """The answer of a job that was given up is on disk again: what of it is in doubt, since the service has not
        taken it anew, is as it was."""
        with self._transaction("answer back") as db:
            db.execute("INSERT INTO attempts (job, at, event, message) VALUES (?, ?, 'back', NULL)", (number, now))
            db.execute(
                "INSERT OR REPLACE INTO answers (job, name, path, size, sha256, at) "
                "SELECT job, name, path, size, sha256, ? FROM given_up WHERE job = ?",
                (now, number),
            )
            db.execute("DELETE FROM given_up WHERE job = ?", (number,))
            db.execute(
                "UPDATE members SET outcome = 'done', reason = NULL, error = NULL "
                "WHERE job = ? AND outcome = 'failed' AND reason = 'answer_lost' "
                "AND EXISTS (SELECT 1 FROM doubts d WHERE d.key = members.key AND d.answer = members.job)",
                (number,),
            )
            # Of what several jobs measured in parts, once the last of them is back.
            whole = (
                "SELECT b.key FROM members b WHERE b.job = ? AND NOT EXISTS (SELECT 1 FROM members o "
                "JOIN doubts d ON d.key = o.key AND d.answer = o.job WHERE o.key = b.key AND o.reason = 'answer_lost')"
            )
            db.execute(
                "UPDATE measurements SET outcome = 'done', reason = NULL, error = NULL, job = d.job, parts = d.parts "  # noqa: S608
                "FROM doubts d WHERE d.key = measurements.key AND d.job IS NOT NULL "
                f"AND measurements.outcome != 'done' AND d.key IN ({whole})",
                (number,),
            )
            db.execute(f"DELETE FROM doubts WHERE answer != 0 AND key IN ({whole})", (number,))  # noqa: S608
            self._measured("SELECT key FROM members WHERE job = ?", number)
            db.execute("DELETE FROM meta WHERE name = 'scan'")  # what was planned of it is planned anew

    def _give_up(self, keys: Sequence[bytes]) -> None:
        """Take these members out of the planned jobs that carry them. The others keep their positions, and a job is
        told by what it still carries."""
        shrunk: set[int] = set()
        for key in keys:
            rows = self._db.execute(
                "SELECT b.job FROM members b JOIN jobs j ON j.job = b.job WHERE b.key = ? AND j.status = 'planned'",
                (key,),
            ).fetchall()
            for (number,) in rows:
                self._db.execute("DELETE FROM members WHERE job = ? AND key = ?", (number, key))
                shrunk.add(number)
        for number in sorted(shrunk):
            if not self._describe(number):
                self._db.execute("DELETE FROM jobs WHERE job = ?", (number,))

    def record_outputs(self, outputs: Sequence[StoredAnswer], now: float) -> None:
        """Files that a run wrote beside the raw answers."""
        with self._transaction("outputs", bump=False) as db:
            db.executemany(
                "INSERT OR REPLACE INTO outputs VALUES (?, ?, ?, ?)", [(o.path, o.size, o.sha256, now) for o in outputs]
            )

    def record_derived(
        self, group: str, mark: str, outputs: Sequence[StoredAnswer], gone: Sequence[str], now: float
    ) -> None:
        """A group of derived files that is in place, with its mark; `gone` are files that it has no more."""
        with self._transaction("outputs", bump=False) as db:
            db.executemany("DELETE FROM outputs WHERE path = ?", [(path,) for path in gone])
            db.executemany(
                "INSERT OR REPLACE INTO outputs VALUES (?, ?, ?, ?)", [(o.path, o.size, o.sha256, now) for o in outputs]
            )
            self._set({f"derived:{group}": mark})

    def forget_derived(self, group: str, paths: Sequence[str]) -> None:
        """A group of derived files that nobody asks for any more, and that is not there."""
        with self._transaction("outputs", bump=False) as db:
            db.executemany("DELETE FROM outputs WHERE path = ?", [(path,) for path in paths])
            db.execute("DELETE FROM meta WHERE name = ?", (f"derived:{group}",))

    def _describe(self, number: int) -> bool:
        """A job is told by what it carries now; False if that is nothing."""
        left = self._db.execute(
            "SELECT b.key, m.size FROM members b JOIN measurements m ON m.key = b.key "
            "WHERE b.job = ? ORDER BY b.position",
            (number,),
        ).fetchall()
        if left:
            self._db.execute(
                "UPDATE jobs SET key = ?, sources = ?, bytes = ? WHERE job = ?",
                (job_key([row[0] for row in left]), len(left), sum(row[1] for row in left), number),
            )
        return bool(left)
