"""How a table that has no scores, or more than scores, is drawn over time: which columns, as what. Data, no code."""

from __future__ import annotations

from hume_runner.frozen import frozen


@frozen
class Curve:
    """A number over time: its column, what people call it, its unit; `low` and `high` are columns of a band around.

    Curves that follow each other and name one `graph` share it, the second one dashed. `span`: the least that the axis
    reaches over, in the unit, so that noise does not fill it.
    """

    column: str
    name: str
    unit: str
    low: str | None = None
    high: str | None = None
    graph: str = ""
    span: float = 2.0


@frozen
class Signals:
    """What is drawn of each row of a table.

    With `curves` it is a graph each, with a line for each value of `lane`; with `box` (columns: left, top, width,
    height in pixels of the picture, whose size the columns of `frame` tell) boxes, and a lane of time for each value of
    `lane`; else the table's text from begin to end. `told` are columns that are told beside it. `place`: what is drawn
    above what, smallest first. `whole`: rows say nothing with gaps between them, so that of very many the first are
    kept and not evenly spread ones. `free`: the text, being short, may reach beyond its end. `step`: a column of whole
    numbers that grows by one from moment to moment, also where there are no rows; without it, what is a gap is told by
    time.
    """

    title: str
    place: int
    curves: tuple[Curve, ...] = ()
    lane: str | None = None
    box: tuple[str, str, str, str] | None = None
    frame: tuple[str, str] | None = None
    step: str | None = None
    told: tuple[str, ...] = ()
    whole: bool = False
    free: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns whose values are drawn or told, each once, in the order in which the page has them."""
        curves = (column for curve in self.curves for column in (curve.column, curve.low, curve.high))
        step = (self.step,) if self.step else ()
        every = (*curves, *(self.box or ()), *(self.frame or ()), *step, *self.told)
        return tuple(dict.fromkeys(column for column in every if column is not None))
