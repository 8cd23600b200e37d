"""`report --figures`, and what notebooks draw: which pictures there are, and the numbers for them in one pass."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from hume_runner.errors import UsageError
from hume_runner.manifest.near_ids import did_you_mean
from hume_runner.manifest.shown import quoted
from hume_runner.manifest.wording import nearest
from hume_runner.results.aggregates import VALUE, Moments, Score
from hume_runner.results.base import ResultSet
from hume_runner.results.by_source import Summed, SumsBySource
from hume_runner.results.figures.bars import MOST_BARS, draw_groups, draw_means
from hume_runner.results.figures.style import WIDTH_MM, FigureFormat, file_name, save
from hume_runner.results.figures.timeline import SourceRows, draw_timeline
from hume_runner.results.groups import Compared, GroupMean, GroupSums, mean_of, usual_labels
from hume_runner.results.rows import ItemRows, all_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_TIMELINES = 12
MOST_GROUPED_SCORES = 8


@dataclass(slots=True, kw_only=True)
class Drawn:
    """What one pass over the answers found."""

    rows: dict[tuple[str, str], SourceRows] = field(default_factory=dict)  # (item, table)
    means: dict[str, dict[Score, Moments]] = field(default_factory=dict)  # table -> score -> over sources
    groups: dict[str, GroupSums] = field(default_factory=dict)  # label
    sources: int = 0

    def strongest(self, table: str) -> Mapping[str, GroupMean]:
        """The scores of the table's first family with the highest means over sources."""
        scores = self.means[table]
        first = next(iter(scores), ("", ""))[0]
        chosen = sorted(
            (pair for pair in scores.items() if pair[0][0] == first), key=lambda pair: (-pair[1].mean, pair[0])
        )[:MOST_BARS]
        return {score[1]: mean_of(moments) for score, moments in chosen}

    def compared(self, label: str, table: str) -> list[Compared]:
        """The scores whose groups lie furthest apart, of the table's first family."""
        found = [one for one in self.groups[label].compared() if one.table == table]
        first = next(iter(self.means[table]), ("", ""))[0]
        mine = [one for one in found if one.score[0] == first]
        return sorted(mine, key=lambda one: (-one.widest, one.score))[:MOST_GROUPED_SCORES]


def look_through(results: ResultSet, *, items: Collection[str], labels: Sequence[str]) -> Drawn:
    """One pass: the rows of these items, and the sums of all."""
    drawn = Drawn(groups={label: GroupSums(label) for label in labels})
    sums = SumsBySource(above=0.5, spread=False)

    def take(complete: Iterable[Summed]) -> None:
        for one in complete:
            drawn.sources += 1
            means = drawn.means.setdefault(one.table, {})
            for score, moments in one.sums.scores.items():
                means.setdefault(score, Moments()).add(1, moments.mean, 0.0, moments.mean, 0)
            for groups in drawn.groups.values():
                groups.add(one.item, one.table, one.sums)

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
    sources: Sequence[str] = (),
    labels: Sequence[str] = (),
    told: Callable[[str], None] = lambda text: None,
) -> tuple[Path, ...]:
    """Draw means, groups and timelines into `out_dir`; return the paths.

    `sources`: ids whose timelines are drawn, without any the first dozen, and `told` of the rest; `labels`: what to
    group by, without any each label that makes groups. Raises: UsageError for a source or label that is not there,
    MissingExtra.
    """
    ids = _chosen(results, sources, told)
    asked = list(labels) or usual_labels(results)
    if labels:
        known = {label for item in results.items() for label in item.labels}
        for label in labels:
            if label not in known:
                _unknown("label", label, known)
    drawn = look_through(results, items=set(ids), labels=asked)
    name = results.name
    paths = []
    for table, scores in drawn.means.items():
        # Bars of different units on one scale would say nothing.
        if any(family != VALUE for family, _ in scores):
            figure = draw_means(
                drawn.strongest(table), title=f"{name}: {table}", simulated=results.simulated, width_mm=width_mm
            )
            paths.append(save(figure, out_dir / f"{file_name('means', table)}.{form}", form))
        for label in asked:
            compared = drawn.compared(label, table)
            if compared:
                figure = draw_groups(
                    compared,
                    label=label,
                    title=f"{name}: {table} by {label}",
                    simulated=results.simulated,
                    width_mm=width_mm,
                )
                paths.append(save(figure, out_dir / f"{file_name('groups', table, label)}.{form}", form))
    taken: set[str] = set()
    for (item, table), source in drawn.rows.items():
        if source.kept and source.totals:
            figure = draw_timeline(source, title=f"{item}: {table}", simulated=results.simulated, width_mm=width_mm)
            stem = plain = file_name("timeline", table, item)
            number = 1
            while stem in taken:
                number += 1
                stem = f"{plain}-{number}"
            taken.add(stem)
            paths.append(save(figure, out_dir / f"{stem}.{form}", form))
    return tuple(paths)


