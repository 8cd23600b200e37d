"""`hume-runner run`: validate everything first, then run one manifest after another."""

from __future__ import annotations

import argparse
import contextlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hume_runner import installing
from hume_runner.cli.console import Console
from hume_runner.cli.main import print_error
from hume_runner.cli.manifests import projects, selection_flags, selection_words
from hume_runner.cli.requests_told import heard_by
from hume_runner.cli.signals import OUTPUT_LOST, Interrupted
from hume_runner.errors import HumeRunnerError, UsageError, of_system

if TYPE_CHECKING:
    from hume_runner.api import Machine, Project, RunResult
    from hume_runner.cli.metrics import Metrics


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("manifests", nargs="+", metavar="MANIFEST", help="YAML files, run one after another")
    parser.add_argument("--plan", metavar="FILE", help="run exactly this saved plan; refuse it if it is stale")
    parser.add_argument("--detach", action="store_true", help="leave once everything is submitted; run again to fetch")
    parser.add_argument("--retry-failed", action="store_true", help="submit items that failed before once more")
    parser.add_argument(
        "--pay-again", action="store_true", help="send what may be at the service already, where nothing can tell"
    )
    parser.add_argument(
        "--max-billable-seconds", type=_seconds, metavar="N", help="submit nothing that would exceed this bill"
    )
    parser.add_argument(
        "--metrics-file", metavar="FILE", help="keep numbers of the run here, for Prometheus' textfile collector"
    )
    selection_flags(parser)
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS|MODULE:FACTORY",
        help="where media are prepared and `local` measures: a Dask scheduler (tcp://host:8786), or what makes an "
        "executor (see docs/cluster.md)",
    )


def run(args: argparse.Namespace, console: Console, machine: Machine | None = None) -> int:
    if args.plan and len(args.manifests) > 1:
        raise UsageError("--plan goes with one manifest", hint="run the manifests one by one")
    code = 0
    totals: dict[str, int] = {}
    console.counts = totals
    try:
        projects = _open_all(args, machine)
        metrics = _metrics(args, console)
        with heard_by(metrics) if metrics is not None else contextlib.nullcontext():
            for number in _codes(args, console, projects, totals, metrics):
                code = code or number
    except Interrupted as left:
        code = left.exit_code
        if code != OUTPUT_LOST:  # which is told at the end, by itself
            _say_left(console)
    finally:
        # What is said last is said whole, whatever comes now.
        console.mailbox.ending()
    return console.mailbox.signalled or code


def _say_left(console: Console) -> None:
    if console.mailbox.begun:
        console.error("left at once; the state is safe, and the next run goes on and makes the outputs")
    else:
        console.error("interrupted before anything was sent")


def _metrics(args: argparse.Namespace, console: Console) -> Metrics | None:
    """Raises: UsageError where the file cannot be written."""
    if not args.metrics_file:
        return None
    from hume_runner.cli.metrics import Metrics

    return Metrics(Path(args.metrics_file), warn=console.warning)


def _codes(
    args: argparse.Namespace,
    console: Console,
    projects: Sequence[Project],
    totals: dict[str, int],
    metrics: Metrics | None,
) -> Iterator[int]:
    """Run one manifest after another; yield each one's exit code. Raises: Interrupted before anything was sent."""
    for project in projects:
        console.mailbox.idle()
        console.manifest = project.shown
        if len(args.manifests) > 1:
            flags = [*(["--endpoint", args.endpoint] if args.endpoint else []), *project.shard_flags]
            console.speaks_of(project.shown, flags, selection_words(args))
        console.state_is_apart = project.paths.remote is not None
        code, counts = _run_or_tell(project, args, console, metrics)
        for name, number in counts.items():
            totals[name] = totals.get(name, 0) + number
        yield code
        if code in (130, 143):
            return


def _open_all(args: argparse.Namespace, machine: Machine | None) -> list[Project]:
    """Every manifest, ready to run."""
    from hume_runner.api.inputs import refuse_found

    found = projects(args, machine)
    for project in found if args.metrics_file else ():
        refuse_found(project.manifest, Path(args.metrics_file), hint="choose another --metrics-file")
    if args.max_billable_seconds is not None:
        found = [project.with_bill(args.max_billable_seconds) for project in found]
    for project in found:
        project.need_extras(to_run=True)
        if args.cluster:
            project.place(args.cluster, warn=lambda said: None)
    return found


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError("must be more than 0")
    return seconds


def _run_or_tell(
    project: Project, args: argparse.Namespace, console: Console, metrics: Metrics | None
) -> tuple[int, dict[str, int]]:
    """A manifest that cannot run is told of; the ones after it have their turn."""
    try:
        return _run_one(project, args, console, metrics)
    except Exception as error:
        known = error if isinstance(error, HumeRunnerError) else of_system(error)
        if known is None:
            raise
        print_error(known, console)
        if metrics is not None:
            metrics.ended(project.manifest.name, known.exit_code, None)
        return known.exit_code, {}


def _run_one(
    project: Project, args: argparse.Namespace, console: Console, metrics: Metrics | None
) -> tuple[int, dict[str, int]]:
    from hume_runner.api import read_plan
    from hume_runner.api.running import run_project
    from hume_runner.cli.progress import RunProgress

    saved_plan = read_plan(args.plan) if args.plan else None
    console.masker = project.masker
    if metrics is not None:
        metrics.begin(project.manifest.name)
    with RunProgress(console, project.manifest.name, here=project.here, metrics=metrics) as progress:
        try:
            result = run_project(
                project,
                on_event=progress,
                control=console.mailbox,
                detach=args.detach,
                retry_failed=args.retry_failed,
                pay_again=args.pay_again,
                saved_plan=saved_plan,
                cluster=args.cluster,
            )
        except Interrupted as left:
            if not console.mailbox.begun:
                raise
            _say_left(console)
            if metrics is not None:
                metrics.ended(project.manifest.name, left.exit_code, None)
            return left.exit_code, {}
    if metrics is not None:
        metrics.ended(project.manifest.name, result.exit_code, result)
    if result.error is not None:
        print_error(result.error, console, told=progress.has_said(str(result.error)))
    if not console.json and not console.quiet:
        console.result(result.summary)
        for advice in _next(project, result):
            console.note(f"next: {advice}")
    return result.exit_code, dict(result.counts.items)


def _next(project: Project, result: RunResult) -> Iterator[str]:
    """What to do with what was measured, or to go on; nothing where the run says itself what comes next."""
    if result.exit_code in (130, 143) and result.error is None:
        yield "`hume-runner run MANIFEST` goes on where it was"
    if result.exit_code not in (0, 3) or not result.counts.items["done"]:
        return
    lacking = installing.lacking("report", "tables")
    if lacking:
        yield f"`{installing.extras(*lacking)}`, for what follows"
    yield "`hume-runner report MANIFEST --open` shows it"
    if project.manifest.outputs.tables and "tables" not in lacking:
        yield f"the tables are in {result.outputs / 'tables'}"
    else:
        yield "`hume-runner tables MANIFEST --format csv` makes tables"
