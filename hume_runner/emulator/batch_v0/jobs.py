"""The queue: jobs wait for one of a bounded number of slots, run for the processing time, and end.

One coroutine moves all jobs, from what is stored and a heap of ends that are due; there is no thread and no timer per
job, so ten thousand waiting jobs cost nothing. Reading a job's sources happens in worker threads while it runs.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import logging
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hume_runner.emulator.batch_v0.predictions import counts
from hume_runner.emulator.batch_v0.sources import SourceFacts, dump, load, read_sources
from hume_runner.emulator.batch_v0.storage import JobRow, JobStore
from hume_runner.emulator.context import Context, Stopped
from hume_runner.frozen import frozen

logger = logging.getLogger(__name__)

FAIL_HOST = "fail.invalid"
FAIL_MARKER = "[emulator:fail"  # optionally followed by a message: `[emulator:fail out of quota]`
_SHORT_S = 60.0  # recordings whose rows are counted at once
_FAIL_MESSAGE = "user 'emulator' has exceeded their usage limit"


def wished_failure(request: dict[str, Any]) -> str | None:
    """The message of a job that is meant to fail: a URL on `fail.invalid`, or the marker in a string or file name."""
    if any((urlsplit(url).hostname or "") == FAIL_HOST for url in request["urls"]):
        return _FAIL_MESSAGE
    names = (file["filename"] or "" for file in request["files"])
    for text in (*request["text"], *names):
        _, marker, rest = text.partition(FAIL_MARKER)
        if marker:
            return rest.partition("]")[0].strip() or _FAIL_MESSAGE
    return None


@frozen
class _Outcome:
    """How a job ends: with a failure's message, or with what its answer holds."""

    message: str | None = None
    predictions: int = 0
    errors: int = 0


class Queue:
    """Moves jobs from QUEUED over IN_PROGRESS to COMPLETED or FAILED. `ended` is called with each job that ends."""

    def __init__(self, context: Context, store: JobStore) -> None:
        self._context = context
        self._store = store
        self._due: list[tuple[float, str]] = []  # the clock's monotonic time of the end, job id
        self._running: dict[str, asyncio.Task[_Outcome]] = {}
        self._wake = asyncio.Event()
        self.callback_owed = asyncio.Event()

    def uploads_of(self, job_id: str) -> Path:
        """The folder of the job's uploads, numbered from 0 in the order of the request."""
        return self._context.data / "uploads" / job_id

    def job_accepted(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        """Serve the queue until cancelled. Jobs that were running when the data was left continue first."""
        store, clock = self._store, self._context.clock
        clock.wakes(self._wake)
        self._forget_leftovers()
        now_ms = clock.now_ms()
        for job_id in store.running():
            job = store.job(job_id)
            assert job is not None
            spent_s = (now_ms - (job.started_ms or now_ms)) / 1000
            self._begin(job, clock.monotonic_s() + max(0.0, self._context.processing_time_s - spent_s))
        while True:
            self._wake.clear()
            self._end_due(clock.monotonic_s())
            self._fill_slots(clock.monotonic_s())
            await clock.wait(self._wake, self._due[0][0] if self._due else None)

    def _fill_slots(self, now: float) -> None:
        store = self._store
        while len(self._running) < self._context.max_concurrent_jobs and (job_id := store.next_queued()):
            store.record_started(job_id, self._context.clock.now_ms())
            job = store.job(job_id)
            assert job is not None
            self._begin(job, now + self._context.processing_time_s)

    def _begin(self, job: JobRow, due: float) -> None:
        task = self._running[job.id] = asyncio.create_task(self._analyse(job))
        task.add_done_callback(_seen)  # nobody asks for what a server that stops was reading
        heapq.heappush(self._due, (due, job.id))

    async def _analyse(self, job: JobRow) -> _Outcome:
        """Read what the job's sources hold, unless an earlier server did, and count what the answer will hold."""
        request = json.loads(job.request)
        message = wished_failure(request)
        if message is not None:
            return _Outcome(message=message)
        text = job.analysis
        if text is None:
            text = await self._context.in_thread(self._read, job.id, request)
            self._store.record_analysed(job.id, text)
        sources = load(text)
        if sum(file.duration_s for source in sources for file in source.files) < _SHORT_S:
            predictions, errors = counts(sources, request, job.seed)  # a thread switch would cost more
        else:
            predictions, errors = await self._context.in_thread(counts, sources, request, job.seed)
        return _Outcome(predictions=predictions, errors=errors)

    def _read(self, job_id: str, request: dict[str, Any]) -> str:
        found: list[SourceFacts] = []
        for source in read_sources(request, self.uploads_of(job_id)):
            if self._context.closing.is_set():
                raise Stopped
            found.append(source)
        return dump(found)

    def _end_due(self, now: float) -> None:
        while self._due and self._due[0][0] <= now:
            _, job_id = heapq.heappop(self._due)
            task = self._running[job_id]
            if not task.done():
                # Its sources are still being read: it holds its slot, and is looked at again when they are.
                task.add_done_callback(lambda _, job_id=job_id: self._late(job_id))  # type: ignore[misc]
                continue
            del self._running[job_id]
            self._end(job_id, task)

    def _late(self, job_id: str) -> None:
        heapq.heappush(self._due, (0.0, job_id))
        self._wake.set()

    def _end(self, job_id: str, task: asyncio.Task[_Outcome]) -> None:
        store, clock = self._store, self._context.clock
        job = store.job(job_id)
        assert job is not None
        request = json.loads(job.request)
        callback_url = request["callback_url"]
        try:
            outcome = task.result()
        except Stopped:
            return  # stays IN_PROGRESS, for the next server
        except Exception as error:
            logger.exception("reading the sources of job %s failed", job_id)
            outcome = _Outcome(message=f"internal error: {type(error).__name__}")
        ended_ms = clock.now_ms()
        if outcome.message is not None:
            store.record_failed(job_id, ended_ms=ended_ms, message=outcome.message, callback_url=callback_url)
        else:
            store.record_completed(
                job_id,
                ended_ms=ended_ms,
                predictions=outcome.predictions,
                errors=outcome.errors,
                callback_url=callback_url,
            )
        self._forget_uploads(job_id, request)
        if callback_url is not None:
            self.callback_owed.set()

    def _forget_leftovers(self) -> None:
        """Uploads of requests that a killed server never accepted."""
        shutil.rmtree(self._context.data / "incoming", ignore_errors=True)
        for folder in (self._context.data / "uploads").glob("*"):
            if self._store.job(folder.name) is None:
                shutil.rmtree(folder, ignore_errors=True)

    def _forget_uploads(self, job_id: str, request: dict[str, Any]) -> None:
        """Uploads are needed again only for crops of real pictures; everything else is in the analysis."""
        face = request["models"]["face"]
        folder = self.uploads_of(job_id)
        if folder.exists() and (face is None or not face["save_faces"]):
            shutil.rmtree(folder, ignore_errors=True)


def _seen(task: asyncio.Task[_Outcome]) -> None:
    """What went wrong is told where the outcome is asked for, and not by whoever collects the task."""
    if not task.cancelled():
        task.exception()
