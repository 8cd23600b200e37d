"""`hume-runner ctl MANIFEST status|pause|resume|drain|set KEY=VALUE`: talk to a run that goes on."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from hume_runner.cli.console import Console
from hume_runner.cli.manifests import project, shard_flag
from hume_runner.errors import UsageError

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
# What every answer of a run has; somebody else's socket may say anything.
_SAID: dict[str, type | tuple[type, ...]] = {
    "pid": int,
    "phase": str,
    "requests_per_second": (int, float),
    "max_jobs_in_flight": int,
    "transfer_workers": int,
}


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
    from hume_runner.control.address import socket_of
    from hume_runner.control.asking import NoRun, ask

    if bool(args.settings) != (args.action == "set"):
        raise UsageError("ctl: KEY=VALUE goes with set, and set with KEY=VALUE", hint="hume-runner ctl --help")
    found = project(args, console)
    request: dict[str, Any] = {"command": args.action}
    if args.settings:
        from hume_runner.api.commanding import setting

        request["settings"] = dict(setting(text) for text in args.settings)
    told = ask(found.paths.state, request)
    if not told.get("ok"):
        hint = told.get("hint")
        raise UsageError(f"{found.paths.state}: {told['error']}", hint=str(hint or "hume-runner ctl --help"))
    if not all(isinstance(told.get(name), kind) for name, kind in _SAID.items()):
        raise NoRun(socket_of(found.paths.state))
    if console.json:
        console.event("ctl", action=args.action, run={name: value for name, value in told.items() if name != "ok"})
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
