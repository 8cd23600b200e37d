"""The manifests that a command is about."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from hume_runner.cli.console import Console

if TYPE_CHECKING:
    from hume_runner.api import Machine, Project


def shard_flag(parser: argparse.ArgumentParser) -> None:
    """For commands that look at one state."""
    parser.add_argument(
        "--shard",
        metavar="I/N",
        help="part I of N, which has a state and outputs of its own below the output directory",
    )


def selection_flags(parser: argparse.ArgumentParser) -> None:
    """For commands that plan."""
    shard_flag(parser)
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N items, in the manifest's order")
    parser.add_argument(
        "--select", metavar="EXPR", help="only items for which this holds, as 'label.wave == 2' or 'kind in (\"url\",)'"
    )


def selection_words(args: argparse.Namespace) -> list[str]:
    """The flags that say which items a run is about, as they were given."""
    given = [(f"--{name}", getattr(args, name, None)) for name in ("limit", "select")]
    return [word for flag, value in given if value for word in (flag, str(value))]


def project(args: argparse.Namespace, console: Console) -> Project:
    """The manifest as the command line wants it; from here on the console keeps its secrets.

    Raises: ManifestError, UsageError.
    """
    from hume_runner.api import Project

    found = Project.open(
        args.manifest,
        output_dir=args.output_dir,
        state=args.state,
        endpoint=args.endpoint,
        shard=getattr(args, "shard", None),
        limit=getattr(args, "limit", None),
        select=getattr(args, "select", None),
    )
    console.masker = found.masker
    console.state_is_apart = found.paths.remote is not None
    return found


def projects(args: argparse.Namespace, machine: Machine | None = None) -> list[Project]:
    """Every manifest, or all problems of all of them: nothing is begun before the last one is known to be good.

    Raises: ManifestError; UsageError, also where two of them would write to one place.
    """
    from hume_runner.api.project import open_all

    return open_all(
        args.manifests,
        output_dir=args.output_dir,
        state=args.state,
        endpoint=args.endpoint,
        machine=machine,
        shard=args.shard,
        limit=args.limit,
        select=args.select,
    )
