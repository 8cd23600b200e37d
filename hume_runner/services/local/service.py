"""`local` as a run sees it: open models on this machine, through the seams that every service goes through.

Nothing is sent and nothing billed. What was lost is measured again, so nothing has to be asked before.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hume_runner.computing.base import Needs, Pool
from hume_runner.manifest.model import Manifest
from hume_runner.services.at_once import AtOnce
from hume_runner.services.jobs import Inside, PlanItem
from hume_runner.services.links import refuse_expired
from hume_runner.services.local.answers import Answers
from hume_runner.services.local.look import look, recalled
from hume_runner.services.local.measuring import measured_by
from hume_runner.services.local.media import LocalMedia
from hume_runner.services.local.planner import Drafts
from hume_runner.services.local.preparer import Pieces
from hume_runner.services.local.ready import require_ready
from hume_runner.services.local.sender import Measuring
from hume_runner.services.local.settings import chosen, relevant
from hume_runner.services.making import media_reader
from hume_runner.services.members import is_archive, members

if TYPE_CHECKING:
    from hume_runner.http.access import Access

API = "local"


class LocalService(AtOnce):
    """Measures on this machine. What media are decoded to lies in `prepared/` in the output directory."""

    api = API
    relevant = staticmethod(relevant)

    def __init__(self, manifest: Manifest, endpoint: str) -> None:
        self.endpoint = endpoint
        models: Mapping[str, Any] = manifest.settings["models"]
        retry, hosts = manifest.execution.retry, tuple(manifest.service.allow_hosts)
        store = LocalMedia(manifest.outputs.directory / "prepared", models, hosts, retry)
        self._models = models
        self._store = store
        self._drafts = drafts = Drafts(manifest)
        self._measuring = Measuring(
            store,
            models,
            workers=manifest.execution.workers or os.cpu_count() or 1,
            timeout_s=manifest.execution.job_timeout_s,
        )
        # What a part does by itself is handed on as it is; services/base.py says what each is for.
        self.compile, self.recompile = drafts.compile, drafts.recompile
        self.preparer = self._pieces = Pieces(drafts, store)
        self.release = self._pieces.release
        self.prepare = self._measuring.prepare
        answers = Answers()
        self.answer_names, self.outcomes = answers.answer_names, answers.outcomes
        self.looker = self.archives = self.shelf = self
        self.objects = store.remote
        self.stopper = self._measuring.pool

    @property
    def needs(self) -> Needs:
        """See `Computes.needs`: who measures, the same as here."""
        models = json.dumps(dict(self._models), sort_keys=True)
        told = (*media_reader(), *(one.card.measured_by for one in chosen(self._models)))
        return Needs(function=measured_by, arguments=(models,), told=told)

    def compute_on(self, pool: Pool) -> None:
        """See `Computes.compute_on`."""
        self._measuring.pool = self._store.pool = self.stopper = pool

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

    def refuse(self, item: PlanItem, now: float) -> tuple[str, str] | None:
        """See `Planner.refuse`."""
        return refuse_expired(item.value, now) if item.kind == "url" else None

    def hopeless(self, item: PlanItem) -> tuple[str, str] | None:
        """See `Planner.hopeless`."""
        return self._drafts.hopeless(item)

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

    def close(self) -> None:
        """See `Shelf.close`."""
        self._measuring.pool.close()
        self._pieces.close()


def build(
    manifest: Manifest, endpoint: str, access: Callable[[], Access], on_server_time: Callable[[float], None]
) -> LocalService:
    """The service; nothing has to be reached."""
    del access, on_server_time
    return LocalService(manifest, endpoint)
