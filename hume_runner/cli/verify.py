"""`hume-runner verify`: are the outputs still what the run wrote? With --remote: does the service know the jobs?"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from hume_runner.cli.console import Console
from hume_runner.cli.lines import Line
from hume_runner.cli.main import print_error
from hume_runner.cli.manifests import project, shard_flag
from hume_runner.errors import HumeRunnerError
from hume_runner.frozen import frozen
from hume_runner.settings import mask_secrets

if TYPE_CHECKING:
    from hume_runner.api import Project
    from hume_runner.api.verifying import Tally


@frozen
class FileChecked(Line):
    """A file beside its hash."""

    event: ClassVar[str] = "file"
    path: str
    verdict: str
    why: str


@frozen
class JobChecked(Line):
    """A job beside the service's word on it."""

    event: ClassVar[str] = "job"
    job: int
    remote_id: str | None
    agrees: bool
    says: str


@frozen
class Compared(Line):
    """All files, counted by verdict. `disagree`: jobs of which the service says something else; `stale`: groups of
    derived files that were made from an earlier state."""

    event: ClassVar[str] = "verify"
    ok: bool
    same: int
    missing: int
    changed: int
    unreadable: int
    unknown: int
    disagree: int
    stale: Sequence[str]


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("manifest", metavar="MANIFEST")
    shard_flag(parser)
    parser.add_argument("--remote", action="store_true", help="ask the service about every job as well")
    parser.add_argument(
        "--repair", action="store_true", help="fetch again what costs nothing, and make again what is derived"
    )


def run(args: argparse.Namespace, console: Console) -> int:
    from hume_runner.api import Verdict
    from hume_runner.api.verifying import Tally, checked_files, stale

    found = project(args, console)
    found.need_state("there is nothing to verify yet")
    tally = Tally()
    failed, told = _repair(found, console) if args.repair else (None, False)
    for checked in checked_files(found):
        tally.add(checked)
        if console.json:
            console.event(FileChecked(path=checked.path, verdict=str(checked.verdict), why=checked.why))
        elif checked.verdict is not Verdict.SAME or console.verbose:
            console.result(f"{checked.verdict} {checked.path}{f'  ({checked.why})' if checked.why else ''}")
    if args.remote:
        _remote(found, console, tally)
    code, counts = tally.exit_code(failed), tally.files
    console.counts = {str(k): v for k, v in counts.items()}
    if console.json:
        named = {verdict.name.lower(): counts[verdict] for verdict in Verdict}
        console.event(Compared(ok=code == 0, **named, disagree=tally.strange, stale=stale(found)))
        if failed:
            print_error(failed, console, told=told)
    else:
        console.result(
            f"{counts[Verdict.SAME]} same, {counts[Verdict.MISSING]} missing, {counts[Verdict.CHANGED]} changed, "
            f"{counts[Verdict.UNREADABLE]} unreadable, {counts[Verdict.UNKNOWN]} not ours"
        )
        if failed:
            print_error(failed, console, told=told)
        elif tally.harmed:
            _next_step(args, found, console, tally.answers, tally.harmed - tally.answers)
        if groups := stale(found):
            console.note(
                f"{', '.join(groups)}: made before the last job was recorded; "
                f"`hume-runner verify {args.manifest} --repair` makes them again, for nothing"
            )
    return code


def _next_step(args: argparse.Namespace, project: Project, console: Console, answers: int, others: int) -> None:
    """What helps against so many harmed answers and other files."""
    once = not project.keeps_answers and project.paths.remote is None  # in a store they are kept
    repair = f"`hume-runner verify {args.manifest} --repair`"
    if answers and project.here:
        console.note(f"next: `hume-runner run {args.manifest}` measures again what is lost, for nothing")
    elif args.repair:
        # Of a run of an earlier version nothing tells any more.
        console.note(
            f"next: restore the files from a backup; `hume-runner run {args.manifest}` makes run.json, "
            "and sends nothing where all is done"
        )
    elif answers and once:
        console.note(
            "next: put the answers in raw/ back from a backup: this service gives an answer once; "
            f"`hume-runner run {args.manifest} --pay-again` measures what is lost once more, and pays for it"
        )
        if others:
            console.note(f"next: {repair} makes again what is derived from them")
    elif answers:
        console.note(f"next: {repair} fetches again what costs nothing to have")
    else:
        console.note(f"next: {repair} makes again what is derived, for nothing")


def _repair(project: Project, console: Console) -> tuple[HumeRunnerError | None, bool]:
    """What could not be repaired, and whether that was said already."""
    from hume_runner.api.mending import repair
    from hume_runner.cli.progress import RunProgress

    with RunProgress(console, project.manifest.name, warn=console.error) as progress:
        failed = repair(project, on_event=progress)
        return failed, failed is not None and progress.has_said(str(failed))


def _remote(project: Project, console: Console, tally: Tally) -> None:
    """Tell what the service says of our jobs."""
    from hume_runner.api.verifying import checked_jobs

    for job, says in checked_jobs(project):
        tally.add_job(says)
        if console.json:
            said = mask_secrets(says.words)
            console.event(JobChecked(job=job.number, remote_id=job.remote_id, agrees=says.agrees, says=said))
        elif not says.agrees or console.verbose:
            sign = "=" if says.agrees else "*"
            console.result(f"{sign} job-{job.number:06d} {job.remote_id}: {says.words}")
