"""A Psych-DS dataset: CSV under `data/` by the standard's names, described in `dataset_description.json` (JSON-LD).

https://psych-ds.github.io/, version 0.4: names are keyword-value pairs that end in `_data.csv`, and every column is
named under `variableMeasured`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hume_runner.aside import written
from hume_runner.results.authorship import refuse_others
from hume_runner.results.base import ResultSet
from hume_runner.results.intervals import NONE, Intervals
from hume_runner.results.labels import LabelColumns
from hume_runner.results.marks import Kind, marked_json
from hume_runner.results.options import TableOptions
from hume_runner.results.package.base import Described
from hume_runner.results.rows import layouts_of
from hume_runner.results.table_schemas import schema_of
from hume_runner.results.tables import metadata, write_tables
from hume_runner.scratch import Scratch

DESCRIPTION = "dataset_description.json"


def write_psych_ds(
    results: ResultSet,
    described: Described,
    out_dir: Path,
    options: TableOptions,
    intervals: Intervals = NONE,
    unread: Callable[[str], None] = lambda told: None,
) -> tuple[Path, ...]:
    """Write the dataset into `out_dir`, a file a table; return the paths, the description first."""
    data = out_dir / "data"
    data.mkdir(parents=True, exist_ok=True)
    paths = []
    with Scratch() as folder:
        tables = write_tables(results, folder, format="csv", options=options, intervals=intervals, unread=unread)
        description = out_dir / DESCRIPTION
        refuse_others([description], Kind.DATASET, hint="choose another --out")
        names = [data / _file_name(results.name, table.stem) for table in tables]
        refuse_others(names, Kind.TABLE, hint="choose another --out")
        for table in tables:
            target = data / _file_name(results.name, table.stem)
            with table.open("rb") as source, written(target) as file:
                while chunk := source.read(1 << 20):
                    file.write(chunk)
            paths.append(target)
        stems = [table.stem for table in tables]
    with written(description) as file:
        file.write(marked_json(Kind.DATASET, _document(results, described, stems, options, intervals), "identifier"))
    return (description, *paths)


def _file_name(study: str, stem: str) -> str:
    return f"study-{_value(study)}_table-{_value(stem)}_data.csv"


def _value(text: str) -> str:
    """`text` as the value of a pair in a file's name: letters and digits alone."""
    return re.sub(r"[^A-Za-z0-9]", "", text) or "x"


def _document(
    results: ResultSet, described: Described, stems: list[str], options: TableOptions, intervals: Intervals
) -> dict[str, Any]:
    layouts, labels = layouts_of(results), LabelColumns.of(results.items())
    variables: dict[str, dict[str, Any]] = {}
    for stem in stems:
        for field in schema_of(stem, layouts, metadata(results), labels, options, events=bool(intervals)) or ():
            told = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
            meaning = told.get("meaning") or f"score of {told.get('name', field.name)!r}"
            variables.setdefault(field.name, {"@type": "PropertyValue", "name": field.name, "description": meaning})
    return {
        "@context": "https://schema.org/",
        "@type": "Dataset",
        "name": described.name,
        "description": described.abstract,
        "schemaVersion": "Psych-DS 0.4.0",
        "citation": described.citation,
        "variableMeasured": list(variables.values()),
    }
