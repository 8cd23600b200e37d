"""The manifest that a command is about."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from hume_runner.cli.console import Console

if TYPE_CHECKING:
    from hume_runner.manifest.model import Manifest


def load(args: argparse.Namespace, console: Console) -> Manifest:
    """The manifest as the command line wants it; from here on the console keeps its secrets.

    Raises: ManifestError, UsageError.
    """
    from hume_runner import wiring

    manifest = wiring.load(args.manifest, output_dir=args.output_dir, endpoint=args.endpoint)
    console.masker = wiring.masker(manifest, wiring.Machine.this())
    return manifest
