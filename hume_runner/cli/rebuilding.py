"""What `tables` and `report` share: whose answers they are made from, and the end where some cannot be read."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hume_runner.cli.console import Console
from hume_runner.cli.manifests import project
from hume_runner.errors import UsageError

if TYPE_CHECKING:
    from hume_runner.api.rebuilding import Answers


def answers_of(
    args: argparse.Namespace, console: Console, command: str, *, place: Path | None, needs: str, example: str
) -> Answers:
    """The manifest's answers, or those of the files behind `--from`, which know no place of their own: `place` is their
    folder, and where nobody named one, what `--out` `needs` is said, with an `example`.

    Raises: UsageError; what opening a project raises.
    """
    if bool(args.manifest) == bool(args.files):
        raise UsageError(f"{command} takes a manifest, or --from with files", hint=f"hume-runner {command} --help")
    from hume_runner.api.rebuilding import Answers

    if args.files:
        if place is None:
            raise UsageError(f"--from needs --out {needs}: there is no output directory", hint=f"add --out {example}")
        return Answers.in_files(map(Path, args.files), place, note=console.note)

    return Answers.of(project(args, console))


def ended(args: argparse.Namespace, console: Console, unread: Sequence[str]) -> int:
    """The exit code; what helps is said where answers of a manifest could not be read."""
    if unread and args.manifest:
        console.error("next: `hume-runner verify MANIFEST --repair` fetches again what costs nothing to have")
    return 3 if unread else 0