def timeline(results: ResultSet, item: str, *, table: str | None = None, scores: Sequence[str] = ()) -> Figure:
    """The picture of one source; without `table` of the one with most rows. Raises: UsageError, MissingExtra."""
    _chosen(results, [item], lambda text: None)
    drawn = look_through(results, items={item}, labels=())
    found = {name: rows for (_, name), rows in drawn.rows.items() if rows.kept and rows.totals}
    if not found:
        raise UsageError(f"{item}: nothing of it has times and scores", hint="texts have no timeline")
    if table is not None and table not in found:
        _unknown("table", table, found)
    chosen = table or max(found, key=lambda name: (found[name].rows, name))
    for score in scores:
        if score not in found[chosen].totals:
            _unknown("score", score, found[chosen].totals)
    return draw_timeline(found[chosen], title=f"{item}: {chosen}", scores=scores, simulated=results.simulated)


def groups(results: ResultSet, label: str, *, table: str | None = None, scores: Sequence[str] = ()) -> Figure:
    """Groups of one label; without `table` of the one with most sources. Raises: UsageError, MissingExtra."""
    known = {name for item in results.items() for name in item.labels}
    if label not in known:
        _unknown("label", label, known)
    drawn = look_through(results, items=(), labels=[label])
    found = {one.table: None for one in drawn.groups[label].compared()}
    if table is not None and table not in found:
        _unknown("table", table, found)
    if not found:
        raise UsageError(f"{label}: no two groups have scores", hint="a label needs two values among measured sources")
    chosen = table or next(iter(found))
    compared = drawn.compared(label, chosen)
    if scores:
        every = {one.score[1]: one for one in drawn.groups[label].compared() if one.table == chosen}
        for score in scores:
            if score not in every:
                _unknown("score", score, every)
        compared = [every[score] for score in scores]
    title = f"{results.name}: {chosen} by {label}"
    return draw_groups(compared, label=label, title=title, simulated=results.simulated)


def _chosen(results: ResultSet, sources: Sequence[str], told: Callable[[str], None]) -> list[str]:
    """The ids of the sources whose timelines are drawn."""
    if sources:
        wanted = dict.fromkeys(sources)
        known = {item.id for item in results.items() if item.id in wanted}
        for source in wanted:
            if source not in known:
                _unknown("source", source, (item.id for item in results.items()))
        return list(wanted)
    first: list[str] = []
    left = 0
    for item in results.items():
        if item.status == "done" and item.kind != "text":
            if len(first) < MOST_TIMELINES:
                first.append(item.id)
            else:
                left += 1
    if left:
        told(f"timelines of the first {MOST_TIMELINES} sources; --source ID draws any of the other {left:,}")
    return first


_MOST_OFFERED = 8


def _unknown(what: str, name: str, known: Iterable[str]) -> NoReturn:
    names = list(islice(known, 10_000))
    near = nearest(name, names)
    told = did_you_mean(name, names) if what == "source" else f"did you mean '{near}'?" if near else ""
    some = ", ".join(map(quoted, sorted(names)[:_MOST_OFFERED])) + ", …" * (len(names) > _MOST_OFFERED)
    raise UsageError(f"there is no {what} '{name}'", hint=told or (f"there are {some}" if names else "there is none"))
