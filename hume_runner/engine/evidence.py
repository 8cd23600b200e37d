"""What this state knows that bears on a lost submission, and the question to the service that it allows."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from hume_runner.errors import ApiError
from hume_runner.services.base import Host, ListingUnsupported, Records, Witness
from hume_runner.services.jobs import Job
from hume_runner.services.lost import Candidate, Look, LostJob
from hume_runner.state.lifecycle import JobStatus
from hume_runner.state.reader import StateReader

# So many jobs of ours on either side of a lost one show how the service tells of what it has.
_CONTROLS = 3


class Showing(Host, Records, Protocol):
    """What evidence needs of a service: what it shows of what it took, and of what cannot be had again."""

    @property
    def witness(self) -> Witness | None: ...


class Evidence:
    """`began`: when this run began, Unix seconds by the service's clock; inf where that is not known."""

    def __init__(self, store: StateReader, service: Showing, began: float) -> None:
        self._store = store
        self._service = service
        self._began = began

    def of(self, number: int) -> LostJob:
        """What is known of a submission whose answer is lost, or may be."""
        row = self._store.job(number)
        job = replace(self._store.load_job(number), nonce=row.nonce or "")
        before, after, later = self._store.taken_around(number, self._service.endpoint)
        sent_at, ended_at = -math.inf, math.inf
        if row.submitting_at is not None and row.clock_offset is not None:
            sent_at = row.submitting_at + row.clock_offset
            # Where its run died, all that is known of its end is that it was before this run began.
            ended_at = max(sent_at, self._began if row.lost_at is None else row.lost_at + row.clock_offset)
        near = (*before[:_CONTROLS], *list(after)[:_CONTROLS])
        return LostJob(
            job=job,
            sent_at=sent_at,
            ended_at=ended_at,
            before=before,
            after=after,
            later=later,
            controls={remote_id: found for remote_id in near if (found := self.sent_as(remote_id)) is not None},
        )

    def sent_as(self, remote_id: str) -> Job | None:
        """A job of this state as it was sent; None for one that was started elsewhere."""
        number = self._store.number_of(self._service.endpoint, remote_id)
        nonce = self._store.job(number).nonce if number is not None else None
        return replace(self._store.load_job(number), nonce=nonce) if number is not None and nonce else None

    def ours(self, lost: Sequence[LostJob]) -> dict[str, float]:
        """What the service surely took from us around then: the list has to show it."""
        since = min(one.sent_at for one in lost)
        if since == -math.inf:  # then theirs is told by the machine's time as well
            since = min(self._store.job(one.job.number).submitting_at or 0.0 for one in lost)
        return self._store.taken_since(self._service.endpoint, since)

    def question(self, lost: Sequence[LostJob]) -> Callable[[Sequence[LostJob]], Mapping[int, Look]]:
        """What asks the service for some of these, in a worker: what it shows of them then, nothing where it cannot be
        asked."""
        ours = self.ours(lost) if lost else {}

        def ask(some: Sequence[LostJob]) -> Mapping[int, Look]:
            with contextlib.suppress(ApiError, ListingUnsupported):
                return self._service.look_for(some, ours) if some else {}
            return {}

        return ask

    def knows(self, remote_id: str) -> bool:
        endpoint = self._service.endpoint
        if self._store.knows_remote(endpoint, remote_id):
            return True
        # A job that can be asked for tells itself whose it is. Of others, nothing but their size tells.
        return self._service.keeper is None and self._store.kin_knows(endpoint, remote_id)

    def known(self, look: Look) -> frozenset[str]:
        """Those of a look's candidates that another job of ours holds by now."""
        return frozenset(one.remote_id for one in look.candidates if self.knows(one.remote_id))

    def told_before(self, remote_id: str) -> bool:
        """Whether another job of ours is called so, in whatever capitals."""
        return any(self.knows(one) for one in {remote_id, remote_id.lower(), remote_id.upper()})

    def suspects(self, job: Job) -> list[Candidate]:
        """What was measured before and may be this job, unknown here, with an answer that cannot be had again; but for
        what somebody agreed to pay for all the same, in this job."""
        witness, endpoint, number = self._service.witness, self._service.endpoint, job.number
        if witness is None:
            return []
        unknown = [one for one in witness.suspects(job) if not self.knows(one.remote_id)]
        return [one for one in unknown if not self._store.is_agreed_for_job(endpoint, one.remote_id, number)]

    def undecided(self) -> set[int]:
        """The jobs of which nobody knows by now whether the service took them."""
        return {row.number for row in self._store.jobs(JobStatus.AMBIGUOUS)}
