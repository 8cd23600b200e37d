"""What all operations have in common: who asks, and about which job."""

from __future__ import annotations

import re

from starlette.requests import Request

from hume_runner.emulator.batch_v0.jobs import Queue
from hume_runner.emulator.batch_v0.storage import JobRow, JobStore
from hume_runner.emulator.context import Context, Refused

_FAULT = {"fault": {"faultstring": "Invalid ApiKey", "detail": {"errorcode": "oauth.v2.InvalidApiKey"}}}


class Host:
    """One host, what it remembers of its jobs, and its queue."""

    def __init__(self, context: Context, store: JobStore, queue: Queue) -> None:
        self.context = context
        self.store = store
        self.queue = queue

    def owner(self, request: Request) -> str:
        owner = self.context.owner_of(request.headers.get("x-hume-api-key"))
        if owner is None:
            raise Refused(401, _FAULT)
        return owner

    def job(self, request: Request) -> JobRow:
        """The job that the path names, once it may be asked about: by its id, or by the number that a host may tell."""
        owner, job_id = self.owner(request), request.path_params["id"]
        job = self.store.job(job_id, owner)
        if job is None and re.fullmatch(r"[0-9]{1,15}", job_id) and int(job_id) < 1 << 48:
            digits = f"{int(job_id):012x}"
            job = self.store.job_of_digits(f"{digits[:8]}-{digits[8:]}", owner)
        late_ms = round(self.context.difficulties.jobs.details_late_s * 1000)
        if job is None or job.created_ms + late_ms > self.context.clock.now_ms():
            raise Refused.message(404, "job not found")
        return job
