"""`hume-runner ctl MANIFEST status|pause|resume|drain|set KEY=VALUE`: talk to a run that goes on."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any, ClassVar

from hume_runner.cli.console import Console
from hume_runner.cli.lines import Line
from hume_runner.cli.manifests import project, shard_flag
from hume_runner.errors import UsageError
from hume_runner.frozen import frozen

_ACTIONS = ("status", "pause", "resume", "drain", "set")
# What people type for one of these, and looks like none of them.
MEANT = {
    **dict.fromkeys(
        ("stop", "end", "quit", "exit", "kill", "cancel", "abort", "finish", "terminate", "interrupt"), "drain"
    ),
    **dict.fromkeys(("continue", "unpause", "go", "start"), "resume"),
    **dict.fromkeys(("hold", "wait", "suspend", "halt"), "pause"),
    **dict.fromkeys(("info", "show", "state", "ping"), "status"),
}


@frozen
class Answered(Line):
    """A run was talked to; `run`: what it said of itself."""

    event: ClassVar[str] = "ctl"
    action: str
    run: Mapping[str, Any]


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("manifest", metavar="MANIFEST")
    parser.add_argument(
        "action",
        choices=_ACTIONS,
        help="pause: submit nothing more for now; drain: as the first Ctrl-C, finish what is on its way and end",
    )
    parser.add_argument(
        "settings",
        nargs="*",
        metavar="KEY=VALUE",
        help="set: requests_per_second, max_jobs_in_flight, transfer_workers, until the run ends",
    )
    shard_flag(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    from hume_runner.api.asking import ask_run

    if bool(args.settings) != (args.action == "set"):
        raise UsageError("ctl: KEY=VALUE goes with set, and set with KEY=VALUE", hint="hume-runner ctl --help")
    told = ask_run(project(args, console), args.action, args.settings)
    if console.json:
        console.event(Answered(action=args.action, run=told))
    else:
        console.result(_words(told))
    return 0


def _words(told: Mapping[str, Any]) -> str:
    jobs = [
        f"{told[name]} {words}"
        for name, words in (
            ("preparing", "prepared"),
            ("submitting", "sent"),
            ("at_the_service", "at the service"),
            ("to_fetch", "to fetch"),
            ("lost", "without an answer"),
        )
        if told.get(name)
    ]
    return (
        f"{told['phase']}: process {told['pid']}; jobs: {', '.join(jobs) or 'none on their way'}\n"
        f"  at most {told['requests_per_second']:g} requests a second, {told['max_jobs_in_flight']} jobs at the "
        f"service, {told['transfer_workers']} transfers at one time"
    )
