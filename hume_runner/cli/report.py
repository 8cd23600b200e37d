"""`report`: one HTML page from raw answers, rebuilt without network; also from answers that no manifest knows."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from hume_runner.cli.console import Console
from hume_runner.cli.manifests import shard_flag
from hume_runner.errors import UsageError
from hume_runner.results.base import ResultSet

if TYPE_CHECKING:
    from hume_runner.api import Project


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("manifest", nargs="?", metavar="MANIFEST", help="the manifest whose answers are shown")
    shard_flag(parser)
    parser.add_argument("--out", metavar="FILE", help="where to write (default: report.html in the output directory)")
    parser.add_argument(
        "--from",
        dest="files",
        nargs="+",
        metavar="FILE",
        help="take these predictions.json files instead of a manifest",
    )


def run(args: argparse.Namespace, console: Console) -> int:
    from hume_runner.results.report import write_report

    found, results = _results(args, console)
    out = Path(args.out) if args.out else results.directory / "report.html"
    unread: list[str] = []
    # Asked before: what is recorded meanwhile makes this page stale, not current.
    serial = getattr(results, "serial", None)
    written = write_report(results, out, unread=unread.append)
    if found is not None and serial is not None and out.resolve() == (results.directory / "report.html").resolve():
        from hume_runner.results.derived import REPORT

        found.mark_derived(REPORT, [results.directory / REPORT], serial=serial)
    if console.json:
        console.event("report", file=str(written), unread=unread)
    else:
        console.result(str(written))
    console.counts = {"files": 1, "unread": len(unread)}
    for told in unread:
        console.error(told)
    if unread and args.manifest:
        console.error("next: `hume-runner verify MANIFEST --repair` fetches again what costs nothing to have")
    return 3 if unread else 0


def _results(args: argparse.Namespace, console: Console) -> tuple[Project | None, ResultSet]:
    if bool(args.manifest) == bool(args.files):
        raise UsageError("report takes a manifest, or --from with files", hint="hume-runner report --help")
    if args.files:
        from hume_runner.results.read import LooseResults

        if not args.out:
            raise UsageError("--from needs --out FILE: there is no output directory", hint="add --out report.html")
        return None, LooseResults([Path(file) for file in args.files], Path(args.out).parent)
    from hume_runner.cli.manifests import project

    found = project(args, console)
    return found, found.results()
