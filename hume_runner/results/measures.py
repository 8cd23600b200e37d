"""What a number is called where people read it, in which unit, and between which ends it can lie."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from hume_runner.frozen import frozen
from hume_runner.results.aggregates import VALUE, Score
from hume_runner.services.table_shapes import Layout, column_name

# The end of a column's name tells its unit.
_UNITS = {
    "hz": "Hz",
    "lufs": "LUFS",
    "dbfs": "dBFS",
    "st": "semitones",
    "s": "s",
}
_SHARES = ("share", "probability")
_UNIT_INTERVAL = (0.0, 1.0)


@frozen
class Measure:
    """`words` and `unit` (empty: none) for people; `bounds`: between which values it lies, None where nobody says."""

    words: str
    unit: str = ""
    bounds: tuple[float, float] | None = None

    @property
    def title(self) -> str:
        """As an axis has it: `pitch, Hz`."""
        return f"{self.words}, {self.unit}" if self.unit else self.words


def measure(layout: Layout, score: Score) -> Measure:
    """Of one score or measurement of a table."""
    prefix, name = score
    if prefix != VALUE:
        bounds = {one.prefix: one.bounds for one in layout.families}
        bounds |= {one.prefix: one.bounds for one in layout.open_families}
        return Measure(words=name, bounds=bounds.get(prefix))
    for curve in layout.signals.curves if layout.signals else ():
        if curve.column == name:
            return Measure(words=curve.name, unit=curve.unit)
    stem, _, end = name.rpartition("_")
    if stem and end in _UNITS:
        return Measure(words=stem.replace("_", " "), unit=_UNITS[end])
    return Measure(words=name.replace("_", " "), bounds=_UNIT_INTERVAL if end in _SHARES else None)


def within(bounds: tuple[float, float] | None, means: Iterable[float]) -> tuple[float, float] | None:
    """The bounds, where the means keep them: some services say that a score may lie outside."""
    if bounds is None or any(not bounds[0] <= mean <= bounds[1] for mean in means):
        return None
    return bounds


def drawn_first(layout: Layout, scores: Sequence[Score]) -> list[Score]:
    """Those that a table is about: the scores of its first family, or where it has none, what is drawn of it."""
    families = [*(one.prefix for one in layout.families), *(one.prefix for one in layout.open_families)]
    if families:
        return [score for score in scores if score[0] == families[0]]
    shown = layout.signals.columns if layout.signals else ()
    return [score for score in scores if score[1] in shown]


def spellings(layout: Layout, scores: Iterable[Score]) -> Mapping[str, Score]:
    """Every way in which people may write these scores, in lower case: as the service spells it, as the column is
    called, as pictures have it. Where two scores are written alike, the first is meant."""
    found: dict[str, Score] = {}
    listed = [(score, *_written(layout, score)) for score in scores]
    for way in range(1, 4):
        for one in listed:
            found.setdefault(str(one[way]).casefold(), one[0])
    return found


def _written(layout: Layout, score: Score) -> tuple[str, str, str]:
    """As the service spells it, as the column is called, as pictures have it."""
    prefix, name = score
    column = name if prefix == VALUE else f"{prefix}_{column_name(name)}"
    return name, column, measure(layout, score).words
