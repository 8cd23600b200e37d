"""Results from Python: two of the same sources side by side, and one as tables."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hume_runner.api.project import Project
from hume_runner.api.values import ManifestLike
from hume_runner.errors import UsageError
from hume_runner.results.authorship import refuse_others
from hume_runner.results.compare import records
from hume_runner.results.compare.compare import compare_results
from hume_runner.results.compare.lines import lines as told
from hume_runner.results.compare.write import form_of, write_comparison
from hume_runner.results.from_state import StateResults, open_directory
from hume_runner.results.marks import Kind
from hume_runner.results.read import Results
from hume_runner.results.read import read_results as read
from hume_runner.spelling import stored_path

if TYPE_CHECKING:
    from hume_runner.results.compare.base import Comparison


def compare(
    a: ManifestLike,
    b: ManifestLike,
    *,
    pairs: Iterable[str] = (),
    even_simulated: bool = False,
) -> Comparison:
    """Two results of the same sources side by side: what matched, and how far their numbers agree.

    Each is the output directory of a run, or its manifest. Columns of the same name are compared; `pairs` names others,
    as `face.prob=video.confidence` (A's, then B's). Simulated scores are not compared with measured ones, unless
    `even_simulated`. Raises: UsageError, ManifestError, StateError, MissingExtra, ResultsError.
    """
    with contextlib.ExitStack() as stack:
        results = results_at(a)
        stack.callback(results.close)
        shown = str(a) if isinstance(a, str | PathLike) else results.name
        return compare_opened((shown, results), b, pairs=pairs, even_simulated=even_simulated)


def compare_opened(
    a: tuple[str, StateResults], b: ManifestLike, *, pairs: Iterable[str] = (), even_simulated: bool = False
) -> Comparison:
    """The same of results that are open already: (how they were named, results)."""
    with contextlib.ExitStack() as stack:
        results = results_at(b)
        stack.callback(results.close)
        shown = str(b) if isinstance(b, str | PathLike) else results.name
        return compare_results(a, (shown, results), pairs=pairs, even_simulated=even_simulated)


def refuse_file(out: Path) -> None:
    """Before anything is computed: whether a comparison can be written there. Raises: UsageError, MissingExtra."""
    form_of(out)
    refuse_others([out], Kind.COMPARISON, hint="choose another --out")


def write_file(found: Comparison, out: Path) -> Path:
    """Write it as what the name ends in: .csv, .json, .parquet, .md or .html. Ask `refuse_file` first."""
    return write_comparison(found, out)


def document(found: Comparison) -> dict[str, Any]:
    """It as JSON values, but for the points."""
    return records.document(found)


def lines(found: Comparison, *, everything: bool) -> Iterator[str]:
    """It as people read it on a terminal; unless `everything`, of very many columns and items only the first."""
    return told(found, everything=everything)


def read_results(place: ManifestLike) -> Results:
    """The results in an output directory, in one `predictions.json`, or of a manifest, as Arrow tables.

    Parquet tables that the run wrote are read; if there are none, they are built from the raw answers.
    Raises: MissingExtra, ResultsError; ManifestError.
    """
    if isinstance(place, str | PathLike):
        path = stored_path(Path(place))
        if path.suffix not in (".yaml", ".yml") or path.is_dir():
            return read(path)
    return read(Project.open(place).paths.outputs)


def results_at(place: ManifestLike) -> StateResults:
    """The results in an output directory, or those of a manifest."""
    if isinstance(place, str | PathLike):
        path = stored_path(Path(place))
        if path.is_dir():
            return open_directory(path)
        if not path.exists():
            raise UsageError(
                f"{place}: there is no such thing", hint="name the output directory of a run, or a manifest"
            )
    return Project.open(place).results()
