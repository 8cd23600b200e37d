"""Paths on the command line, as the disk spells them: a person types `ä`, and cannot see of which characters it is."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hume_runner.spelling import placed_path, stored_path

# By the names that parsers give them. Not here: manifests, --output-dir, --state, --plan, and what `compare` and
# `models` take. Functions of the package take these as well, and look for themselves.
_READ = ("difficulties", "faults", "files", "names", "states")
_WRITTEN = ("data", "figures", "log_file", "markdown", "metrics_file", "out")


def spell(args: argparse.Namespace) -> None:
    """Put the paths that are there, or their folders, in the place of those that were typed. Raises: UsageError."""
    ways: tuple[tuple[tuple[str, ...], Callable[[Path], Path]], ...] = ((_READ, stored_path), (_WRITTEN, placed_path))
    for names, way in ways:
        for name in names:
            value = getattr(args, name, None)
            if value:
                setattr(args, name, [_as(way, one) for one in value] if isinstance(value, list) else _as(way, value))


def _as(way: Callable[[Path], Path], value: Any) -> Any:
    """Of the kind that the parser made: a text or a path. What is spelt so already stays as it was typed."""
    text = str(value)
    return value if text.isascii() or (there := way(Path(text))) == Path(text) else type(value)(there)
