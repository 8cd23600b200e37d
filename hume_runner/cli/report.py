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
        help="take these predictions.json files, or all below these folders, instead of a manifest",
    )
    figures = parser.add_argument_group("pictures for a paper, instead of the page")
    figures.add_argument("--figures", metavar="DIR", help="draw means, groups and timelines into this folder")
    figures.add_argument("--figure-format", choices=("svg", "png", "pdf"), default="svg", help="default: svg")
    figures.add_argument(
        "--width", type=_width, default=180.0, metavar="MM", help="width in millimetres (default: 180)"
    )
    figures.add_argument(
        "--source",
        action="append",
        default=[],
        metavar="ID",
        help="draw the timeline of this source; repeat it for more",
    )
    figures.add_argument(
        "--label", action="append", default=[], metavar="NAME", help="group by this label; repeat it for more"
    )


def _width(text: str) -> float:
    number = float(text)
    if not 40 <= number <= 1000:
        raise argparse.ArgumentTypeError("must be from 40 to 1000 millimetres")
    return number


def run(args: argparse.Namespace, console: Console) -> int:
    from hume_runner.results.report import write_report

    found, results = _results(args, console)
    if args.figures:
        return _figures(args, console, results)
    if args.source or args.label:
        raise UsageError("--source and --label say what is drawn by --figures", hint="add --figures DIR")
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


def _figures(args: argparse.Namespace, console: Console, results: ResultSet) -> int:
    from hume_runner.results.figures.write import write_figures

    paths = write_figures(
        results,
        Path(args.figures),
        form=args.figure_format,
        width_mm=args.width,
        sources=args.source,
        labels=args.label,
        told=console.error,
    )
    if console.json:
        console.event("report", file=None, figures=[str(path) for path in paths], unread=[])
    else:
        for path in paths:
            console.result(str(path))
    console.counts = {"files": len(paths)}
    return 0


def _results(args: argparse.Namespace, console: Console) -> tuple[Project | None, ResultSet]:
    if bool(args.manifest) == bool(args.files):
        raise UsageError("report takes a manifest, or --from with files", hint="hume-runner report --help")
    if args.files:
        from hume_runner.results.read import LooseResults, files_under

        out = args.out or args.figures
        if not out:
            raise UsageError("--from needs --out FILE: there is no output directory", hint="add --out report.html")
        return None, LooseResults(files_under(map(Path, args.files)), Path(out).parent)
    from hume_runner.cli.manifests import project

    found = project(args, console)
    return found, found.results()
