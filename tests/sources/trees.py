"""Files that need no content, and what a pattern finds of them."""

from __future__ import annotations

import os
from pathlib import Path

from hume_runner.sources.globbing import matching_files


def tree(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def found(pattern: str, folder: Path, **options: str) -> list[str]:
    """Relative paths; nothing on the way may be unreadable."""
    errors: list[OSError] = []
    paths = [os.path.relpath(path, folder) for path in matching_files(pattern, str(folder), errors.append, **options)]
    assert errors == []
    return paths
