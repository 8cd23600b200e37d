"""What the page shows, taken from the answers in one pass and bounded however large the run is.

A page is a picture, not an archive: numbers are rounded to three digits, long media are thinned, and of very many
sources a sample is kept. What was left out is counted, so that the page can say so; the tables have everything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hume_runner.results.base import ItemRecord, ResultSet
from hume_runner.results.credits import MEASURED_BY, credits_of, who_measured
from hume_runner.results.report.parts import LONGEST_NAME, LONGEST_TEXT, Detail, OpenPart, Part
from hume_runner.results.report.signals import SignalPart, bound, described, most_parts, rows_for
from hume_runner.results.rows import ItemError, all_rows, row_mapping
from hume_runner.services.table_shapes import Layout

MOST_SOURCES = 10_000
MOST_FAILURES = 500
MOST_JOBS = 300
_MOST_REASONS = 50
# What all rows that timelines are drawn from may take on the page, and a row's size with all scores or a few.
_ROWS_BYTES = 6_000_000
_FULL_ROW_BYTES = 200
_SHORT_ROW_BYTES = 75
_FEW_SCORES = 8
_MOST_ROWS = 160
_FEWEST_FULL_ROWS = 16


def detail_for(parts: int) -> Detail:
    """The detail that fits when `parts` pairs of source and model share the page."""
    full = _ROWS_BYTES // (max(1, parts) * _FULL_ROW_BYTES)
    if full >= _FEWEST_FULL_ROWS:
        return Detail(rows=min(_MOST_ROWS, full), scores=None)
    return Detail(rows=max(4, min(_MOST_ROWS, _ROWS_BYTES // (parts * _SHORT_ROW_BYTES))), scores=_FEW_SCORES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """All that the page shows of a run. `sources` are ready for the page; counts are of the whole run."""

    total: int
    by_status: Mapping[str, int]
    by_reason: Mapping[str, int]
    failures: Sequence[Mapping[str, Any]]
    sources: Sequence[Mapping[str, Any]]
    models: Mapping[str, Mapping[str, Any]]
    signals: Mapping[str, Mapping[str, Any]]
    who: Sequence[Mapping[str, str]]  # who measured, where the rows or the API tell
    told: str  # what people have to know of all that they measured
    labels: Sequence[str]
    jobs: Sequence[Mapping[str, Any]]
    jobs_total: int
    measured: tuple[float, float] | None  # when the first job was sent and the last answer fetched, Unix seconds
    simulated: bool | None
    detail: Detail


def gather(
    results: ResultSet, *, most_sources: int = MOST_SOURCES, unread: Callable[[str], None] = lambda told: None
) -> Gathered:
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
    open_names: dict[str, dict[str, int]] = {}
    parts, drawn, measured_by = _parts(results, records, detail, open_names, unread)
    seen = [name for name in layouts if any(name in mine for mine in parts.values())]
    for item_id, mine in parts.items():
        records[item_id]["m"] = {name: mine[name].document() for name in seen if name in mine}
    drawn_tables = [name for name in layouts if any(name in mine for mine in drawn.values())]
    bound([part for mine in drawn.values() for part in mine.values()])
    for item_id, signals in drawn.items():
        records[item_id]["g"] = {name: signals[name].document() for name in drawn_tables if name in signals}
    told = credits_of(results.api, results.settings)
    jobs, jobs_total = _jobs(results)
    return Gathered(
        total=total,
        by_status=by_status,
        by_reason=dict(sorted(by_reason.items(), key=lambda pair: (-pair[1], pair[0]))),
        failures=failures,
        sources=list(records.values()),
        models={name: _names(layouts[name], open_names) for name in seen},
        signals={name: described(layouts[name]) for name in drawn_tables},
        who=who_measured(told, {said: [name for name in layouts if name in of] for said, of in measured_by.items()}),
        told=told.told if told is not None else "",
        labels=sorted({label for record in records.values() for label in record.get("l", {})}),
        jobs=jobs,
        jobs_total=jobs_total,
        measured=_span(results),
        simulated=simulated,
        detail=detail,
    )


def _parts(
    results: ResultSet,
    records: Mapping[str, Any],
    detail: Detail,
    open_names: dict[str, dict[str, int]],
    unread: Callable[[str], None],
) -> tuple[dict[str, dict[str, Part | OpenPart]], dict[str, dict[str, SignalPart]], dict[str, set[str]]]:
    """What is drawn of each source: its scores, its signals; and of which tables rows say who measured them."""
    parts: dict[str, dict[str, Part | OpenPart]] = {}
    drawn: dict[str, dict[str, SignalPart]] = {}
    measured_by: dict[str, set[str]] = {}
    step = max(1, -(-len(records) // most_parts()))
    pictured = {item_id for number, item_id in enumerate(records) if number % step == 0}
    most_rows = rows_for(len(pictured))
    last = ""
    for found in all_rows(results.answers()):
        if isinstance(found, ItemError):
            if found.unread is not None:
                if found.unread != last:
                    last = found.unread
                    unread(last)
                if found.item.id in records:
                    records[found.item.id]["e"] = found.error.message[:LONGEST_TEXT]
        else:
            layout = found.block.layout
            for said in set(found.block.columns.get(MEASURED_BY, ())):
                measured_by.setdefault(str(said), set()).add(layout.name)
            if found.item.id not in records:
                continue
            if layout.signals is not None and found.item.id in pictured:
                signals = drawn.setdefault(found.item.id, {})
                if layout.name not in signals:
                    signals[layout.name] = SignalPart(layout=layout, signals=layout.signals, most=most_rows)
                signals[layout.name].add(found.block)
            if not layout.families and not layout.open_families:
                continue  # the page draws scores; what has none is in the tables
            mine = parts.setdefault(found.item.id, {})
            if layout.name not in mine:
                mine[layout.name] = (
                    OpenPart(layout=layout, detail=detail, names=open_names.setdefault(layout.name, {}))
                    if layout.open_families
                    else Part(layout=layout, detail=detail)
                )
            mine[layout.name].add(found.block)
    return parts, drawn, measured_by


def _names(layout: Layout, open_names: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    if layout.open_families:
        return {"row": layout.row, "names": list(open_names[layout.name]), "toxicity": None, "open": True}
    names = {family.prefix: family.names for family in layout.families}
    return {"row": layout.row, "names": layout.families[0].names, "toxicity": names.get("toxicity")}


def _source(item: ItemRecord) -> dict[str, Any]:
    record: dict[str, Any] = {"i": item.id[:LONGEST_NAME], "k": item.kind, "t": item.status}
    if item.source != item.id:
        record["s"] = item.source[:LONGEST_NAME]
    if item.labels:
        record["l"] = {str(name): _short(str(value)) for name, value in item.labels.items() if value is not None}
    if item.error:
        record["e"] = item.error[:LONGEST_TEXT]
    return record


def _failure(item: ItemRecord) -> dict[str, Any]:
    return {
        "id": item.id[:LONGEST_NAME],
        "source": item.source[:LONGEST_NAME],
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


def _span(results: ResultSet) -> tuple[float, float] | None:
    first = last = None
    for job in results.jobs():
        if job.submitted_at is not None and job.fetched_at is not None:
            first = job.submitted_at if first is None else min(first, job.submitted_at)
            last = job.fetched_at if last is None else max(last, job.fetched_at)
    return None if first is None or last is None else (first, last)


def _job(job: Any) -> dict[str, Any]:
    times = (job.submitted_at, job.created_at, job.started_at, job.ended_at, job.fetched_at)
    return {
        "j": job.job,
        "r": job.remote_id or "",
        "t": job.status,
        "n": job.sources,
        "at": [None if moment is None else round(moment, 3) for moment in times],
    }
