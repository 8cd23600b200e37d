"""Tells the items of a manifest that a run is about from the others, as they come."""

from __future__ import annotations

from collections.abc import Callable

from hume_runner.planning.selection import Selection
from hume_runner.planning.staged import PlainRow, Row, format_place
from hume_runner.sources.base import SourceItem


class Chooser:
    """Tells items that are selected from others; counts them, and the names of labels."""

    def __init__(self, selection: Selection, held: Callable[[bytes], bool] | None) -> None:
        self._selection = selection
        self._held = held
        self._left = selection.limit
        self._labels: set[str] = set()

    def wants(self, item: SourceItem) -> bool:
        """Whether some of what a source is may be selected, by what is known before it is read."""
        where = self._selection.where
        if where is not None:
            self._labels.update(item.labels)
            if not where.holds(item.id, item.kind, item.labels):
                return False
        return self._left is None or self._left > 0

    def takes(self, row: PlainRow | Row) -> bool:
        """Whether this item is selected."""
        shard = self._selection.shard
        if shard is not None:
            kind, key, content = row[3], row[4], row[8]
            if not shard.takes(kind, content) or (self._held is not None and self._held(key)):
                return False
        if self._left is not None:
            if self._left <= 0:
                return False
            self._left -= 1
        return True

    def check(self) -> None:
        """Raises: UsageError."""
        if self._selection.where is not None:
            self._selection.where.check_labels(self._labels)


def unread(ord_: int, item: SourceItem) -> Row:
    """The row of an item that nobody looked at; its id is taken all the same."""
    place = format_place(item.place.file, item.place.line, item.place.column, item.place.path)
    name = item.id.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return (ord_, name, int(item.explicit_id), item.kind, b"", "", place, None, b"", 0, b"", None, None, None, None)
