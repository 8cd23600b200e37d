"""Means with 95 % intervals: the strongest scores of all sources, and groups of sources side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hume_runner.results.aggregates import VALUE
from hume_runner.results.figures.style import COLOURS, WIDTH_MM, figure_of
from hume_runner.results.groups import Compared, GroupMean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_BARS = 10
_MARKS = "osD^vPX*"


def draw_means(
    means: Mapping[str, GroupMean], *, title: str, simulated: bool | None = False, width_mm: float = WIDTH_MM
) -> Figure:
    """Score -> its mean over sources, strongest first. Raises: MissingExtra."""
    names = list(means)
    with figure_of(width_mm=width_mm, height_mm=24 + 6.5 * len(names)) as (figure, (axes,)):
        for row, name in enumerate(names):
            one = means[name]
            low, high = _ends(one)
            axes.barh(row, one.mean, height=0.62, color=COLOURS[0], alpha=0.85)
            if high > low:
                axes.plot([low, high], [row, row], color="black", linewidth=1)
            place = (max(high, one.mean, 0.0), row)
            axes.annotate(f"{one.mean:.3g}", place, xytext=(3, 0), textcoords="offset points", va="center")
        axes.set_yticks(range(len(names)), [f"{name} (n = {means[name].n:,})" for name in names])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("mean over sources, with 95 % interval")
        axes.set_title(title + ("   simulated" if simulated else ""), loc="left")
    return figure


def draw_groups(
    compared: Sequence[Compared],
    *,
    label: str,
    title: str,
    simulated: bool | None = False,
    width_mm: float = WIDTH_MM,
) -> Figure:
    """Scores down, groups side by side: mean over sources and 95 % interval each. Raises: MissingExtra."""
    groups = list(dict.fromkeys(name for one in compared for name in one.groups))
    sizes = {name: max((one.groups[name].n for one in compared if name in one.groups), default=0) for name in groups}
    # Measurements with units of their own do not share a scale.
    panels = [[one] for one in compared] if compared[0].score[0] == VALUE else [list(compared)]
    height = 22 + 6 * len(panels) + (4 + 3.2 * len(groups)) * len(compared)
    with figure_of(width_mm=width_mm, height_mm=height, panels=len(panels)) as (figure, axes):
        for place, shown in zip(axes, panels, strict=True):
            for number, name in enumerate(groups):
                shift = (number - (len(groups) - 1) / 2) * 0.7 / len(groups)
                rows = [(row + shift, one.groups[name]) for row, one in enumerate(shown) if name in one.groups]
                _points(place, rows, number, f"{name} (n = {sizes[name]:,})")
            place.set_yticks(range(len(shown)), [one.score[1] for one in shown])
            place.set_ylim(len(shown) - 0.5, -0.5)
        axes[-1].set_xlabel("mean over sources, with 95 % interval")
        axes[0].set_title(title + ("   simulated" if simulated else ""), loc="left")
        axes[0].legend(title=label, loc="upper left", bbox_to_anchor=(1.0, 1.0), alignment="left")
    return figure


def _points(axes: Axes, rows: Sequence[tuple[float, GroupMean]], number: int, name: str) -> None:
    colour = COLOURS[number % len(COLOURS)]
    for row, mean in rows:
        axes.plot(_ends(mean), [row, row], linewidth=1.2, color=colour)
    axes.plot(
        [mean.mean for _, mean in rows],
        [row for row, _ in rows],
        linestyle="none",
        marker=_MARKS[number % len(_MARKS)],
        markersize=4.5,
        label=name,
        color=colour,
    )


def _ends(mean: GroupMean) -> tuple[float, float]:
    return (mean.mean if mean.low is None else mean.low, mean.mean if mean.high is None else mean.high)
