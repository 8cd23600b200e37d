"""How groups of sources compare, as the page has it: a bounded number of scores a label and table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from hume_runner.results.groups import Compared, GroupSums, PairedMean
from hume_runner.results.measures import measure
from hume_runner.results.report.findings import apart
from hume_runner.services.table_shapes import Layout

# Closed families have fewer all together; of open names those that most sources have are kept.
_MOST_SCORES = 160


def compared_by(groups: Mapping[str, GroupSums]) -> dict[str, list[Compared]]:
    """Label -> its scores that at least two groups have; labels without any are left out."""
    found = {label: sums.compared() for label, sums in groups.items()}
    return {label: compared for label, compared in found.items() if compared}


def described_groups(
    compared: Mapping[str, Sequence[Compared]],
    sums: Mapping[str, GroupSums],
    layouts: Mapping[str, Layout],
    listed: Mapping[str, Sequence[str]],
) -> list[dict[str, Any]]:
    """For the page: [{label, groups, listed, left, tables: {table: [[family, name, unit, means, pairs, apart,
    bounds]]}}].

    `listed`: the values of each label in the manifest's order, for the page the places of its groups in that order.
    `means` has for each group [n, mean, low, high] or null; `pairs` has [first, other, n, mean, low, high], groups by
    their places. `apart`: how far the groups lie apart, in standard deviations. Numbers keep four digits that count.
    """
    order = list(layouts)
    return [
        {
            "label": label,
            "groups": (names := sums[label].names),
            "listed": _listed(names, listed.get(label, ())),
            "left": sums[label].left_out,
            "tables": {table: _scores(list(of), names, layouts[table]) for table, of in groupby(found, _table)},
        }
        for label, found in (
            (label, sorted(found, key=lambda one: order.index(one.table))) for label, found in compared.items()
        )
    ]


def _listed(names: Sequence[str], listed: Sequence[str]) -> list[int]:
    at = {name: place for place, name in enumerate(listed)}
    return sorted(range(len(names)), key=lambda place: (at.get(names[place], len(at)), place))


def _table(one: Compared) -> str:
    return one.table


def _scores(found: Sequence[Compared], names: Sequence[str], layout: Layout) -> list[list[Any]]:
    often = sorted(range(len(found)), key=lambda i: (-sum(group.n for group in found[i].groups.values()), i))
    kept = sorted(often[:_MOST_SCORES])
    place = {name: number for number, name in enumerate(names)}
    rows = []
    for one in (found[i] for i in kept):
        family, told = one.score[0], measure(layout, one.score)
        means = [
            [group.n, *_short(group.mean, group.low, group.high)] if (group := one.groups.get(group_name)) else None
            for group_name in names
        ]
        pairs = [_pair(pair, place) for pair in one.pairs]
        away = round(min(apart(one) or one.widest, 999.0), 3)
        rows.append([family, told.words, told.unit, means, pairs, away, told.bounds])
    return rows


def _pair(pair: PairedMean, place: Mapping[str, int]) -> list[Any]:
    first, other = pair.groups
    return [place[first], place[other], pair.n, *_short(pair.mean, pair.low, pair.high)]


def _short(*numbers: float | None) -> list[float | None]:
    return [None if number is None else float(f"{number:.4g}") for number in numbers]
