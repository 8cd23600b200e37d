"""`compare`: two results of the same sources side by side, without network."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from hume_runner.cli.console import Console
from hume_runner.cli.lines import Line
from hume_runner.errors import UsageError
from hume_runner.frozen import frozen


@frozen
class Compared(Line):
    """Two results side by side: the document that `--out` writes as JSON, and where it was written."""

    event: ClassVar[str] = "compare"
    a: Mapping[str, Any]
    b: Mapping[str, Any]
    simulated: bool
    differences: Sequence[str]
    items: Mapping[str, Any]
    unmatched: Sequence[Mapping[str, Any]]
    tables: Sequence[Mapping[str, Any]]
    columns: Sequence[Mapping[str, Any]]
    unread: Sequence[str]
    file: str | None


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", metavar="A", help="the output directory of a run, or its manifest")
    parser.add_argument("b", metavar="B", help="another one of the same sources")
    parser.add_argument(
        "--pair",
        dest="pairs",
        action="append",
        default=[],
        metavar="A.COLUMN=B.COLUMN",
        help="compare this column of A with that one of B as well, each as TABLE.COLUMN; may be given again",
    )
    parser.add_argument(
        "--out", metavar="FILE", help="write it as well, as what the name ends in: .csv, .json, .parquet, .md or .html"
    )
    parser.add_argument(
        "--even-simulated", action="store_true", help="compare simulated scores with measured ones, to rehearse"
    )


def given(args: argparse.Namespace) -> dict[str, list[str]]:
    """What `--json` says that was given."""
    return {"places": [args.a, args.b]}


def run(args: argparse.Namespace, console: Console) -> int:
    from hume_runner.api import comparing

    for flag, value in (("--state", args.state), ("--output-dir", args.output_dir), ("--endpoint", args.endpoint)):
        if value:
            raise UsageError(f"compare takes no {flag}", hint="name the output directories themselves as A and B")
    out = Path(args.out) if args.out else None
    if out is not None:
        comparing.refuse_file(out)
    found = comparing.compare(args.a, args.b, pairs=args.pairs, even_simulated=args.even_simulated)
    written = None if out is None else comparing.write_file(found, out)
    if console.json:
        console.event(Compared(**comparing.document(found), file=str(written) if written else None))
        console.counts = {
            "matched": found.matched,
            "compared": found.compared,
            "not_compared": sum(found.reasons.values()),
        }
        return found.exit_code
    for line in comparing.lines(found, everything=bool(console.verbose)):
        console.result(line)
    if written:
        console.result(str(written))
    for told in found.unread:
        console.error(told)
    return found.exit_code
