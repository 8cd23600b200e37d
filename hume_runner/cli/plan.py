"""`hume-runner plan`: what a run would do, and why. Sends nothing that costs and leaves no state behind."""

from __future__ import annotations

import argparse
import itertools
import shlex
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hume_runner.api.saved_plans import head, plan_page, save_plan, write_document, write_lists
from hume_runner.cli.console import Console
from hume_runner.cli.lines import ABSENT, Absent, Line
from hume_runner.cli.main import print_error
from hume_runner.cli.manifests import projects, selection_flags
from hume_runner.cli.plan_shown import ShownPlan, Totals, refusal
from hume_runner.cli.streams import Writer
from hume_runner.errors import HumeRunnerError, UsageError
from hume_runner.frozen import frozen

if TYPE_CHECKING:
    from hume_runner.api import Project


@frozen
class Planned(Line):
    """What a run would do; its jobs, and where they are asked for its items, are streamed behind this."""

    event: ClassVar[str] = "plan"
    name: str
    path: str
    sha256: str
    service: Mapping[str, Any]
    summary: Mapping[str, Any]
    reasons: Sequence[Mapping[str, Any]]
    notes: Sequence[str] | Absent = ABSENT
    selection: Mapping[str, Any] | Absent = ABSENT
    basis: str


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("manifests", nargs="+", metavar="MANIFEST", help="YAML files, planned one after another")
    parser.add_argument("--out", metavar="FILE", help="save the plan, for `run --plan FILE`")
    parser.add_argument("--markdown", metavar="FILE", help="write the Markdown form to this file as well")
    parser.add_argument(
        "--format",
        choices=("text", "json", "markdown"),
        help="default: text; json: one object a manifest, each on a line of its own",
    )
    selection_flags(parser)
    parser.add_argument("--items", action="store_true", help="say for every item what would happen, and why")
    parser.add_argument("--retry-failed", action="store_true", help="plan as `run --retry-failed` would run")
    parser.add_argument(
        "--detailed-exitcode", action="store_true", help="exit with 2 if a run would do something, with 0 if not"
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Plan each manifest; what is wrong with one is told, and the others have their turn."""
    if args.out and len(args.manifests) > 1:
        raise UsageError("--out goes with one manifest", hint="plan the manifests one by one")
    if console.json and args.format not in (None, "json"):
        raise UsageError(f"--json and --format {args.format} exclude each other", hint="leave one of them out")
    with ExitStack() as stack:
        pages: list[Writer] = [console.out] if args.format == "markdown" else []
        if args.markdown:
            pages.append(stack.enter_context(plan_page(Path(args.markdown))))
        return _plans(args, console, pages)


def _plans(args: argparse.Namespace, console: Console, pages: Sequence[Writer]) -> int:
    """`pages` get the Markdown form."""
    from hume_runner.api.inputs import refuse_found

    found = projects(args)
    for project, path in itertools.product(found, filter(None, (args.out, args.markdown))):
        refuse_found(project.manifest, Path(path), hint="choose another file")
    totals = Totals()
    console.counts = totals.counts
    wrong = 0
    for page in pages if len(found) > 1 else ():
        page.write(f"## Plans of {len(found)} manifests\n\n")
    for number, project in enumerate(found):
        console.manifest = project.shown
        console.masker = project.masker
        if len(found) > 1:
            console.speaks_of(
                project.shown, [*(["--endpoint", args.endpoint] if args.endpoint else []), *project.shard_flags]
            )
        console.state_is_apart = project.paths.remote is not None
        for page in pages if number else ():
            page.write("\n")
        try:
            _plan(project, args, console, pages, totals)
        except HumeRunnerError as error:
            if len(found) == 1:
                raise
            wrong = wrong or error.exit_code
            print_error(error, console)
            for page in pages:
                page.write(refusal(project.manifest.name, error))
    if len(found) > 1:
        for page in pages:
            page.write(f"\n**Total of {totals.text(len(found))}.**\n")
        if not console.json and not console.quiet and args.format in (None, "text"):
            console.result(f"total of {totals.text(len(found))}")
    return wrong or (2 if args.detailed_exitcode and (totals.unfinished or totals.anew) else 0)


def _plan(
    project: Project, args: argparse.Namespace, console: Console, pages: Sequence[Writer], totals: Totals
) -> None:
    with project.planning(retry_failed=args.retry_failed) as plan:
        for told in plan.warnings:
            console.warning(told)
        shown = ShownPlan(plan, items=args.items)
        totals.add(plan)
        if args.out:
            save_plan(plan, Path(args.out), items=args.items)
            shard = f" --shard {args.shard}" if args.shard else ""
            console.note(
                f"saved; `hume-runner run {args.manifests[0]}{shard} --plan {shlex.quote(args.out)}` runs exactly this"
            )
        for page in pages:
            shown.as_markdown(page)
        if console.json:
            members = head(plan)
            about = members.pop("manifest")
            with console.streamed_event(Planned(**about, **members)) as out:
                write_lists(plan, out.write, items=args.items)
        elif args.format == "json":
            write_document(plan, console.out.write, items=args.items)
        elif args.format != "markdown" and not console.quiet:
            shown.as_text(console)
        if plan.refusal is not None:
            raise plan.refusal
