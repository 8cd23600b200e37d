"""Which columns of two services' tables are compared, and their names. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from hume_runner.errors import UsageError
from hume_runner.frozen import frozen
from hume_runner.services.table_shapes import Joined, Layout

# Where a row lies is no measurement. Whole numbers are the numbers of things: of a frame, a face, a character.
_PLACES = ("begin_s", "end_s", "time_s")


@frozen
class TablePair:
    """A table of A and one of B: columns (A's, B's) to compare, which of them somebody asked for, and prefixes of open
    families that both have. `joined_a` and `joined_b`: what stands for several rows, by column."""

    a: str
    b: str
    columns: tuple[tuple[str, str], ...]
    prefixes: tuple[str, ...] = ()
    asked: tuple[tuple[str, str], ...] = ()
    joined_a: Mapping[str, Joined] = field(default_factory=dict)
    joined_b: Mapping[str, Joined] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Wanted:
    """What is to be kept of one table: columns by name, and all columns of some open families."""

    names: set[str] = field(default_factory=set)
    prefixes: set[str] = field(default_factory=set)


def table_pairs(a: Sequence[Layout], b: Sequence[Layout], asked: Iterable[str]) -> list[TablePair]:
    """Tables of the same name with the numbers that both have under one name, then what was asked for by name.

    Raises: UsageError for a pair that is not `TABLE.COLUMN=TABLE.COLUMN` or names what is not there.
    """
    by_name = {layout.name: layout for layout in b}
    pairs = []
    for mine in a:
        theirs = by_name.get(mine.name)
        if theirs is not None:
            other = set(_measured(theirs))
            columns = tuple((name, name) for name in _measured(mine) if name in other)
            open_too = {family.prefix for family in theirs.open_families}
            prefixes = tuple(one.prefix for one in mine.open_families if one.prefix in open_too)
            pairs.append(TablePair(a=mine.name, b=mine.name, columns=columns, prefixes=prefixes))
    named: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for text in asked:
        left, mark, right = text.partition("=")
        if not mark:
            raise UsageError(f"--pair {text}: there is no '='", hint="as in --pair face.prob=video.confidence")
        (table_a, column_a), (table_b, column_b) = _found(text, "A", left, a), _found(text, "B", right, b)
        named.setdefault((table_a, table_b), []).append((column_a, column_b))
    for (table_a, table_b), columns_asked in named.items():
        same = next((n for n, one in enumerate(pairs) if (one.a, one.b) == (table_a, table_b)), None)
        known = TablePair(a=table_a, b=table_b, columns=()) if same is None else pairs.pop(same)
        columns = tuple(dict.fromkeys((*known.columns, *columns_asked)))
        pair = replace(known, columns=columns, asked=tuple(columns_asked))
        pairs.insert(len(pairs) if same is None else same, pair)
    joined_a, joined_b = _joined(a), _joined(b)
    return [
        replace(pair, joined_a=joined_a[pair.a], joined_b=joined_b[pair.b])
        for pair in pairs
        if pair.columns or pair.prefixes
    ]


def _joined(layouts: Iterable[Layout]) -> Mapping[str, Mapping[str, Joined]]:
    return {one.name: {column.name: column.joined for column in one.columns} for one in layouts}


def wanted(pairs: Iterable[TablePair]) -> tuple[Mapping[str, Wanted], Mapping[str, Wanted]]:
    """What is to be kept of A's tables and of B's, by table."""
    a: dict[str, Wanted] = {}
    b: dict[str, Wanted] = {}
    for pair in pairs:
        mine, theirs = a.setdefault(pair.a, Wanted()), b.setdefault(pair.b, Wanted())
        mine.names |= {name for name, _ in pair.columns}
        theirs.names |= {name for _, name in pair.columns}
        mine.prefixes |= {*pair.prefixes}
        theirs.prefixes |= {*pair.prefixes}
    return a, b


def _measured(layout: Layout) -> list[str]:
    """The columns of a table that hold measurements and have a name that is known beforehand."""
    places = {*(layout.time or ())}
    own = [
        one.name
        for one in layout.columns
        if one.type == "number" and one.name not in places and not one.name.endswith(_PLACES)
    ]
    return [*own, *_scores(layout)]


def _scores(layout: Layout) -> list[str]:
    return [name for family in layout.families for name in family.columns]


def _found(text: str, side: str, word: str, layouts: Sequence[Layout]) -> tuple[str, str]:
    """The (table, column) that a half of a pair names."""
    table, dot, column = word.strip().partition(".")
    if not dot:
        raise UsageError(f"--pair {text}: {word!r} is no TABLE.COLUMN", hint="as in --pair face.prob=video.confidence")
    layout = next((one for one in layouts if one.name == table), None)
    if layout is None:
        known = ", ".join(one.name for one in layouts)
        raise UsageError(f"--pair {text}: {side} has no table {table!r}", hint=f"{side} has {known}")
    numeric = [one.name for one in layout.columns if one.type in ("number", "integer")] + _scores(layout)
    if column in numeric or any(column.startswith(f"{one.prefix}_") for one in layout.open_families):
        return table, column
    other = next((one for one in layout.columns if one.name == column), None)
    if other is not None:
        raise UsageError(f"--pair {text}: {word} holds no numbers ({other.type})", hint="docs/tables.md lists columns")
    near = get_close_matches(column, numeric, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "docs/tables.md lists the columns of every table"
    raise UsageError(f"--pair {text}: {side}'s table {table!r} has no column {column!r}", hint=hint)
