"""The batch API as a run sees it: jobs of up to 100 sources, submitted, listed, fetched.

Facts and their sources are in docs/apis/batch_v0.md. What is unverified there is handled leniently here: a host without
a list is polled job by job, an answer's unknown members are ignored, and sources are matched by name, never by order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hume_runner.manifest.model import Manifest, SourceKind
from hume_runner.services.base import (
    ByteStream,
    Draft,
    Foreign,
    Job,
    Keeper,
    ListingUnsupported,
    Look,
    Looker,
    LostJob,
    Member,
    Outcome,
    PlanItem,
    Preparer,
    Progress,
    Submission,
    Waiting,
)
from hume_runner.services.batch_v0.client import AUTH_HEADER, BatchV0Api
from hume_runner.services.batch_v0.foreign import ForeignJobs
from hume_runner.services.batch_v0.host import Host
from hume_runner.services.batch_v0.lost import LostJobs
from hume_runner.services.batch_v0.outcomes import ARTIFACTS, PREDICTIONS, check_archive, read_outcomes
from hume_runner.services.batch_v0.planner import Drafts
from hume_runner.services.batch_v0.progress import Polls
from hume_runner.services.batch_v0.sender import Submissions
from hume_runner.services.batch_v0.settings import relevant
from hume_runner.services.remote_files import RemoteFiles

if TYPE_CHECKING:
    from hume_runner.http.access import Access

API = "batch-v0"
HOST = "https://api.hume.ai"


class BatchV0Service:
    """batch-v0 at one endpoint. `connect` opens the client when the first request is due: a plan needs no key."""

    api = API
    matches_by_md5 = True
    archives = None  # the service opens them
    shelf = None
    stopper = None  # what is on its way is paid for
    witness = None

    def __init__(
        self,
        manifest: Manifest,
        endpoint: str,
        connect: Callable[[], BatchV0Api],
        on_server_time: Callable[[float], None],
    ) -> None:
        self.endpoint = endpoint
        self._host = Host(connect, on_server_time)
        self._drafts = Drafts(manifest)
        self.objects = RemoteFiles()
        self._submissions = Submissions(manifest, self._host, self.objects)
        self._polls = Polls(self._host)
        self._lost = LostJobs(self._host, manifest.settings)
        self._foreign = ForeignJobs(self._host, manifest.settings)

    @property
    def looker(self) -> Looker:
        return self._drafts

    @property
    def preparer(self) -> Preparer:
        return self._drafts

    @property
    def keeper(self) -> Keeper:
        return self

    # -- planning (planner.py) --------------------------------------------------------------------------------------

    def relevant(self, kind: SourceKind, facts: Mapping[str, Any], settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """See `Planner.relevant`."""
        return relevant(kind, facts, settings)

    def refuse(self, item: PlanItem, now: float) -> tuple[str, str] | None:
        """See `Planner.refuse`."""
        return self._drafts.refuse(item, now)

    def hopeless(self, item: PlanItem) -> tuple[str, str] | None:
        """See `Planner.hopeless`."""
        return self._drafts.hopeless(item)

    def compile(self, items: Iterable[PlanItem]) -> Iterator[Draft]:
        """See `Planner.compile`."""
        return self._drafts.compile(items)

    def recompile(self, members: Sequence[Member]) -> Iterator[Draft]:
        """See `Planner.recompile`."""
        return self._drafts.recompile(members)

    # -- sending (sender.py) ----------------------------------------------------------------------------------------

    @property
    def requests(self) -> Mapping[str, int]:
        """See `Sender.requests`; a try again counts with its first."""
        return dict(self._host.requests)

    @property
    def simulated(self) -> bool | None:
        """See `Sender.simulated`."""
        return self._host.simulated

    def greet(self) -> None:
        """See `Sender.greet`: one short list tells whether the key is good and what time it is there."""
        with suppress(ListingUnsupported):
            self._host.listed(limit=1)

    def prepare(self, job: Job) -> Submission:
        """See `Sender.prepare`. Raises: OSError for a file that cannot be read any more."""
        return self._submissions.prepare(job)

    # -- what the service tells (progress.py, lost.py, foreign.py) --------------------------------------------------

    def check(self, waiting: Sequence[Waiting]) -> Mapping[str, Progress]:
        """See `Records.check`."""
        return self._polls.check(waiting)

    def check_each(self, waiting: Sequence[Waiting]) -> Mapping[str, Progress]:
        """See `Records.check_each`."""
        return self._polls.check_each(waiting)

    def remind(self, job: Job) -> None:
        """See `Keeper.remind`."""
        self._polls.remind(job)

    def look_for(self, lost: Sequence[LostJob], ours: Mapping[str, float]) -> Mapping[int, Look]:
        """See `Records.look_for`."""
        return self._lost.look_for(lost, ours)

    def survey(self, since: float, knows: Callable[[str], bool], ours: Mapping[str, float]) -> Iterator[Foreign]:
        """See `Records.survey`."""
        return self._foreign.survey(since, knows, ours)

    def recognise(self, remote_id: str) -> Foreign:
        """See `Keeper.recognise`."""
        return self._foreign.recognise(remote_id)

    def measured(self, remote_id: str) -> Mapping[SourceKind, int] | None:
        """See `Keeper.measured`."""
        return self._foreign.measured(remote_id)

    # -- answers (outcomes.py) --------------------------------------------------------------------------------------

    def answer_names(self, *, artifacts: bool) -> tuple[str, ...]:
        """See `Reader.answer_names`."""
        return (PREDICTIONS, ARTIFACTS) if artifacts else (PREDICTIONS,)

    def open_answer(self, remote_id: str, name: str) -> AbstractContextManager[ByteStream]:
        """See `Keeper.open_answer`."""
        self._host.requests[name.partition(".")[0]] += 1
        if name == PREDICTIONS:
            return self._host.http.open_predictions(remote_id)
        return self._host.http.open_artifacts(remote_id)

    def outcomes(self, job: Job, name: str, path: Path, announced: Mapping[str, int]) -> tuple[Outcome, ...]:
        """See `Reader.outcomes`."""
        if name == ARTIFACTS:
            check_archive(path)
            return ()
        return read_outcomes(job, path, announced)


def build(
    manifest: Manifest, endpoint: str, access: Callable[[], Access], on_server_time: Callable[[float], None]
) -> BatchV0Service:
    """The service at one endpoint; `access` is asked before its first request."""

    def connect() -> BatchV0Api:
        how = access()
        return BatchV0Api(how.transport(AUTH_HEADER), how.retry, read_timeout_s=how.timeout_s)

    return BatchV0Service(manifest, endpoint, connect, on_server_time)
