"""What the cells of a label column are: numbers and truths where all of a column are, else the text that was written.

Told column by column, as a `7` among `007` and `12a` is a name and no number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from functools import lru_cache
from itertools import islice

from hume_runner.manifest.model import Scalar

Convert = Callable[[str], Scalar]

_WHOLE = re.compile(r"0|-?[1-9][0-9]*")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+")
_TRUTHS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_EXACT_DIGITS = 15  # any decimal number of so many digits comes back from 64 bits as it was
_LARGEST_EXACT = 2**53  # whole numbers beyond it do not survive as decimal ones
_TEXT = "text"
_BLOCK = 1_000  # rows that are looked at together


@lru_cache(maxsize=4096)  # the same few labels come again and again
def kind_of(cell: str) -> str:
    """`whole`, `large` (whole, and beyond what a decimal number holds), `decimal`, `truth` or `text`.

    Leading zeros, plus signs, exponents (`1E5` is a well on a plate), thousands' marks and decimal commas are text, and
    so are dates and numbers with more digits than 64 bits keep.
    """
    if cell in _TRUTHS:
        return "truth"
    if _WHOLE.fullmatch(cell):
        if len(cell) <= _EXACT_DIGITS:
            return "whole"
        number = int(cell) if len(cell) < 25 else 2**64
        if not -(2**63) <= number < 2**63:
            return _TEXT
        return "whole" if abs(number) <= _LARGEST_EXACT else "large"
    if _DECIMAL.fullmatch(cell):
        if len(cell) <= _EXACT_DIGITS:
            return "decimal"
        return "decimal" if len(cell) < 40 and Decimal(repr(float(cell))) == Decimal(cell) else _TEXT
    return _TEXT


def as_text(cell: str) -> Scalar:
    return cell


def as_truth(cell: str) -> Scalar:
    """None for a cell that is blank."""
    return _TRUTHS.get(cell.strip())


def as_number(cell: str) -> Scalar:
    """A whole number where it is written as one; None for a cell that is blank."""
    stripped = cell.strip()
    if not stripped:
        return None
    return float(stripped) if "." in stripped else int(stripped)


def converters(rows: Iterable[Sequence[str]], columns: Sequence[int], width: int) -> dict[int, Convert]:
    """How to read each of `columns`, from one pass over all rows; it ends early when all are known to be text."""
    seen: dict[int, set[str]] = {at: set() for at in columns}
    unsettled = list(columns)
    for block in _blocks(rows):
        whole = [row for row in block if len(row) == width]
        for at in tuple(unsettled):
            # What a column says again and again is looked at once a block.
            cells = {row[at] for row in whole}
            kinds = seen[at]
            kinds.update(kind_of(cell) for cell in map(str.strip, cells) if cell)
            if kinds and _convert(kinds) is as_text:
                unsettled.remove(at)
        if not unsettled:
            break
    return {at: _convert(kinds) for at, kinds in seen.items()}


def _blocks(rows: Iterable[Sequence[str]]) -> Iterator[list[Sequence[str]]]:
    """The rows in lists; what follows a row that cannot be read is told after those before it."""
    rows = iter(rows)
    while block := list[Sequence[str]](map(tuple, islice(rows, _BLOCK))):  # as tuples: see `_Table.blocks`
        yield block


def _convert(kinds: set[str]) -> Convert:
    if kinds == {"truth"}:
        return as_truth
    if kinds and (kinds <= {"whole", "large"} or kinds <= {"whole", "decimal"}):
        return as_number
    return as_text
