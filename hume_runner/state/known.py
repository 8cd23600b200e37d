"""What the service is known to have of a state's jobs, and a state of contents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from hume_runner.services.jobs import PlanItem
from hume_runner.state.file import StateFile
from hume_runner.state.lifecycle import ItemStatus, JobStatus, item_status
from hume_runner.state.rows import (
    KEPT,
    from_json,
    plan_item,
)

# Two headers in whole seconds, each as old as its answer took.
_DATES_S = 3.0


class Known(StateFile):
    """Reads names of jobs, keys and contents; nothing here changes the file."""

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


def _apart_s(by_machine: float, by_service: float | None) -> float:
    """How long after one thing another happened at the most, by two clocks: the machine's, which somebody may have set
    meanwhile, and the service's, which is known to a second or two, or not at all."""
    if by_service is None or abs(by_service - by_machine) <= _DATES_S:
        return max(0.0, by_machine)
    return max(0.0, by_machine, by_service + _DATES_S)
