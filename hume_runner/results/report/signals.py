"""One source in one table that is drawn as signals over time: curves, words, boxes. Bounded, whatever its length."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hume_runner.results.report.parts import LONGEST_TEXT
from hume_runner.results.summable import can_be_summed
from hume_runner.services.signals import Signals
from hume_runner.services.table_shapes import Block, Layout

# What all signals may take on the page, and about a row's size; the most and the fewest rows of one source and table.
_BYTES = 5_000_000
_ROW_BYTES = 50
_MOST_ROWS = 4_000
_FEWEST_ROWS = 24
_DRAWN_FIRST = 4  # begin, end, text and lane stand before what is drawn


def rows_for(parts: int) -> int:
    """How many rows each part may keep when so many share the page."""
    return max(_FEWEST_ROWS, min(_MOST_ROWS, _BYTES // (max(1, parts) * _ROW_BYTES)))


def most_parts() -> int:
    """Of so many parts each may still keep rows enough to be a picture."""
    return _BYTES // (_FEWEST_ROWS * _ROW_BYTES)


@dataclass(slots=True, kw_only=True)
class SignalPart:
    """Some rows of one source in one table. Rows of one moment (faces in one picture) stay or go together."""

    layout: Layout
    signals: Signals
    most: int
    rows: int = 0
    moments: int = 0
    stride: int = 1
    last: object = None
    kept: list[tuple[int, list[Any]]] = field(default_factory=list)

    def add(self, block: Block) -> None:
        begin, end = self.layout.time or (None, None)
        columns = block.columns
        begins = columns[begin] if begin else None
        for row in range(block.rows):
            moment = begins[row] if begins is not None else None
            if moment != self.last or not self.rows:
                self.moments += 1
                self.last = moment
            self.rows += 1
            number = self.moments - 1
            if number % self.stride or (self.signals.whole and len(self.kept) >= self.most):
                continue
            self.kept.append((number, self._drawn(columns, row, begin, end)))
            if len(self.kept) > 2 * self.most:
                self.thin(self.most)

    def thin(self, most: int) -> None:
        """Keep at most so many rows from now on."""
        self.most = most
        while not self.signals.whole and len(self.kept) > most and self.stride < self.moments:
            self.stride *= 2
            self.kept = [(number, row) for number, row in self.kept if number % self.stride == 0]
        del self.kept[most:]

    def _drawn(self, columns: Mapping[str, Any], row: int, begin: str | None, end: str | None) -> list[Any]:
        """[begin, end, text, lane, *values]: times in seconds, values in the order of `Signals.columns`."""
        text = columns[self.layout.text][row] if self.layout.text else None
        return [
            _number(columns[begin][row]) if begin else None,
            _number(columns[end][row]) if end and end != begin else None,
            str(text)[:LONGEST_TEXT] if text is not None else None,
            columns[self.signals.lane][row] if self.signals.lane else None,
            *(_value(columns[name][row]) for name in self.signals.columns),
        ]

    def size(self) -> int:
        """About how many bytes it takes on the page, where letters beyond ASCII and marks of HTML are escaped."""
        return sum(6 + _size(value) for _, row in self.kept for value in row)

    def document(self) -> dict[str, Any]:
        """This part for the page."""
        return {"n": self.rows, "stride": self.stride, "rows": [row for _, row in self.kept]}


def bound(parts: Sequence[SignalPart]) -> None:
    """Thin them until all together fit on the page, whatever is written in them."""
    most = rows_for(len(parts))
    while True:
        for part in parts:
            part.thin(most)
        if most <= 1 or sum(part.size() for part in parts) <= _BYTES:
            return
        most = max(1, most * 2 // 3)


def described(layout: Layout) -> dict[str, Any]:
    """How rows of a table are drawn, for the page."""
    signals = layout.signals
    assert signals is not None
    places = {name: place for place, name in enumerate(signals.columns, start=_DRAWN_FIRST)}

    def at(*names: str | None) -> list[int | None]:
        return [None if name is None else places[name] for name in names]

    return {
        "row": layout.row,
        "title": signals.title,
        "place": signals.place,
        "curves": [
            {
                "name": curve.name,
                "unit": curve.unit,
                "at": at(curve.column, curve.low, curve.high),
                "graph": curve.graph or curve.name,
                "span": curve.span,
            }
            for curve in signals.curves
        ],
        "lanes": signals.lane is not None,
        "box": at(*signals.box) if signals.box else None,
        "frame": at(*signals.frame) if signals.frame else None,
        "step": at(signals.step)[0],
        "told": [[name.replace("_", " "), places[name]] for name in signals.told],
        "whole": signals.whole,
        "free": signals.free,
    }


def _number(value: Any) -> float | None:
    return round(value, 2) if isinstance(value, (int, float)) and can_be_summed(value) else None


def _value(value: Any) -> Any:
    if isinstance(value, int | float) and not can_be_summed(value):
        return None
    if isinstance(value, float):
        return round(value, 2 if abs(value) >= 10 else 3)
    return value[:40] if isinstance(value, str) else value


def _size(value: Any) -> int:
    return len(json.dumps(value)) + 5 * sum(map(value.count, "<>&")) if isinstance(value, str) else 0
