"""What is kept of runs where somebody names a file, a log and numbers for Prometheus: what may not be written into."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hume_runner.api.inputs import refuse_found
from hume_runner.api.opening import examine
from hume_runner.errors import HumeRunnerError, UsageError
from hume_runner.regular_files import open_regular
from hume_runner.results.authorship import refuse_others
from hume_runner.results.marks import Kind
from hume_runner.sources import expand_entries
from hume_runner.sources.blocks import one_by_one
from hume_runner.sources.inputs import inputs
from hume_runner.stores.address import is_remote

if TYPE_CHECKING:
    from hume_runner.manifest.model import Manifest

_ANOTHER = "choose another --log-file"
_LINE_BYTES = 64
_LINE = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [A-Z]+ ", re.IGNORECASE)
_SQLITE = b"SQLite format 3\0"


def refuse_metrics(path: Path) -> None:
    """Numbers take the place of an earlier run's, and of nothing else. Raises: UsageError."""
    refuse_others([path], Kind.METRICS, hint="choose another --metrics-file")


def refuse_log(path: str, manifests: Sequence[str], *, output_dir: str | None) -> None:
    """A log may go behind what others wrote, but not into what a run reads, nor where it would, nor into its state.
    Raises: UsageError."""
    begun = b""
    with contextlib.suppress(OSError), open_regular(Path(path)) as file:  # else nothing is there, or who opens it tells
        begun = file.read(_LINE_BYTES)
    for name in manifests:
        try:
            found = examine(name, output_dir=output_dir).manifest
        except HumeRunnerError:
            continue  # which the command tells, in this log as well
        if found is not None:
            refuse_found(found, Path(path), hint=_ANOTHER)
        if not begun or _LINE.match(begun):
            continue
        read = [] if found is None else [one.path for one in inputs(found)]
        if found is not None:
            read += [found.outputs.directory / "state.sqlite3", *_matching(found)]
        if any(_same(path, one) for one in (Path(name), *read)):
            raise UsageError(f"{path}: a run of {name} reads it, and its log would end up in it", hint=_ANOTHER)
    if begun.startswith(_SQLITE):
        raise UsageError(f"{path}: this is a database, and no log", hint=_ANOTHER)


def _matching(manifest: Manifest) -> Iterator[Path]:
    """Files that the manifest's patterns find here, as far as that can be told."""
    entries = [one for one in manifest.sources if one.kind == "file" and not is_remote(one.value or "")]
    with contextlib.suppress(HumeRunnerError):
        pieces = expand_entries(entries, folder=manifest.path.parent, outputs=manifest.outputs.directory)
        yield from (item.path for item in one_by_one(pieces) if item.path is not None)


def _same(path: str, other: Path) -> bool:
    try:
        return Path(path).samefile(other)
    except OSError:
        return False
