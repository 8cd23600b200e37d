"""Jobs that the service has and that this state did not send: they become its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hume_runner.services.jobs import Draft
from hume_runner.state.lifecycle import Event
from hume_runner.state.on_disk import OnDisk
from hume_runner.state.rows import from_json, to_json


class Adopting(OnDisk):
    """Records jobs that were adopted."""

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

    def remember_md5(self, key: bytes, md5: bytes) -> None:
        """The MD5 of a file that was read for it."""
        with self._transaction("md5", bump=False) as db:
            db.execute("UPDATE measurements SET md5 = ? WHERE key = ?", (md5, key))
