"""`plot_timeline`, `plot_groups`: the report's pictures as matplotlib figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hume_runner.api.comparing import results_at
from hume_runner.api.values import ManifestLike
from hume_runner.results.tables import need_pyarrow

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_timeline(place: ManifestLike, item: str, *, table: str | None = None, scores: Sequence[str] = ()) -> Figure:
    """One source over time: the scores that you name, or its strongest.

    `place` is the output directory of a run, or its manifest; `table` as `face` or `prosody`, without it the one with
    most rows. Raises: UsageError for what is not there, with the nearest name; StateError, MissingExtra.
    """
    need_pyarrow("figures", "drawing figures")
    from hume_runner.results.figures.write import timeline

    results = results_at(place)
    try:
        return timeline(results, item, table=table, scores=scores)
    finally:
        results.close()


def plot_groups(
    place: ManifestLike,
    label: str,
    *,
    table: str | None = None,
    scores: Sequence[str] = (),
    groups: Sequence[str] = (),
) -> Figure:
    """Groups of sources by a label: means over sources with 95 % intervals, of the scores that you name (as "joy",
    "goemotions_joy" or "pause_share") or of those whose groups lie furthest apart, which the picture then says.

    `groups`: these values of the label alone, in this order. Raises as `plot_timeline`.
    """
    need_pyarrow("figures", "drawing figures")
    from hume_runner.results.figures.write import groups as drawn

    results = results_at(place)
    try:
        return drawn(results, label, table=table, scores=scores, order=groups)
    finally:
        results.close()
