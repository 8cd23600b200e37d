"""What a run's note (`notes`) tells others: how the keys begin of all that is planned, or may be at the service."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from hume_runner.state.connection import guarded
from hume_runner.state.file import StateFile
from hume_runner.state.lifecycle import JobStatus

_OPEN = (JobStatus.SUBMITTING, JobStatus.SUBMITTED, JobStatus.AMBIGUOUS)


class NotedKeys(StateFile):
    """Tells which items are under way, by the beginnings of their keys."""

    def under_way(self, *, staged: bool, size: int) -> Iterator[bytes]:
        """So many bytes of the keys of what is to be submitted (if anything is `staged`), or may be at the service: in
        ascending order, each once."""
        rows = "SELECT m.key FROM main.members m JOIN main.jobs j ON j.job = m.job WHERE j.status IN (?, ?, ?)"
        if staged:
            rows += " UNION ALL SELECT s.key FROM scan.todo t JOIN scan.staged s ON s.ord = t.ord"
        return self._beginnings(rows, _OPEN, size)

    def planned_keys(self, size: int) -> Iterator[bytes]:
        """So many bytes of the keys of what is planned and not sent: in ascending order, each once."""
        rows = "SELECT m.key FROM main.members m JOIN main.jobs j ON j.job = m.job WHERE j.status = ?"
        return self._beginnings(rows, (JobStatus.PLANNED,), size)

    def planned_as(self, beginning: bytes) -> list[int]:
        """The jobs that are planned and not sent, of items whose keys begin so."""
        rows = self._db.execute(
            "SELECT j.job FROM main.members m JOIN main.jobs j ON j.job = m.job WHERE m.key >= ? AND m.key < ? "
            "AND j.status = ? ORDER BY j.job",
            (beginning, beginning + b"\xff" * 32, JobStatus.PLANNED),
        )
        return [number for (number,) in rows]

    def unseen_keys(self, since: float, size: int) -> Iterator[bytes]:
        """The same of what the service has, or may have, and may not show yet: what is open, or was sent since then
        (Unix seconds). What failed there was shown by it, and is not paid for, unless it was given up for its time."""
        rows = (
            "SELECT m.key FROM main.members m JOIN main.jobs j ON j.job = m.job WHERE j.status IN (?, ?, ?) "
            "OR j.submitted_at >= ? AND (j.status = ? OR j.status = ? AND j.reason = 'job_timeout')"
        )
        return self._beginnings(rows, (*_OPEN, since, JobStatus.DONE, JobStatus.FAILED), size)

    def lost_slowly(self) -> bool:
        """Whether anything is open that was lost by a time-out."""
        with guarded(self.path):
            row = self._db.execute(
                "SELECT 1 FROM main.jobs WHERE status = ? AND lost_how = 'slow' LIMIT 1", (JobStatus.AMBIGUOUS,)
            ).fetchone()
        return row is not None

    def _beginnings(self, keys: str, values: Sequence[object], size: int) -> Iterator[bytes]:
        # Twice as quick as to have SQLite leave out what comes twice.
        with guarded(self.path):
            rows = self._db.execute(
                f"SELECT substr(key, 1, ?) AS beginning FROM ({keys}) ORDER BY beginning",  # noqa: S608
                (size, *values),
            )
            for (beginning,), _ in itertools.groupby(rows):
                yield beginning
