"""What happened to jobs: one fact a method, each durable when it returns, each move checked against the lifecycle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hume_runner.services.jobs import Draft, Outcome
from hume_runner.state.lifecycle import Event, JobStatus, move
from hume_runner.state.planning import Planning
from hume_runner.state.rows import REMOVED, StoredAnswer, to_json

# All parts of a measurement are there: none is open, and there are as many as its preparation told (0: it did not).
_WHOLE = (
    "coalesce(measurements.parts, 1) > 0 "
    "AND NOT EXISTS (SELECT 1 FROM members o WHERE o.key = measurements.key AND o.outcome IS NULL) "
    "AND (SELECT count(*) FROM members o WHERE o.key = measurements.key AND o.outcome = 'done') "
    ">= coalesce(measurements.parts, 1)"
)


class Journal(Planning):
    """Records facts about jobs and outputs."""

    def _move(self, number: int, event: Event, now: float, message: str | None = None, **columns: Any) -> None:
        (status,) = self._db.execute("SELECT status FROM jobs WHERE job = ?", (number,)).fetchone()
        columns["status"] = move(JobStatus(status), event)
        message = self.mask(message) if message else message
        for name in ("reason", "error"):
            if columns.get(name):
                columns[name] = self.mask(columns[name])
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
        matches: Mapping[int, str],
        endpoint: str,
        clock_offset: float | None,
        now: float,
    ) -> None:
        """The intent: durable before the first byte of the POST leaves."""
        with self._transaction("submitting") as db:
            self._note_sent()
            self._move(
                number,
                Event.INTEND,
                now,
                nonce=nonce,
                request_sha256=sha256,
                request=to_json(request),
                endpoint=endpoint,
                clock_offset=clock_offset,
                submitting_at=now,
                reason=None,
                error=None,
                waited_s=None,
            )
            db.execute("UPDATE jobs SET tries = tries + 1 WHERE job = ?", (number,))
            self._name_members(number, matches)

    def _name_members(self, number: int, matches: Mapping[int, str]) -> None:
        """By what an answer names the members at these positions."""
        self._db.executemany(
            "UPDATE members SET match = ? WHERE job = ? AND position = ?",
            [(match, number, position) for position, match in matches.items()],
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
            self._taken(number)
            if answer is not None:
                db.execute("INSERT OR REPLACE INTO received VALUES (?, ?)", (number, answer))

    def _taken(self, number: int) -> None:
        """The service has this job, however that is known: here alone ends what is in doubt about what it carries.

        Nothing before does: neither that it was about to be sent, nor that it was refused, nor what became of the jobs
        that carried it. Of an item in parts, which all bear one key, nothing is settled while one is still to be taken.
        """
        db = self._db
        carried = "SELECT b.key FROM members b WHERE b.job = ? AND b.outcome IS NULL"
        db.execute(
            f"DELETE FROM doubts WHERE key IN ({carried} AND NOT EXISTS ("  # noqa: S608
            "SELECT 1 FROM members o JOIN jobs j ON j.job = o.job WHERE o.key = b.key AND o.job != b.job "
            "AND j.status IN ('planned', 'submitting', 'ambiguous')))",
            (number,),
        )
        # An answer that comes back from now on would be a second one, but to what else it is about.
        db.execute(
            "DELETE FROM given_up WHERE job IN (SELECT l.job FROM members l "  # noqa: S608
            f"WHERE l.reason = 'answer_lost' AND l.key IN ({carried}) AND (NOT EXISTS ("
            "SELECT 1 FROM members o JOIN doubts d ON d.key = o.key AND d.answer = o.job WHERE o.job = l.job) "
            "OR l.detail IS NOT NULL AND NOT EXISTS (SELECT 1 FROM members o WHERE o.job = l.job AND o.key != l.key)))",
            (number,),
        )

    def _measured(self, keys: str, *values: object) -> None:
        """Of these, nothing is in doubt that is measured."""
        self._db.execute(
            "DELETE FROM doubts WHERE key IN (SELECT m.key FROM measurements m "  # noqa: S608
            f"WHERE m.key IN ({keys}) AND m.outcome = 'done')",
            values,
        )

    def record_prepared(
        self,
        number: int,
        drafts: Sequence[Draft],
        failed: Sequence[tuple[int, str, str]],
        now: float,
        *,
        given_up: Sequence[int] = (),
    ) -> list[int]:
        """A job's media are prepared: the jobs that are sent take its place; what cannot be sent has failed.

        How many parts each item has is known from here on: those that a job carries already, but for the jobs that
        are `given_up`, and those in `drafts`. Returns the jobs that can be sent now.
        """
        free: list[int] = []
        with self._transaction("prepared") as db:
            keys = [key for (key,) in db.execute("SELECT DISTINCT key FROM members WHERE job = ?", (number,))]
            prepare, tries = db.execute("SELECT prepare, tries FROM jobs WHERE job = ?", (number,)).fetchone()
            db.executemany(
                "DELETE FROM members WHERE job = ? AND key = ? AND outcome IS NOT NULL",
                [(job, key) for job in given_up for key in keys],
            )
            for position, reason, message in failed:
                db.execute(
                    "UPDATE measurements SET outcome = 'failed', reason = ?, error = ? "
                    "WHERE key = (SELECT key FROM members WHERE job = ? AND position = ?)",
                    (self.mask(reason), self.mask(message), number, position),
                )
            db.execute("DELETE FROM members WHERE job = ?", (number,))
            # Without a draft, every part may be carried by other jobs, or nothing was to be sent at all.
            if drafts or (prepare and not tries and not failed):
                db.execute("UPDATE measurements SET job = NULL WHERE job = ?", (number,))
                db.execute("DELETE FROM jobs WHERE job = ?", (number,))
                self._insert_jobs(drafts, free)
            else:
                # Nothing failed: what it carried is not listed any more, and it is no failed job to anybody.
                reason, error = (
                    ("media", "none of its media can be sent")
                    if failed
                    else (REMOVED, "the manifest does not list what it carried any more")
                )
                self._move(number, Event.SPOIL, now, reason=reason, error=error, finished_at=now)
            if prepare:
                self._count_parts(keys)
        return free

    def _count_parts(self, keys: Sequence[bytes]) -> None:
        """Note how many parts these items have, all in jobs now; those whose parts are all measured are done."""
        self._db.executemany(
            "UPDATE measurements SET parts = (SELECT count(*) FROM members b JOIN jobs j ON j.job = b.job "
            "WHERE b.key = measurements.key AND b.outcome IS NOT 'failed' AND j.status != 'failed') "
            "WHERE key = ? AND outcome = 'pending'",
            [(key,) for key in keys],
        )
        self._db.executemany(
            "UPDATE measurements SET outcome = 'done', job = b.job, simulated = j.simulated "  # noqa: S608
            "FROM members b JOIN jobs j ON j.job = b.job WHERE measurements.key = ? AND b.key = measurements.key "
            "AND measurements.outcome = 'pending' "
            "AND b.job = (SELECT max(job) FROM members WHERE key = measurements.key AND outcome = 'done') "
            "AND " + _WHOLE,
            [(key,) for key in keys],
        )
        for key in keys:
            self._measured("?", key)

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
                "UPDATE members SET outcome = ?, reason = ?, error = ?, match = coalesce(?, match) "
                "WHERE job = ? AND position = ?",
                [("done" if o.ok else "failed", *self._words(o), o.match, number, o.position) for o in outcomes],
            )
            db.execute("DELETE FROM received WHERE job = ?", (number,))
            # An item that is spread over several jobs is done when as many parts are measured as it has, and failed
            # with the first that fails.
            db.execute(
                "UPDATE measurements "
                "SET outcome = b.outcome, reason = b.reason, error = b.error, job = ?, simulated = ? "
                "FROM members b WHERE b.job = ? AND b.key = measurements.key AND b.outcome IS NOT NULL "
                # What another job measured since is that job's.
                "AND (measurements.outcome = 'pending' OR measurements.outcome = 'done' AND measurements.job = ?) "
                "AND (b.outcome = 'failed' OR " + _WHOLE + ")",
                (number, int(simulated), number, number),
            )
            self._measured("SELECT key FROM members WHERE job = ?", number)

    def _words(self, outcome: Outcome) -> tuple[str | None, str | None]:
        reason, message = (word and self.mask(word) for word in (outcome.reason, outcome.message))
        return reason, message

    def _record_answers(self, number: int, answers: Sequence[StoredAnswer], now: float) -> None:
        self._db.executemany(
            "INSERT OR REPLACE INTO answers (job, name, path, size, sha256, at, stamp) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(number, a.name, a.path, a.size, a.sha256, now, a.stamp) for a in answers],
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
        with self._transaction("revived"):
            self._move(number, Event.REVIVE, now, submitted_at=now, reason=None, error=None)
            self._wait_again(number)

    def _wait_again(self, number: int) -> None:
        """What failed with this job is waited for."""
        self._db.execute(
            "UPDATE measurements SET outcome = 'pending', reason = NULL, error = NULL "
            "WHERE job = ? AND outcome = 'failed'",
            (number,),
        )

    def _fail_members(self, number: int, reason: str, message: str) -> None:
        reason, message = self.mask(reason), self.mask(message)
        # What waits for this job in a chain will never go out. A chain may have thousands of links.
        after = self._db.execute(
            "WITH RECURSIVE chain (job) AS (SELECT job FROM jobs WHERE after = ? AND status = 'planned' UNION "
            "SELECT j.job FROM jobs j JOIN chain c ON j.after = c.job WHERE j.status = 'planned') "
            "SELECT job FROM chain ORDER BY job",
            (number,),
        ).fetchall()
        self._db.executemany(
            "UPDATE jobs SET status = 'failed', reason = ?, error = ? WHERE job = ?",
            [(reason, message, follower) for (follower,) in after],
        )
        failed = [number, *(follower for (follower,) in after)]
        self._db.executemany(
            "UPDATE members SET outcome = 'failed', reason = ?, error = ? WHERE job = ?",
            [(reason, message, job) for job in failed],
        )
        self._db.executemany(
            "UPDATE measurements SET outcome = 'failed', reason = ?, error = ?, job = ? "
            "WHERE key IN (SELECT key FROM members WHERE job = ?)",
            [(reason, message, job, job) for job in failed],
        )
