"""The columns of a table by the table's name, without writing it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hume_runner.results.columns import (
    ERRORS,
    EVENT,
    ITEMS,
    long_schema,
    record_schema,
    scores_schema,
    wide_schema,
)
from hume_runner.results.labels import LabelColumns
from hume_runner.results.options import TableOptions
from hume_runner.results.source_table import (
    events_long_schema,
    events_schema,
    sources_long_schema,
    sources_schema,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from hume_runner.services.table_shapes import Layout

# What a row of a table that no layout describes is.
ROWS = {"items": "one item and its outcome", "errors": "one failure"}


def schema_of(
    stem: str,
    layouts: Sequence[Layout],
    metadata: dict[str, str],
    labels: LabelColumns,
    options: TableOptions,
    *,
    events: bool,
) -> pa.Schema | None:
    """The schema that `write_tables` gives the table of this name; None for a name that is none of its tables."""
    everywhere = labels.columns if options.labels else ()
    more = (*everywhere, *((EVENT,) if events else ()))
    named = metadata | {"table": stem}
    match stem:
        case "items":
            return record_schema((*ITEMS, *labels.columns), named)
        case "errors":
            return record_schema((*ERRORS, *everywhere), named)
        case "sources":
            return sources_schema(metadata, labels.columns)
        case "sources_long":
            return sources_long_schema(metadata, labels.columns)
        case "events" if events:
            return events_schema(metadata, labels.columns)
        case "events_long" if events:
            return events_long_schema(metadata, labels.columns)
    for layout in layouts:
        if stem == layout.name:
            return wide_schema(layout, named, more)
        if stem == f"{layout.name}_long":
            return long_schema(layout, named, more)
        if stem == f"{layout.name}_scores" and layout.open_families:
            return scores_schema(layout, named)
    return None
