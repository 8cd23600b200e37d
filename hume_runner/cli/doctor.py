"""`hume-runner doctor`: whether this machine, and one manifest on it, are ready for a run. Sends nothing that costs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from hume_runner.amounts import counted
from hume_runner.cli.console import Console

if TYPE_CHECKING:
    from hume_runner.api.doctor import Finding


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("manifest", nargs="?", metavar="MANIFEST", help="also check what this manifest needs")


def run(args: argparse.Namespace, console: Console) -> int:
    """0, or the exit code that a run would have for the first problem found."""
    from hume_runner.api.doctor import findings

    counts = dict.fromkeys(("ok", "note", "problem"), 0)
    exit_code = 0
    for finding in findings(args.manifest, output_dir=args.output_dir, state=args.state, endpoint=args.endpoint):
        counts[finding.mark] += 1
        exit_code = exit_code or finding.exit_code
        _show(finding, console)
    console.counts = counts
    if console.json:
        console.event("doctor", ready=exit_code == 0, **counts)
    elif exit_code:
        console.note(counted(counts["problem"], "problem"))
    return exit_code


def _show(finding: Finding, console: Console) -> None:
    if console.json:
        facts = {"name": finding.name, "status": finding.mark, "message": finding.message, "next": finding.hint or None}
        console.event("check", **facts)
        return
    if console.quiet and finding.mark != "problem":
        return
    mark = {"ok": "ok", "note": "--", "problem": "!!"}[finding.mark]
    console.result(f"{mark}  {finding.name:<11} {finding.message}")
    if finding.hint:
        console.result(f"    next: {finding.hint}")
