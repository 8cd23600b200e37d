"""`hume-runner doctor`: whether this machine, and one manifest on it, are ready for a run. Sends nothing that costs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, ClassVar

from hume_runner.amounts import counted
from hume_runner.cli.console import Console
from hume_runner.cli.lines import Line
from hume_runner.frozen import frozen

if TYPE_CHECKING:
    from hume_runner.api.doctor import Finding


@frozen
class Looked(Line):
    """One thing that was looked at."""

    event: ClassVar[str] = "check"
    name: str
    status: str
    message: str
    next: str | None


@frozen
class Judged(Line):
    """Whether all is ready, and how many checks say what."""

    event: ClassVar[str] = "doctor"
    ready: bool
    ok: int
    note: int
    problem: int


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
        console.event(Judged(ready=exit_code == 0, **counts))
    elif exit_code:
        console.note(counted(counts["problem"], "problem"))
    return exit_code


def _show(finding: Finding, console: Console) -> None:
    if console.json:
        hint = finding.hint or None
        console.event(Looked(name=finding.name, status=finding.mark, message=finding.message, next=hint))
        return
    if console.quiet and finding.mark != "problem":
        return
    mark = {"ok": "ok", "note": "--", "problem": "!!"}[finding.mark]
    console.result(f"{mark}  {finding.name:<11} {finding.message}")
    if finding.hint:
        console.result(f"    next: {finding.hint}")
