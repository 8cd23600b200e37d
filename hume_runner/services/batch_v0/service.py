"""The batch API as a run sees it: jobs of up to 100 sources, submitted, listed, fetched.

Facts and their sources are in docs/apis/batch_v0.md. What is unverified there is handled leniently here: a host without
a list is polled job by job, an answer's unknown members are ignored, and sources are matched by name, never by order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hume_runner.manifest.model import Manifest
from hume_runner.services.base import ByteStream, ListingUnsupported
from hume_runner.services.batch_v0.answers import ARTIFACTS, PREDICTIONS, check_archive, read_outcomes
from hume_runner.services.batch_v0.client import AUTH_HEADER, BatchV0Api
from hume_runner.services.batch_v0.foreign import ForeignJobs
from hume_runner.services.batch_v0.host import Host
from hume_runner.services.batch_v0.lost import LostJobs
from hume_runner.services.batch_v0.planner import Drafts
from hume_runner.services.batch_v0.progress import Polls
from hume_runner.services.batch_v0.sender import Submissions
from hume_runner.services.batch_v0.settings import relevant
from hume_runner.services.jobs import Job, Leniency, Outcome
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
    relevant = staticmethod(relevant)

    def __init__(
        self,
        manifest: Manifest,
        endpoint: str,
        connect: Callable[[], BatchV0Api],
        on_server_time: Callable[[float], None],
        objects: RemoteFiles | None = None,
    ) -> None:
        self.endpoint = endpoint
        self._host = Host(connect, on_server_time)
        # What a part does by itself is handed on as it is; services/base.py says what each is for.
        self.looker = self.preparer = drafts = Drafts(manifest)
        self.refuse, self.hopeless = drafts.refuse, drafts.hopeless
        self.compile, self.recompile = drafts.compile, drafts.recompile
        self.plain_jobs = drafts.plain_jobs
        self.objects = objects or RemoteFiles()
        self.prepare = Submissions(manifest, self._host, self.objects).prepare
        polls = Polls(self._host)
        self.check, self.check_each, self.remind = polls.check, polls.check_each, polls.remind
        self.look_for = LostJobs(self._host, manifest.settings).look_for
        foreign = ForeignJobs(self._host, manifest.settings)
        self.survey, self.recognise, self.measured = foreign.survey, foreign.recognise, foreign.measured
        self.recognise_file, self.carried = foreign.recognise_file, foreign.carried
        self.keeper = self

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

    # -- answers (answers.py) ---------------------------------------------------------------------------------------

    def answer_names(self, *, artifacts: bool) -> tuple[str, ...]:
        """See `Reader.answer_names`."""
        return (PREDICTIONS, ARTIFACTS) if artifacts else (PREDICTIONS,)

    def open_answer(self, remote_id: str, name: str) -> AbstractContextManager[ByteStream]:
        """See `Keeper.open_answer`."""
        self._host.count(name.partition(".")[0])
        if name == PREDICTIONS:
            return self._host.http.open_predictions(remote_id)
        return self._host.http.open_artifacts(remote_id)

    def outcomes(
        self, job: Job, name: str, path: Path, announced: Mapping[str, int], leniency: Leniency
    ) -> tuple[Outcome, ...]:
        """See `Reader.outcomes`."""
        if name == ARTIFACTS:
            check_archive(path)
            return ()
        return read_outcomes(job, path, announced, leniency)


def build(
    manifest: Manifest,
    endpoint: str,
    access: Callable[[], Access],
    on_server_time: Callable[[float], None],
    *,
    objects: RemoteFiles | None = None,
) -> BatchV0Service:
    """The service at one endpoint; `access` is asked before its first request. `objects`: what gives objects of stores
    as files, instead of what keeps as many as one run is likely to need."""

    def connect() -> BatchV0Api:
        how = access()
        return BatchV0Api(how.transport(AUTH_HEADER), how.retry, read_timeout_s=how.timeout_s)

    return BatchV0Service(manifest, endpoint, connect, on_server_time, objects)
