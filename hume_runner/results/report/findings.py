"""The three findings on top of the page, in sentences: the strongest overall, where groups differ, what to distrust.

Pure functions over numbers of all sources, also of those that the page has no room for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from hume_runner.frozen import frozen
from hume_runner.results.aggregates import VALUE, Moments, Score
from hume_runner.results.groups import Compared, GroupMean, interval
from hume_runner.results.measures import measure, within
from hume_runner.services.table_shapes import Layout

_MOST_LABELS = 3
_MOST_TABLES = 3
# A group of fewer sources is no group yet.
_FEWEST = 3
# Below that the page's own digits show no difference.
_VISIBLE = 0.0005

Means = Mapping[str, Mapping[Score, Moments]]  # table -> score -> over sources


@frozen
class Finding:
    """A heading, sentences under it, and where on the page more of it is (None: nowhere)."""

    title: str
    sentences: Sequence[str]
    more: str | None = None


def strongest(means: Means, layouts: Mapping[str, Layout], covered: Mapping[str, int], total: int) -> Finding:
    """What is strongest over all sources, the table first that covers most of them."""
    scored = [table for table in _by_cover(means, covered) if _first(layouts[table]) is not None]
    sentences = [_strongest(table, means[table], layouts[table], total) for table in scored[:_MOST_TABLES]]
    if not scored:
        values = [_values(table, means[table], layouts[table]) for table in _by_cover(means, covered)]
        sentences = [told for told in values if told][:_MOST_TABLES]
    return Finding(
        title="Strongest overall",
        sentences=sentences or ["No source has a measurement yet."],
        more="overview" if scored else "sources",
    )


def between_groups(compared: Mapping[str, Sequence[Compared]], layouts: Mapping[str, Layout]) -> Finding:
    """By each label, the score whose groups lie furthest apart."""
    if not compared:
        return Finding(
            title="Between groups",
            sentences=[
                "No label makes groups here: none has two to eight values that sources share. "
                "Labels in the manifest are what sources are compared by."
            ],
        )
    widest = {label: _widest(found, layouts) for label, found in compared.items()}
    drawn = sorted(((label, one) for label, one in widest.items() if one), key=lambda pair: -apart(pair[1]))
    sentences = [_difference(label, one) for label, one in drawn[:_MOST_LABELS]]
    if not sentences:
        sentences = [f"No group by {', '.join(list(compared)[:4])} has the {_FEWEST} sources that tell a difference."]
    else:
        scores = sum(len(_asked(found, layouts)) for found in compared.values())
        sentences.append(
            f"Each is the widest apart of its label, {scores:,} comparisons in all: among so many some are wide by "
            "chance. No test was run."
        )
    return Finding(title="Between groups", sentences=sentences, more="groups")


def _first(layout: Layout) -> str | None:
    """The prefix of the scores that a table is about."""
    closed, open_names = (one.prefix for one in layout.families), (one.prefix for one in layout.open_families)
    return next(chain(closed, open_names), None)


def _by_cover(means: Means, covered: Mapping[str, int]) -> list[str]:
    order = list(means)
    return sorted(order, key=lambda table: (-covered.get(table, 0), order.index(table)))


def _strongest(table: str, means: Mapping[Score, Moments], layout: Layout, total: int) -> str:
    first = _first(layout)
    mine = {score[1]: one for score, one in means.items() if score[0] == first}
    if not mine:
        return f"{table}: no score."
    often = bool(layout.open_families)
    # Where names are open, what is there often and strongly goes before what was there once.
    best = sorted(mine, key=lambda name: (-mine[name].mean * (mine[name].n if often else 1), name))[:3]
    top, rest = mine[best[0]], best[1:]
    low, high = interval(top)
    sure = ""
    if low is not None and high is not None:
        bounds = within(measure(layout, (first or "", best[0])).bounds, [top.mean])
        sure = f", 95 % interval {number(low)} to {number(high)}{_too_wide(low, high, bounds)}"
    over = f"{top.n:,} of {total:,} sources" if often or top.n < total else f"{top.n:,} sources"
    after = "; then " + ", ".join(f"{name} {number(mine[name].mean)}" for name in rest) if rest else ""
    return f"{table}: {best[0]} {number(top.mean)} (mean over {over}{sure}){after}."


def _too_wide(low: float, high: float, bounds: tuple[float, float] | None) -> str:
    """Student's interval knows no ends of a scale: where it reaches beyond them, it says that sources are too few."""
    if bounds is None or (bounds[0] <= low and high <= bounds[1]):
        return ""
    return f", beyond the scale from {bounds[0]:g} to {bounds[1]:g}: too few sources to tell"


def _values(table: str, means: Mapping[Score, Moments], layout: Layout) -> str:
    """Of a table that measures and has no scores: its curves, each in its unit."""
    curves = layout.signals.curves if layout.signals else ()
    told = [(curve, means[VALUE, curve.column]) for curve in curves if (VALUE, curve.column) in means]
    said = [f"{curve.name} {number(one.mean)} {curve.unit} ({one.n:,} sources)" for curve, one in told[:3]]
    return f"{table}, means over sources: {', '.join(said)}." if said else ""


def _asked(found: Sequence[Compared], layouts: Mapping[str, Layout]) -> list[Compared]:
    """The scores that tables are about, and measurements."""
    return [one for one in found if one.score[0] in (_first(layouts[one.table]), VALUE)]


