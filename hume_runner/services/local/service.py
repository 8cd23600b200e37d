"""`local` as a run sees it: open models on this machine, through the seams that every service goes through.

Nothing is sent and nothing billed. What was lost is measured again, so nothing has to be asked before.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hume_runner.computing.base import Needs, Pool
from hume_runner.manifest.model import Manifest, SourceKind
from hume_runner.services.base import (
    Archives,
    Draft,
    Foreign,
    Inside,
    Job,
    Look,
    Looker,
    LostJob,
    Member,
    Outcome,
    PlanItem,
    Preparer,
    Progress,
    Shelf,
    Stopper,
    Submission,
    Unseen,
    Waiting,
)
from hume_runner.services.links import refuse_expired
from hume_runner.services.local.answers import Answers
from hume_runner.services.local.look import look, recalled
from hume_runner.services.local.media import LocalMedia
from hume_runner.services.local.planner import Drafts
from hume_runner.services.local.preparer import Pieces
from hume_runner.services.local.ready import require_ready
from hume_runner.services.local.sender import Measuring
from hume_runner.services.local.settings import chosen, relevant
from hume_runner.services.local.task import measured_by
from hume_runner.services.making import media_reader
from hume_runner.services.members import is_archive, members
from hume_runner.services.remote_files import RemoteFiles

if TYPE_CHECKING:
    from hume_runner.http.access import Access

API = "local"


class LocalService:
    """Measures on this machine. What media are decoded to lies in `prepared/` in the output directory."""

    api = API
    matches_by_md5 = False
    keeper = witness = None
    simulated: bool | None = False

    def __init__(self, manifest: Manifest, endpoint: str) -> None:
        self.endpoint = endpoint
        models: Mapping[str, Any] = manifest.settings["models"]
        retry, hosts = manifest.execution.retry, tuple(manifest.service.allow_hosts)
        store = LocalMedia(manifest.outputs.directory / "prepared", models, hosts, retry)
        self._remote = store.remote
        self._models = models
        self._store = store
        self._drafts = Drafts(manifest)
        self._pieces = Pieces(self._drafts, store)
        self._measuring = Measuring(
            store,
            models,
            workers=manifest.execution.workers or os.cpu_count() or 1,
            timeout_s=manifest.execution.job_timeout_s,
        )
        self._answers = Answers()

    @property
    def looker(self) -> Looker:
        return self

    @property
    def objects(self) -> RemoteFiles:
        return self._remote

    @property
    def archives(self) -> Archives:
        return self

    @property
    def preparer(self) -> Preparer:
        return self._pieces

    @property
    def shelf(self) -> Shelf:
        return self

    @property
    def stopper(self) -> Stopper:
        return self._measuring.pool

    @property
    def needs(self) -> Needs:
        """See `Computes.needs`: who measures, the same as here."""
        models = json.dumps(dict(self._models), sort_keys=True)
        told = (*media_reader(), *(one.card.measured_by for one in chosen(self._models)))
        return Needs(function=measured_by, arguments=(models,), told=told)

    def compute_on(self, pool: Pool) -> None:
        """See `Computes.compute_on`."""
        self._measuring.pool = self._store.pool = pool

    # -- planning ---------------------------------------------------------------------------------------------------

    def inside(self, path: Path) -> Iterator[Inside] | None:
        """See `Archives.inside`: the members of an archive are items."""
        return members(path, lambda member: look(member, self._models)) if is_archive(path) else None

    def look(self, path: Path, content: bytes) -> Mapping[str, Any]:
        """See `Looker.look`. Raises: MissingExtra for media that cannot be read without one."""
        del content
        return look(path, self._models)

    def recall(self, facts: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """See `Looker.recall`."""
        return recalled(facts, self._models)

    def apart(self, facts: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See `Looker.apart`: every medium is one item."""
        return (("", facts),)

    def relevant(self, kind: SourceKind, facts: Mapping[str, Any], settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """See `Planner.relevant`."""
        return relevant(kind, facts, settings)

    def refuse(self, item: PlanItem, now: float) -> tuple[str, str] | None:
        """See `Planner.refuse`."""
        return refuse_expired(item.value, now) if item.kind == "url" else None

    def hopeless(self, item: PlanItem) -> tuple[str, str] | None:
        """See `Planner.hopeless`."""
        return self._drafts.hopeless(item)

    def compile(self, items: Iterable[PlanItem]) -> Iterator[Draft]:
        """See `Planner.compile`."""
        return self._drafts.compile(items)

    def recompile(self, members: Sequence[Member]) -> Iterator[Draft]:
        """See `Planner.recompile`."""
        return self._drafts.recompile(members)

    # -- measuring --------------------------------------------------------------------------------------------------

    @property
    def requests(self) -> Mapping[str, int]:
        """See `Sender.requests`: pieces that were measured."""
        return dict(self._measuring.requests)

    def greet(self) -> None:
        """See `Sender.greet`: whether all that measures is where it measures. Raises: MissingExtra, MissingWeights;
        what `Pool.open` raises."""
        if not self._measuring.pool.elsewhere:
            require_ready(chosen(self._models))
        self._measuring.pool.open()

    def prepare(self, job: Job) -> Submission:
        """See `Sender.prepare`."""
        return self._measuring.prepare(job)

    def release(self, job: Job) -> None:
        """See `Shelf.release`."""
        self._pieces.release(job)

    def close(self) -> None:
        """See `Shelf.close`."""
        self._measuring.pool.close()
        self._pieces.close()

    # -- what was measured ------------------------------------------------------------------------------------------

    def check(self, waiting: Sequence[Waiting]) -> Mapping[str, Progress]:
        """See `Records.check`: nothing is remembered but the answers on disk."""
        return {job.remote_id: Unseen() for job in waiting}

    def check_each(self, waiting: Sequence[Waiting]) -> Mapping[str, Progress]:
        """See `Records.check_each`."""
        return self.check(waiting)

    def survey(self, since: float, knows: Callable[[str], bool], ours: Mapping[str, float]) -> Iterator[Foreign]:
        """See `Records.survey`: nobody else measures here, and what is measured again costs nothing."""
        del since, knows, ours
        self.greet()
        return iter(())

    def look_for(self, lost: Sequence[LostJob], ours: Mapping[str, float]) -> Mapping[int, Look]:
        """See `Records.look_for`: a piece whose run died is not measured by anybody."""
        del ours
        return {one.job.number: Look(conclusive=True, final=True) for one in lost}

    def answer_names(self, *, artifacts: bool) -> tuple[str, ...]:
        """See `Reader.answer_names`."""
        return self._answers.answer_names(artifacts=artifacts)

    def outcomes(self, job: Job, name: str, path: Path, announced: Mapping[str, int]) -> tuple[Outcome, ...]:
        """See `Reader.outcomes`."""
        return self._answers.outcomes(job, name, path, announced)


def build(
    manifest: Manifest, endpoint: str, access: Callable[[], Access], on_server_time: Callable[[float], None]
) -> LocalService:
    """The service; nothing has to be reached."""
    del access, on_server_time
    return LocalService(manifest, endpoint)
