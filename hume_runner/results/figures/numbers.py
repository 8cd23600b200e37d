"""The numbers behind means and groups as CSV, of all scores and not of those alone that a picture has room for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from hume_runner.results.aggregates import Moments, Score
from hume_runner.results.authorship import refuse_others
from hume_runner.results.figures.style import file_name
from hume_runner.results.groups import GroupMean, GroupSums, mean_of
from hume_runner.results.marks import Kind
from hume_runner.results.measures import measure
from hume_runner.results.sinks import sink_of
from hume_runner.services.table_shapes import Layout

_SCORE = (("family", pa.string()), ("name", pa.string()), ("unit", pa.string()))
_NUMBERS = (
    ("n", pa.int64()),
    ("mean", pa.float64()),
    ("sd", pa.float64()),
    ("low_95", pa.float64()),
    ("high_95", pa.float64()),
)
_MEANS = pa.schema([("table", pa.string()), *_SCORE, *_NUMBERS])
_GROUPS = pa.schema([("label", pa.string()), ("group", pa.string()), *_MEANS])
_PAIRS = pa.schema([("label", pa.string()), ("first", pa.string()), ("second", pa.string()), *_MEANS])


def write_numbers(
    means: Mapping[str, Mapping[Score, Moments]],
    groups: Mapping[str, GroupSums],
    layouts: Mapping[str, Layout],
    out_dir: Path,
    *,
    tables: Collection[str],
    named: Mapping[str, Collection[Score]],
) -> tuple[Path, ...]:
    """`means-TABLE.csv`, a row a score; `groups-TABLE-LABEL.csv`, a row a score and group; `pairs-TABLE-LABEL.csv`, a
    row a score and pair of groups: the second less the first, within pairs. Returns the paths.

    n counts sources; `low_95` and `high_95` are Student's interval, empty for a single source. Units are those of the
    tables.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for table in tables:
        kept = named.get(table)
        layout = layouts[table]
        rows = [
            _about(layout, score) | _numbers(mean_of(moments))
            for score, moments in means[table].items()
            if kept is None or score in kept
        ]
        paths += _written(out_dir, file_name("means", table), _MEANS, rows)
        for label, sums in groups.items():
            compared = [one for one in sums.compared() if one.table == table and (kept is None or one.score in kept)]
            rows = [
                {"label": label, "group": name} | _about(layout, one.score) | _numbers(mean)
                for one in compared
                for name, mean in one.groups.items()
            ]
            paths += _written(out_dir, file_name("groups", table, label), _GROUPS, rows)
            rows = [
                {"label": label, "first": pair.groups[0], "second": pair.groups[1]}
                | _about(layout, one.score)
                | {"n": pair.n, "mean": pair.mean, "sd": pair.sd, "low_95": pair.low, "high_95": pair.high}
                for one in compared
                for pair in one.pairs
            ]
            paths += _written(out_dir, file_name("pairs", table, label), _PAIRS, rows)
    return tuple(paths)


def _about(layout: Layout, score: Score) -> dict[str, Any]:
    return {"table": layout.name, "family": score[0], "name": score[1], "unit": measure(layout, score).unit or None}


def _numbers(mean: GroupMean) -> dict[str, Any]:
    return {"n": mean.n, "mean": mean.mean, "sd": mean.sd, "low_95": mean.low, "high_95": mean.high}


def _written(folder: Path, stem: str, schema: pa.Schema, rows: Sequence[Mapping[str, Any]]) -> Iterable[Path]:
    if not rows:
        return
    path = folder / f"{stem}.csv"
    refuse_others([path], Kind.FIGURE, hint="choose another folder for the figures")
    sink = sink_of("csv", bom=False)(path, schema)
    try:
        sink.write(pa.Table.from_pylist([dict(row) for row in rows], schema=schema))
    except BaseException:
        sink.discard()
        raise
    yield sink.close()
