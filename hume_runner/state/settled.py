"""What became of submissions whose answers were lost: each is one fact, durable when its method returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hume_runner.services.lost import Candidate
from hume_runner.state.journal import Journal
from hume_runner.state.lifecycle import Event, JobStatus
from hume_runner.state.rows import UNLISTED
from hume_runner.state.said import Said

# How a submission was lost that the service answered with another job's id: that it took it is known.
MISLED = "misled"


class Settled(Journal):
    """Records what was lost, found, missed, billed, and agreed to."""

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
