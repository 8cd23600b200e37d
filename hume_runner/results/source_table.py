"""`sources`: a row a source and table, with how its scores lie; `sources_long`: the same, a row a score."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from hume_runner.results.by_source import Summed, SumsBySource
from hume_runner.results.columns import ITEMS, LONG_SCORES, SCORES_TYPE, field_of, item_record
from hume_runner.results.intervals import Intervals
from hume_runner.results.labels import LabelColumns
from hume_runner.results.rows import ItemRows
from hume_runner.services.table_shapes import Column

_ABOUT = tuple(column for column in ITEMS if column.name in ("item_id", "kind", "source", "labels", "simulated"))
_OWN = (
    Column(name="table", type="string", meaning="the table that these rows are in: face, prosody, speech and so on"),
    Column(name="measured_by", type="string", meaning="who measured, where the rows tell: name@version#hash"),
    Column(name="n", type="integer", meaning="how many rows the source has in that table"),
    Column(name="scored", type="integer", meaning="how many of them have a score at all"),
    Column(name="begin_s", type="number", meaning="when the first row begins, in seconds from the start of the source"),
    Column(name="end_s", type="number", meaning="when the last row ends, in seconds"),
)
_NUMBERS = (
    Column(name="strongest", type="string", meaning="the score of the table's first family with the highest mean"),
    Column(name="strongest_mean", type="number", meaning="that mean, over the rows that have the score"),
    Column(name="above", type="number", meaning="the cutoff that `share_above` counts from"),
)
_MAPS = (
    ("mean", "mean of each score over the rows that have it, by column"),
    ("highest", "highest value of each score, by column"),
    ("share_above", "share of the rows that have the score in which it is at least `above`, by column"),
)
SOURCES_LONG: tuple[Column, ...] = (
    *_ABOUT,
    _OWN[0],
    *LONG_SCORES[:2],
    Column(name="n", type="integer", meaning="how many rows of the source have the score"),
    Column(name="mean", type="number", meaning="mean over these rows"),
    Column(name="sd", type="number", meaning="standard deviation over these rows (n - 1); null for a single row"),
    Column(name="highest", type="number", meaning="highest value"),
    Column(name="above", type="number", meaning="the cutoff that `share_above` counts from"),
    Column(name="share_above", type="number", meaning="share of these rows in which it is at least `above`"),
)
_GROUP_ROWS = 4_096

# Takes the name of a table and its schema and rows.
Write = Callable[[str, pa.Schema, pa.Table], None]


EVENT: tuple[Column, ...] = (
    Column(
        name="event", type="string", meaning="the event of the source that these rows lie in, as the manifest names it"
    ),
    Column(
        name="event_begin_s", type="number", meaning="when the event starts, in seconds from the start of the source"
    ),
    Column(name="event_end_s", type="number", meaning="when it ends; the end does not belong to it"),
)


def sources_schema(metadata: dict[str, str], labels: Sequence[Column]) -> pa.Schema:
    """The schema of `sources`."""
    maps = [pa.field(name, SCORES_TYPE, metadata={"meaning": meaning}) for name, meaning in _MAPS]
    own = map(field_of, (*_ABOUT, *labels, *_OWN, *_NUMBERS))
    return pa.schema([*own, *maps], metadata={**metadata, "table": "sources", "row": "one source in one table"})


def _with_event(schema: pa.Schema, table: str) -> pa.Schema:
    """The same columns behind those of the event."""
    row = schema.metadata[b"row"].decode().replace("one source", "one event of one source")
    fields = [schema.field("item_id"), *map(field_of, EVENT), *(one for one in schema if one.name != "item_id")]
    return pa.schema(fields, metadata={**schema.metadata, b"table": table, b"row": row})


def events_schema(metadata: dict[str, str], labels: Sequence[Column]) -> pa.Schema:
    """The schema of `events`."""
    return _with_event(sources_schema(metadata, labels), "events")


def events_long_schema(metadata: dict[str, str], labels: Sequence[Column]) -> pa.Schema:
    """The schema of `events_long`."""
    return _with_event(sources_long_schema(metadata, labels), "events_long")


def sources_long_schema(metadata: dict[str, str], labels: Sequence[Column]) -> pa.Schema:
    columns = (*_ABOUT, *labels, *SOURCES_LONG[len(_ABOUT) :])
    told = {**metadata, "table": "sources_long", "row": "one score of one source in one table"}
    return pa.schema(map(field_of, columns), metadata=told)


class SourceTable:
    """Writes a row for each source that is complete."""

    def __init__(
        self,
        write: Write,
        *,
        metadata: dict[str, str],
        labels: LabelColumns,
        simulated: bool | None,
        above: float,
        long: bool,
        intervals: Intervals | None = None,
    ) -> None:
        """With `intervals` it is `events`: a row an event as well."""
        self._write = write
        self._stem = "sources" if intervals is None else "events"
        self._sums = SumsBySource(above=above, spread=long, every=True, intervals=intervals)
        self._labels = labels
        self._simulated = simulated
        self._above = above
        self._long = long
        wide, narrow = (
            (sources_schema, sources_long_schema) if intervals is None else (events_schema, events_long_schema)
        )
        self._schema = wide(metadata, labels.columns)
        self._long_schema = narrow(metadata, labels.columns)
        self._rows: list[dict[str, Any]] = []
        self._scores: list[dict[str, Any]] = []

    def add(self, found: ItemRows) -> None:
        for one in self._sums.add(found):
            self._close(one)

    def finish(self) -> None:
        """Write what is left; without any source, an empty table."""
        for one in self._sums.rest():
            self._close(one)
        self._flush()

    def _close(self, one: Summed) -> None:
        item, sums = one.item, one.sums
        record = item_record(item, simulated=self._simulated)
        about = {column.name: record.get(column.name) for column in _ABOUT}
        about |= {"kind": item.kind, "table": one.table, "above": self._above, **self._labels.row(item)}
        if one.event is not None:
            event = one.event
            about |= {"event": event.name, "event_begin_s": event.begin_s, "event_end_s": event.end_s}
        named = [(name, score, moments, score not in sums.beyond) for name, score, moments in sums.named()]
        strongest = sums.strongest
        self._rows.append(
            {
                **about,
                "measured_by": ", ".join(sorted(sums.measured_by)) or None,
                "n": sums.rows,
                "scored": sums.scored,
                "begin_s": sums.begin_s,
                "end_s": sums.end_s,
                "strongest": strongest[0][1] if strongest else None,
                "strongest_mean": strongest[1].mean if strongest else None,
                "mean": [(name, moments.mean if summed else None) for name, _, moments, summed in named],
                "highest": [(name, moments.highest) for name, _, moments, _ in named],
                "share_above": [(name, moments.above / moments.n) for name, _, moments, _ in named],
            }
        )
        if self._long:
            self._scores += _score_rows(about, named)
        if len(self._rows) >= _GROUP_ROWS or len(self._scores) >= 100 * _GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        self._write(self._stem, self._schema, pa.Table.from_pylist(self._rows, schema=self._schema))
        if self._long:
            scores = pa.Table.from_pylist(self._scores, schema=self._long_schema)
            self._write(f"{self._stem}_long", self._long_schema, scores)
        self._rows.clear()
        self._scores.clear()


def _score_rows(about: dict[str, Any], named: list[Any]) -> Iterator[dict[str, Any]]:
    for _, (family, name), moments, summed in named:
        yield {
            **about,
            "family": family,
            "name": name,
            "n": moments.n,
            "mean": moments.mean if summed else None,
            "sd": moments.sd if summed else None,
            "highest": moments.highest,
            "share_above": moments.above / moments.n,
        }
