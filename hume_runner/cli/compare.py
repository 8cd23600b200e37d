"""`compare`: two results of the same sources side by side, without network."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hume_runner.cli.console import Console
from hume_runner.errors import UsageError

if TYPE_CHECKING:
    from hume_runner.api import Comparison
    from hume_runner.results.compare.base import ColumnsTogether

_MOST_COLUMNS = 15
_MOST_ITEMS = 10


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
    from hume_runner.api import compare

    for flag, value in (("--state", args.state), ("--output-dir", args.output_dir), ("--endpoint", args.endpoint)):
        if value:
            raise UsageError(f"compare takes no {flag}", hint="name the output directories themselves as A and B")
    if args.out:
        from hume_runner.results.authorship import refuse_others
        from hume_runner.results.compare import form_of
        from hume_runner.results.marks import Kind

        form_of(Path(args.out))
        refuse_others([Path(args.out)], Kind.COMPARISON, hint="choose another --out")
    found = compare(args.a, args.b, pairs=args.pairs, even_simulated=args.even_simulated)
    written = _write(found, args.out) if args.out else None
    if console.json:
        from hume_runner.results.compare.records import document

        console.event("compare", **document(found), file=str(written) if written else None)
        console.counts = {
            "matched": found.matched,
            "compared": found.compared,
            "not_compared": sum(found.reasons.values()),
        }
        return found.exit_code
    for line in _lines(found, everything=bool(console.verbose)):
        console.result(line)
    if written:
        console.result(str(written))
    for told in found.unread:
        console.error(told)
    return found.exit_code


def _write(found: Comparison, out: str) -> Path:
    from hume_runner.results.compare import write_comparison

    return write_comparison(found, Path(out))


def _lines(found: Comparison, *, everything: bool) -> Iterator[str]:
    from hume_runner.results.compare import records

    for letter, side in (("A", found.a), ("B", found.b)):
        yield f"{letter}  {side.shown}: {records.side_words(side)}"
    if found.simulated:
        yield records.SIMULATED
    for told in found.differences:
        yield f"   differs  {told}"
    yield f"   {records.item_words(found)}"
    yield from _left(found, everything=everything)
    if found.a.api != found.b.api and found.columns:
        yield records.OTHER_SCALE
    for table in found.tables:
        yield ""
        yield f"{records.table_title(table)}: {records.table_words(table)}"
        columns = found.columns_of(table)
        yield from _table(columns, everything=everything)
        if (beyond := records.beyond_words(columns)) is not None:
            yield f"  {beyond}"
    if found.columns:
        yield ""
        yield from records.basis_words(found)
    if (advice := records.advice(found)) is not None:
        yield f"nothing is compared: {advice}"


def _left(found: Comparison, *, everything: bool) -> Iterator[str]:
    from hume_runner.results.compare import records

    yield from (f"   {told}" for told in records.reason_words(found))
    shown = found.unmatched if everything else found.unmatched[:_MOST_ITEMS]
    for item in shown:
        source = f" ({item.source})" if item.source != item.id else ""
        yield f"     {item.side.upper()}  {item.id}{source}: {item.told}"
    left = sum(found.reasons.values()) - len(shown)
    if left:
        yield f"     and {left:,} more; -v or --out FILE tells which"


def _table(columns: Sequence[ColumnsTogether], *, everything: bool) -> Iterator[str]:
    """The columns as aligned words; of very many those that agree least."""
    from hume_runner.results.compare import records

    shown = list(columns)
    if not everything and len(shown) > _MOST_COLUMNS:
        shown = sorted(shown, key=_agrees)[:_MOST_COLUMNS]
    rows = [["column", "n", "mean A", "mean B", "B - A", "Pearson [95 %]", "Spearman [95 %]"]]
    for one in shown:
        found = one.agreement
        means = map(records.shown, (found.mean_a, found.mean_b, found.mean_difference))
        both = (records.correlation(found.pearson), records.correlation(found.spearman))
        rows.append([one.name, f"{found.n:,}", *means, *(words or "-" for words in both)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *cells in rows if shown else ():
        words = "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True))
        yield f"  {name:<{widths[0]}}  {words}".rstrip()
    if len(shown) < len(columns):
        yield f"  the {len(shown)} of {len(columns)} that agree least; -v or --out FILE tells all"


def _agrees(one: ColumnsTogether) -> tuple[bool, float]:
    value = one.agreement.spearman.value
    return (value is None, 0.0 if value is None else value)
