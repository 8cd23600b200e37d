"""`report`: one HTML page from raw answers, rebuilt without network; also from answers that no manifest knows."""

from __future__ import annotations

import argparse
from pathlib import Path

from hume_runner.cli.console import Console
from hume_runner.errors import UsageError
from hume_runner.results.base import ResultSet


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("manifest", nargs="?", metavar="MANIFEST", help="the manifest whose answers are shown")
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

    results = _results(args)
    out = Path(args.out) if args.out else results.directory / "report.html"
    unread: list[str] = []
    # Asked before: what is recorded meanwhile makes this page stale, not current.
    serial = getattr(results, "serial", None)
    written = write_report(results, out, unread=unread.append)
    if serial is not None and out.resolve() == (results.directory / "report.html").resolve():
        from hume_runner import wiring
        from hume_runner.results.derived import REPORT

        wiring.mark_derived(args, REPORT, [results.directory / REPORT], serial=serial)
    if console.json:
        console.document({"event": "report", "file": str(written)})
    else:
        console.result(str(written))
    for told in unread:
        console.error(told)
    if unread:
        console.error("next: `hume-runner verify MANIFEST --repair` fetches again what costs nothing to have")
    return 3 if unread else 0


def _results(args: argparse.Namespace) -> ResultSet:
    if bool(args.manifest) == bool(args.files):
        raise UsageError("report takes a manifest, or --from with files", hint="hume-runner report --help")
    if args.files:
        from hume_runner.results.read import LooseResults

        if not args.out:
            raise UsageError("--from needs --out FILE: there is no output directory", hint="add --out report.html")
        return LooseResults([Path(file) for file in args.files], Path(args.out).parent)
    from hume_runner.wiring import open_results

    results: ResultSet = open_results(Path(args.manifest), args)
    return results
