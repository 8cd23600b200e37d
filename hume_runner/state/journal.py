"""What happened to jobs: one fact a method, each durable when it returns, each move checked against the lifecycle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hume_runner.planning.fingerprint import job_key
from hume_runner.services.base import Candidate, Draft, Outcome
from hume_runner.state.lifecycle import Event, JobStatus, move
from hume_runner.state.planning import Planning
from hume_runner.state.rows import REMOVED, UNLISTED, StoredAnswer, from_json, to_json
from hume_runner.state.said import Said

# All parts of a measurement are there: none is open, and there are as many as its preparation told (0: it did not).
_WHOLE = (
    "coalesce(measurements.parts, 1) > 0 "
    "AND NOT EXISTS (SELECT 1 FROM members o WHERE o.key = measurements.key AND o.outcome IS NULL) "
    "AND (SELECT count(*) FROM members o WHERE o.key = measurements.key AND o.outcome = 'done') "
    ">= coalesce(measurements.parts, 1)"
)


# How a submission was lost that the service answered with another job's id: that it took it is known.
MISLED = "misled"


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

    def record_lost(self, number: int, message: str, now: float, *, took_s: float, slow: bool = False) -> None:
        """No answer: nobody knows whether the service took it. `slow`: the request ended by a time-out; `took_s`: so
        many seconds after it was sent, whatever the clock says by now."""
        with self._transaction("lost") as db:
            (sent_at,) = db.execute("SELECT submitting_at FROM jobs WHERE job = ?", (number,)).fetchone()
            how = "slow" if slow else "cut"
            self._move(number, Event.LOSE, now, message, error=message, lost_at=sent_at + took_s, lost_how=how)

    def record_misled(self, number: int, message: str, now: float) -> None:
        """The id that the service answered with is another job's: it took this one, and nobody knows under which."""
        with self._transaction("misled") as db:
            (named_at,) = db.execute("SELECT submitted_at FROM jobs WHERE job = ?", (number,)).fetchone()
            columns: dict[str, Any] = {"remote_id": None, "submitted_at": None, "created_at": None}
            lost = {"lost_at": now if named_at is None else named_at, "lost_how": MISLED, "waited_s": None}
            self._move(number, Event.DISOWN, now, message, error=message, **columns, **lost)

    def record_waited(self, number: int, waited_s: float) -> None:
        """So many seconds were waited since the end of a lost submission, and nothing told: a person is asked."""
        with self._transaction("waited") as db:
            db.execute(
                "UPDATE jobs SET waited_s = max(coalesce(waited_s, 0), ?) WHERE job = ? AND status = 'ambiguous'",
                (waited_s, number),
            )

    def record_unlisted(self, number: int) -> None:
        """Nobody can tell what became of a lost submission, and nothing that is listed waits for it: it stays as it is,
        and in the bill, and nobody is asked about it unless something waits for it again."""
        with self._transaction("unlisted") as db:
            db.execute("UPDATE jobs SET reason = ? WHERE job = ? AND status = 'ambiguous'", (UNLISTED, number))

    def recover(self, now: float) -> list[int]:
        """After a crash: what was being submitted has no answer, and nobody knows when it ended. Returns the jobs
        concerned."""
        numbers = [row.number for row in self.jobs(JobStatus.SUBMITTING)]
        if numbers:
            with self._transaction("recover"):
                for number in numbers:
                    message = "the run ended before the answer came"
                    self._move(number, Event.LOSE, now, message, error=message, lost_at=None, lost_how="cut")
        return numbers

    def record_found(
        self,
        number: int,
        remote_id: str,
        *,
        endpoint: str,
        matches: Mapping[int, str],
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
                reason=None,
                error=None,
            )
            self._name_members(number, matches)
            self._taken(number)
            db.executemany(
                "INSERT OR IGNORE INTO duplicates (endpoint, remote_id, job, at) VALUES (?, ?, ?, ?)",
                [(endpoint, other, number, now) for other in others],
            )

    def record_renamed(
        self, number: int, remote_id: str, *, matches: Mapping[int, str], created_at: float | None, now: float
    ) -> None:
        """A job that the service does not know under the name that it told, and has under this one."""
        with self._transaction("renamed") as db:
            (told,) = db.execute("SELECT remote_id FROM jobs WHERE job = ?", (number,)).fetchone()
            db.execute(
                "UPDATE jobs SET remote_id = ?, created_at = coalesce(?, created_at) WHERE job = ?",
                (remote_id, created_at, number),
            )
            self._name_members(number, matches)
            db.execute(
                "INSERT INTO attempts (job, at, event, message) VALUES (?, ?, 'renamed', ?)",
                (number, now, self.mask(f"the service told {told} and has it as {remote_id}")),
            )

    def record_rescued(self, said: Said, answer: bytes | None, now: float) -> bool | None:
        """What the service said to a try that this state could not be told of. False: it was known already.

        None: no job is waiting for it, neither as lost nor as one that is to be sent again.
        """
        db, number, named = self._db, said.number, (said.endpoint, said.remote_id)
        if db.execute("SELECT 1 FROM jobs WHERE endpoint = ? AND remote_id = ?", named).fetchone():
            return False
        row = db.execute(
            "SELECT status FROM jobs WHERE job = ? AND nonce = ? AND request_sha256 = ? AND endpoint = ?",
            (number, said.nonce, said.asked, said.endpoint),
        ).fetchone()
        if row is None or row[0] not in (JobStatus.AMBIGUOUS, JobStatus.PLANNED):
            return None
        columns: dict[str, Any] = {
            "remote_id": said.remote_id,
            "submitted_at": said.at,
            "created_at": said.created_at,
            "simulated": int(said.simulated),
            "carry": said.carry,
            "billed_seconds": said.billed_seconds,
            "reason": None,
            "error": None,
        }
        with self._transaction("rescued"):
            if row[0] == JobStatus.PLANNED:
                self._move(number, Event.INTEND, now)
                self._move(number, Event.ACCEPT, now, **columns)
            else:
                self._move(number, Event.FIND, now, **columns)
            self._taken(number)
            # It may have been counted as paid for in vain.
            db.execute("DELETE FROM duplicates WHERE endpoint = ? AND remote_id = ?", named)
            if row[0] == JobStatus.PLANNED:
                self._prove_one(number)
            if answer is not None:
                db.execute("INSERT OR REPLACE INTO received VALUES (?, ?)", (number, answer))
        return True

    def record_gone(
        self, number: int, remote_id: str, billed_seconds: float | None, now: float, *, agreed: bool = False
    ) -> None:
        """A lost submission that was measured and billed, and whose answer cannot be had: it may be sent again.
        `agreed`: by somebody who was asked, and not by the manifest."""
        with self._transaction("gone") as db:
            (endpoint,) = db.execute("SELECT endpoint FROM jobs WHERE job = ?", (number,)).fetchone()
            message = f"measured as {remote_id}, and the answer is lost"
            self._move(number, Event.MISS, now, message, billed_seconds=None)
            self._taken(number)  # and what becomes of it now is another question
            db.execute(
                "INSERT OR IGNORE INTO duplicates VALUES (?, ?, ?, ?, ?)",
                (endpoint, remote_id, number, now, billed_seconds),
            )
            if agreed:
                self._doubt(number, message, now)

    def record_billed(self, number: int, remote_id: str, billed_seconds: float | None, now: float) -> None:
        """A lost submission that was measured and billed, and that stays lost until somebody decides: it is in the
        bill. Its remote id is not the job's, which has no answer."""
        (known,) = self._db.execute("SELECT billed_seconds FROM jobs WHERE job = ?", (number,)).fetchone()
        if known != billed_seconds:
            with self._transaction("billed") as db:
                db.execute("UPDATE jobs SET billed_seconds = ? WHERE job = ?", (billed_seconds, number))
                db.execute(
                    "INSERT INTO attempts (job, at, event, message) VALUES (?, ?, 'billed', ?)",
                    (number, now, f"measured as {remote_id}"),
                )

    def record_duplicate(self, number: int, endpoint: str, found: Candidate, now: float) -> None:
        """What the service took as well, and was paid for: it carries what one of our jobs carries."""
        with self._transaction("duplicate") as db:
            db.execute(
                "INSERT OR IGNORE INTO duplicates VALUES (?, ?, ?, ?, ?)",
                (endpoint, found.remote_id, number, now, found.billed_seconds),
            )
            if found.billed_seconds is not None and db.execute("SELECT changes()").fetchone()[0]:
                self._prove_one(number)

    def _prove_one(self, number: int) -> None:
        """What became of one of a job's lost submissions is known after all, and is in the bill."""
        self._db.execute(
            "DELETE FROM unproven WHERE rowid = (SELECT max(rowid) FROM unproven WHERE job = ?)", (number,)
        )

    def record_missed(self, number: int, now: float, *, doubt: str | None = None) -> None:
        """A lost submission that the service does not show, or that somebody wants sent again: it may be. `doubt`: why
        it may have been taken all the same; until the service has it, whoever has not agreed is asked.

        Neither proves that it was not billed, so that what it may have cost stays in what is committed.
        """
        with self._transaction("missed") as db:
            db.execute(
                "INSERT INTO unproven SELECT job, ?, coalesce(billed_seconds, billable_seconds) FROM jobs "
                "WHERE job = ? AND coalesce(billed_seconds, billable_seconds) > 0",
                (now, number),
            )
            self._move(number, Event.MISS, now, billed_seconds=None)
            if doubt is not None:
                self._doubt(number, doubt, now)

    def _doubt(self, number: int, why: str, now: float) -> None:
        """Somebody agreed to pay for what a job carries once more; until the service has it, that covers one run."""
        self._db.execute(
            "INSERT INTO doubts (key, answer, at, why) SELECT DISTINCT key, 0, ?, ? FROM members WHERE job = ? "
            "ON CONFLICT (key, answer) DO UPDATE SET at = excluded.at, why = excluded.why",
            (now, self.mask(why), number),
        )

    def record_agreed(
        self, number: int, endpoint: str, remote_ids: Sequence[str], now: float, *, doubt: str | None = None
    ) -> None:
        """Somebody agreed to pay for a job although these may be it: that counts once the service has it. `doubt`: why,
        where nothing else tells that it is in doubt until then."""
        with self._transaction("agreed") as db:
            db.executemany(
                "INSERT OR IGNORE INTO agreed (endpoint, remote_id, job, at) VALUES (?, ?, ?, ?)",
                [(endpoint, remote_id, number, now) for remote_id in remote_ids],
            )
            if doubt is not None:
                self._doubt(number, doubt, now)

    def record_agreed_to_all(
        self, endpoint: str, remote_ids: Sequence[str], now: float, *, doubt: str, whole: bool
    ) -> None:
        """Somebody agreed to pay for whatever is to be sent although these may be it: each item of that is in doubt
        until the service has it. `whole`: nothing that is listed was left out of what is to be sent."""
        with self._transaction("agreed") as db:
            db.execute(
                "INSERT INTO doubts (key, answer, at, why) SELECT DISTINCT b.key, 0, ?, ? FROM jobs j "
                "CROSS JOIN members b ON b.job = j.job WHERE j.status IN ('planned', 'submitting', 'ambiguous') "
                "ORDER BY b.key ON CONFLICT (key, answer) DO NOTHING",
                (now, self.mask(doubt)),
            )
            db.executemany(
                "INSERT INTO agreed (endpoint, remote_id, job, at, whole, attempt) "
                "VALUES (?, ?, 0, ?, ?, (SELECT coalesce(max(attempt), 0) FROM attempts)) "
                "ON CONFLICT (endpoint, remote_id, job) DO UPDATE SET whole = max(whole, excluded.whole)",
                [(endpoint, remote_id, now, int(whole)) for remote_id in remote_ids],
            )

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

    def note_stamps(self, seen: Sequence[tuple[str, int, str]]) -> None:
        """(stamp, job, name) of answers that were read and are what they were; nothing where this only reads."""
        if seen and self._writes:
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

    def record_adopted(
        self,
        number: int,
        *,
        remote_id: str,
        endpoint: str,
        request: Mapping[str, Any],
        matches: Mapping[int, str],
        created_at: float | None,
        simulated: bool,
        now: float,
    ) -> None:
        """A planned job that the service has already, from another state or an earlier life of this one."""
        with self._transaction("adopted"):
            self._move(
                number,
                Event.INTEND,
                now,
                nonce="",
                endpoint=endpoint,
                submitting_at=created_at or now,
                request=to_json(request),
                reason=None,
                error=None,
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
            self._taken(number)
            self._name_members(number, matches)

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
        """A job that was started elsewhere becomes one of ours, submitted; `matches` has one name for each member of
        the draft. Planned jobs give its members up."""
        with self._transaction("adopted") as db:
            keys = [member.item.key for member in draft.members]
            self._give_up(keys)
            free: list[int] = []
            self._insert_jobs([draft], free)
            (number,) = free
            self._move(
                number,
                Event.INTEND,
                now,
                nonce=nonce,
                endpoint=endpoint,
                submitting_at=created_at or now,
                request=to_json(request),
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
            self._taken(number)
            db.executemany(
                "UPDATE members SET match = ? WHERE job = ? AND key = ?",
                [(match, number, key) for match, key in zip(matches, keys, strict=True)],
            )
        return number

    def record_simulated(self, number: int, simulated: bool, now: float) -> None:
        """Somebody said of a kept answer whether its scores are made up."""
        with self._transaction("told") as db:
            (told,) = db.execute("SELECT request FROM jobs WHERE job = ?", (number,)).fetchone()
            request = to_json({**from_json(told), "simulated": simulated})
            db.execute("UPDATE jobs SET simulated = ?, request = ? WHERE job = ?", (int(simulated), request, number))
            db.execute(
                "UPDATE measurements SET simulated = ? WHERE job = ? AND outcome = 'done'", (int(simulated), number)
            )
            db.execute(
                "INSERT INTO attempts (job, at, event, message) VALUES (?, ?, ?, ?)",
                (number, now, "told", "simulated" if simulated else "measured"),
            )

    def extend(self, number: int, draft: Draft, *, matches: Sequence[str], now: float) -> None:
        """A job that was adopted carries these as well, under the names in `matches`: what is known of its answer is
        looked through again. Its members keep their positions; planned jobs give the new ones up."""
        with self._transaction("extended") as db:
            keys = [member.item.key for member in draft.members]
            self._give_up(keys)
            (failed,) = db.execute("SELECT status = 'failed' FROM jobs WHERE job = ?", (number,)).fetchone()
            again: dict[str, Any] = {"submitted_at": now, "reason": None, "error": None} if failed else {}
            self._move(number, Event.EXTEND, now, **again)
            if failed:
                self._wait_again(number)
            (first,) = db.execute(
                "SELECT max(j.sources, coalesce(max(b.position) + 1, 0)) FROM jobs j LEFT JOIN members b "
                "ON b.job = j.job WHERE j.job = ?",
                (number,),
            ).fetchone()
            db.executemany(
                "INSERT INTO members (job, position, key, match) VALUES (?, ?, ?, ?)",
                [(number, first + n, key, match) for n, (key, match) in enumerate(zip(keys, matches, strict=True))],
            )
            db.executemany("UPDATE measurements SET job = ? WHERE key = ?", [(number, key) for key in keys])
            self._taken(number)
            self._describe(number)

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
