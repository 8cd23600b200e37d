"""What jobs come to: how many requests, how many bytes, how much is billed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hume_runner.planning.model import PlannedJob, Summary
from hume_runner.services.jobs import Draft


@dataclass(slots=True)
class Tally:
    """Jobs, while they are counted."""

    jobs: int = 0
    requests: int = 0
    bytes: int = 0
    unmeasured: int = 0
    billable: float = 0.0
    unpacked: float = 0.0
    priced: bool = False

    def add(self, draft: Draft) -> None:
        self.requests += draft.requests
        self.bytes += draft.size_bytes
        self.unmeasured += draft.unmeasured
        self._bill(draft.billable_seconds, draft.unpacked_seconds)

    def add_sent(self, job: PlannedJob) -> None:
        """One that is sent as it is."""
        self.jobs += 1
        self.requests += 1
        self.bytes += job.bytes
        self._bill(job.billable_seconds, None)

    def _bill(self, packed: float | None, unpacked: float | None) -> None:
        if packed is not None:
            self.priced = True
            self.billable += packed
            self.unpacked += unpacked or packed

    def told(self, summary: Summary) -> Summary:
        """With these jobs, which are all there are."""
        return replace(
            summary,
            jobs=self.jobs,
            requests=self.requests,
            billable_seconds=round(self.billable, 3) if self.priced else None,
            billable_seconds_unpacked=round(self.unpacked, 3) if self.priced else None,
            unmeasured=self.unmeasured,
        )
