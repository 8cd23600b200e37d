"""How many of what there are in a state, and all of it for whoever wants to see it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hume_runner.state.connection import guarded
from hume_runner.state.file import StateFile
from hume_runner.state.lifecycle import ItemStatus, JobStatus, item_status
from hume_runner.state.rows import (
    REMOVED,
    Counts,
)

_EXPORTED = (
    *("meta", "settings", "items", "measurements", "jobs", "members"),
    *("attempts", "answers", "outputs", "duplicates", "requests", "retried", "unproven", "agreed"),
    *("doubts", "given_up"),
    *("merged", "merged_jobs"),
)


class Counting(StateFile):
    """Reads numbers for people; nothing here changes the file."""

    @property
    def numbers(self) -> Mapping[str, int]:
        """Listed items by status; `total` among them."""
        return self.counts().items

    @property
    def never_chosen(self) -> int:
        """How many items the manifest listed besides what the state has, when it was planned last."""
        return int(self.meta("left_out") or 0)

    @property
    def selected_numbers(self) -> Mapping[str, int]:
        """The items by status that the last plan was about; `total` among them."""
        everything, selected = self.counts().items, self.meta("selected")
        if selected is None or selected == everything["total"]:
            return everything
        with guarded(self.path):
            return self._item_counts("WHERE NOT i.outside")

    def _item_counts(self, where: str = "") -> dict[str, int]:
        items = dict.fromkeys(ItemStatus, 0)
        rows = self._db.execute(
            "SELECT m.outcome, j.status, count(*) FROM items i JOIN measurements m ON m.key = i.key "  # noqa: S608
            f"LEFT JOIN jobs j ON j.job = m.job {where} GROUP BY m.outcome, j.status"
        )
        for outcome, status, number in rows:
            items[item_status(outcome, JobStatus(status) if status else None)] += number
        return {"total": sum(items.values()), **{str(k): v for k, v in items.items()}}

    def counts(self) -> Counts:
        """Items and jobs by state; `total` among the items.

        A job that was dropped, as the manifest lists nothing of it any more, is none (earlier versions: spoilt media).
        """
        # To count a million items takes a second, and a run that finds nothing to do asks three times.
        unchanged = self._changes()
        if self._counted is None or self._counted[0] != unchanged:
            self._counted = (unchanged, self._count())
        return self._counted[1]

    def _count(self) -> Counts:
        with guarded(self.path):
            items = self._item_counts()
            jobs = dict.fromkeys(JobStatus, 0)
            by_status = self._db.execute(
                "SELECT status, count(*) FROM jobs WHERE coalesce(reason, '') != ? "
                "AND NOT (status = 'failed' AND reason IS 'media' AND NOT prepare) GROUP BY status",
                (REMOVED,),
            )
            for status, number in by_status:
                jobs[JobStatus(status)] = number
        return Counts(
            items=items,
            jobs={str(k): v for k, v in jobs.items()},
        )

    def of_media(self) -> tuple[int, int]:
        """(media that wait to be prepared, and are no jobs before that; those of which nothing can be sent)."""
        waiting, spoilt = self._db.execute(
            "SELECT count(*) FILTER (WHERE status = 'planned'), count(*) FILTER (WHERE status = 'failed' AND tries = 0 "
            "AND reason IS 'media') FROM jobs WHERE prepare"
        ).fetchone()
        return int(waiting), int(spoilt)

    def failed_items(self) -> tuple[int, int]:
        """(failed, all) of the items that the last plan was about; takes as long as there are failures."""
        (failed,) = self._db.execute(
            "SELECT count(*) FROM measurements m INDEXED BY measurements_failed JOIN items i ON i.key = m.key "
            "WHERE m.outcome = 'failed' AND NOT i.outside"
        ).fetchone()
        total = self.meta("selected")
        if total is None:  # an earlier version planned it, and everything
            (total,) = self._db.execute("SELECT coalesce(max(ord) + 1, 0) FROM items").fetchone()
        return int(failed), int(total)

    def first_failures(self, limit: int) -> list[tuple[str, str]]:
        """(id, error) of the first failed items, in manifest order."""
        return self._db.execute(
            "SELECT i.id, coalesce(m.error, m.reason, 'failed') FROM measurements m INDEXED BY measurements_failed "
            "JOIN items i ON i.key = m.key WHERE m.outcome = 'failed' AND NOT i.outside ORDER BY i.ord LIMIT ?",
            (limit,),
        ).fetchall()

    def failures(self) -> dict[str, int]:
        """Failed items by reason."""
        return dict(
            self._db.execute(
                "SELECT coalesce(m.reason, 'unknown'), count(*) FROM items i JOIN measurements m ON m.key = i.key "
                "WHERE m.outcome = 'failed' GROUP BY 1 ORDER BY 2 DESC, 1"
            ).fetchall()
        )

    def failed_links(self) -> dict[str, int]:
        """How many of `failures` are links, by reason."""
        return dict(
            self._db.execute(
                "SELECT coalesce(m.reason, 'unknown'), count(*) FROM items i JOIN measurements m ON m.key = i.key "
                "WHERE m.outcome = 'failed' AND m.kind = 'url' GROUP BY 1"
            ).fetchall()
        )

    def requests(self) -> dict[str, int]:
        """Requests sent over the life of this state, by kind."""
        return dict(self._db.execute("SELECT kind, count FROM requests ORDER BY kind").fetchall())

    def export(self) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
        """(table, its rows, streamed) of everything, digests and keys in hex, for `state export`."""
        for table in _EXPORTED:
            cursor = self._db.execute(f"SELECT * FROM {table}")  # noqa: S608
            names = [column[0] for column in cursor.description]
            yield table, ({n: _plain(v) for n, v in zip(names, row, strict=True)} for row in cursor)


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value
