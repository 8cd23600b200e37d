"""A comparison as a file: csv, json, parquet, md or html, by the name's ending."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from hume_runner import aside
from hume_runner.errors import MissingExtra, UsageError
from hume_runner.results import marks
from hume_runner.results.compare import records
from hume_runner.results.compare.base import Comparison
from hume_runner.results.compare.page import page
from hume_runner.results.marks import Kind, marked_json

FORMS = ("csv", "json", "parquet", "md", "html")


def form_of(out: Path) -> str:
    """What kind of file `out` is to be. Raises: UsageError; MissingExtra, before anything was read."""
    form = out.suffix.lower().removeprefix(".")
    if form not in FORMS:
        endings = ", ".join(f".{form}" for form in FORMS)
        raise UsageError(f"{out}: its name does not tell what to write", hint=f"end it with one of {endings}")
    try:
        if form == "parquet":
            import pyarrow  # noqa: F401
        elif form == "html":
            import jinja2  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtra("tables" if form == "parquet" else "report", f"a comparison as {form}") from error
    return form


def write_comparison(comparison: Comparison, out: Path) -> Path:
    """Write to `out` what its ending says; the same bytes every time. Raises: UsageError, MissingExtra."""
    form = form_of(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    if form == "parquet":
        return _write_parquet(comparison, out)
    if form == "html":
        content = marks.behind(Kind.COMPARISON, page(comparison))
    elif form == "json":
        content = marked_json(Kind.COMPARISON, {"schema": 1, **records.document(comparison)})
    elif form == "md":
        content = marks.behind(Kind.COMPARISON, _markdown(comparison).encode("utf-8", "replace"))
    else:
        content = _csv(comparison).encode("utf-8", "replace")
    aside.write(out, content)
    return out


def _csv(comparison: Comparison) -> str:
    """RFC 4180, as the other tables; null is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(records.FIELDS), lineterminator="\r\n")
    writer.writeheader()
    for one in comparison.columns:
        row = records.record(one, simulated=comparison.simulated)
        writer.writerow(row | {"simulated": str(row["simulated"]).lower()})
    return text.getvalue()


def _write_parquet(comparison: Comparison, out: Path) -> Path:
    import pyarrow as pa

    from hume_runner.results.sinks import ParquetSink

    types = {"string": pa.string(), "int64": pa.int64(), "double": pa.float64(), "bool": pa.bool_()}
    schema = pa.schema(
        [pa.field(name, types[kind], metadata={"meaning": told}) for name, (kind, told) in records.FIELDS.items()],
        metadata={
            "hume_runner.schema": "1",
            "table": "comparison",
            "row": "one column of A beside one of B",
            "simulated": str(comparison.simulated).lower(),
        },
    )
    rows = [records.record(one, simulated=comparison.simulated) for one in comparison.columns]
    sink = ParquetSink(out, schema)
    try:
        sink.write(pa.Table.from_pylist(rows, schema=schema))
    except BaseException:
        sink.discard()
        raise
    return sink.close()


def _markdown(comparison: Comparison) -> str:
    return "\n".join(_lines(comparison)) + "\n"


def _lines(comparison: Comparison) -> Iterator[str]:
    yield f"# {_cell(comparison.a.name)} beside {_cell(comparison.b.name)}"
    yield ""
    if comparison.simulated:
        yield f"**{records.SIMULATED}.**"
        yield ""
    for letter, side in (("A", comparison.a), ("B", comparison.b)):
        yield f"- {letter}: `{_cell(side.shown)}`: {_cell(records.side_words(side))}"
    yield f"- {records.item_words(comparison)}"
    yield from (f"- {told}" for told in records.reason_words(comparison))
    yield from (f"- differs: `{_cell(told)}`" for told in comparison.differences)
    if comparison.a.api != comparison.b.api:
        yield f"- {records.OTHER_SCALE}"
    yield from (f"- {told}" for told in records.basis_words(comparison))
    yield from (f"- cannot be read: {_cell(told)}" for told in comparison.unread)
    if (told := records.advice(comparison)) is not None:
        yield f"- {told}"
    for table in comparison.tables:
        yield from ("", f"## {records.table_title(table)}", "", f"{records.table_words(table)}.", "")
        yield "| column | n | mean A | mean B | B − A | Pearson [95 %] | Spearman [95 %] |"
        yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
        for one in comparison.columns_of(table):
            found = one.agreement
            numbers = (found.mean_a, found.mean_b, found.mean_difference)
            cells = [_cell(one.name), f"{found.n:,}", *map(records.shown, numbers)]
            cells += [records.correlation(found.pearson), records.correlation(found.spearman)]
            yield f"| {' | '.join(cells)} |"
        if (told := records.beyond_words(comparison.columns_of(table))) is not None:
            yield from ("", f"{_cell(told)}.")
    if comparison.unmatched:
        yield from ("", "## Not compared", "", "| in | item | source | why |", "| --- | --- | --- | --- |")
        for item in comparison.unmatched:
            yield f"| {item.side.upper()} | {_cell(item.id)} | {_cell(item.source)} | {_cell(item.told)} |"


def _cell(text: str) -> str:
    """`text` as words in a table: what would end a cell or start markup is written in another way."""
    plain = " ".join(text.split()).replace("\\", "\\\\").replace("`", "'")
    return plain.replace("|", "\\|").replace("<", "&lt;").replace("[", "\\[")
