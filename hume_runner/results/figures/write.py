"""`report --figures`, and what notebooks draw: which pictures there are, and the numbers for them in one pass."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hume_runner.errors import UsageError
from hume_runner.frozen import frozen
from hume_runner.results.aggregates import VALUE, Moments, Score
from hume_runner.results.base import ResultSet
from hume_runner.results.by_source import Summed, SumsBySource
from hume_runner.results.figures.bars import MOST_BARS, draw_groups, draw_means
from hume_runner.results.figures.choosing import (
    Grouping,
    Wanted,
    chosen_sources,
    groupings,
    named_groups,
    named_scores,
    pick,
    unknown,
)
from hume_runner.results.figures.numbers import write_numbers
from hume_runner.results.figures.style import WIDTH_MM, FigureFormat, file_name, save
from hume_runner.results.figures.timeline import SourceRows, draw_timeline
from hume_runner.results.groups import Compared, GroupSums, mean_of
from hume_runner.results.label_groups import LabelGroups
from hume_runner.results.measures import Measure, measure
from hume_runner.results.rows import ItemRows, all_rows
from hume_runner.services.table_shapes import Layout

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_GROUPED_SCORES = 8


@dataclass(slots=True, kw_only=True)
class Drawn:
    """What one pass over the answers found."""

    rows: dict[tuple[str, str], SourceRows] = field(default_factory=dict)  # (item, table)
    layouts: dict[str, Layout] = field(default_factory=dict)  # table
    means: dict[str, dict[Score, Moments]] = field(default_factory=dict)  # table -> score -> over sources
    groups: dict[str, GroupSums] = field(default_factory=dict)  # label
    sources: int = 0

    def scores(self) -> Mapping[str, tuple[Layout, Iterable[Score]]]:
        """Table -> what it has scores of."""
        return {table: (self.layouts[table], scores) for table, scores in self.means.items()}

    def compared(self, label: str) -> Mapping[str, Mapping[Score, Compared]]:
        """Table -> score -> how groups compare in it."""
        found: dict[str, dict[Score, Compared]] = {}
        for one in self.groups[label].compared():
            found.setdefault(one.table, {})[one.score] = one
        return found


def look_through(results: ResultSet, *, items: Collection[str], groups: Sequence[Grouping]) -> Drawn:
    """One pass: the rows of these items, and the sums of all."""
    drawn = Drawn(groups={one.label: GroupSums(one.label, one.order, only=one.only) for one in groups})
    sums = SumsBySource(above=0.5, spread=False, every=True)

    def take(complete: Iterable[Summed]) -> None:
        for one in complete:
            drawn.sources += 1
            drawn.layouts[one.table] = one.sums.layout
            means = drawn.means.setdefault(one.table, {})
            for score, moments in one.sums.scores.items():
                means.setdefault(score, Moments()).take(moments.mean)
            for of in drawn.groups.values():
                of.add(one.item, one.table, one.sums)

    for found in all_rows(results.answers()):
        if not isinstance(found, ItemRows):
            continue
        take(sums.add(found))
        if found.item.id in items:
            key = (found.item.id, found.block.layout.name)
            if key not in drawn.rows:
                drawn.rows[key] = SourceRows(layout=found.block.layout)
            drawn.rows[key].add(found.block)
    take(sums.rest())
    return drawn


def write_figures(
    results: ResultSet,
    out_dir: Path,
    *,
    form: FigureFormat = "svg",
    width_mm: float = WIDTH_MM,
    wanted: Wanted = Wanted(),  # noqa: B008  # frozen
    told: Callable[[str], None] = lambda text: None,
) -> tuple[Path, ...]:
    """Draw means, groups and timelines into `out_dir`, or with `csv` write the numbers of means and groups; return the
    paths.

    Without sources the timelines of the first dozen are drawn, and `told` of the rest; without labels, groups by each
    that tells groups. Raises: UsageError for a source, label, table or score that is not there, MissingExtra.
    """
    ids = [] if form == "csv" else chosen_sources(results, wanted.sources, told)
    asked = groupings(wanted.labels, LabelGroups.of(results), told)
    drawn = look_through(results, items=set(ids), groups=asked)
    for table in wanted.tables:
        if table not in drawn.means:
            unknown("table", table, drawn.means)
    here = {table: found for table, found in drawn.scores().items() if wanted.table(table)}
    named = named_scores(wanted.scores, here) if wanted.scores else {}
    for label, of in drawn.groups.items():
        if of.left_out:
            told(f"{label}: {of.left_out:,} sources of groups beyond the first {len(of.names)} are left out")
    if form == "csv":
        return write_numbers(drawn.means, drawn.groups, drawn.layouts, out_dir, tables=here, named=named)
    pictures = _Pictures(results=results, drawn=drawn, wanted=wanted, named=named, width_mm=width_mm)
    paths = []
    for table in here:
        for stem, figure in (*pictures.means(table), *pictures.groups(table)):
            paths.append(save(figure, out_dir / f"{stem}.{form}", form))
    for stem, figure in pictures.timelines(here):
        paths.append(save(figure, out_dir / f"{stem}.{form}", form))
    return tuple(paths)


@frozen
class _Pictures:
    """All pictures of one pass, one after the other: (name of the file, figure)."""

    results: ResultSet
    drawn: Drawn
    wanted: Wanted
    named: Mapping[str, Sequence[Score]]
    width_mm: float = WIDTH_MM

    def means(self, table: str) -> Iterable[tuple[str, Figure]]:
        scores = self.drawn.means[table]
        # Bars of different units on one scale would say nothing.
        known = [score for score in scores if score[0] != VALUE]
        layout = self.drawn.layouts[table]
        shown, note = pick(
            layout,
            known,
            named=self.named.get(table),
            every=self.wanted.every,
            best_first=lambda score: (-scores[score].mean, score),
            most=MOST_BARS,
            how="strong",
        )
        if shown:
            figure = draw_means(
                {score[1]: mean_of(scores[score]) for score in shown},
                title=f"{self.results.name}: {table}",
                bounds=measure(layout, shown[0]).bounds,
                note=note,
                simulated=self.results.simulated,
                width_mm=self.width_mm,
            )
            yield file_name("means", table), figure

    def groups(self, table: str) -> Iterable[tuple[str, Figure]]:
        for label in self.drawn.groups:
            found = self.drawn.compared(label).get(table, {})
            shown, note = self.grouped(table, found)
            if shown:
                figure = draw_groups(
                    [found[score] for score in shown],
                    label=label,
                    title=f"{self.results.name}: {table} by {label}",
                    measures=self.measures(table, shown),
                    note=note,
                    simulated=self.results.simulated,
                    width_mm=self.width_mm,
                )
                yield file_name("groups", table, label), figure

    def grouped(self, table: str, found: Mapping[Score, Compared]) -> tuple[list[Score], str]:
        """The scores of a table that are drawn in groups."""
        return pick(
            self.drawn.layouts[table],
            list(found),
            named=self.named.get(table),
            every=self.wanted.every,
            best_first=lambda score: (-found[score].widest, score),
            most=MOST_GROUPED_SCORES,
            how="apart",
        )

    def measures(self, table: str, scores: Iterable[Score]) -> Mapping[Score, Measure]:
        return {score: measure(self.drawn.layouts[table], score) for score in scores}

    def timelines(self, tables: Collection[str]) -> Iterable[tuple[str, Figure]]:
        taken: set[str] = set()
        for (item, table), source in self.drawn.rows.items():
            scores = [score[1] for score in self.named.get(table, ()) if source.has(score)]
            if table not in tables or (not scores if self.named else not source.is_drawn):
                continue
            stem = plain = file_name("timeline", table, item)
            number = 1
            while stem in taken:
                number += 1
                stem = f"{plain}-{number}"
            taken.add(stem)
            yield (
                stem,
                draw_timeline(
                    source,
                    title=f"{item}: {table}",
                    scores=scores,
                    simulated=self.results.simulated,
                    width_mm=self.width_mm,
                ),
            )


def timeline(results: ResultSet, item: str, *, table: str | None = None, scores: Sequence[str] = ()) -> Figure:
    """The picture of one source; without `table` of the one with most rows. Raises: UsageError, MissingExtra."""
    chosen_sources(results, [item], lambda text: None)
    drawn = look_through(results, items={item}, groups=())
    found = {name: rows for (_, name), rows in drawn.rows.items() if rows.kept and rows.totals}
    if not found:
        raise UsageError(f"{item}: nothing of it has times and scores", hint="texts have no timeline")
    if table is not None and table not in found:
        unknown("table", table, found)
    chosen = table or max(found, key=lambda name: (found[name].is_drawn, found[name].rows, name))
    source = found[chosen]
    known = {chosen: (source.layout, [source.score(name) for name in source.totals])}
    asked = [name for _, name in named_scores(scores, known)[chosen]]
    return draw_timeline(source, title=f"{item}: {chosen}", scores=asked, simulated=results.simulated)


def groups(
    results: ResultSet,
    label: str,
    *,
    table: str | None = None,
    scores: Sequence[str] = (),
    order: Sequence[str] = (),
) -> Figure:
    """Groups of one label; without `table` of the one with most sources, that has the scores. `order`: these groups, in
    this order. Raises: UsageError, MissingExtra."""
    known = LabelGroups.of(results)
    if label not in known.values:
        unknown("label", label, known.values)
    grouping = named_groups(label, order, known) if order else Grouping(label=label, order=known.order(label))
    drawn = look_through(results, items=(), groups=[grouping])
    found = drawn.compared(label)
    if table is not None and table not in found:
        unknown("table", table, found)
    if not found:
        raise UsageError(f"{label}: no two groups have scores", hint="a label needs two values among measured sources")
    here = {name: (drawn.layouts[name], of) for name, of in found.items() if table in (None, name)}
    named = named_scores(scores, here) if scores else {}
    chosen = next(name for name in here if not named or len(named[name]) == max(map(len, named.values())))
    pictures = _Pictures(results=results, drawn=drawn, wanted=Wanted(scores=scores), named=named)
    shown, note = pictures.grouped(chosen, found[chosen])
    return draw_groups(
        [found[chosen][score] for score in shown],
        label=label,
        title=f"{results.name}: {chosen} by {label}",
        measures=pictures.measures(chosen, shown),
        note=note,
        simulated=results.simulated,
    )