def _widest(found: Sequence[Compared], layouts: Mapping[str, Layout]) -> Compared | None:
    asked = [one for one in _asked(found, layouts) if apart(one) > 0]
    return max(asked, key=apart, default=None)


def _groups(one: Compared) -> dict[str, GroupMean]:
    return {name: group for name, group in one.groups.items() if group.n >= _FEWEST and group.sd is not None}


def apart(one: Compared) -> float:
    """How far groups of some size lie apart, in standard deviations of sources within them."""
    groups = _groups(one)
    means = [group.mean for group in groups.values()]
    if len(means) < 2 or max(means) - min(means) < _VISIBLE:
        return 0.0
    within = math.sqrt(sum((group.sd or 0.0) ** 2 for group in groups.values()) / len(groups))
    return (max(means) - min(means)) / within if within > _VISIBLE / 100 else math.inf


def _difference(label: str, one: Compared) -> str:
    groups = _groups(one)
    low = min(groups, key=lambda name: groups[name].mean)
    high = max(groups, key=lambda name: groups[name].mean)
    touch = (groups[low].high or 0.0) >= (groups[high].low or 0.0)
    away = apart(one)
    least, most = _told_apart(groups[low].mean, groups[high].mean)
    deviations = f", {away:.1f} standard deviations apart" if math.isfinite(away) else ""
    paired = next((pair for pair in one.pairs if set(pair.groups) == {low, high}), None)
    within = ""
    if paired is not None and paired.low is not None and paired.high is not None:
        ends = [end if end.startswith("-") else f"+{end}" for end in _told_apart(paired.low, paired.high)]
        within = (
            f" Within {paired.n:,} pairs, {paired.groups[1]} less {paired.groups[0]}: {_signed(paired.mean)}"
            f" (95 % interval {ends[0]} to {ends[1]})."
        )
    return (
        f"{label}: {'nothing clear; the widest is ' if touch else ''}{one.score[1].replace('_', ' ')} ({one.table}),"
        f" {least} in {low} (n = {groups[low].n:,}) and {most} in {high} (n = {groups[high].n:,}){deviations};"
        f" their intervals {'overlap' if touch else 'do not overlap'}.{within}"
    )


def _told_apart(one: float, other: float) -> tuple[str, str]:
    """Both with as many digits as it takes to see which is more."""
    found = number(one), number(other)
    for digits in (3, 4):
        if found[0] == found[1]:
            found = f"{one:#.{digits}g}", f"{other:#.{digits}g}"
    return found


def doubts(
    counted: Iterator[str],
    *,
    simulated: bool | None,
    by_status: Mapping[str, int],
    reasons: Mapping[str, int],
    empty: int,
    thinned: int,
    shown: int,
    unread: int,
    open_names: bool,
) -> Finding:
    """What to distrust: what is wrong with all of it first, then with some sources, then with the pictures."""
    total = sum(by_status.values())
    measured, failed = by_status.get("done", 0), by_status.get("failed", 0)
    found = ["Every score is made up: the emulator stood in for the service."] if simulated else []
    if simulated is None:
        found.append(
            "Nobody said of the answers from files whether a service measured them or the emulator made them up."
        )
    if failed:
        reason, often = next(iter(reasons.items()), ("", 0))
        why = f", {'all' if often == failed else f'{often:,}'} with {reason.replace('_', ' ')}" if reason else ""
        found.append(f"{_sources(failed)} failed ({_share(failed, total)}){why}: the others may not stand for all.")
    if left := total - measured - failed:
        found.append(f"{_were(left)} not measured yet.")
    if unread:
        found.append(f"The answers of {_sources(unread)} cannot be read, wholly or in part.")
    if empty:
        found.append(f"In {_sources(empty)} nothing was found to measure: they are in no mean.")
    if 0 < measured < 10:
        done = "rehearsed" if simulated else "measured"
        found.append(f"Only {_were(measured)} {done}: intervals are wide, and one source moves every mean.")
    found += counted
    if open_names:
        found.append("Scores below the service's cutoff are absent, not zero: means are over rows that have them.")
    if thinned:
        found.append(f"{_were(thinned)} thinned for drawing; means and highest are over all rows.")
    if shown < total:
        found.append(f"This page has {shown:,} of {total:,} sources, evenly spread; the findings are over all.")
    return Finding(
        title="What to distrust",
        sentences=found or ["Nothing that the answers tell: all sources measured, none cut, thinned or unsure."],
        more="failures" if failed else None,
    )


def _sources(count: int) -> str:
    return f"{count:,} source{'' if count == 1 else 's'}"


def _were(count: int) -> str:
    return f"{_sources(count)} {'was' if count == 1 else 'were'}"


def _share(part: int, whole: int) -> str:
    share = 100 * part / whole
    return f"{share:.0f} %" if share >= 1 else "less than 1 %"


def number(value: float | None) -> str:
    """Two digits that count: 0.41, 0.043, -23, 214."""
    if value is None:
        return "none"
    return f"{value:.0f}" if abs(value) >= 9.95 else f"{value:.1f}" if abs(value) >= 0.995 else f"{value:#.2g}"


def _signed(value: float) -> str:
    return ("+" if value > 0 else "") + number(value)
