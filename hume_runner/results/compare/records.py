"""A comparison as plain records and as words; what every form of it is made of. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from hume_runner.results.agreement import Coefficient
from hume_runner.results.compare.base import REASONS, ColumnsTogether, Comparison, Side, TablesTogether
from hume_runner.results.summable import BEYOND

# Name -> (Arrow's word for its type, meaning), in order: the columns of the table that csv and parquet hold.
FIELDS: Mapping[str, tuple[str, str]] = {
    "table_a": ("string", "table of A"),
    "column_a": ("string", "column of A"),
    "table_b": ("string", "table of B"),
    "column_b": ("string", "column of B"),
    "n": ("int64", "pairs of rows that both have a value"),
    "items": ("int64", "items that these pairs come from"),
    "only_a": ("int64", "pairs of rows of which A alone has a value"),
    "only_b": ("int64", "pairs of rows of which B alone has a value"),
    "beyond": ("int64", f"pairs of rows that both have a value, of which one is {BEYOND}; not among the n"),
    "mean_a": ("double", "mean of A over the n pairs"),
    "mean_b": ("double", "mean of B over the n pairs"),
    "mean_difference": ("double", "mean of B less mean of A"),
    "pearson": ("double", "Pearson's r; null with fewer than 4 pairs or where either side is constant"),
    "pearson_low": ("double", "lower end of its 95 % interval"),
    "pearson_high": ("double", "upper end of its 95 % interval"),
    "spearman": ("double", "Spearman's rho; null as above"),
    "spearman_low": ("double", "lower end of its 95 % interval"),
    "spearman_high": ("double", "upper end of its 95 % interval"),
    "interval_basis": ("string", "what the intervals take for independent: pairs or items; null without intervals"),
    "ranked": ("int64", "pairs that Spearman and the intervals are made from"),
    "simulated": ("bool", "true if any of the numbers were made up by the emulator"),
}
_MOST_BEYOND = 10
SIMULATED = "SIMULATED SCORES: some of the numbers were made up by the emulator; this tells nothing of a measurement"
OTHER_SCALE = (
    "The two sides come from different services: the same word is not the same scale, so a difference of means tells "
    "little, and a correlation more."
)


def record(one: ColumnsTogether, *, simulated: bool) -> dict[str, Any]:
    """One column as a flat record with the members of `FIELDS`."""
    found = one.agreement
    return {
        "table_a": one.table_a,
        "column_a": one.column_a,
        "table_b": one.table_b,
        "column_b": one.column_b,
        "n": found.n,
        "items": found.items,
        "only_a": one.only_a,
        "only_b": one.only_b,
        "beyond": one.beyond,
        "mean_a": found.mean_a,
        "mean_b": found.mean_b,
        "mean_difference": found.mean_difference,
        **_members("pearson", found.pearson),
        **_members("spearman", found.spearman),
        "interval_basis": found.basis,
        "ranked": found.ranked,
        "simulated": simulated,
    }


def _members(name: str, found: Coefficient) -> dict[str, float | None]:
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}


def document(comparison: Comparison) -> dict[str, Any]:
    """The whole comparison as JSON values, but for the points."""
    return {
        "a": asdict(comparison.a),
        "b": asdict(comparison.b),
        "simulated": comparison.simulated,
        "differences": list(comparison.differences),
        "items": {
            "matched": comparison.matched,
            "compared": comparison.compared,
            "not_compared": dict(comparison.reasons),
        },
        "unmatched": [asdict(one) for one in comparison.unmatched],
        "tables": [asdict(one) for one in comparison.tables],
        "columns": [record(one, simulated=comparison.simulated) for one in comparison.columns],
        "unread": list(comparison.unread),
    }


# -- words


def side_words(side: Side) -> str:
    repeats = f", {side.repeats:,} of them repeats" if side.repeats else ""
    by = f"; measured by {', '.join(side.measured_by)}" if side.measured_by else ""
    simulated = "; simulated" if side.simulated else ""
    return f"{side.name}, {side.api}, {plural(side.items, 'item')}{repeats}{by}{simulated}"


def item_words(comparison: Comparison) -> str:
    return f"{plural(comparison.matched, 'item')} with the same content in both, {comparison.compared:,} compared"


def reason_words(comparison: Comparison) -> Iterator[str]:
    for reason, count in comparison.reasons.items():
        yield f"{count:,} not compared: {REASONS[reason]}"


def table_title(table: TablesTogether | ColumnsTogether) -> str:
    a, b = (table.a, table.b) if isinstance(table, TablesTogether) else (table.table_a, table.table_b)
    return a if a == b else f"{a} of A with {b} of B"


def table_words(table: TablesTogether) -> str:
    alone = f"; without a partner {table.unpaired_a:,} of A, {table.unpaired_b:,} of B"
    by = ", ".join(table.by)
    found = (
        f"{plural(table.pairs, 'pair')} of rows by {by} in {plural(table.items, 'item')}" if by else "no pair of rows"
    )
    return f"{table.rows_a:,} rows of A, {table.rows_b:,} of B: {found}{alone if table.pairs else ''}"


def beyond_words(columns: Sequence[ColumnsTogether]) -> str | None:
    """Of which columns of a table pairs are left out, since a number is too large; None of none."""
    some = [one for one in columns if one.beyond]
    if not some:
        return None
    told = ", ".join(f"{one.beyond:,} of {one.name}" for one in some[:_MOST_BEYOND])
    more = f", and some of {plural(len(some) - _MOST_BEYOND, 'more column')}" if len(some) > _MOST_BEYOND else ""
    return f"pairs left out of the numbers, since a value is {BEYOND}: {told}{more}"


def basis_words(comparison: Comparison) -> Iterator[str]:
    """What the intervals stand on, once for the whole comparison."""
    found = {one.agreement.basis for one in comparison.columns if one.agreement.n}
    if "items" in found:
        yield "Intervals (95 %) where items have several rows: rows of one item are not taken for independent."
    if "pairs" in found:
        yield "Intervals (95 %) where each item has one row: its pairs are taken for independent."
    if None in found:
        yield "No interval with fewer than four items; no correlation with fewer than four pairs or without variance."


def advice(comparison: Comparison) -> str | None:
    """What to do where nothing is compared."""
    if comparison.columns and comparison.compared:
        return None
    if not comparison.matched:
        return (
            "no source has the same content in both: a file is known by its bytes, a URL and a text by their characters"
        )
    if not comparison.tables:
        a, b = (", ".join(names) or "no table" for names in (comparison.tables_a, comparison.tables_b))
        said = f"no table and column have the same names in both (A: {a}; B: {b})"
        return f"{said}: name a pair, as in --pair face.prob=video.confidence"
    return "no rows lie together: see docs/compare.md for what counts as together"


def plural(number: int, word: str) -> str:
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def shown(number: float | None) -> str:
    """A number for people, with a few digits; empty where there is none."""
    if number is None:
        return ""
    size = abs(number)
    if size < 100 and (size >= 0.001 or size == 0):
        return f"{number:.3f}"
    return f"{number:.1f}" if 100 <= size < 100_000 else f"{number:.2g}" if size < 1 else f"{number:.4g}"


def correlation(found: Coefficient) -> str:
    if found.value is None:
        return ""
    if found.low is None or found.high is None:
        return f"{found.value:.2f}"
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"
