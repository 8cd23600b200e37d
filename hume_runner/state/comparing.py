"""The manifest's items, staged in the scratch file of a scan, beside the state's: compared in SQL, row by row."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hume_runner.manifest.model import SourceKind
from hume_runner.planning.diff import Again, Known
from hume_runner.planning.model import PlannedJob
from hume_runner.planning.staged import Staged
from hume_runner.services.jobs import PlanItem
from hume_runner.state.connection import guarded
from hume_runner.state.reading import Reading
from hume_runner.state.rows import from_json, plan_item

# What `compare` takes up, column by column. A measurement that is still pending may be spread over several jobs: what
# one of them may have at the service is the most telling; and some parts may be measured while others are in no job.
_COMPARED = """
SELECT s.ord, s.id, s.kind, s.key, s.content, m.outcome, m.job,
       CASE m.outcome WHEN 'pending' THEN (
         SELECT CASE max(CASE j.status WHEN 'ambiguous' THEN 3 WHEN 'submitting' THEN 2
                                       WHEN 'submitted' THEN 2 ELSE 1 END)
                WHEN 3 THEN 'ambiguous' WHEN 2 THEN 'submitted' WHEN 1 THEN 'planned' END
         FROM members b JOIN jobs j ON j.job = b.job WHERE b.key = m.key) END AS job_status,
       CASE m.outcome WHEN 'pending' THEN (
         SELECT max(j.error) FROM members b JOIN jobs j ON j.job = b.job
         WHERE b.key = m.key AND j.tries > 0 AND j.status = 'planned') ELSE m.error END AS error,
       CASE m.outcome WHEN 'pending' THEN EXISTS (
         SELECT 1 FROM members b JOIN jobs j ON j.job = b.job
         WHERE b.key = m.key AND b.outcome = 'done' AND j.simulated) ELSE m.simulated END AS simulated,
       CASE m.outcome WHEN 'pending' THEN (
         SELECT max(CASE b.reason WHEN 'answer_lost' THEN 2 ELSE 1 END)
         FROM members b JOIN jobs j ON j.job = b.job WHERE b.key = m.key AND j.tries > 0) END AS attempted,
       i.key AS old_key, o.content AS old_content, s.facts, coalesce(m.parts, 1) AS parts,
       CASE m.outcome WHEN 'pending' THEN (
         SELECT count(*) FROM members b JOIN jobs j ON j.job = b.job
         WHERE b.key = m.key AND b.outcome IS NOT 'failed' AND j.status NOT IN ('planned', 'failed'))
         ELSE 0 END AS carried,
       CASE m.outcome WHEN 'pending' THEN (
         SELECT total(CASE WHEN j.prepare THEN 1e9 ELSE 1 END) FROM members b JOIN jobs j ON j.job = b.job
         WHERE b.key = m.key AND j.status = 'planned') ELSE 0 END AS planned,
       m.reason,
       CASE WHEN o.outcome = 'pending' THEN EXISTS (
         SELECT 1 FROM members b JOIN jobs j ON j.job = b.job WHERE b.key = o.key
         AND (j.tries > 0 OR j.status != 'planned'))
         ELSE o.key IS NOT NULL END AS old_tried,
       t.json AS old_settings
FROM scan.staged s
LEFT JOIN scan.former f ON f.key = s.key
LEFT JOIN main.measurements m ON m.key = coalesce(f.old, s.key)
LEFT JOIN main.items i ON i.id = s.id AND m.key IS NULL
LEFT JOIN main.measurements o ON o.key = i.key
LEFT JOIN main.settings t ON t.digest = o.settings
WHERE ? OR s.ord IN (SELECT ord FROM scan.plain WHERE what = 0)
ORDER BY s.ord
"""


class Comparing(Reading):
    """Compares with the scratch file of a scan; what is decided is noted there, and nothing in the state changes."""

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
        rows = self._db.execute(_COMPARED, (all_of_them,))
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
