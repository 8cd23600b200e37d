"""`tables`: raw answers as tables, rebuilt without network; also from answers that no manifest knows."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hume_runner.aside import folder_below
from hume_runner.cli.console import Console
from hume_runner.cli.manifests import shard_flag
from hume_runner.cli.rebuilding import ended, results_of
from hume_runner.errors import UsageError
from hume_runner.results.base import ResultSet
from hume_runner.results.options import ABOVE, TableOptions
from hume_runner.state.pinned import resolved

if TYPE_CHECKING:
    from hume_runner.api import Project
    from hume_runner.results.intervals import ManifestSays


_FORMATS = ("parquet", "csv", "jsonl", "xlsx")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("manifest", nargs="?", metavar="MANIFEST", help="the manifest whose answers become tables")
    parser.add_argument("--format", choices=_FORMATS, default="parquet", help="default: parquet")
    parser.add_argument("--long", action="store_true", help="also write a long form: one row a score")
    parser.add_argument("--labels", action="store_true", help="the labels as columns in every table, not only in items")
    parser.add_argument(
        "--above", type=_cutoff, default=ABOVE, metavar="X", help=f"what `share_above` counts from (default: {ABOVE})"
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
    from hume_runner.api.inputs import refuse_found
    from hume_runner.results.event_sources import without_rows
    from hume_runner.results.intervals import ManifestSays
    from hume_runner.results.read import LooseResults

    place = Path(args.out) if args.out else None
    found, results = results_of(args, console, "tables", place=place, needs="DIR", example="tables")
    if found is not None and place is not None:
        refuse_found(found.manifest, place / f"items.{args.format}", hint="choose another --out")
    unread: list[str] = []
    says = found.says() if found is not None else ManifestSays()
    for told in without_rows(says.intervals, (item.id for item in results.items())):
        console.warning(told)
    options = TableOptions(long=args.long, labels=args.labels, bom=args.bom, above=args.above)
    if args.psych_ds:
        written = _psych_ds(args, found, results, options, says, unread.append)
    else:
        written = _tables(args, found, results, options, says, unread.append, console.warning)
    if isinstance(results, LooseResults):
        unread += results.unread
    if console.json:
        console.event("tables", files=[str(path) for path in written], unread=unread)
    else:
        for path in written:
            console.result(str(path))
    console.counts = {"files": len(written), "unread": len(unread)}
    for told in unread:
        console.error(told)
    return ended(args, console, unread)


def _tables(
    args: argparse.Namespace,
    found: Project | None,
    results: ResultSet,
    options: TableOptions,
    says: ManifestSays,
    unread: Callable[[str], None],
    warn: Callable[[str], None],
) -> tuple[Path, ...]:
    from hume_runner.results.authorship import PACKAGE_FILES, refuse_others
    from hume_runner.results.derived import tables_group
    from hume_runner.results.due import refuse_others_here
    from hume_runner.results.from_state import StateResults
    from hume_runner.results.marks import Kind
    from hume_runner.results.tables import write_tables

    out_dir = Path(args.out) if args.out else folder_below(results.directory, "tables")
    # Asked before: what is recorded meanwhile makes these tables stale, not current.
    serial = getattr(results, "serial", None)
    own = serial is not None and resolved(out_dir) == resolved(results.directory / "tables")

    def check(paths: Sequence[Path]) -> None:
        if own and isinstance(results, StateResults):
            here = results.directory
            refuse_others_here(results.knows, here, [*(f"tables/{path.name}" for path in paths), *PACKAGE_FILES])
        else:
            refuse_others(paths, Kind.TABLE, hint="choose another --out")

    def leave(path: Path) -> None:
        # What an earlier call wrote goes when these are recorded, if it is still what was written.
        if not (own and isinstance(results, StateResults) and results.knows(f"tables/{path.name}")):
            warn(f"{path}: none of these tables, left as it is")

    written = write_tables(
        results,
        out_dir,
        format=args.format,
        options=options,
        intervals=says.intervals,
        unread=unread,
        check=check,
        left=leave,
    )
    if found is not None and serial is not None and own:
        ours = [results.directory / "tables" / path.name for path in written]
        found.mark_derived(tables_group(args.format), ours, serial=serial, options=options)
    return written


def _psych_ds(
    args: argparse.Namespace,
    found: Project | None,
    results: ResultSet,
    options: TableOptions,
    says: ManifestSays,
    unread: Callable[[str], None],
) -> tuple[Path, ...]:
    from hume_runner.results.tables import need_pyarrow

    need_pyarrow("tables", "writing tables")
    from hume_runner.results.package.psych_ds import write_psych_ds
    from hume_runner.results.package.write import describe

    if not args.out:
        raise UsageError("--psych-ds needs --out DIR: a dataset is a folder of its own", hint="add --out dataset")
    described = describe(results, (), says)
    return write_psych_ds(results, described, Path(args.out), options, says.intervals, unread)


def _cutoff(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError("must be a number")
    return number
