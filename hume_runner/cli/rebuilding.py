"""What `tables` and `report` share: whose answers they are made from, and the end where some cannot be read."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hume_runner.cli.console import Console
from hume_runner.errors import UsageError

if TYPE_CHECKING:
    from hume_runner.api import Project
    from hume_runner.results.base import ResultSet


def results_of(
    args: argparse.Namespace, console: Console, command: str, *, place: Path | None, needs: str, example: str
) -> tuple[Project | None, ResultSet]:
    """The manifest's results, or those of the files behind `--from`, which know no place of their own: `place` is their
    folder, and where nobody named one, what `--out` `needs` is said, with an `example`.

    Raises: UsageError; what opening a project raises.
    """
    if bool(args.manifest) == bool(args.files):
        raise UsageError(f"{command} takes a manifest, or --from with files", hint=f"hume-runner {command} --help")
    if args.files:
        from hume_runner.results.found_files import files_under
        from hume_runner.results.read import LooseResults

        if place is None:
            raise UsageError(f"--from needs --out {needs}: there is no output directory", hint=f"add --out {example}")
        there = files_under(map(Path, args.files))
        for told in there.notes:
            console.note(told)
        return None, LooseResults(there.files, place)
    from hume_runner.cli.manifests import project

    found = project(args, console)
    return found, found.results()


def ended(args: argparse.Namespace, console: Console, unread: Sequence[str]) -> int:
    """The exit code; what helps is said where answers of a manifest could not be read."""
    if unread and args.manifest:
        console.error("next: `hume-runner verify MANIFEST --repair` fetches again what costs nothing to have")
    return 3 if unread else 0
