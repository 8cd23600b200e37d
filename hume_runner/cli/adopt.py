"""`hume-runner adopt`: bring jobs that were started elsewhere, or their answers in files, under this state."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from hume_runner.amounts import counted
from hume_runner.cli.console import Console
from hume_runner.cli.lines import Line
from hume_runner.cli.main import print_error
from hume_runner.cli.manifests import project, shard_flag
from hume_runner.frozen import frozen

if TYPE_CHECKING:
    from hume_runner.api.adopting import Adopted as Found


@frozen
class Adopted(Line):
    """A job that was started elsewhere is under this state."""

    event: ClassVar[str] = "adopted"
    remote_id: str
    job: int
    items: int
    unmatched: int
    why: str
    lacks: int
    lacking: Sequence[str]


@frozen
class Skipped(Line):
    """A job was not adopted."""

    event: ClassVar[str] = "skipped"
    remote_id: str
    job: None = None
    items: int
    unmatched: int
    why: str


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("manifest", metavar="MANIFEST")
    shard_flag(parser)
    parser.add_argument(
        "names",
        nargs="+",
        metavar="REMOTE_ID|FILE",
        help="the service's names for jobs; or predictions.json files that were downloaded, of which nobody is asked",
    )
    made = parser.add_mutually_exclusive_group()
    made.add_argument(
        "--measured",
        dest="simulated",
        action="store_const",
        const=False,
        help="a service measured what is in the FILEs; without this or --simulated nobody knows: `simulated` is null",
    )
    made.add_argument(
        "--simulated",
        dest="simulated",
        action="store_const",
        const=True,
        help="the scores in the FILEs are made up, as the emulator does",
    )


def run(args: argparse.Namespace, console: Console) -> int:
    from hume_runner.api.adopting import adopt

    code, took = 0, False
    counts = dict.fromkeys(("adopted", "skipped", "items"), 0)
    console.counts = counts
    for one in adopt(project(args, console), args.names, simulated=args.simulated):
        took = took or one.job is not None
        counts["skipped" if one.job is None else "adopted"] += 1
        counts["items"] += one.items
        if one.error is not None:
            code = code or one.error.exit_code
            print_error(one.error, console)
        if console.json:
            console.event(_line(one))
        elif one.job is not None:
            rest = f"; {one.unmatched} of its sources are not waited for here" if one.unmatched else ""
            if one.lacks:
                rest += f"; without {' and '.join(one.lacking)} of {counted(one.lacks, 'item')}, which still wait"
                rest += "s to be measured" if one.lacks == 1 else " to be measured"
            items = counted(one.items, "item")
            console.result(f"{one.remote_id}: adopted as job-{one.job:06d} with {items}{rest}")
        elif one.error is None:
            console.result(f"{one.remote_id}: not adopted: {one.why}")
    if any(name.endswith(".json") for name in args.names) and took:
        console.note(
            "a predictions file tells which models measured, and nothing of their options but what rows show: else the "
            "manifest's are taken"
        )
        if args.simulated is None:
            console.note(
                "nor does it tell whether a service measured it or the emulator made it up, so `simulated` is null; "
                "adopt it again with --measured or --simulated to say so"
            )
    if took:
        console.note(f"next: hume-runner run {args.manifest}")
    return code


def _line(one: Found) -> Line:
    if one.job is None:
        return Skipped(remote_id=one.remote_id, items=one.items, unmatched=one.unmatched, why=one.why)
    return Adopted(
        remote_id=one.remote_id,
        job=one.job,
        items=one.items,
        unmatched=one.unmatched,
        why=one.why,
        lacks=one.lacks,
        lacking=list(one.lacking),
    )
