"""How a table that has no scores, or more than scores, is drawn over time: which columns, as what. Data, no code."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A number over time: its column, what people call it, its unit; `low` and `high` are columns of a band around."""

    column: str
    name: str
    unit: str
    low: str | None = None
    high: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """What is drawn of each row of a table.

    With `curves` it is a graph each; with `box` (columns: left, top, width, height in pixels of the picture) boxes, and
    a lane of time for each value of `lane`; else the table's text from begin to end. `told` are columns that are told
    beside it. `place`: what is drawn above what, smallest first. `whole`: rows say nothing with gaps between them, so
    that of very many the first are kept and not evenly spread ones. `free`: the text, being short, may
    reach beyond its end.
    """

    title: str
    place: int
    curves: tuple[Curve, ...] = ()
    lane: str | None = None
    box: tuple[str, str, str, str] | None = None
    told: tuple[str, ...] = ()
    whole: bool = False
    free: bool = False

    @property
    def columns(self) -> tuple[str | None, ...]:
        """All columns whose values are drawn or told, in the order in which the page has them."""
        curves = tuple(column for curve in self.curves for column in (curve.column, curve.low, curve.high))
        return (*curves, *(self.box or ()), *self.told)
