"""What a worker does for each action, and what it comes back with: the only calls that are made beside the loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Protocol, assert_never

from hume_runner.engine import download
from hume_runner.engine.download import Answering, Fetched
from hume_runner.engine.evidence import Evidence
from hume_runner.engine.reactions.base import Rules
from hume_runner.engine.reactions.waiting import nearly_given_up
from hume_runner.engine.view import Fetch, Poll, Prepare, Settle, View
from hume_runner.frozen import frozen
from hume_runner.services.base import Preparer, Records
from hume_runner.services.jobs import Prepared, Progress, SubmitResult, Unseen, Waiting
from hume_runner.services.lost import Look
from hume_runner.state.disk import Disk
from hume_runner.state.reader import StateReader


@frozen(kw_only=False)
class Polled:
    """How far jobs are, by remote id; and by job what a look shows of those that are given up if it shows nothing."""

    progress: Mapping[str, Progress]
    looks: Mapping[int, Look] = field(default_factory=dict)


@frozen(kw_only=False)
class Looked:
    """What a look shows of lost submissions, by job."""

    looks: Mapping[int, Look]


Came = Prepared | SubmitResult | Polled | Fetched | Looked
Errand = Callable[[], Came]


class Attending(Answering, Records, Protocol):
    """What errands need of a service: how far its jobs are, their answers, and media that are made ready for it."""

    @property
    def preparer(self) -> Preparer | None: ...


class Errands:
    """`rules`: whether artifacts are fetched with the answers, below `outputs`, and how long a job may be unknown."""

    def __init__(
        self, store: StateReader, service: Attending, disk: Disk, evidence: Evidence, outputs: Path, rules: Rules
    ) -> None:
        self._store = store
        self._service = service
        self._disk = disk
        self._evidence = evidence
        self._outputs = outputs
        self._rules = rules

    def of(self, action: Poll | Fetch | Settle | Prepare, view: View) -> Errand:
        """All that the state has to say is read here, by the loop's own thread."""
        match action:
            case Poll():
                return self._poll(view)
            case Fetch(job):
                return self._fetch(job, view)
            case Settle(jobs):
                return self._settle(jobs)
            case Prepare(job):
                return self._prepare(job)
            case _:
                assert_never(action)

    def _prepare(self, number: int) -> Errand:
        job = self._store.load_job(number)
        preparer = self._service.preparer
        assert preparer is not None  # whose drafts asked for it
        return lambda: preparer.media(job)

    def _poll(self, view: View) -> Errand:
        waiting = tuple(
            Waiting(number=number, remote_id=job.remote_id, created_at=job.created_at)
            for number, job in view.waiting.items()
        )
        nearly = nearly_given_up(view, self._rules)
        lost = {view.waiting[number].remote_id: self._evidence.of(number) for number in nearly}
        look = self._evidence.question([*lost.values()])

        def poll() -> Polled:
            progress = self._service.check(waiting)
            # Before a job is given up that the service does not know: it may have it under another name than it told.
            unseen = [one for name, one in lost.items() if isinstance(progress.get(name), Unseen)]
            return Polled(progress, look(unseen))

        return poll

    def _settle(self, numbers: tuple[int, ...]) -> Errand:
        lost = [self._evidence.of(number) for number in numbers]
        ours = self._evidence.ours(lost)
        return lambda: Looked(self._service.look_for(lost, ours))

    def _fetch(self, number: int, view: View) -> Errand:
        store, fetching = self._store, view.to_fetch[number]
        job, row, members = store.load_job(number), store.job(number), store.members(number)
        kept = [answer for _, answer in store.answers(number)]
        received = store.received(number) if fetching.here else None
        artifacts = self._rules.artifacts and number not in view.without_artifacts
        return lambda: download.fetch(
            self._service,
            self._disk,
            job,
            row.remote_id or "",
            announced=fetching.ended.announced,
            leniency=fetching.leniency,
            members=members,
            request=row.request,
            outputs=self._outputs,
            artifacts=artifacts,
            received=received,
            kept=kept,
        )
