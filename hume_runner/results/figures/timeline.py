"""One source over time: its strongest scores, drawn as what they are: stretches with begin and end, or moments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hume_runner.results.aggregates import VALUE, Score, measured_columns
from hume_runner.results.figures.style import COLOURS, DASHES, WIDTH_MM, figure_of, mark_simulated, selection, titled
from hume_runner.results.measures import measure
from hume_runner.results.summable import LARGEST_SUMMED, can_be_summed
from hume_runner.services.table_shapes import Block, Family, Layout, OpenFamily

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

MOST_LINES = 5
_MOST_ROWS = 4_000
# Moments that are further apart than so many times the usual step are not joined: nothing was measured between.
_GAP = 2.5


@dataclass(slots=True, kw_only=True)
class SourceRows:
    """The rows of one source in one table, evenly thinned where they are very many.

    `kept`: (begin, end, group, scores by name); times in seconds, end None for a moment. A measurement that is no score
    goes by its column.
    """

    layout: Layout
    rows: int = 0
    stride: int = 1
    kept: list[tuple[float, float | None, str, dict[str, float]]] = field(default_factory=list)
    totals: dict[str, tuple[int, float]] = field(default_factory=dict)

    def add(self, block: Block) -> None:
        """The rows of one more block; rows without a time cannot be drawn."""
        if self.layout.time is None:
            return
        begin, end = self.layout.time
        for row in range(block.rows):
            at, until = block.columns[begin][row], block.columns[end][row]
            if not isinstance(at, int | float) or not can_be_summed(at):
                continue
            scores = {name: score for name, score in self._scores(block, row).items() if can_be_summed(score)}
            for name, score in scores.items():
                n, total = self.totals.get(name, (0, 0.0))
                self.totals[name] = (n + 1, total + score)
            if self.rows % self.stride == 0:
                group = block.columns.get("group_id")
                ended = float(until) if isinstance(until, int | float) and at < until < LARGEST_SUMMED else None
                self.kept.append((float(at), ended, str(group[row]) if group else "", scores))
            self.rows += 1
        while len(self.kept) > _MOST_ROWS:
            self.kept = self.kept[::2]
            self.stride *= 2

    def _scores(self, block: Block, row: int) -> dict[str, float]:
        for family in self.layout.families[:1]:
            found = zip(family.names, block.grids[family.prefix].row(row), strict=True)
            return {name: score for name, score in found if score is not None}
        for one in self.layout.open_families[:1]:
            return dict(block.ragged[one.name].row(row))
        cells = {name: block.columns[name][row] for name in measured_columns(self.layout, every=True)}
        return {name: float(cell) for name, cell in cells.items() if isinstance(cell, int | float)}

    @property
    def is_drawn(self) -> bool:
        """Whether there is something to draw without anybody naming it."""
        return bool(self.kept and self.usual())

    def usual(self) -> list[str]:
        """What is drawn unless somebody says: the names with the highest means, over the rows that have them; of
        measurements the curves."""
        if _is_measured(self.layout):
            return (
                [curve.column for curve in self.layout.signals.curves if curve.column in self.totals]
                if self.layout.signals
                else []
            )
        means = {name: total / n for name, (n, total) in self.totals.items()}
        return sorted(means, key=lambda name: (-means[name], name))[:MOST_LINES]

    def has(self, score: Score) -> bool:
        """Whether its rows have this score, of the family that is drawn."""
        return score[1] in self.totals and self.score(score[1]) == score

    def score(self, name: str) -> Score:
        """What goes by this name here."""
        if _is_measured(self.layout):
            return VALUE, name
        first: list[Family | OpenFamily] = [*self.layout.families, *self.layout.open_families]
        return first[0].prefix, name


def draw_timeline(
    source: SourceRows,
    *,
    title: str,
    scores: Sequence[str] = (),
    simulated: bool | None = False,
    width_mm: float = WIDTH_MM,
) -> Figure:
    """The picture of one source in one table. `scores`: which; without any the strongest. Raises: MissingExtra."""
    names = list(scores) or source.usual()
    measured = _is_measured(source.layout)
    told = {name: measure(source.layout, source.score(name)) for name in names}
    panels = [[name] for name in names] if measured else [names]  # what has units of its own is not drawn on one scale
    height = 70.0 if not measured else 18.0 + 28.0 * len(panels)
    with figure_of(width_mm=width_mm, height_mm=height, panels=max(1, len(panels))) as (figure, axes):
        for place, shown in zip(axes, panels, strict=False):
            _draw(place, source, shown)
            place.set_ylabel(told[shown[0]].title if measured else "score")
        for place in axes[:-1]:
            place.sharex(axes[-1])
            place.tick_params(labelbottom=False)
        of = "" if measured else "\n" + selection(len(names), len(source.totals), "named" if scores else "strong")
        axes[-1].set_xlabel(f"seconds from the start of the source{of}")
        titled(axes[0], title, simulated)
        note = f"n = {source.rows:,} rows" + (f", every {source.stride}th drawn" if source.stride > 1 else "")
        if measured:
            axes[0].set_title(note, loc="right", fontsize=8)
        else:
            handles = [_line(number, name) for number, name in enumerate(names)]
            axes[0].legend(handles=handles, title=note, loc="upper left", bbox_to_anchor=(1.0, 1.0), alignment="left")
        mark_simulated(axes, simulated)
    return figure


def _is_measured(layout: Layout) -> bool:
    """Whether a table holds measurements and no scores."""
    return not layout.families and not layout.open_families


def _look(number: int) -> dict[str, Any]:
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": DASHES[number % len(DASHES)], "linewidth": 1.2}


def _line(number: int, name: str) -> Line2D:
    from matplotlib.lines import Line2D

    return Line2D([], [], label=name, **_look(number))


def _draw(axes: Axes, source: SourceRows, names: Sequence[str]) -> None:
    step = _step(source)
    for number, name in enumerate(names):
        look = _look(number)
        for at, end, _, found in source.kept:
            if end is not None and name in found:
                axes.plot([at, end], [found[name], found[name]], solid_capstyle="butt", **look)
        for xs, ys in _runs(source, name, step):
            axes.plot(xs, ys, marker="." if len(xs) < 60 else None, markersize=3, **look)


def _step(source: SourceRows) -> float:
    """The usual distance of two moments, in seconds."""
    times = sorted({at for at, end, _, _ in source.kept if end is None})
    steps = sorted(after - before for before, after in pairwise(times))
    return steps[len(steps) // 2] if steps else 0.0


def _runs(source: SourceRows, name: str, step: float) -> list[tuple[list[float], list[float]]]:
    """Moments that belong together: of one face or speaker, without a gap."""
    runs: dict[str, list[tuple[list[float], list[float]]]] = {}
    for at, end, group, scores in source.kept:
        if end is not None or name not in scores:
            continue
        mine = runs.setdefault(group, [])
        if not mine or at - mine[-1][0][-1] > _GAP * step:
            mine.append(([], []))
        mine[-1][0].append(at)
        mine[-1][1].append(scores[name])
    return [run for mine in runs.values() for run in mine]
