"""Tidy tables from raw answers: one a model, one of items, one of failures; the same bytes every time.

One pass over the answers. Memory holds a row group a table and one source of one answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hume_runner.errors import MissingExtra, ResultsError
from hume_runner.results.base import ItemRecord, ResultSet
from hume_runner.results.intervals import NONE, Intervals
from hume_runner.results.labels import LabelColumns, storable
from hume_runner.results.options import PLAIN, TableOptions
from hume_runner.results.rows import ItemRows, all_rows, layouts_of
from hume_runner.services.table_shapes import Column, Layout, is_word

if TYPE_CHECKING:
    from hume_runner.results.columns import RowBuffer
    from hume_runner.results.sinks import Format, MakeSink, Sink
    from hume_runner.results.source_table import SourceTable

# Rows of a model's row group: some 15 MB of scores. Items and failures are narrow and may come by the million.
_GROUP_ROWS = 16_384
_WORDS = {True: "true", False: "false", None: "unknown"}
# Where a row may have hundreds of scores, their number counts.
_GROUP_SCORES = 500_000


def write_tables(
    results: ResultSet,
    out_dir: Path,
    *,
    format: Format = "parquet",
    options: TableOptions = PLAIN,
    intervals: Intervals = NONE,
    unread: Callable[[str], None] = lambda told: None,
    check: Callable[[Sequence[Path]], None] = lambda paths: None,
    left: Callable[[Path], None] = lambda path: None,
) -> tuple[Path, ...]:
    """Write `items`, `errors`, `sources` and a table for each model into `out_dir`; with
    `intervals` also `events`; `options.long` adds `MODEL_long`
    and `sources_long`, a row a score.

    A model whose scores have open names has `MODEL_scores` as well, a row a score.
    A model has a table if the settings ask for it or an answer has rows of it. Every file appears whole or not at all.
    `check` is asked with all paths before any of them is written over; what it raises is raised here, and nothing
    changed. `left` is told each file there with the name of a table of the same format that is not among them: an
    earlier call's, or anybody's.
    An answer that cannot be read costs its own items their rows: `errors` says so, and `unread` is told once for each.
    Returns the paths, in a fixed order. Raises: MissingExtra; ResultsError naming a raw answer that is unreadable and
    that no item is known to stand for.
    """
    need_pyarrow("tables", "writing tables")
    from hume_runner.results.sinks import sink_of
    from hume_runner.results.source_table import SourceTable

    out_dir.mkdir(parents=True, exist_ok=True)
    layouts = layouts_of(results)
    labels = LabelColumns.of(results.items())
    everywhere = labels if options.labels else None
    with _AllOrNone(out_dir, format, sink_of(format, bom=options.bom)) as files:
        tables = _ModelTables(results, files, layouts, long=options.long, labels=everywhere, intervals=intervals)
        sums = [
            SourceTable(
                lambda stem, schema, rows: files.sink(stem, schema).write(rows),
                metadata=metadata(results),
                labels=labels,
                simulated=results.simulated,
                above=options.above,
                long=options.long,
                intervals=split,
            )
            for split in ([None, intervals] if intervals else [None])
        ]
        _write_answers(results, files, tables, sums, everywhere, unread)
        tables.finish(set(_models_asked_for(results.settings)))
        for sources in sums:
            sources.finish()
        _write_items(results, files, labels)
        check(files.paths)
        written = files.close()
    for one in _others(out_dir, format, layouts, written):
        left(one)
    return written


def need_pyarrow(extra: str, what: str) -> None:
    """Raises: MissingExtra, where what sums rows up is not there."""
    try:
        import pyarrow  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtra(extra, what) from error


def _models_asked_for(settings: Mapping[str, Any]) -> Iterator[str]:
    models = settings.get("models")
    if isinstance(models, Mapping):
        yield from (name for name, value in models.items() if value is not None)


def _others(out_dir: Path, format: str, layouts: Iterable[Layout], written: tuple[Path, ...]) -> Iterator[Path]:
    for name in (*(layout.name for layout in layouts), "sources", "events"):
        for stem in (name, f"{name}_scores", f"{name}_long"):
            path = out_dir / f"{stem}.{format}"
            if path not in written and path.is_file():
                yield path


class _AllOrNone:
    """The tables being written. Leaving with an error discards all of them."""

    def __init__(self, out_dir: Path, format: str, sink: MakeSink) -> None:
        self._out_dir = out_dir
        self._format = format
        self._sink = sink
        self._open: dict[str, Sink] = {}

    def __enter__(self) -> _AllOrNone:
        return self

    def __exit__(self, *error: object) -> None:
        for sink in self._open.values():
            sink.discard()

    def sink(self, stem: str, schema: Any) -> Sink:
        """The file of a table; opened on first use. Raises: ResultsError for a name that would choose another place."""
        if stem not in self._open:
            if not is_word(stem.removesuffix("_scores").removesuffix("_long")):
                raise ResultsError(
                    f"a table is called {stem!r}, which can be no file's name", hint="tell the authors of what measured"
                )
            self._open[stem] = self._sink(self._out_dir / f"{stem}.{self._format}", schema)
        return self._open[stem]

    @property
    def paths(self) -> tuple[Path, ...]:
        """What `close` writes, in that order."""
        stems = sorted(self._open, key=lambda stem: (stem not in ("items", "errors", "sources", "events"), stem))
        return tuple(self._open[stem].path for stem in stems)

    def close(self) -> tuple[Path, ...]:
        written = tuple(self._open[path.stem].close() for path in self.paths)
        self._open.clear()
        return written


class _ModelTables:
    """The tables of the models: a buffer each, written when it is full."""

    def __init__(
        self,
        results: ResultSet,
        files: _AllOrNone,
        layouts: tuple[Layout, ...],
        *,
        long: bool,
        labels: LabelColumns | None,
        intervals: Intervals,
    ) -> None:
        from hume_runner.results.columns import EVENT, RowBuffer

        self._simulated = results.simulated
        self._files = files
        self._long = long
        self._more = (*(labels.columns if labels is not None else ()), *((EVENT,) if intervals else ()))
        self._metadata = metadata(results)
        self._buffer_of: Callable[[Layout], RowBuffer] = lambda layout: RowBuffer(layout, labels, intervals)
        self._buffers = {layout.name: self._buffer_of(layout) for layout in layouts}
        self._seen: set[str] = set()

    def add(self, found: ItemRows) -> None:
        layout = found.block.layout
        if layout.name not in self._buffers:  # of a model that the manifest does not name any more
            self._buffers[layout.name] = self._buffer_of(layout)
        buffer = self._buffers[layout.name]
        buffer.add(found, simulated=self._simulated)
        if buffer.rows >= _GROUP_ROWS or buffer.open_scores >= _GROUP_SCORES:
            self._flush(buffer.layout.name)

    def finish(self, asked_for: set[str]) -> None:
        """Write what is left; a model that was asked for and found nothing gets an empty table."""
        for name, buffer in self._buffers.items():
            if buffer.rows or (name in asked_for and name not in self._seen):
                self._flush(name)

    def _flush(self, name: str) -> None:
        from hume_runner.results.columns import long_schema, scores_schema, wide_schema

        buffer = self._buffers[name]
        self._seen.add(name)
        wide = wide_schema(buffer.layout, self._metadata | {"table": name}, self._more)
        self._files.sink(name, wide).write(buffer.wide(wide))
        if buffer.layout.open_families:
            scores = scores_schema(buffer.layout, self._metadata | {"table": f"{name}_scores"})
            self._files.sink(f"{name}_scores", scores).write(buffer.scores(scores))
        if self._long and (buffer.layout.families or buffer.layout.open_families):
            long = long_schema(buffer.layout, self._metadata | {"table": f"{name}_long"}, self._more)
            self._files.sink(f"{name}_long", long).write(buffer.long(long))
        buffer.clear()


def metadata(results: ResultSet) -> dict[str, str]:
    """What a Parquet file says about itself: nothing that differs between two rebuilds."""
    return {"hume_runner.schema": "1", "api": results.api, "simulated": _WORDS[results.simulated]}


class _RecordTable:
    """A narrow table that is filled record by record."""

    def __init__(self, results: ResultSet, files: _AllOrNone, stem: str, columns: Iterable[Column]) -> None:
        from hume_runner.results.columns import record_schema

        self._schema = record_schema(columns, metadata(results) | {"table": stem})
        self._sink = files.sink(stem, self._schema)
        self._records: list[dict[str, Any]] = []

    def add(self, record: dict[str, Any]) -> None:
        self._records.append(record)
        if len(self._records) >= _GROUP_ROWS:
            self.flush()

    def flush(self) -> None:
        import pyarrow as pa

        self._sink.write(pa.Table.from_pylist(self._records, schema=self._schema))
        self._records.clear()


@contextmanager
def _record_table(
    results: ResultSet, files: _AllOrNone, stem: str, columns: Iterable[Column]
) -> Iterator[_RecordTable]:
    table = _RecordTable(results, files, stem, columns)
    yield table
    table.flush()


def _write_answers(
    results: ResultSet,
    files: _AllOrNone,
    tables: _ModelTables,
    sums: Sequence[SourceTable],
    labels: LabelColumns | None,
    unread: Callable[[str], None],
) -> None:
    """Fill the models' tables from the answers, and `errors` with all that failed, each failure once."""
    from hume_runner.results.columns import ERRORS, error_record, item_record

    told: set[str] = set()
    last = ""
    more = labels.row if labels is not None else lambda item: {}
    with _record_table(results, files, "errors", (*ERRORS, *(labels.columns if labels is not None else ()))) as errors:
        for found in all_rows(results.answers()):
            if isinstance(found, ItemRows):
                tables.add(found)
                for one in sums:
                    one.add(found)
            else:
                if found.unread is not None and found.unread != last:
                    last = found.unread
                    unread(last)
                told.add(found.item.id)
                errors.add(error_record(found, simulated=results.simulated) | more(found.item))
        for item in results.items():
            # The answer told it already, and which file inside the source it was.
            if item.status == "failed" and item.id not in told:
                message = {
                    "file": None,
                    "reason": item.reason,
                    "message": storable(item.error or item.reason or "failed"),
                }
                errors.add(item_record(item, simulated=results.simulated) | message | more(item))


def _write_items(results: ResultSet, files: _AllOrNone, labels: LabelColumns) -> None:
    from hume_runner.results.columns import ITEMS

    with _record_table(results, files, "items", (*ITEMS, *labels.columns)) as items:
        for item in results.items():
            items.add(_item_row(item, labels, simulated=results.simulated))


def _item_row(item: ItemRecord, labels: LabelColumns, *, simulated: bool | None) -> dict[str, Any]:
    from hume_runner.results.columns import item_record

    outcome = {"status": item.status, "error": storable(item.error), "reason": item.reason}
    own = {"kind": item.kind, **outcome, "raw": [storable(path) for path in item.raw]}
    return {**item_record(item, simulated=simulated), **own, **labels.cells(item)}
