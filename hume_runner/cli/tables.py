"""`tables`: raw answers as tables, rebuilt without network; also from answers that no manifest knows."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from hume_runner.api import TableOptions
from hume_runner.cli.console import Console
from hume_runner.cli.lines import Line
from hume_runner.cli.manifests import shard_flag
from hume_runner.cli.rebuilding import answers_of, ended
from hume_runner.frozen import frozen

_FORMATS = ("parquet", "csv", "jsonl", "xlsx")


@frozen
class Written(Line):
    """Tables were written. `unread`: answers that could not be read, and why."""

    event: ClassVar[str] = "tables"
    files: Sequence[str]
    unread: Sequence[str]


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("manifest", nargs="?", metavar="MANIFEST", help="the manifest whose answers become tables")
    parser.add_argument("--format", choices=_FORMATS, default="parquet", help="default: parquet")
    parser.add_argument("--long", action="store_true", help="also write a long form: one row a score")
    parser.add_argument("--labels", action="store_true", help="the labels as columns in every table, not only in items")
    above = TableOptions().above
    parser.add_argument(
        "--above", type=_cutoff, default=above, metavar="X", help=f"what `share_above` counts from (default: {above})"
    )
    parser.add_argument("--bom", action="store_true", help="CSV with a byte order mark, for Excel")
    parser.add_argument(
        "--from",
        dest="files",
        nargs="+",
        metavar="PATH",
        help="take these files with predictions, or all below these folders that hold some, whatever their names, "
        "instead of a manifest",
    )
    parser.add_argument(
        "--psych-ds",
        action="store_true",
        help="a Psych-DS dataset in --out DIR: CSV and its description",
    )
    shard_flag(parser)
    parser.add_argument("--out", metavar="DIR", help="where to write (default: tables/ in the output directory)")


def run(args: argparse.Namespace, console: Console) -> int:
    from hume_runner.api.tables import make_psych_ds, make_tables
    from hume_runner.cli.progress import warnings_to

    out = Path(args.out) if args.out else None
    answers = answers_of(args, console, "tables", place=out, needs="DIR", example="tables")
    options = TableOptions(long=args.long, labels=args.labels, bom=args.bom, above=args.above)
    hears = warnings_to(console)
    if args.psych_ds:
        made = make_psych_ds(answers, out=out, options=options, on_event=hears)
    else:
        made = make_tables(answers, out=out, format=args.format, options=options, on_event=hears)
    if console.json:
        console.event(Written(files=[str(path) for path in made.paths], unread=list(made.unread)))
    else:
        for path in made.paths:
            console.result(str(path))
    console.counts = {"files": len(made.paths), "unread": len(made.unread)}
    for told in made.unread:
        console.error(told)
    return ended(args, console, made.unread)


def _cutoff(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError("must be a number")
    return number
