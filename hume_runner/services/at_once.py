"""What a service need not write that measures when it is asked, and for nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from hume_runner.services.base import Archives, Keeper, Looker, Preparer, Shelf, Stopper, Witness
from hume_runner.services.foreign import Foreign
from hume_runner.services.jobs import PlanItem, Progress, Unseen, Waiting
from hume_runner.services.lost import Look, LostJob
from hume_runner.services.packing import PlainJobs

if TYPE_CHECKING:
    from hume_runner.services.remote_files import RemoteFiles


class AtOnce:
    """The base of a service whose answer comes with the submission, that remembers nothing of it and bills nothing.

    It has no parts but those that it names itself, and what `Records` asks is answered here: no job is waited for, and
    what was lost with its run was not measured by anybody, so that it may be measured again.
    """

    matches_by_md5 = False
    simulated: bool | None = False
    plain_jobs: PlainJobs | None = None
    looker: Looker | None = None
    archives: Archives | None = None
    objects: RemoteFiles | None = None
    preparer: Preparer | None = None
    shelf: Shelf | None = None
    stopper: Stopper | None = None
    keeper: Keeper | None = None
    witness: Witness | None = None

    def hopeless(self, item: PlanItem) -> tuple[str, str] | None:
        """See `Planner.hopeless`: what fails says so when it is measured."""
        del item
        return None

    def greet(self) -> None:
        """See `Sender.greet`: it is here."""

    def check(self, waiting: Sequence[Waiting]) -> Mapping[str, Progress]:
        """See `Records.check`: nothing is remembered but the answers on disk."""
        return {job.remote_id: Unseen() for job in waiting}

    def check_each(self, waiting: Sequence[Waiting]) -> Mapping[str, Progress]:
        """See `Records.check_each`."""
        return self.check(waiting)

    def survey(self, since: float, knows: Callable[[str], bool], ours: Mapping[str, float]) -> Iterator[Foreign]:
        """See `Records.survey`: there is nothing, and what is measured again costs nothing. Raises: as `greet`."""
        del since, knows, ours
        self.greet()  # a run that looks for what is there does not greet besides
        return iter(())

    def look_for(self, lost: Sequence[LostJob], ours: Mapping[str, float]) -> Mapping[int, Look]:
        """See `Records.look_for`: nothing, now or later, so that nobody waits for it to show."""
        del ours
        return {one.job.number: Look(conclusive=True, final=True) for one in lost}
