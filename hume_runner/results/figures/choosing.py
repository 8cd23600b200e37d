"""Which scores, labels and sources are drawn: those that were named, in whichever spelling, or the usual ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Literal, NoReturn

from hume_runner.errors import UsageError
from hume_runner.frozen import frozen
from hume_runner.manifest.near_ids import did_you_mean
from hume_runner.manifest.shown import quoted
from hume_runner.manifest.wording import nearest
from hume_runner.results.aggregates import VALUE, Score
from hume_runner.results.base import ResultSet
from hume_runner.results.figures.style import selection
from hume_runner.results.label_groups import LabelGroups
from hume_runner.results.measures import drawn_first, spellings
from hume_runner.services.table_shapes import Layout

MOST_TIMELINES = 12
_MOST_OFFERED = 8
_MOST_SEARCHED = 10_000


@frozen
class Wanted:
    """What somebody asked to see. Empty: the usual. `every`: all scores that a table is about. `labels`: as `wave`, or
    as `wave=pre,post` with the groups and their order."""

    sources: Sequence[str] = ()
    labels: Sequence[str] = ()
    tables: Sequence[str] = ()
    scores: Sequence[str] = ()
    every: bool = False

    def table(self, name: str) -> bool:
        """Whether this table is drawn."""
        return not self.tables or name in self.tables


@frozen
class Grouping:
    """A label to group by: its groups in their order; `only`: no others."""

    label: str
    order: Sequence[str]
    only: bool = False


def groupings(wanted: Sequence[str], known: LabelGroups, told: Callable[[str], None]) -> list[Grouping]:
    """The labels to group by; without any named, those that tell groups, and `told` of those that do not.

    Raises: UsageError for a label, or a group of one, that is not there.
    """
    if wanted:
        return [_grouping(text, known) for text in wanted]
    telling = known.telling
    for label in known.usual:
        if label not in telling:
            told(f"not drawn by {label}, whose groups have one or two sources; --label {label} draws it")
    return [Grouping(label=label, order=known.order(label)) for label in telling]


def _grouping(text: str, known: LabelGroups) -> Grouping:
    label, equals, listed = text.partition("=")
    if text in known.values or not equals:
        label, listed = text, ""
    if label not in known.values:
        unknown("label", label, known.values)
    if not listed:
        return Grouping(label=label, order=known.order(label))
    return named_groups(label, [one.strip() for one in listed.split(",")], known)


def named_groups(label: str, groups: Sequence[str], known: LabelGroups) -> Grouping:
    """These groups of a label in this order. Raises: UsageError for one that is not there."""
    for group in groups:
        if group not in known.values[label] and not known.is_cut(label):
            unknown(f"value of {label},", group, known.values[label])
    return Grouping(label=label, order=list(groups), only=True)


def chosen_sources(results: ResultSet, sources: Sequence[str], told: Callable[[str], None]) -> list[str]:
    """The ids of the sources whose timelines are drawn. Raises: UsageError for one that is not there."""
    if sources:
        wanted = dict.fromkeys(sources)
        known = {item.id for item in results.items() if item.id in wanted}
        for source in wanted:
            if source not in known:
                unknown("source", source, (item.id for item in results.items()))
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


def named_scores(names: Sequence[str], tables: Mapping[str, tuple[Layout, Iterable[Score]]]) -> dict[str, list[Score]]:
    """Table -> those of its scores that go by these names. Raises: UsageError for a name that no table has."""
    found: dict[str, list[Score]] = {table: [] for table in tables}
    ways = {table: spellings(layout, scores) for table, (layout, scores) in tables.items()}
    for name in names:
        mine = [table for table in tables if name.casefold() in ways[table]]
        if not mine:
            for table, (layout, _) in tables.items():
                if any(column.name == name for column in layout.columns):
                    raise UsageError(
                        f"'{name}' is a column of {table} that has no mean: it is no number, or says where or how long",
                        hint=f"take it from the table {table}; `sources` has a mean of: {_some(_names(tables, table))}",
                    )
            unknown("score", name, dict.fromkeys(score[1] for of in ways.values() for score in of.values()))
        for table in mine:
            score = ways[table][name.casefold()]
            if score not in found[table]:
                found[table].append(score)
    return found


def pick(
    layout: Layout,
    scores: Sequence[Score],
    *,
    named: Sequence[Score] | None,
    every: bool,
    best_first: Callable[[Score], tuple[float, Score]],
    most: int,
    how: Literal["apart", "strong"],
) -> tuple[list[Score], str]:
    """The scores of a table that are drawn, and which of how many they are, for the reader."""
    first = drawn_first(layout, scores)
    measured = bool(first) and first[0][0] == VALUE
    # Measurements have a unit each and are no rivals of each other: those that pages draw stand in the table's order.
    of, what = ([score for score in scores if score[0] == VALUE], "measurements") if measured else (first, "scores")
    if named is not None:
        mine = [score for score in named if score in scores]
        return mine, selection(len(mine), len({*of, *mine}), "named", what)
    if every or (measured and len(first) <= most):
        shown = of if every else first
        return shown if measured else sorted(shown, key=best_first), selection(len(shown), len(of), "usual", what)
    shown = sorted(first, key=best_first)[:most]
    return shown, selection(len(shown), len(of), how, what)


def unknown(what: str, name: str, known: Iterable[str]) -> NoReturn:
    """Raises: UsageError with the nearest name, or with some of those that are there."""
    names = list(islice(known, _MOST_SEARCHED))
    near = nearest(name, names)
    told = did_you_mean(name, names) if what == "source" else f"did you mean '{near}'?" if near else ""
    some = _some(names)
    raise UsageError(f"there is no {what} '{name}'", hint=told or (f"there are {some}" if names else "there is none"))


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(quoted, sorted(names)[:_MOST_OFFERED])) + ", …" * (len(names) > _MOST_OFFERED)


def _names(tables: Mapping[str, tuple[Layout, Iterable[Score]]], table: str) -> list[str]:
    return [name for _, name in tables[table][1]]
