"""The manifest that a command is about."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from hume_runner.cli.console import Console

if TYPE_CHECKING:
    from hume_runner.api import Project


def project(args: argparse.Namespace, console: Console) -> Project:
    """The manifest as the command line wants it; from here on the console keeps its secrets.

    Raises: ManifestError, UsageError.
    """
    from hume_runner.api import Project

    found = Project.open(args.manifest, output_dir=args.output_dir, state=args.state, endpoint=args.endpoint)
    console.masker = found.masker
    return found
