"""Outputs against the hashes in the state, and jobs against what the service says of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING

from hume_runner import events
from hume_runner.api.mending import repair as repair_outputs
from hume_runner.api.project import Project
from hume_runner.api.reporting import logged
from hume_runner.api.values import JobSaid, ManifestLike, Verified
from hume_runner.errors import HumeRunnerError
from hume_runner.results.audit import RemoteSays, compare_remote
from hume_runner.results.derived import marks
from hume_runner.results.verify import Checked, Verdict, is_answer
from hume_runner.results.verify import verify as verify_files
from hume_runner.settings import mask_secrets
from hume_runner.state.reader import StateReader

if TYPE_CHECKING:
    from hume_runner.state.rows import JobRow

_MOST = 1_000  # files, and jobs
_HARMED = frozenset({Verdict.MISSING, Verdict.CHANGED, Verdict.UNREADABLE})


@dataclass(slots=True)
class Tally:
    """What was found, added up. `answers`: of the harmed files, those that a service gave; `jobs`: by whether the
    service says the same as the state."""

    files: Counter[Verdict] = field(default_factory=Counter)
    answers: int = 0
    jobs: Counter[bool] = field(default_factory=Counter)

    def add(self, checked: Checked) -> None:
        self.files[checked.verdict] += 1
        self.answers += checked.verdict in _HARMED and is_answer(checked.path)

    def add_job(self, says: RemoteSays) -> None:
        self.jobs[says.agrees] += 1

    @property
    def harmed(self) -> int:
        """Files that are not what they were."""
        return sum(self.files[one] for one in _HARMED)

    @property
    def strange(self) -> int:
        """Jobs of which the service says something else than the state."""
        return self.jobs[False]

    def exit_code(self, failed: HumeRunnerError | None) -> int:
        """`failed`: what could not be repaired."""
        return failed.exit_code if failed else 3 if self.harmed or self.strange else 0


def verify(
    manifest: ManifestLike,
    *,
    on_event: events.Report | None = None,
    output_dir: str | PathLike[str] | None = None,
    state: str | PathLike[str] | None = None,
    endpoint: str | None = None,
    repair: bool = False,
    remote: bool = False,
    shard: str | None = None,
) -> Verified:
    """Compare outputs with the hashes in the state; with `repair`, fetch again first what costs nothing to have, and
    make again what is derived. With `remote`, ask the service about every job that it took as well, but for one that
    measures on this machine; `exit_code` is 3 as well where it says something else than the state. `on_event` gets what
    the repair tells; without it, what is worth knowing is logged as a warning.
    Raises: ManifestError, UsageError if nothing ever ran, StateError; with `remote` what keeps the service from being
    asked: ApiError, ServiceRefused, MissingExtra."""
    project = Project.open(manifest, output_dir=output_dir, state=state, endpoint=endpoint, shard=shard)
    project.need_state("there is nothing to verify yet")
    failed = None
    if repair:
        failed = repair_outputs(project, on_event=on_event or logged)
    tally = Tally()
    wrong: list[Checked] = []
    for checked in checked_files(project):
        tally.add(checked)
        if checked.verdict is not Verdict.SAME and len(wrong) < _MOST:
            wrong.append(checked)
    disagree: list[JobSaid] = []
    for job, says in checked_jobs(project) if remote else ():
        tally.add_job(says)
        if not says.agrees and len(disagree) < _MOST:
            disagree.append(JobSaid(number=job.number, remote_id=job.remote_id or "", says=mask_secrets(says.words)))
    return Verified(
        counts={verdict.name.lower(): number for verdict, number in tally.files.items()},
        wrong=tuple(wrong),
        exit_code=tally.exit_code(failed),
        error=failed,
        jobs={"agree": tally.jobs[True], "disagree": tally.strange} if remote else {},
        disagree=tuple(disagree),
    )


def checked_files(project: Project) -> Iterator[Checked]:
    """Every output beside the hash in the state, streamed."""
    with StateReader.peek(project.paths.state, name=project.manifest.name) as store:
        yield from verify_files(store, project.paths.outputs, project.paths.state, name=project.manifest.name)
        mirror = project.mirror()
        if mirror is not None:
            yield from mirror.verify(store)


def checked_jobs(project: Project) -> Iterator[tuple[JobRow, RemoteSays]]:
    """Every job that the service took, beside the service's word on it, streamed."""
    if project.here:
        return  # nobody else knows of them
    with StateReader.peek(project.paths.state, name=project.manifest.name) as store, project.endpoint() as endpoint:
        yield from compare_remote(store, endpoint.service)


def stale(project: Project) -> list[str]:
    """The groups of derived files that were made from an earlier state than this one."""
    with StateReader.peek(project.paths.state, name=project.manifest.name) as store:
        return sorted(group for group, mark in marks(store).items() if mark.serial != store.serial)
