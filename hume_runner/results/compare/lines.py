"""A comparison as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hume_runner.results.compare import records
from hume_runner.results.compare.base import ColumnsTogether, Comparison

_MOST_COLUMNS = 15
_MOST_ITEMS = 10


def lines(found: Comparison, *, everything: bool) -> Iterator[str]:
    """All lines; unless `everything`, of very many columns those that agree least, and of items the first."""
    for letter, side in (("A", found.a), ("B", found.b)):
        yield f"{letter}  {side.shown}: {records.side_words(side)}"
    if found.simulated:
        yield records.SIMULATED
    for told in found.differences:
        yield f"   differs  {told}"
    yield f"   {records.item_words(found)}"
    yield from _left(found, everything=everything)
    if found.a.api != found.b.api and found.columns:
        yield records.OTHER_SCALE
    for table in found.tables:
        yield ""
        yield f"{records.table_title(table)}: {records.table_words(table)}"
        columns = found.columns_of(table)
        yield from _table(columns, everything=everything)
        if (beyond := records.beyond_words(columns)) is not None:
            yield f"  {beyond}"
    if found.columns:
        yield ""
        yield from records.basis_words(found)
    if (advice := records.advice(found)) is not None:
        yield f"nothing is compared: {advice}"


def _left(found: Comparison, *, everything: bool) -> Iterator[str]:
    yield from (f"   {told}" for told in records.reason_words(found))
    shown = found.unmatched if everything else found.unmatched[:_MOST_ITEMS]
    for item in shown:
        source = f" ({item.source})" if item.source != item.id else ""
        yield f"     {item.side.upper()}  {item.id}{source}: {item.told}"
    left = sum(found.reasons.values()) - len(shown)
    if left:
        yield f"     and {left:,} more; -v or --out FILE tells which"


def _table(columns: Sequence[ColumnsTogether], *, everything: bool) -> Iterator[str]:
    """The columns as aligned words; of very many those that agree least."""
    shown = list(columns)
    if not everything and len(shown) > _MOST_COLUMNS:
        shown = sorted(shown, key=_agrees)[:_MOST_COLUMNS]
    rows = [["column", "n", "mean A", "mean B", "B - A", "Pearson [95 %]", "Spearman [95 %]"]]
    for one in shown:
        found = one.agreement
        means = map(records.shown, (found.mean_a, found.mean_b, found.mean_difference))
        both = (records.correlation(found.pearson), records.correlation(found.spearman))
        rows.append([one.name, f"{found.n:,}", *means, *(words or "-" for words in both)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *cells in rows if shown else ():
        words = "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True))
        yield f"  {name:<{widths[0]}}  {words}".rstrip()
    if len(shown) < len(columns):
        yield f"  the {len(shown)} of {len(columns)} that agree least; -v or --out FILE tells all"


def _agrees(one: ColumnsTogether) -> tuple[bool, float]:
    value = one.agreement.spearman.value
    return (value is None, 0.0 if value is None else value)
