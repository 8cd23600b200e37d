"""`report`: one HTML page from raw answers, rebuilt without network; also from answers that no manifest knows."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hume_runner.cli.browser import opened
from hume_runner.cli.console import Console
from hume_runner.cli.lines import ABSENT, Absent, Line
from hume_runner.cli.manifests import shard_flag
from hume_runner.cli.rebuilding import answers_of, ended
from hume_runner.errors import UsageError
from hume_runner.frozen import frozen

if TYPE_CHECKING:
    from hume_runner.api.rebuilding import Answers


@frozen
class Written(Line):
    """A page, or figures instead of one. `unread`: answers that could not be read, and why."""

    event: ClassVar[str] = "report"
    file: str | None
    figures: Sequence[str] | Absent = ABSENT
    unread: Sequence[str]


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("manifest", nargs="?", metavar="MANIFEST", help="the manifest whose answers are shown")
    shard_flag(parser)
    parser.add_argument("--out", metavar="FILE", help="where to write (default: report.html in the output directory)")
    parser.add_argument(
        "--from",
        dest="files",
        nargs="+",
        metavar="FILE",
        help="take these files with predictions, or all below these folders that hold some, whatever their names, "
        "instead of a manifest",
    )
    parser.add_argument(
        "--compare",
        metavar="OTHER",
        help="carry a section that puts these results beside another one of the same sources, its output directory or "
        "manifest (then it is written as report-compared.html)",
    )
    parser.add_argument(
        "--pair",
        dest="pairs",
        action="append",
        default=[],
        metavar="A.COLUMN=B.COLUMN",
        help="with --compare: compare this column with that one of OTHER as well; may be given again",
    )
    parser.add_argument(
        "--even-simulated", action="store_true", help="with --compare: simulated scores beside measured ones, too"
    )
    parser.add_argument(
        "--open", action="store_true", help="show it in the browser (of BROWSER, if that is set) once it is written"
    )
    _figure_flags(parser)


def _figure_flags(parser: argparse.ArgumentParser) -> None:
    figures = parser.add_argument_group("pictures for a paper, instead of the page")
    figures.add_argument("--figures", metavar="DIR", help="draw means, groups and timelines into this folder")
    figures.add_argument(
        "--figure-format",
        choices=("svg", "png", "pdf", "csv"),
        default="svg",
        help="default: svg; csv: the numbers of means and groups instead, of all scores",
    )
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
        "--label",
        action="append",
        default=[],
        metavar="NAME[=GROUP,…]",
        help="group by this label, as 'wave' or with groups and order 'wave=pre,post'; repeat it for more",
    )
    figures.add_argument(
        "--table",
        action="append",
        default=[],
        metavar="NAME",
        help="draw this table; repeat it for more (default: all)",
    )
    figures.add_argument(
        "--score",
        action="append",
        default=[],
        metavar="NAME",
        help="draw this score, as 'joy' or 'pause_share'; repeat it for more (default: those that are strongest or "
        "lie furthest apart, which the picture says)",
    )
    figures.add_argument("--all-scores", action="store_true", help="draw all scores that a table is about")


def _width(text: str) -> float:
    number = float(text)
    if not 40 <= number <= 1000:
        raise argparse.ArgumentTypeError("must be from 40 to 1000 millimetres")
    return number


def run(args: argparse.Namespace, console: Console) -> int:
    from hume_runner.api.reports import Beside, make_page

    if (args.pairs or args.even_simulated) and not args.compare:
        raise UsageError("--pair and --even-simulated say how to compare", hint="add --compare OTHER")
    if args.compare and args.files:
        raise UsageError("--compare needs the results of a manifest", hint="name the manifest instead of --from")
    target = args.out or args.figures
    place = Path(target).parent if target else None
    answers = answers_of(args, console, "report", place=place, needs="FILE", example="report.html")
    if target:
        path = Path(target) if args.out else Path(target, f"figure.{args.figure_format}")
        answers.refuse_found(path, hint="choose another --out or --figures")
    if args.figures:
        return _figures(args, console, answers)
    if args.source or args.label or args.table or args.score or args.all_scores:
        raise UsageError(
            "--source, --label, --table, --score and --all-scores say what is drawn by --figures",
            hint="add --figures DIR",
        )
    beside = Beside(other=args.compare, pairs=args.pairs, even_simulated=args.even_simulated) if args.compare else None
    made = make_page(answers, out=Path(args.out) if args.out else None, beside=beside)
    if console.json:
        console.event(Written(file=str(made.path), unread=list(made.unread)))
    else:
        console.result(str(made.path))
    console.counts = {"files": 1, "unread": len(made.unread)}
    for told in made.unread:
        console.error(told)
    if args.open and not opened(made.resolved, console.environ):
        console.note(f"no browser here: open {made.resolved} in one, on this machine or on another")
    return ended(args, console, made.unread)


def _figures(args: argparse.Namespace, console: Console, answers: Answers) -> int:
    if args.compare:
        raise UsageError("--figures draws no comparison", hint="leave --compare or --figures out")
    if args.open:
        raise UsageError("--figures writes no page that --open could show", hint="leave --open or --figures out")
    from hume_runner.api.reports import draw_figures

    paths = draw_figures(
        answers,
        Path(args.figures),
        form=args.figure_format,
        width_mm=args.width,
        sources=args.source,
        labels=args.label,
        tables=args.table,
        scores=args.score,
        all_scores=args.all_scores,
        told=console.error,
    )
    if console.json:
        console.event(Written(file=None, figures=[str(path) for path in paths], unread=[]))
    else:
        for path in paths:
            console.result(str(path))
    console.counts = {"files": len(paths)}
    return 0
