"""Means with 95 % intervals: the strongest scores of all sources, and groups of sources side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hume_runner.results.aggregates import VALUE, Score
from hume_runner.results.figures.style import COLOURS, WIDTH_MM, figure_of, mark_simulated, titled
from hume_runner.results.groups import Compared, GroupMean
from hume_runner.results.measures import Measure, within

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_BARS = 10
_MARKS = "osD^vPX*"

Bounds = tuple[float, float] | None


def draw_means(
    means: Mapping[str, GroupMean],
    *,
    title: str,
    bounds: Bounds = None,
    note: str = "",
    simulated: bool | None = False,
    width_mm: float = WIDTH_MM,
) -> Figure:
    """Name -> its mean over sources, in that order. `note`: which of how many they are. Raises: MissingExtra."""
    names = list(means)
    bounds = within(bounds, (one.mean for one in means.values()))
    with figure_of(width_mm=width_mm, height_mm=28 + 6.5 * len(names)) as (figure, (axes,)):
        for row, name in enumerate(names):
            one = means[name]
            axes.barh(row, one.mean, height=0.62, color=COLOURS[0], alpha=0.85)
            high = _interval(axes, one, row, bounds, colour="black", width=1)
            place = (max(high, one.mean, 0.0), row)
            axes.annotate(f"{one.mean:.3g}", place, xytext=(5, 0), textcoords="offset points", va="center")
        axes.set_yticks(range(len(names)), [f"{name} (n = {means[name].n:,})" for name in names])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("\n".join(_what(list(means.values()), note, [bounds])))
        titled(axes, title, simulated)
        mark_simulated([axes], simulated)
    return figure


def draw_groups(
    compared: Sequence[Compared],
    *,
    label: str,
    title: str,
    measures: Mapping[Score, Measure],
    note: str = "",
    simulated: bool | None = False,
    width_mm: float = WIDTH_MM,
) -> Figure:
    """Scores down, groups side by side: mean over sources and 95 % interval each. `measures`: what each score is
    called; `note`: which of how many they are. Raises: MissingExtra."""
    groups = _beside(compared)
    sizes = {name: max((one.groups[name].n for one in compared if name in one.groups), default=0) for name in groups}
    # Measurements with units of their own do not share a scale.
    panels = [[one] for one in compared] if compared[0].score[0] == VALUE else [list(compared)]
    height = 26 + 6 * len(panels) + (4 + 3.2 * len(groups)) * len(compared)
    with figure_of(width_mm=width_mm, height_mm=height, panels=len(panels)) as (figure, axes):
        drawn = []
        for place, shown in zip(axes, panels, strict=True):
            told = measures[shown[0].score]
            bounds = within(told.bounds, (mean.mean for one in shown for mean in one.groups.values()))
            drawn.append(bounds)
            for number, name in enumerate(groups):
                shift = (number - (len(groups) - 1) / 2) * 0.7 / len(groups)
                rows = [(row + shift, one.groups[name]) for row, one in enumerate(shown) if name in one.groups]
                _points(place, rows, number, f"{name} (n = {sizes[name]:,})", bounds)
            place.set_yticks(range(len(shown)), [measures[one.score].title for one in shown])
            place.set_ylim(len(shown) - 0.5, -0.5)
        means = [mean for one in compared for mean in one.groups.values()]
        axes[-1].set_xlabel("\n".join(_what(means, note, drawn)))
        titled(axes[0], title, simulated)
        axes[0].legend(title=label, loc="upper left", bbox_to_anchor=(1.0, 1.0), alignment="left")
        mark_simulated(axes, simulated)
    return figure


def _beside(compared: Sequence[Compared]) -> list[str]:
    """The groups, in the order in which they stand in the score that has most of them."""
    longest = max(compared, key=lambda one: len(one.groups)).groups
    return list(dict.fromkeys([*longest, *(name for one in compared for name in one.groups)]))


def _what(means: Sequence[GroupMean], note: str, bounds: Sequence[Bounds]) -> list[str]:
    """What is drawn, in short lines, since a picture may be as narrow as a column of a journal."""
    single = sum(one.low is None for one in means)
    lines = [
        "mean over sources" + (", with 95 % interval" if single < len(means) else "; one source each: no interval")
    ]
    if note:
        lines.append(note)
    if 0 < single < len(means):
        lines.append("hollow: a single source, no interval")
    for low, high in dict.fromkeys(one for one in bounds if one is not None):
        if any(one.low is not None and one.high is not None and (one.low < low or one.high > high) for one in means):
            lines.append(f"arrow: goes beyond {low:g} to {high:g}, too few sources")
    return lines


def _points(axes: Axes, rows: Sequence[tuple[float, GroupMean]], number: int, name: str, bounds: Bounds) -> None:
    colour, mark = COLOURS[number % len(COLOURS)], _MARKS[number % len(_MARKS)]
    for row, mean in rows:
        _interval(axes, mean, row, bounds, colour=colour, width=1.2)
    told: dict[str, Any] = {"linestyle": "none", "marker": mark, "markersize": 4.5, "color": colour}
    for hollow in (False, True):
        mine = [(row, one) for row, one in rows if (one.low is None) is hollow]
        if mine:
            more: dict[str, Any] = {"markerfacecolor": "white"} if hollow else {}
            axes.plot([one.mean for _, one in mine], [row for row, _ in mine], label=name, **told, **more)
            name = "_" + name  # one line in the legend is enough


def _interval(axes: Axes, mean: GroupMean, row: float, bounds: Bounds, *, colour: str, width: float) -> float:
    """The line of an interval; one that goes on beyond what a score can be is cut there, with an arrow.

    Returns where it ends.
    """
    if mean.low is None or mean.high is None:
        return mean.mean
    low, high = mean.low, mean.high
    if bounds is not None:
        for end, mark, out in ((bounds[0], "<", low < bounds[0]), (bounds[1], ">", high > bounds[1])):
            if out:
                axes.plot([end], [row], linestyle="none", marker=mark, markersize=3.5, color=colour, clip_on=False)
        low, high = max(low, bounds[0]), min(high, bounds[1])
    if high > low:
        axes.plot([low, high], [row, row], linewidth=width, color=colour)
    return high
