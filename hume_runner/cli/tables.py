"""`tables`: raw answers as tables, rebuilt without network; also from answers that no manifest knows."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from hume_runner.aside import refuse_links
from hume_runner.cli.console import Console
from hume_runner.cli.manifests import shard_flag
from hume_runner.errors import UsageError
from hume_runner.results.base import ResultSet

if TYPE_CHECKING:
    from hume_runner.api import Project


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("manifest", nargs="?", metavar="MANIFEST", help="the manifest whose answers become tables")
    parser.add_argument("--format", choices=("parquet", "csv", "jsonl"), default="parquet", help="default: parquet")
    parser.add_argument("--long", action="store_true", help="also write a long form: one row a score")
    parser.add_argument(
        "--from",
        dest="files",
        nargs="+",
        metavar="FILE",
        help="take these predictions.json files instead of a manifest",
    )
    shard_flag(parser)
    parser.add_argument("--out", metavar="DIR", help="where to write (default: tables/ in the output directory)")


def run(args: argparse.Namespace, console: Console) -> int:
    from hume_runner.results.tables import write_tables

    found, results = _results(args, console)
    out_dir = Path(args.out) if args.out else refuse_links(results.directory, "tables")
    unread: list[str] = []
    # Asked before: what is recorded meanwhile makes these tables stale, not current.
    serial = getattr(results, "serial", None)
    written = write_tables(results, out_dir, format=args.format, long=args.long, unread=unread.append)
    if found is not None and serial is not None and out_dir.resolve() == (results.directory / "tables").resolve():
        from hume_runner.results.derived import tables_group

        ours = [results.directory / "tables" / path.name for path in written]
        found.mark_derived(tables_group(args.format), ours, serial=serial, long=args.long)
    if console.json:
        console.event("tables", files=[str(path) for path in written], unread=unread)
    else:
        for path in written:
            console.result(str(path))
    console.counts = {"files": len(written), "unread": len(unread)}
    for told in unread:
        console.error(told)
    if unread and args.manifest:
        console.error("next: `hume-runner verify MANIFEST --repair` fetches again what costs nothing to have")
    return 3 if unread else 0


def _results(args: argparse.Namespace, console: Console) -> tuple[Project | None, ResultSet]:
    if bool(args.manifest) == bool(args.files):
        raise UsageError("tables takes a manifest, or --from with files", hint="hume-runner tables --help")
    if args.files:
        from hume_runner.results.read import LooseResults

        if not args.out:
            raise UsageError("--from needs --out DIR: there is no output directory", hint="add --out tables")
        return None, LooseResults([Path(file) for file in args.files], Path(args.out))
    from hume_runner.cli.manifests import project

    found = project(args, console)
    return found, found.results()
