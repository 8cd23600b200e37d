"""Two tiers of the same tests: `make test` runs a sample of each long table, `make sweep` the rest of it.

`@sampled(6)` leaves six cells of what a test's `parametrize` makes to the first tier, so chosen that each value of each
parameter is among them as long as there are places, and spread evenly; without a mark it is eight. `@in_two_tiers` is
for a test that goes through a table by itself: it is given a `Tier`, and asks it which cells. Nothing is drawn: the
same cells on every machine.
`examples` does the same for properties, whose examples are drawn. What takes a fifth of a second of processor time by
itself is `make sweep`'s as a whole, unless it alone shows its promise: a person waits for the first tier.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import pytest
from hypothesis import settings

T = TypeVar("T")
QUICK_EXAMPLES = 15
# Each cell costs ten milliseconds of collecting and reporting, whatever it does.
_UNMARKED_MOST = 8


def sampled(most: int) -> pytest.MarkDecorator:
    """At most so many cells of this test (or of each of the class or module) are in the first tier."""
    return pytest.mark.sampled(most)


@dataclass(frozen=True, slots=True)
class Tier:
    """Which cells of a table are gone through: all of them, or a sample."""

    all: bool

    def of(self, cells: Iterable[T], most: int) -> list[T]:
        """All, or so many: cells of several values so that as many values as possible are among them, see `choose`."""
        found = list(cells)
        if self.all:
            return found
        values = [enumerate(cell) if isinstance(cell, tuple) else (at,) for at, cell in enumerate(found)]
        return [found[at] for at in choose(values, most)]

    def first_of_each(self, kinds: Sequence[Hashable]) -> list[int]:
        """Positions, from 1 on: of everything, or of the first of each kind."""
        if self.all:
            return list(range(1, len(kinds) + 1))
        return sorted({kind: at for at, kind in reversed([*enumerate(kinds, start=1)])}.values())


in_two_tiers = pytest.mark.parametrize(
    "tier",
    [pytest.param(Tier(all=False), id="sample"), pytest.param(Tier(all=True), id="all", marks=pytest.mark.sweep)],
)

# The same, of a table whose sample takes a second by itself.
only_swept = pytest.mark.parametrize("tier", [pytest.param(Tier(all=True), id="all", marks=pytest.mark.sweep)])


def examples(most: int) -> int:
    """So many under the profile of `make sweep`; a few in the first tier."""
    return most if settings().max_examples > QUICK_EXAMPLES else min(most, QUICK_EXAMPLES)


def spread(count: int, most: int) -> list[int]:
    """`most` of `count` positions, evenly, with both ends."""
    if most == 1:
        return [0]
    return [round(at * (count - 1) / (most - 1)) for at in range(most)]


def choose(cells: Sequence[Iterable[Hashable]], most: int) -> list[int]:
    """Positions of `most` cells: next is always one that brings the most values that none before it had."""
    if len(cells) <= most:
        return list(range(len(cells)))
    values = [frozenset(cell) for cell in cells]
    even = spread(len(cells), most)
    left = [*even, *(at for at in range(len(cells)) if at not in even)]
    seen: set[Hashable] = set()
    chosen = []
    for _ in range(most):
        best = max(left, key=lambda at: len(values[at] - seen))  # the first of equals
        left.remove(best)
        chosen.append(best)
        seen |= values[best]
    return sorted(chosen)


def _is_cell(item: pytest.Function) -> bool:
    return hasattr(item, "callspec") and not item.get_closest_marker("sweep")


def mark_the_rest(items: Iterable[pytest.Item]) -> None:
    """What of the collected tests is not in the first tier gets the mark `sweep`."""
    tables: dict[tuple[pytest.Item | pytest.Collector | None, str], list[pytest.Function]] = {}
    for item in items:
        if isinstance(item, pytest.Function) and _is_cell(item):
            tables.setdefault((item.parent, item.originalname), []).append(item)
    for cells in tables.values():
        mark = cells[0].get_closest_marker("sampled")
        most = mark.args[0] if mark else _UNMARKED_MOST
        if len(cells) <= most:
            continue
        chosen = set(choose([cell.callspec.indices.items() for cell in cells], most))
        for at, cell in enumerate(cells):
            if at not in chosen:
                cell.add_marker(pytest.mark.sweep)
