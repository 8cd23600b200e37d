"""expression-v1 as a run sees it: a batch mode for an API that has none.

Recordings are cut, stills are packed, a video's frames go out in order; every request answers at once, and that answer
is all there ever is. Facts and their sources are in docs/apis/expression_v1.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hume_runner.computing.base import Needs, Pool
from hume_runner.manifest.model import Manifest
from hume_runner.services.base import Stopper
from hume_runner.services.expression_v1.account import Account
from hume_runner.services.expression_v1.answers import Answers
from hume_runner.services.expression_v1.client import AUTH_HEADER, ExpressionV1Api
from hume_runner.services.expression_v1.look import look, part_lengths
from hume_runner.services.expression_v1.media import MediaStore
from hume_runner.services.expression_v1.planner import Drafts
from hume_runner.services.expression_v1.preparer import Media
from hume_runner.services.expression_v1.records import Records
from hume_runner.services.expression_v1.sender import Uploads
from hume_runner.services.expression_v1.settings import apart, fit, measured_for, relevant, whole
from hume_runner.services.foreign import Foreign
from hume_runner.services.jobs import Inside, PlanItem
from hume_runner.services.links import refuse_expired
from hume_runner.services.making import media_reader, prepares_media
from hume_runner.services.members import is_archive, members
from hume_runner.services.remote_files import RemoteFiles

if TYPE_CHECKING:
    from hume_runner.http.access import Access

API = "expression-v1"
HOST = "https://api.cloud.hume.ai"


class ExpressionV1Service:
    """expression-v1 at one endpoint. Prepared media lie in `prepared/` in the output directory until they are sent."""

    api = API
    matches_by_md5 = False
    keeper = None  # the one answer comes with the upload
    plain_jobs = None  # how long a recording is decides
    relevant = staticmethod(relevant)

    def __init__(
        self,
        manifest: Manifest,
        endpoint: str,
        connect: Callable[[], ExpressionV1Api],
        on_server_time: Callable[[float], None],
        objects: RemoteFiles | None = None,
    ) -> None:
        self.endpoint = endpoint
        models: Mapping[str, Any] = manifest.settings["models"]
        outputs = manifest.outputs.directory
        execution, hosts = manifest.execution, tuple(manifest.service.allow_hosts)
        store = MediaStore(outputs / "prepared", models, hosts, execution.retry, objects)
        self._models = models
        self._store = store
        self._account = Account(endpoint, connect, on_server_time)
        self._drafts = Drafts(manifest)
        # What a part does by itself is handed on as it is; services/base.py says what each is for.
        self.compile, self.recompile = self._drafts.compile, self._drafts.recompile
        self.preparer = Media(self._drafts, store, models)
        self.release = self.preparer.release
        self.prepare = Uploads(self._account, store, self._drafts.limits, models, outputs).prepare
        self.witness = Records(self._account)
        self.check = self.check_each = self.witness.check
        self.look_for = self.witness.look_for
        answers = Answers()
        self.answer_names, self.outcomes = answers.answer_names, answers.outcomes
        self.looker = self.archives = self.shelf = self
        self.objects = store.remote

    @property
    def stopper(self) -> Stopper:
        """See `Stopper`: what is prepared may be given up; what is on its way is paid for."""
        return self._store.pool

    @property
    def needs(self) -> Needs:
        """See `Computes.needs`: what prepares media, the same as here."""
        return Needs(function=prepares_media, arguments=(), told=media_reader())

    def compute_on(self, pool: Pool) -> None:
        """See `Computes.compute_on`."""
        self._store.pool = pool

    # -- planning (planner.py) --------------------------------------------------------------------------------------

    def inside(self, path: Path) -> Iterator[Inside] | None:
        """See `Archives.inside`: this API takes no archives, so their members are items."""
        return members(path, lambda member: look(member, self._models)) if is_archive(path) else None

    def look(self, path: Path, content: bytes) -> Mapping[str, Any]:
        """See `Looker.look`. Raises: MissingExtra for media that need the extra `media`."""
        del content
        facts = look(path, self._models)
        if not self._drafts.knows_parts(facts):
            body = self._drafts.limits.job_bytes
            facts["parts_ms"], facts["body"] = part_lengths(path, self._models, body), body
        return facts

    def recall(self, facts: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """See `Looker.recall`."""
        found = fit(whole(facts), self._models)
        if found is None or "problem" in found:
            return found
        return found if measured_for(found, self._models) and self._drafts.knows_parts(found) else None

    def apart(self, facts: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """See `Looker.apart`: with `channels: each`, every channel of a recording is an item."""
        return apart(facts, self._models)

    def refuse(self, item: PlanItem, now: float) -> tuple[str, str] | None:
        """See `Planner.refuse`. What is wrong inside a medium is not refused here: it fails alone."""
        return refuse_expired(item.value, now) if item.kind == "url" else None

    def hopeless(self, item: PlanItem) -> None:
        """A look at each medium told."""
        del item

    # -- sending (sender.py) ----------------------------------------------------------------------------------------

    @property
    def requests(self) -> Mapping[str, int]:
        """See `Sender.requests`."""
        return dict(self._account.requests)

    @property
    def simulated(self) -> bool | None:
        """See `Sender.simulated`."""
        return self._account.simulated

    def greet(self) -> None:
        """See `Sender.greet`. Raises: what `Pool.open` raises, too."""
        self._store.pool.open()
        self._account.greet()

    def close(self) -> None:
        """See `Shelf.close`."""
        self._store.pool.close()
        self.preparer.close()

    # -- what the service tells (records.py, answers.py) ------------------------------------------------------------

    def survey(self, since: float, knows: Callable[[str], bool], ours: Mapping[str, float]) -> Iterator[Foreign]:
        """See `Records.survey`. What prepares is looked at first."""
        self._store.pool.open()
        return self.witness.survey(since, knows, ours)


def build(
    manifest: Manifest,
    endpoint: str,
    access: Callable[[], Access],
    on_server_time: Callable[[float], None],
    *,
    objects: RemoteFiles | None = None,
) -> ExpressionV1Service:
    """The service at one endpoint; `access` is asked before its first request. `objects`: what gives objects of stores
    as files, instead of what keeps as many as one run is likely to need."""

    def connect() -> ExpressionV1Api:
        how = access()
        return ExpressionV1Api(how.transport(AUTH_HEADER), how.retry)

    return ExpressionV1Service(manifest, endpoint, connect, on_server_time, objects)
