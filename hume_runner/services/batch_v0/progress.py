"""How far the jobs at the service are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from hume_runner.errors import ApiError, NotFound, RequestRejected
from hume_runner.http.retry import is_temporary
from hume_runner.services.base import ListingUnsupported
from hume_runner.services.batch_v0.host import MISSES, Host
from hume_runner.services.batch_v0.listing import CLOCKS_APART_S, jobs_since
from hume_runner.services.batch_v0.matching import contradicts, echo_mark, sent_by
from hume_runner.services.batch_v0.reading import JobView
from hume_runner.services.batch_v0.sender import matches_of
from hume_runner.services.batch_v0.times import seconds
from hume_runner.services.jobs import Broken, Ended, Job, Mistaken, Pending, Progress, Unseen, Waiting


class Polls:
    """Asks how far jobs are: one list for all, and the details of single ones only where a list cannot help."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._agreed: dict[int, int] = {}  # of a job, the mark of an echo that speaks of it, or says nothing

    def check(self, waiting: Sequence[Waiting]) -> Mapping[str, Progress]:
        """See `Records.check`: one list for all jobs, and the details of single ones only where a list cannot help."""
        if not waiting:
            return {}
        host = self._host
        found: dict[str, Progress] = {}
        with suppress(ListingUnsupported):
            found = self._check_by_list(waiting)
        missing = [job for job in waiting if job.remote_id not in found]
        # A list that leaves a job out may be slow to show it, or this key may not own it: the details tell. They are
        # asked for few jobs at a time, so that a strange host costs a request a poll and not one a job; unless its list
        # goes on leaving out what it has.
        rejected: RequestRejected | None = None
        for job in missing if not host.lists or host.partial else missing[:2]:
            try:
                progress = self._check_details(job)
            except RequestRejected as error:
                rejected = error  # of this one nothing is known by now, and the others need not wait for it
                continue
            found[job.remote_id] = progress
            if not isinstance(progress, Unseen):
                host.margin_s = CLOCKS_APART_S
                host.misses[job.remote_id] += 1
                host.partial = host.partial or host.misses[job.remote_id] >= MISSES
        if rejected is not None and not found:
            raise rejected
        return found

    def check_each(self, waiting: Sequence[Waiting]) -> Mapping[str, Progress]:
        """See `Records.check_each`."""
        return {job.remote_id: self._check_details(job) for job in waiting}

    def _check_by_list(self, waiting: Sequence[Waiting]) -> dict[str, Progress]:
        wanted = {job.remote_id: job for job in waiting}
        # The service's times have whole milliseconds and its clock is only estimated.
        since = int((min(job.created_at for job in waiting) - self._host.margin_s) * 1000)
        found: dict[str, Progress] = {}
        for view in jobs_since(self._host, since, enough=lambda: len(found) == len(wanted)):
            if view.job_id in wanted and view.status:
                job = wanted[view.job_id]
                given_up = view.status == "FAILED"
                found[view.job_id] = self._given_up(view, job) if given_up else self._progress(view, job.number)
                self._host.misses.pop(view.job_id, None)
        return found

    def _check_details(self, job: Waiting) -> Progress:
        self._host.count("details")
        try:
            return self._progress(self._host.details(job.remote_id), job.number)
        except NotFound:
            return Unseen()

    def _given_up(self, view: JobView, job: Waiting) -> Progress:
        """How far a job is that a list says has failed. Not believed of a list alone, since its sources would be paid
        for once more; but of one whose host has no details, or goes on not giving them."""
        try:
            told = self._check_details(job)
        except ApiError as error:
            self._host.doubted[job.remote_id] += 1
            if is_temporary(error) and self._host.doubted[job.remote_id] < MISSES:
                return Pending()
            told = Unseen()
        return self._progress(view, job.number) if isinstance(told, Unseen) else told

    def _progress(self, view: JobView, number: int) -> Progress:
        """How far a job is. Where its echo surely speaks of another one, the id that came with the answer to the
        submission was not its own."""
        sent = self._host.sent.get(number)
        if sent is not None and self._agreed.get(number) != (mark := echo_mark(view)):
            if contradicts(sent, view) and contradicts(sent, self._host.detailed(view)):
                return Mistaken(message=f"what the service has as {view.job_id} is another job")
            self._agreed[number] = mark
        progress = progress_of(view)
        if not isinstance(progress, Pending):
            self._host.sent.pop(number, None)
            self._agreed.pop(number, None)
        return progress

    def remind(self, job: Job) -> None:
        """See `Keeper.remind`."""
        names = {position: job.matches.get(position) or name for position, name in matches_of(job).items()}
        self._host.sent[job.number] = sent_by(job, names, job.request)
        self._agreed.pop(job.number, None)


def progress_of(view: JobView) -> Progress:
    """What a job's details mean."""
    times = {
        "created_at": seconds(view.created_ms),
        "started_at": seconds(view.started_ms),
        "ended_at": seconds(view.ended_ms),
    }
    match view.status:
        case "COMPLETED":
            announced = {
                name: number
                for name, number in (("predictions", view.num_predictions), ("errors", view.num_errors))
                if number is not None
            }
            return Ended(**times, announced=announced)
        case "FAILED":
            return Broken(message=view.message or "the service gave the job up without a reason", **times)
        case "IN_PROGRESS":
            return Pending(started=True)
        case _:
            # QUEUED, and any state that this version does not know: wait, and let job_timeout end it.
            return Pending()
