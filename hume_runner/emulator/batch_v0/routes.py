"""The batch API's five operations: submit, list, details, predictions, artifacts."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any

from starlette.routing import Route

from hume_runner.emulator.batch_v0.callbacks import Callbacks
from hume_runner.emulator.batch_v0.fetching import Fetching
from hume_runner.emulator.batch_v0.host import Host
from hume_runner.emulator.batch_v0.jobs import Queue
from hume_runner.emulator.batch_v0.looking import Looking
from hume_runner.emulator.batch_v0.storage import JobStore
from hume_runner.emulator.batch_v0.submitting import Submitting
from hume_runner.emulator.context import Context, answering


class BatchV0:
    """The routes below /v0/batch/jobs, and what runs beside them: the queue and the callbacks."""

    def __init__(self, context: Context) -> None:
        store = JobStore(context.storage)
        context.clock.not_before(store.latest_ms())
        self._queue = Queue(context, store)
        self._callbacks = Callbacks(context, self._queue, store)
        host = Host(context, store, self._queue)
        self._submitting = Submitting(host)
        self._looking = Looking(host)
        self._fetching = Fetching(host)

    def routes(self) -> list[Route]:
        return [
            Route("/v0/batch/jobs", answering(self._looking.list_jobs), methods=["GET"]),
            Route("/v0/batch/jobs", answering(self._submitting.start_job), methods=["POST"]),
            Route("/v0/batch/jobs/{id}", answering(self._looking.details), methods=["GET"]),
            Route("/v0/batch/jobs/{id}/predictions", answering(self._fetching.predictions), methods=["GET"]),
            Route("/v0/batch/jobs/{id}/artifacts", answering(self._fetching.artifacts), methods=["GET"]),
        ]

    def admin_routes(self) -> list[Route]:
        return [Route("/_emulator/jobs", answering(self._looking.accepted_jobs), methods=["GET"])]

    def background(self) -> Sequence[Coroutine[Any, Any, None]]:
        return [self._queue.run(), self._callbacks.run()]
