"""What the page shows, taken from the answers in one pass and bounded however large the run is.

A page is a picture, not an archive: numbers are rounded to three digits, long media are thinned, and of very many
sources a sample is kept. What was left out is counted, so that the page can say so; the tables have everything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hume_runner.results.base import ItemRecord, ResultSet
from hume_runner.results.rows import ItemRows, all_rows, row_mapping
from hume_runner.services.table_shapes import Block, Grid, Layout

MOST_SOURCES = 10_000
MOST_FAILURES = 500
MOST_JOBS = 300
LONGEST_TEXT = 240
_MOST_REASONS = 50
_LONGEST_NAME = 160
# What all rows that timelines are drawn from may take on the page, and a row's size with all scores or a few.
_ROWS_BYTES = 6_000_000
_FULL_ROW_BYTES = 200
_SHORT_ROW_BYTES = 75
_FEW_SCORES = 8
_MOST_ROWS = 160
_FEWEST_FULL_ROWS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """How much of each source and model the page keeps: rows to draw, and scores in each of them (None: all)."""

    rows: int
    scores: int | None


def detail_for(parts: int) -> Detail:
    """The detail that fits when `parts` pairs of source and model share the page."""
    full = _ROWS_BYTES // (max(1, parts) * _FULL_ROW_BYTES)
    if full >= _FEWEST_FULL_ROWS:
        return Detail(rows=min(_MOST_ROWS, full), scores=None)
    return Detail(rows=max(4, min(_MOST_ROWS, _ROWS_BYTES // (parts * _SHORT_ROW_BYTES))), scores=_FEW_SCORES)


@dataclass(slots=True, kw_only=True)
class _Part:
    """What is known of one source in one model: sums over all rows, and some rows to draw."""

    layout: Layout
    detail: Detail
    rows: int = 0
    sums: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)
    stride: int = 1
    kept: list[list[Any]] = field(default_factory=list)
    groups: dict[str, int] = field(default_factory=dict)

    def add(self, block: Block) -> None:
        grid = block.grids[self.layout.families[0].prefix]
        self._sum(grid)
        # After a thinning only every `stride`-th row of the whole is kept, so that what is drawn is evenly spread.
        for row in range(-self.rows % self.stride, block.rows, self.stride):
            self.kept.append(self._drawn(block, grid, row))
        self.rows += block.rows
        while len(self.kept) > self.detail.rows:
            self.kept = self.kept[::2]
            self.stride *= 2

    def _sum(self, grid: Grid) -> None:
        if not self.sums:
            width = grid.width
            self.sums, self.counts, self.peaks = [0.0] * width, [0] * width, [float("-inf")] * width
        if grid.absent:
            self._sum_with_gaps(grid)
            return
        for position in range(grid.width):
            column = grid.values[position :: grid.width]
            self.sums[position] += sum(column)
            self.counts[position] += grid.rows
            self.peaks[position] = max(self.peaks[position], max(column, default=self.peaks[position]))

    def _sum_with_gaps(self, grid: Grid) -> None:
        for row in range(grid.rows):
            for position, score in enumerate(grid.row(row)):
                if score is not None:
                    self.sums[position] += score
                    self.counts[position] += 1
                    self.peaks[position] = max(self.peaks[position], score)

    def _drawn(self, block: Block, grid: Grid, row: int) -> list[Any]:
        """[begin, end, group, text, scores, sentiment, toxicity]: times in seconds, scores in thousandths."""
        begin, end = self.layout.time or (None, None)
        group = str(block.columns["group_id"][row] or "unknown")[:_LONGEST_NAME]
        words = block.columns[self.layout.text][row] if self.layout.text else None
        scores: list[float | None] = grid.row(row)
        return [
            _seconds(block.columns[begin][row]) if begin else None,
            _seconds(block.columns[end][row]) if end else None,
            self.groups.setdefault(group, len(self.groups)),
            str(words)[:LONGEST_TEXT] if words is not None else None,
            [_thousandths(score) for score in scores],
            _sentiment(block.grids.get("sentiment"), row),
            _worst(block.grids.get("toxicity"), row),
        ]

    def document(self) -> dict[str, Any]:
        """This part for the page."""
        means = [total / count if count else None for total, count in zip(self.sums, self.counts, strict=True)]
        strongest = sorted(
            (position for position, mean in enumerate(means) if mean is not None),
            key=lambda position: (-(means[position] or 0.0), position),
        )
        shown = sorted(strongest[: self.detail.scores]) if self.detail.scores else None
        rows = [[*row[:4], [row[4][position] for position in shown] if shown is not None else row[4], *row[5:]]
                for row in self.kept]  # fmt: skip
        return {
            "n": self.rows,
            "mean": [_thousandths(mean) for mean in means],
            "peak": [
                _thousandths(peak) if count else None for peak, count in zip(self.peaks, self.counts, strict=True)
            ],
            "groups": list(self.groups),
            "stride": self.stride,
            "shown": shown,
            "rows": rows,
        }


def _thousandths(score: float | None) -> int | None:
    return None if score is None else round(score * 1000)


def _seconds(moment: Any) -> float | None:
    return round(moment, 2) if isinstance(moment, (int, float)) else None


def _sentiment(grid: Grid | None, row: int) -> int | None:
    """The weighted mean level, from 1 (most negative) to 9, in thousandths; None where it was not asked for."""
    if grid is None or grid.is_blank:
        return None
    weights = [score or 0.0 for score in grid.row(row)]
    total = sum(weights)
    return round(sum(level * weight for level, weight in enumerate(weights, start=1)) / total * 1000) if total else None


def _worst(grid: Grid | None, row: int) -> list[int] | None:
    """[category, score in thousandths] of the strongest kind of toxicity."""
    if grid is None or grid.is_blank:
        return None
    found = [(score, -position) for position, score in enumerate(grid.row(row)) if score is not None]
    if not found:
        return None
    score, position = max(found)
    return [-position, round(score * 1000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """All that the page shows of a run. `sources` are ready for the page; counts are of the whole run."""

    total: int
    by_status: Mapping[str, int]
    by_reason: Mapping[str, int]
    failures: Sequence[Mapping[str, Any]]
    sources: Sequence[Mapping[str, Any]]
    models: Mapping[str, Mapping[str, Any]]
    labels: Sequence[str]
    jobs: Sequence[Mapping[str, Any]]
    jobs_total: int
    simulated: bool
    detail: Detail
    has_rows: bool


def gather(results: ResultSet, *, most_sources: int = MOST_SOURCES) -> Gathered:
    """Take what the page shows: two passes over the items, one over the answers."""
    layouts = {layout.name: layout for layout in row_mapping(results.api).LAYOUTS}
    by_status: Counter[str] = Counter()
    by_reason: Counter[str] = Counter()
    failures: list[dict[str, Any]] = []
    simulated = results.simulated
    for item in results.items():
        by_status[item.status] += 1
        simulated = simulated or item.simulated
        if item.status == "failed":
            reason = item.reason or _short(item.error or "failed")
            by_reason[reason if reason in by_reason or len(by_reason) < _MOST_REASONS else "other reasons"] += 1
            if len(failures) < MOST_FAILURES:
                failures.append(_failure(item))
    total = by_status.total()
    step = max(1, -(-total // most_sources))
    records = {item.id: _source(item) for number, item in enumerate(results.items()) if number % step == 0}
    models = results.settings.get("models")
    asked_for = len(models) if isinstance(models, Mapping) and models else 2
    detail = detail_for(len(records) * asked_for)
    parts = _parts(results, records, detail)
    seen = [name for name in layouts if any(name in mine for mine in parts.values())]
    for item_id, mine in parts.items():
        records[item_id]["m"] = {name: mine[name].document() for name in seen if name in mine}
    jobs, jobs_total = _jobs(results)
    return Gathered(
        total=total,
        by_status=by_status,
        by_reason=dict(sorted(by_reason.items(), key=lambda pair: (-pair[1], pair[0]))),
        failures=failures,
        sources=list(records.values()),
        models={name: _names(layouts[name]) for name in seen},
        labels=sorted({label for record in records.values() for label in record.get("l", {})}),
        jobs=jobs,
        jobs_total=jobs_total,
        simulated=simulated,
        detail=detail,
        has_rows=bool(layouts),
    )


def _parts(results: ResultSet, records: Mapping[str, Any], detail: Detail) -> dict[str, dict[str, _Part]]:
    parts: dict[str, dict[str, _Part]] = {}
    for found in all_rows(results.answers()):
        if isinstance(found, ItemRows) and found.item.id in records:
            layout = found.block.layout
            mine = parts.setdefault(found.item.id, {})
            if layout.name not in mine:
                mine[layout.name] = _Part(layout=layout, detail=detail)
            mine[layout.name].add(found.block)
    return parts


def _names(layout: Layout) -> dict[str, Any]:
    names = {family.prefix: family.names for family in layout.families}
    return {"row": layout.row, "names": layout.families[0].names, "toxicity": names.get("toxicity")}


def _source(item: ItemRecord) -> dict[str, Any]:
    record: dict[str, Any] = {"i": item.id[:_LONGEST_NAME], "k": item.kind, "t": item.status}
    if item.source != item.id:
        record["s"] = item.source[:_LONGEST_NAME]
    if item.labels:
        record["l"] = {str(name): _short(str(value)) for name, value in item.labels.items() if value is not None}
    if item.error:
        record["e"] = item.error[:LONGEST_TEXT]
    return record


def _failure(item: ItemRecord) -> dict[str, Any]:
    return {
        "id": item.id[:_LONGEST_NAME],
        "source": item.source[:_LONGEST_NAME],
        "reason": item.reason or "",
        "error": (item.error or "failed")[:LONGEST_TEXT],
        "job": item.job or "",
    }


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"


def _jobs(results: ResultSet) -> tuple[list[dict[str, Any]], int]:
    """Jobs for the page, evenly spread ones if there are too many; and how many there are in all."""
    total = sum(1 for _ in results.jobs())
    step = max(1, -(-total // MOST_JOBS))
    return [_job(job) for number, job in enumerate(results.jobs()) if number % step == 0], total


def _job(job: Any) -> dict[str, Any]:
    times = (job.submitted_at, job.created_at, job.started_at, job.ended_at, job.fetched_at)
    return {
        "j": job.job,
        "r": job.remote_id or "",
        "t": job.status,
        "n": job.sources,
        "at": [None if moment is None else round(moment, 3) for moment in times],
    }
