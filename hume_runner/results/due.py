"""What a run of a manifest writes into its output directory beside the answers, before it does: nothing else may be
there under these names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from hume_runner.manifest.model import Manifest
from hume_runner.results.authorship import PACKAGE_FILES, kind_at, refuse_others
from hume_runner.results.derived import REPORT, TABLES
from hume_runner.results.outputs import RESULTS, RUN
from hume_runner.sources.outputs import RECORD
from hume_runner.state.reader import StateReader

_OF_ALL = ("items", "errors", "sources")
_ANOTHER = "give the study another outputs.directory (or --output-dir)"


def due(manifest: Manifest) -> Iterator[str]:
    """Paths below the output directory, as far as the manifest tells them: a table for each model that is asked for,
    and not those that only its answers have rows for."""
    outputs = manifest.outputs
    yield from (RECORD, RESULTS, RUN)
    stems = (*_OF_ALL, *(("events",) if manifest.events else ()), *_models(manifest))
    yield from (f"{TABLES}/{stem}.{form}" for form in outputs.tables for stem in stems)
    yield from PACKAGE_FILES if outputs.tables else ()
    yield from (REPORT,) if outputs.report else ()


def refuse_others_here(known: Callable[[str], bool], outputs: Path, names: Iterable[str | Path]) -> None:
    """What stands at these paths below `outputs` is ours: as it was written, or, where the state knows the path
    (`known`), still to be told for that kind. Raises: UsageError."""
    refuse_others(
        [outputs / name for name in names],
        lambda path: kind_at(path.relative_to(outputs).as_posix()),
        hint=_ANOTHER,
        known=lambda path: known(path.relative_to(outputs).as_posix()),
        only_files=False,
    )


def refuse_others_due(store: StateReader, outputs: Path, manifest: Manifest) -> None:
    """The same of all that is due, before anything is sent. Raises: UsageError."""
    there = [name for name in due(manifest) if os.path.lexists(outputs / name)]
    if there:
        refuse_others_here(store.is_recorded, outputs, there)


def _models(manifest: Manifest) -> Iterator[str]:
    models = manifest.settings.get("models") or {}
    yield from (name for name, value in models.items() if value is not None)
